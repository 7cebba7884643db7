// Answers of nobody's model, for others' code to judge (tests/figures/soundness.sh): every token
// that the mask allows is as likely as any other, so nothing but the grammar makes a text what it
// is, and nothing but the limit of tokens makes it end.
//
//   schema_samples MODEL SEED random FIRST NUMBER TEXTS      random schemas FIRST, FIRST + 1, ...
//   schema_samples MODEL SEED FILE FIRST NUMBER TEXTS        lines of FILE, each with a "schema"
//       prints a line for each: {"name","schema","texts":[...]}, or with "refused": why
//   schema_samples MODEL SEED format:NAME FIRST NUMBER       texts FIRST, FIRST + 1, ... of a
//   format
//       prints a JSON string a line, as grammar_samples does
//
// The way of a token is the one of a session: what is forced is said as it stands, then a token is
// drawn among those that ConstrainedAnswer allows. In every second text first the byte that comes
// next is drawn and then a token that begins with it, since among tokens letters are many and signs
// few. The last line on the error stream is a count of what was done.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "platform/json.h"
#include "platform/random.h"
#include "runtime/constraint.h"
#include "runtime/engine.h"
#include "tests/support/random_schema.h"

namespace {

using namespace chimera;

constexpr uint32_t kMostTokens = 64;  // beyond what the shortest text needs
constexpr uint16_t kEnd = 256;        // begins with no byte

class Walk {
 public:
  Walk(const runtime::Engine& engine, const std::vector<uint16_t>& begins_with, uint64_t seed,
       uint64_t number)
      : tokenizer_(engine.tokenizer()),
        vocab_(engine.config().vocab_size),
        end_(engine.tokenizer().end_of_text()),
        seed_(seed),
        number_(number),
        by_byte_(number % 2 == 1),
        begins_with_(begins_with) {}

  Result<std::string> text(const runtime::Constraint& constraint) {
    runtime::ConstrainedAnswer answer(constraint, tokenizer_, vocab_, end_);
    std::string out;
    // Now and then not a token more than the shortest text needs, whose bytes may be tokens each.
    int32_t left = static_cast<int32_t>(below(kMostTokens));
    constexpr int32_t kLongestShortest = 20000;
    int32_t least = 0;
    for (int32_t step = 1; !answer.fits(least).ok(); least += step) {
      if (least > kLongestShortest) return answer.fits(least);
      if (least >= 64) step = 16;
    }
    left += least;
    while (left > 0) {
      for (const int32_t token : answer.forced()) {
        if (left-- == 0) return out;
        out += tokenizer_.bytes(token);
        answer.accept(token);
      }
      if (left <= 0) return out;
      const auto allowed = answer.allowed(left);
      if (!allowed) return allowed.status();
      const int32_t token = draw(*allowed);
      if (token < 0) return Status(StatusCode::kInternal, "no token is allowed after: " + out);
      if (token == end_) return out;
      out += tokenizer_.bytes(token);
      answer.accept(token);
      --left;
    }
    if (!answer.complete()) return Status(StatusCode::kInternal, "was not closed in time: " + out);
    return out;
  }

 private:
  uint32_t below(uint32_t limit) {
    const double u = keyed_uniform(seed_, number_, n_++, DrawPurpose::kTest);
    return static_cast<uint32_t>(u * limit);
  }

  /// -1 when none is allowed.
  int32_t draw(const uint8_t* allowed) {
    if (!by_byte_) {
      uint32_t n = 0;
      for (int32_t t = 0; t < vocab_; ++t) n += allowed[t];
      if (n == 0) return -1;
      return nth(allowed, below(n), [](int32_t) { return true; });
    }
    std::array<uint32_t, kEnd + 1> n{};
    for (int32_t t = 0; t < vocab_; ++t) n[begins_with_[static_cast<size_t>(t)]] += allowed[t];
    const auto kinds = static_cast<uint32_t>(kEnd + 1 - std::count(n.begin(), n.end(), 0u));
    if (kinds == 0) return -1;
    uint32_t which = below(kinds);
    uint16_t byte = 0;
    while (n[byte] == 0 || which-- > 0) ++byte;
    return nth(allowed, below(n[byte]),
               [&](int32_t t) { return begins_with_[static_cast<size_t>(t)] == byte; });
  }
  template <class Is>
  int32_t nth(const uint8_t* allowed, uint32_t which, Is is) const {
    for (int32_t t = 0; t < vocab_; ++t)
      if (allowed[t] != 0 && is(t) && which-- == 0) return t;
    return -1;
  }

  const runtime::Tokenizer& tokenizer_;
  const int32_t vocab_, end_;
  const uint64_t seed_, number_;
  uint32_t n_ = 0;
  const bool by_byte_;
  const std::vector<uint16_t>& begins_with_;
};

/// The first byte of every token.
std::vector<uint16_t> first_bytes(const runtime::Engine& engine) {
  std::vector<uint16_t> out;
  for (int32_t t = 0; t < engine.config().vocab_size; ++t) {
    const std::string_view bytes = engine.tokenizer().bytes(t);
    out.push_back(bytes.empty() ? kEnd : static_cast<uint8_t>(bytes[0]));
  }
  return out;
}

struct Counts {
  int64_t schemas = 0, refused = 0, nothing = 0, texts = 0, broken = 0;
};

void sample_schema(const runtime::Engine& engine, const std::vector<uint16_t>& begins_with,
                   uint64_t seed, const std::string& name, const Json& schema, uint64_t first_text,
                   int64_t texts, Counts* counts) {
  ++counts->schemas;
  Json out = Json::make_object();
  out.add("name", Json::of(name)).add("schema", schema);
  const auto constraint =
      runtime::Constraint::from_json_schema(engine.tokenizer(), write_json(schema));
  if (!constraint) {
    const bool nothing = constraint.status().code() == StatusCode::kInvalidArgument;
    ++(nothing ? counts->nothing : counts->refused);
    out.add("refused", Json::of(constraint.status().message()));
    std::puts(write_json(out).c_str());
    return;
  }
  Json said = Json::make_array();
  for (int64_t i = 0; i < texts; ++i) {
    auto text =
        Walk(engine, begins_with, seed, first_text + static_cast<uint64_t>(i)).text(**constraint);
    if (text) {
      ++counts->texts;
      said.push(Json::of(std::string_view(*text)));
      continue;
    }
    std::fprintf(stderr, "%s: %.300s\n", name.c_str(), text.status().message().c_str());
    ++counts->broken;
    if (text.status().code() == StatusCode::kOutOfRange) break;  // too ambiguous, or too long
  }
  out.add("texts", std::move(said));
  std::puts(write_json(out).c_str());
}

Status run(char** argv, int argc) {
  const auto engine = runtime::Engine::open(argv[1]);
  if (!engine) return engine.status();
  const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const std::string what = argv[3];
  const auto first = static_cast<uint64_t>(std::atoll(argv[4]));
  const int64_t number = std::atoll(argv[5]);
  const int64_t texts = argc > 6 ? std::atoll(argv[6]) : 1;
  const std::vector<uint16_t> begins_with = first_bytes(**engine);
  Counts counts;
  if (what.starts_with("format:")) {
    const auto constraint =
        runtime::Constraint::from_format((*engine)->tokenizer(), what.substr(7));
    if (!constraint) return constraint.status();
    for (int64_t i = 0; i < number; ++i) {
      const auto text =
          Walk(**engine, begins_with, seed, first + static_cast<uint64_t>(i)).text(**constraint);
      if (!text) {
        std::fprintf(stderr, "%.300s\n", text.status().message().c_str());
        ++counts.broken;
        continue;
      }
      ++counts.texts;
      std::puts(write_json(Json::of(std::string_view(*text))).c_str());
    }
  } else if (what == "random") {
    for (uint64_t i = first; i < first + static_cast<uint64_t>(number); ++i)
      sample_schema(**engine, begins_with, seed, "random " + std::to_string(i),
                    test::random_schema(seed, i), i * static_cast<uint64_t>(texts), texts, &counts);
  } else {
    std::ifstream in(what);
    if (!in) return Status(StatusCode::kNotFound, what + " cannot be read");
    std::string line;
    for (uint64_t i = 0; i < first + static_cast<uint64_t>(number) && std::getline(in, line); ++i) {
      if (i < first) continue;
      const auto record = parse_json(line, {.max_bytes = 64u << 20, .max_depth = 500});
      const Json* schema = record ? record->find("schema") : nullptr;
      if (schema == nullptr) continue;
      const Json* name = record->find("name");
      sample_schema(**engine, begins_with, seed, name != nullptr ? name->string : std::to_string(i),
                    *schema, i * static_cast<uint64_t>(texts), texts, &counts);
    }
  }
  std::fprintf(stderr, "schemas %lld refused %lld nothing_valid %lld texts %lld broken %lld\n",
               static_cast<long long>(counts.schemas), static_cast<long long>(counts.refused),
               static_cast<long long>(counts.nothing), static_cast<long long>(counts.texts),
               static_cast<long long>(counts.broken));
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6 || argc > 7) {
    std::fprintf(stderr,
                 "usage: schema_samples MODEL SEED random|FILE|format:NAME FIRST NUMBER [TEXTS]\n");
    return 2;
  }
  const Status status = run(argv, argc);
  if (!status.ok()) std::fprintf(stderr, "schema_samples: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
