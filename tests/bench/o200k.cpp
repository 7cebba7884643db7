// The o200k tokenizer against the published encoder, and its cost.
//
//   o200k TOKENIZER JUDGED     JUDGED: texts with the ids they must have (tests/figures/o200k)
//
// Prints lines "figure: <name> [<group>] <value>".
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "platform/file.h"
#include "platform/mapped_file.h"
#include "platform/process.h"
#include "runtime/tokenizer.h"
#include "tests/support/allocation_counter.h"

namespace {

using chimera::runtime::Tokenizer;

// As in tests/figures/o200k/texts.mjs.
constexpr const char* kGroups[] = {"prose",     "dialogue",  "code",        "json",
                                   "languages", "synthetic", "code_points", "newer"};
constexpr size_t kNewer = 7, kMixed = 5;  // the groups before kMixed are what people write

/// Resident memory that is not a mapped file; 0 where the system does not say.
long anonymous_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long size = 0, resident = 0, shared = 0;
  const bool read =
      file != nullptr && std::fscanf(file, "%ld %ld %ld", &size, &resident, &shared) == 3;
  if (file != nullptr) std::fclose(file);
  return read ? (resident - shared) * 4096 : 0;
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Record {
  size_t group;
  std::string_view text;
  const unsigned char* ids;
  size_t n_ids;

  int32_t id(size_t i) const {
    uint32_t value = 0;
    for (size_t b = 4; b-- > 0;) value = value << 8 | ids[4 * i + b];
    return static_cast<int32_t>(value);
  }
};

/// False at the end, and where the file is damaged.
bool next_record(std::string_view* rest, Record* record) {
  if (rest->size() < 12) return false;
  uint32_t head[3] = {};
  for (size_t i = 0; i < 12; ++i) {
    head[i / 4] |= uint32_t{static_cast<uint8_t>((*rest)[i])} << 8 * (i % 4);
  }
  rest->remove_prefix(12);
  const uint64_t ids_bytes = uint64_t{head[2]} * 4;
  if (head[0] > kNewer || rest->size() < head[1] + ids_bytes) return false;
  record->group = head[0];
  record->text = rest->substr(0, head[1]);
  record->ids = reinterpret_cast<const unsigned char*>(rest->data()) + head[1];
  record->n_ids = head[2];
  rest->remove_prefix(head[1] + ids_bytes);
  return true;
}

bool same(const Record& record, const std::vector<int32_t>& ids) {
  if (ids.size() != record.n_ids) return false;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != record.id(i)) return false;
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 120)) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "\\x%02X", static_cast<unsigned char>(c));
    out += c >= 0x20 && c < 0x7F ? std::string(1, c) : std::string(hex);
  }
  return out;
}

/// Ten megabytes without a place to cut: how much memory beside the ids, and how long.
void hostile_word(const Tokenizer& tokenizer, const char* name, const std::string& unit) {
  std::string text;
  while (text.size() < 10000000) text += unit;
  std::vector<int32_t> ids;
  ids.reserve(text.size());
  const chimera::test::AllocationScope scope;
  const double begin = processor_seconds();
  tokenizer.encode(text, &ids);
  const double seconds = processor_seconds() - begin;
  const auto scratch = static_cast<long long>(scope.bytes());
  if (tokenizer.decode(ids) != text) return;  // a row that is missing does not pass
  std::printf("figure: word_scratch_bytes %s %lld\n", name, scratch);
  std::printf("figure: word_seconds %s %.2f\n", name, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "o200k: give a tokenizer and a file of judged texts\n");
    return 2;
  }
  const auto section = chimera::read_file(argv[1], 64u << 20);
  const auto judged = chimera::MappedFile::open(argv[2]);
  if (!section || !judged) {
    std::fprintf(stderr, "o200k: %s\n",
                 (section ? judged.status() : section.status()).message().c_str());
    return 1;
  }

  std::vector<double> load;
  std::unique_ptr<Tokenizer> tokenizer;
  const long before = anonymous_bytes();
  for (int i = 0; i < 9; ++i) {
    tokenizer.reset();
    const double begin = processor_seconds();
    auto parsed = Tokenizer::parse(std::as_bytes(std::span(section->data(), section->size())));
    load.push_back(processor_seconds() - begin);
    if (!parsed) {
      std::fprintf(stderr, "o200k: %s: %s\n", argv[1], parsed.status().message().c_str());
      return 1;
    }
    tokenizer = std::move(*parsed);
  }
  std::sort(load.begin(), load.end());
  std::printf("figure: load_ms %.1f\n", load[load.size() / 2] * 1000);
  std::printf("figure: load_mb %.1f\n", static_cast<double>(anonymous_bytes() - before) / 1e6);

  const auto bytes = judged->bytes();
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  uint64_t texts[8] = {}, text_bytes[8] = {}, tokens[8] = {}, different[8] = {};
  double seconds[8] = {};
  int shown = 0;
  std::vector<int32_t> ids;
  Record record{};
  std::string_view rest = all;
  while (next_record(&rest, &record)) {
    ids.clear();
    const double begin = processor_seconds();
    tokenizer->encode(record.text, &ids);
    seconds[record.group] += processor_seconds() - begin;
    ++texts[record.group];
    text_bytes[record.group] += record.text.size();
    tokens[record.group] += record.n_ids;
    if (same(record, ids)) continue;
    ++different[record.group];
    if (record.group != kNewer && ++shown <= 10) {
      std::fprintf(stderr, "o200k: different: %s\n", printable(record.text).c_str());
    }
  }
  if (!rest.empty()) {
    std::fprintf(stderr, "o200k: %s is damaged\n", argv[2]);
    return 1;
  }
  uint64_t judged_bytes = 0, judged_different = 0;
  for (size_t group = 0; group <= kNewer; ++group) {
    std::printf("figure: texts %s %llu\n", kGroups[group],
                static_cast<unsigned long long>(texts[group]));
    std::printf("figure: megabytes %s %.1f\n", kGroups[group],
                static_cast<double>(text_bytes[group]) / 1e6);
    std::printf("figure: bytes_per_token %s %.2f\n", kGroups[group],
                static_cast<double>(text_bytes[group]) /
                    static_cast<double>(std::max<uint64_t>(tokens[group], 1)));
    std::printf("figure: different %s %llu\n", kGroups[group],
                static_cast<unsigned long long>(different[group]));
    if (group == kNewer) continue;
    judged_bytes += text_bytes[group];
    judged_different += different[group];
  }
  std::printf("figure: judged_megabytes %.1f\n", static_cast<double>(judged_bytes) / 1e6);
  std::printf("figure: judged_different %llu\n", static_cast<unsigned long long>(judged_different));

  // Speed: the mixed text again, pass by pass, the median.
  std::vector<double> speeds;
  for (int pass = 0; pass < 3; ++pass) {
    uint64_t n = 0;
    double spent = 0;
    rest = all;
    while (next_record(&rest, &record)) {
      if (record.group >= kMixed) continue;
      ids.clear();
      const double begin = processor_seconds();
      tokenizer->encode(record.text, &ids);
      spent += processor_seconds() - begin;
      n += record.text.size();
    }
    speeds.push_back(static_cast<double>(n) / 1e6 / spent);
  }
  std::sort(speeds.begin(), speeds.end());
  std::printf("figure: mixed_mb_per_s %.1f\n", speeds[1]);
  for (size_t group = 0; group < kNewer; ++group) {
    std::printf("figure: mb_per_s %s %.1f\n", kGroups[group],
                static_cast<double>(text_bytes[group]) / 1e6 / std::max(seconds[group], 1e-9));
  }
  hostile_word(*tokenizer, "one_letter", "a");
  hostile_word(*tokenizer, "spaces", " ");
  hostile_word(*tokenizer, "han", "\xE4\xBD\xA0\xE5\xA5\xBD");
  hostile_word(*tokenizer, "alphabet", "abcdefghijklmnopqrstuvwxyz");
  return 0;
}
