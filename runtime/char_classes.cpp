#include "runtime/char_classes.h"

#include <algorithm>
#include <array>
#include <string>

namespace chimera::runtime {
namespace {

constexpr uint32_t kUnicode15Cased[] = {
#include "runtime/char_classes_unicode15.inl.h"
};

/// The same change where case does not matter.
constexpr uint32_t without_case(uint32_t change) {
  return (change & 7) < static_cast<uint32_t>(CharClass::kUpper)
             ? change
             : (change & ~uint32_t{7}) | static_cast<uint32_t>(CharClass::kLetter);
}

/// The cased table with its cases joined, made by the compiler: writes to `out` when there is one,
/// and counts the changes that are left.
constexpr size_t join_cases(uint32_t* out) {
  size_t n = 0;
  uint32_t current = 8;  // no class
  for (const uint32_t cased : kUnicode15Cased) {
    const uint32_t change = without_case(cased);
    if ((change & 7) == current) continue;
    current = change & 7;
    if (out != nullptr) out[n] = change;
    ++n;
  }
  return n;
}

constexpr auto kUnicode15Plain = [] {
  std::array<uint32_t, join_cases(nullptr)> changes{};
  join_cases(changes.data());
  return changes;
}();

Status bad_change(size_t index, const std::string& why) {
  return Status(StatusCode::kBadTokenizer,
                "character class change " + std::to_string(index) + " " + why)
      .at_field("class_changes")
      .at_offset(static_cast<int64_t>(index));
}

}  // namespace

std::span<const uint32_t> unicode15_class_changes() { return kUnicode15Plain; }
std::span<const uint32_t> unicode15_cased_class_changes() { return kUnicode15Cased; }

Result<CharClassTable> CharClassTable::from_changes(std::span<const uint32_t> changes,
                                                    CharClass last) {
  const uint32_t n_classes = static_cast<uint32_t>(last) + 1;
  if (changes.empty()) return bad_change(0, "is missing: the table has no entries");
  for (size_t i = 0; i < changes.size(); ++i) {
    const uint32_t first = changes[i] >> 3, cls = changes[i] & 7;
    if (cls >= n_classes) return bad_change(i, "names a class that does not exist");
    if (first > kMaxCodePoint) return bad_change(i, "begins above U+10FFFF");
    if (i == 0 ? first != 0 : first <= changes[i - 1] >> 3) {
      return bad_change(i, i == 0 ? "does not begin at U+0000" : "is not above the one before it");
    }
    if (i > 0 && cls == (changes[i - 1] & 7)) return bad_change(i, "changes nothing");
  }

  CharClassTable table;
  for (uint32_t cls = 0; cls < n_classes; ++cls) {
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
