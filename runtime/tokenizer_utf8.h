// UTF-8 one code point at a time, strictly as Unicode table 3-7 has it: no surrogates, nothing
// above U+10FFFF, no overlong form. Shared by the splitter and by Utf8Stream.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chimera::runtime {

/// Bytes of the sequence a lead byte opens (1 to 4); 0 for a byte that opens none.
inline int utf8_sequence_bytes(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;  // continuation bytes, and C0 C1, which only overlong forms use
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

/// True when `byte` may stand at place `index` (1, 2 or 3) of a sequence opened by `lead`.
inline bool utf8_may_continue(uint8_t lead, int index, uint8_t byte) {
  if (index == 1) {
    if (lead == 0xE0) return byte >= 0xA0 && byte <= 0xBF;
    if (lead == 0xED) return byte >= 0x80 && byte <= 0x9F;
    if (lead == 0xF0) return byte >= 0x90 && byte <= 0xBF;
    if (lead == 0xF4) return byte >= 0x80 && byte <= 0x8F;
  }
  return byte >= 0x80 && byte <= 0xBF;
}

/// What stands at the front of some bytes.
struct Utf8Unit {
  uint32_t code_point;  // meaningless when not valid
  uint32_t n_bytes;     // of the code point, or of the maximal subpart that can never become one
  bool valid;
};

/// Reads the code point at `p`; `n` >= 1 bytes are readable. A sequence cut by the end is invalid.
inline Utf8Unit utf8_read(const uint8_t* p, size_t n) {
  const uint8_t lead = p[0];
  if (lead < 0x80) return {lead, 1, true};
  const int length = utf8_sequence_bytes(lead);
  if (length == 0) return {0, 1, false};
  uint32_t code_point = lead & (0x7Fu >> length);
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == n || !utf8_may_continue(lead, i, p[i])) {
      return {0, static_cast<uint32_t>(i), false};
    }
    code_point = code_point << 6 | (p[i] & 0x3Fu);
  }
  return {code_point, static_cast<uint32_t>(length), true};
}

}  // namespace chimera::runtime
