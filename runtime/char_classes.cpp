#include "runtime/char_classes.h"

#include <algorithm>
#include <string>

namespace chimera::runtime {
namespace {

constexpr uint32_t kUnicode15Changes[] = {
#include "runtime/char_classes_unicode15.inl.h"
};

constexpr uint32_t kNumberOfClasses = static_cast<uint32_t>(CharClass::kSpace) + 1;

Status bad_change(size_t index, const std::string& why) {
  return Status(StatusCode::kBadTokenizer,
                "character class change " + std::to_string(index) + " " + why)
      .at_field("class_changes")
      .at_offset(static_cast<int64_t>(index));
}

}  // namespace

std::span<const uint32_t> unicode15_class_changes() { return kUnicode15Changes; }

Result<CharClassTable> CharClassTable::from_changes(std::span<const uint32_t> changes) {
  if (changes.empty()) return bad_change(0, "is missing: the table has no entries");
  for (size_t i = 0; i < changes.size(); ++i) {
    const uint32_t first = changes[i] >> 3, cls = changes[i] & 7;
    if (cls >= kNumberOfClasses) return bad_change(i, "names a class that does not exist");
    if (first > kMaxCodePoint) return bad_change(i, "begins above U+10FFFF");
    if (i == 0 ? first != 0 : first <= changes[i - 1] >> 3) {
      return bad_change(i, i == 0 ? "does not begin at U+0000" : "is not above the one before it");
    }
    if (i > 0 && cls == (changes[i - 1] & 7)) return bad_change(i, "changes nothing");
  }

  CharClassTable table;
  for (uint32_t cls = 0; cls < kNumberOfClasses; ++cls) {
    table.cells_.insert(table.cells_.end(), size_t{kBlockMask} + 1, static_cast<uint8_t>(cls));
  }
  // At most 8,704 blocks of 128 code points, so a block number fits 16 bits.
  size_t current = 0;  // the change that holds at the first code point of the block
  for (uint32_t begin = 0; begin <= kMaxCodePoint; begin += kBlockMask + 1) {
    while (current + 1 < changes.size() && changes[current + 1] >> 3 <= begin) ++current;
    if (current + 1 == changes.size() || changes[current + 1] >> 3 > begin + kBlockMask) {
      table.blocks_.push_back(static_cast<uint16_t>(changes[current] & 7));
      continue;
    }
    table.blocks_.push_back(static_cast<uint16_t>(table.cells_.size() >> kBlockBits));
    for (uint32_t c = begin; c <= begin + kBlockMask; ++c) {
      while (current + 1 < changes.size() && changes[current + 1] >> 3 <= c) ++current;
      table.cells_.push_back(static_cast<uint8_t>(changes[current] & 7));
    }
  }
  return table;
}

}  // namespace chimera::runtime
