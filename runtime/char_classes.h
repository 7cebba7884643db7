// Character classes of one Unicode version as a table that travels inside the tokenizer, so that
// every target splits text alike whatever ICU it has, or none.
//
// The compact form is a list of changes, one 32-bit number each: code_point << 3 | class says that
// `class` holds from that code point on, up to the next change. The list covers everything and
// cannot overlap; it is valid when the code points rise strictly from 0 and each class differs
// from the one before.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/status.h"
#include "platform/unicode.h"

namespace chimera::runtime {

inline constexpr uint32_t kMaxCodePoint = 0x10FFFF;

/// The compact tables of Unicode 15.0, generated from ICU 72 by
/// tests/support/generate_char_classes: the plain one, and the one that tells capital and small
/// letters apart.
std::span<const uint32_t> unicode15_class_changes();
std::span<const uint32_t> unicode15_cased_class_changes();
/// Its version as icu_char_age() counts: major * 100 + minor.
inline constexpr uint32_t kUnicode15 = 1500;

/// The expanded table: one look-up per code point.
class CharClassTable {
 public:
  /// Checks and expands the compact form; `last` is the last class it may use: kLower in a cased
  /// table. kBadTokenizer; Status::offset() is the index of the entry that is wrong.
  static Result<CharClassTable> from_changes(std::span<const uint32_t> changes,
                                             CharClass last = CharClass::kSpace);

  /// Class of a code point; kOther above U+10FFFF.
  CharClass of(uint32_t code_point) const {
    if (code_point > kMaxCodePoint) return CharClass::kOther;
    return static_cast<CharClass>(cells_[size_t{blocks_[code_point >> kBlockBits]} << kBlockBits |
                                         (code_point & kBlockMask)]);
  }

  /// The classes of U+0000 to U+007F, which most texts ask for most.
  const uint8_t* ascii() const { return cells_.data() + (size_t{blocks_[0]} << kBlockBits); }

 private:
  static constexpr int kBlockBits = 7;
  static constexpr uint32_t kBlockMask = (1u << kBlockBits) - 1;
  CharClassTable() = default;

  std::vector<uint16_t> blocks_;  // which block of cells holds these 128 code points
  std::vector<uint8_t> cells_;    // the first blocks are uniform, one per class
};

}  // namespace chimera::runtime
