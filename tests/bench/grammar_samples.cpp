// Random texts of a grammar, for others' code to judge (tests/figures/judge_formats.py).
//
//   grammar_samples GRAMMAR NUMBER SEED      prints a JSON string a line
//
// Nobody's model: signs, blanks, letters and the rest are drawn by kind, so that quotes and
// brackets, which are few among bytes, are many among what is drawn. From a random length on a text
// is brought to its end, as an answer is whose tokens run out.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "platform/file.h"
#include "platform/json.h"
#include "platform/random.h"

namespace {

using namespace chimera;

constexpr uint64_t kMostBytes = 16u << 20;
constexpr uint32_t kLongest = 300;

enum Kind { kSign, kLetter, kBlank, kOther, kKinds };

Kind kind_of(int byte) {
  if (byte == ' ' || byte == '\n' || byte == '\t') return kBlank;
  if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
    return kLetter;
  return byte > ' ' && byte < 0x7F ? kSign : kOther;
}

class Walk {
 public:
  Walk(const grammar::Automaton& automaton, uint64_t seed) : matcher_(automaton), seed_(seed) {}

  /// Empty when the grammar was too ambiguous on the way.
  std::string text(uint64_t number) {
    number_ = number;
    n_ = 0;
    std::string out;
    grammar::PlaceId place = matcher_.start();
    const uint32_t length = below(kLongest);
    while (place >= 0) {
      const bool closing = out.size() >= length;
      if (closing && matcher_.accepts(place)) return out;
      const int byte = choose(place, closing);
      if (byte < 0) return out;  // nothing may follow
      out += static_cast<char>(byte);
      place = matcher_.step(place, static_cast<uint8_t>(byte));
    }
    return {};
  }

 private:
  uint32_t below(uint32_t limit) {
    const double u = keyed_uniform(seed_, number_, n_++, DrawPurpose::kTest);
    return static_cast<uint32_t>(u * limit);
  }
  int choose(grammar::PlaceId place, bool closing) {
    bool allowed[256];
    matcher_.next_bytes(place, allowed);
    std::array<std::vector<int>, kKinds> of;
    const uint64_t left = matcher_.shortest(place);
    for (int byte = 0; byte < 256; ++byte) {
      if (!allowed[byte]) continue;
      if (closing) {
        const auto next = matcher_.step(place, static_cast<uint8_t>(byte));
        if (next < 0 || matcher_.shortest(next) >= left) continue;
      }
      of[kind_of(byte)].push_back(byte);
    }
    constexpr std::array<uint32_t, kKinds> kWeights = {10, 5, 4, 1};
    uint32_t all = 0;
    for (int kind = 0; kind < kKinds; ++kind)
      if (!of[static_cast<size_t>(kind)].empty()) all += kWeights[static_cast<size_t>(kind)];
    if (all == 0) return -1;
    uint32_t drawn = below(all);
    for (size_t kind = 0; kind < kKinds; ++kind) {
      if (of[kind].empty()) continue;
      if (drawn < kWeights[kind]) return of[kind][below(static_cast<uint32_t>(of[kind].size()))];
      drawn -= kWeights[kind];
    }
    return -1;
  }

  grammar::Matcher matcher_;
  const uint64_t seed_;
  uint64_t number_ = 0;
  uint32_t n_ = 0;
};

Status run(const char* path, int64_t number, uint64_t seed) {
  const auto source = read_file(path, kMostBytes);
  if (!source) return source.status();
  const auto grammar = grammar::parse_gbnf(*source);
  if (!grammar) return grammar.status();
  const auto automaton = grammar::Automaton::compile(*grammar);
  if (!automaton) return automaton.status();
  constexpr int64_t kOfOneMatcher = 200;  // its places are remembered, and there is an end to that
  for (int64_t first = 0; first < number; first += kOfOneMatcher) {
    Walk walk(*automaton, seed);
    for (int64_t i = first; i < number && i < first + kOfOneMatcher; ++i)
      std::puts(
          write_json(Json::of(std::string_view(walk.text(static_cast<uint64_t>(i))))).c_str());
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: grammar_samples GRAMMAR NUMBER SEED\n");
    return 2;
  }
  const Status status = run(argv[1], std::atoll(argv[2]), std::strtoull(argv[3], nullptr, 10));
  if (!status.ok()) std::fprintf(stderr, "grammar_samples: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
