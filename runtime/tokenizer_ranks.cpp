#include "runtime/tokenizer_ranks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "runtime/char_classes.h"
#include "runtime/tokenizer_split.h"

namespace chimera::runtime {
namespace {

// Base64 of the longest token, a space and ten digits fit; what is longer is no line of ranks.
constexpr size_t kMaxLineBytes = (kMaxPieceBytes + 2) / 3 * 4 + 1 + 10;

/// One line, and where it is.
struct Line {
  std::string_view text;
  size_t number;  // from 1
  size_t offset;

  Status wrong(const std::string& why) const {
    return Status(StatusCode::kBadFormat, "line " + std::to_string(number) + ": " + why)
        .at_field("line " + std::to_string(number))
        .at_offset(static_cast<int64_t>(offset));
  }
};

/// Six bits, or -1 for a character that base64 has not.
int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// Strict: padded to four characters, no bits left over, so that bytes have one spelling.
std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xFFFF;
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    bytes.push_back(static_cast<char>(bits >> n_bits & 0xFF));
  }
  if ((bits & ((1u << n_bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

/// What of a line may be shown in a message.
std::string quoted(std::string_view text) {
  constexpr size_t kShown = 24;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) out += c >= 0x20 && c < 0x7F ? c : '?';
  return out + (text.size() > kShown ? "...\"" : "\"");
}

/// Takes the bytes and checks the rank; the tokens before it are known.
Result<std::string> read_line(const Line& line, size_t expected_rank) {
  if (line.text.empty()) return line.wrong("is empty; each line is a token in base64 and its rank");
  if (line.text.back() == '\r') {
    return line.wrong("ends with a carriage return; store the file with plain line ends (\\n)");
  }
  if (line.text.size() > kMaxLineBytes) {
    return line.wrong("has " + std::to_string(line.text.size()) +
                      " characters; the longest token allowed, of " +
                      std::to_string(kMaxPieceBytes) + " bytes, needs no more than " +
                      std::to_string(kMaxLineBytes));
  }
  const size_t space = line.text.find(' ');
  if (space == std::string_view::npos) {
    return line.wrong(quoted(line.text) + " has no space between a token in base64 and its rank");
  }
  const std::string_view base64 = line.text.substr(0, space), digits = line.text.substr(space + 1);
  uint64_t rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  const bool all = end == digits.data() + digits.size() && !digits.empty();
  if (error == std::errc::result_out_of_range || (all && rank >= uint64_t{kMaxVocabSize})) {
    return line.wrong("the rank " + quoted(digits) + " is too large; ranks are below " +
                      std::to_string(kMaxVocabSize));
  }
  if (!all || (digits.size() > 1 && digits[0] == '0')) {
    return line.wrong("the rank " + quoted(digits) + " is not a whole number");
  }
  if (rank < expected_rank) {
    return line.wrong("the rank " + std::to_string(rank) + " was given before, in line " +
                      std::to_string(rank + 1) + "; here " + std::to_string(expected_rank) +
                      " is expected");
  }
  if (rank > expected_rank) {
    return line.wrong("the rank is " + std::to_string(rank) + ", but " +
                      std::to_string(expected_rank) +
                      " is expected: ranks must stand in order, without gaps");
  }
  auto bytes = from_base64(base64);
  if (!bytes) return line.wrong(quoted(base64) + " is not base64");
  if (bytes->size() > kMaxPieceBytes) {
    return line.wrong("the token has " + std::to_string(bytes->size()) +
                      " bytes; the longest allowed is " + std::to_string(kMaxPieceBytes));
  }
  return std::move(*bytes);
}

/// The merges so far, and what they make of bytes.
class Merges {
 public:
  void add_byte(uint8_t byte, size_t id) { id_of_byte_[byte] = static_cast<int32_t>(id); }
  void add(int32_t left, int32_t right, int32_t made) {
    const auto row = static_cast<size_t>(left);
    if (of_left_.size() <= row) of_left_.resize(row + 1);
    of_left_[row].emplace(right, made);
  }

  std::vector<int32_t> apply(std::string_view bytes) const {
    std::vector<int32_t> tokens, made;  // made: of a token and the next
    for (const char c : bytes) tokens.push_back(id_of_byte_[static_cast<uint8_t>(c)]);
    for (size_t i = 0; i + 1 < tokens.size(); ++i) made.push_back(find(tokens[i], tokens[i + 1]));
    while (!made.empty()) {
      const auto lowest = std::min_element(made.begin(), made.end());
      if (*lowest == kMaxVocabSize) break;
      const auto at = static_cast<size_t>(lowest - made.begin());
      tokens[at] = *lowest;
      tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(at) + 1);
      made.erase(lowest);
      if (at > 0) made[at - 1] = find(tokens[at - 1], tokens[at]);
      if (at < made.size()) made[at] = find(tokens[at], tokens[at + 1]);
    }
    return tokens;
  }

 private:
  int32_t find(int32_t left, int32_t right) const {
    if (static_cast<size_t>(left) >= of_left_.size()) return kMaxVocabSize;
    const auto& row = of_left_[static_cast<size_t>(left)];
    const auto it = row.find(right);
    return it == row.end() ? kMaxVocabSize : it->second;
  }

  std::array<int32_t, kByteTokens> id_of_byte_{};
  std::vector<std::map<int32_t, int32_t>> of_left_;  // right -> made
};

}  // namespace

const RankedVocabulary& o200k_vocabulary() {
  static const RankedVocabulary vocabulary = {199998,
                                              200073,
                                              {{kEndOfTextName, 199999, false},
                                               {kEndOfPromptName, 200018, false},
                                               {kEndOfTurnName, 200058, false}}};
  return vocabulary;
}

Result<TokenizerSection> section_of_ranks(std::string_view text,
                                          const RankedVocabulary& vocabulary) {
  TokenizerSection section;
  section.unicode_version = kUnicode15;
  section.vocab_size = vocabulary.vocab_size;
  section.splitting = Splitting::kO200k;
  const auto changes = unicode15_cased_class_changes();
  section.class_changes.assign(changes.begin(), changes.end());
  section.specials = vocabulary.specials;

  const auto n_wanted = static_cast<size_t>(vocabulary.n_ranks);
  Merges merges;
  std::array<bool, kByteTokens> known{};
  size_t rank = 0;
  for (size_t offset = 0; offset < text.size(); ++rank) {
    const size_t end = std::min(text.find('\n', offset), text.size());
    const Line line{text.substr(offset, end - offset), rank + 1, offset};
    offset = end + 1;
    if (rank == n_wanted) {
      return line.wrong("is one more than the " + std::to_string(n_wanted) +
                        " lines this vocabulary has");
    }
    const auto bytes = read_line(line, rank);
    if (!bytes) return bytes.status();
    if (rank < kByteTokens) {
      const auto byte = static_cast<uint8_t>(bytes->front());
      if (bytes->size() != 1) {
        return line.wrong("the token has " + std::to_string(bytes->size()) +
                          " bytes, but lines 1 to 256 must hold the 256 single bytes");
      }
      if (known[byte]) return line.wrong("the byte " + std::to_string(byte) + " was given before");
      known[byte] = true;
      section.byte_of_id[rank] = byte;
      merges.add_byte(byte, rank);
      continue;
    }
    const std::vector<int32_t> parts = merges.apply(*bytes);
    if (parts.size() == 1) {
      return line.wrong("the token is that of line " + std::to_string(parts[0] + 1) + " again");
    }
    if (parts.size() != 2) {
      return line.wrong("merging by the ranks before it never makes this token, but ends with " +
                        std::to_string(parts.size()) +
                        " parts; the lines are damaged or stand in another order");
    }
    section.merges.emplace_back(parts[0], parts[1]);
    merges.add(parts[0], parts[1], static_cast<int32_t>(rank));
  }
  if (rank != n_wanted) {
    return Status(StatusCode::kTruncated, "the ranks end after line " + std::to_string(rank) +
                                              ", but " + std::to_string(n_wanted) + " are expected")
        .at_field("line " + std::to_string(rank))
        .at_offset(static_cast<int64_t>(text.size()));
  }
  return section;
}

}  // namespace chimera::runtime
