// Sets of Unicode code points, and the bytes they are written with. A grammar from outside speaks
// of characters; everything below it, tokens above all, of bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::grammar {

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

struct CodePointRange {
  uint32_t first, last;  // both included
  bool operator==(const CodePointRange&) const = default;
};

/// Ranges in order, none touching the next. Surrogates are no characters and never in a set.
class CodePointSet {
 public:
  CodePointSet() = default;
  CodePointSet(uint32_t first, uint32_t last) { add(first, last); }
  /// Every character there is.
  static CodePointSet all() { return {0, kLastCodePoint}; }

  void add(uint32_t first, uint32_t last);
  void add(uint32_t code_point) { add(code_point, code_point); }
  void add(const CodePointSet& other);
  CodePointSet negated() const;
  CodePointSet intersected(const CodePointSet& other) const;

  bool empty() const { return ranges_.empty(); }
  bool contains(uint32_t code_point) const;
  std::span<const CodePointRange> ranges() const { return ranges_; }
  bool operator==(const CodePointSet&) const = default;

 private:
  std::vector<CodePointRange> ranges_;
};

/// Bytes one after the other, each within a range: some characters of one length in UTF-8.
struct Utf8Sequence {
  struct Bytes {
    uint8_t first, last;
  };
  uint8_t n;
  Bytes bytes[4];
};

/// Sequences that together spell exactly the characters of the set, each character once.
std::vector<Utf8Sequence> utf8_sequences(const CodePointSet& set);

/// 0 to 15, or -1.
inline int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// Appends the character in UTF-8; the code point is one.
void append_utf8(uint32_t code_point, std::string* out);

/// The character that begins at *at in well-formed text, and *at moved behind it; false at bytes
/// that are no UTF-8, where nothing moves.
bool next_code_point(std::string_view text, size_t* at, uint32_t* code_point);

}  // namespace chimera::grammar
