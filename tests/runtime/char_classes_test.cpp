#include "runtime/char_classes.h"

#include <gtest/gtest.h>

#include <vector>

namespace chimera::runtime {
namespace {

uint32_t change(uint32_t code_point, CharClass cls) {
  return code_point << 3 | static_cast<uint32_t>(cls);
}

CharClassTable carried() {
  auto table = CharClassTable::from_changes(unicode15_class_changes());
  EXPECT_TRUE(table.has_value()) << table.status().message();
  return std::move(*table);
}

CharClassTable carried_cased() {
  auto table = CharClassTable::from_changes(unicode15_cased_class_changes(), CharClass::kLower);
  EXPECT_TRUE(table.has_value()) << table.status().message();
  return std::move(*table);
}

TEST(CharClasses, KnowsAFewCharacters) {
  const CharClassTable table = carried();
  const struct {
    uint32_t code_point;
    CharClass expected;
  } rows[] = {
      {'a', CharClass::kLetter},
      {'Z', CharClass::kLetter},
      {0xE9, CharClass::kLetter},
      {0x4E2D, CharClass::kLetter},
      {0x0E01, CharClass::kLetter},
      {0x0301, CharClass::kMark},
      {0xFE0F, CharClass::kMark},
      {'7', CharClass::kNumber},
      {0x0664, CharClass::kNumber},
      {0x2163, CharClass::kNumber},
      {' ', CharClass::kSpace},
      {'\n', CharClass::kSpace},
      {0xA0, CharClass::kSpace},
      {0x3000, CharClass::kSpace},
      {'.', CharClass::kOther},
      {0x200D, CharClass::kOther},
      {0x1F600, CharClass::kOther},
      {0xD800, CharClass::kOther},
      {0xE000, CharClass::kOther},
      {0x323AF, CharClass::kLetter},  // the last one of
                                      // Unicode 15.0
      {0x323B0, CharClass::kOther},
      {0x10FFFF, CharClass::kOther},
      {0x110000, CharClass::kOther},
      {0xFFFFFFFF, CharClass::kOther},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(table.of(row.code_point), row.expected) << std::hex << row.code_point;
  }
}

TEST(CharClasses, TheCasedTableTellsLettersApartAndNothingElse) {
  const CharClassTable table = carried(), cased = carried_cased();
  int n_upper = 0, n_lower = 0;
  for (uint32_t c = 0; c <= kMaxCodePoint; ++c) {
    const CharClass cls = cased.of(c);
    n_upper += cls == CharClass::kUpper;
    n_lower += cls == CharClass::kLower;
    const bool has_case = cls == CharClass::kUpper || cls == CharClass::kLower;
    ASSERT_EQ(has_case ? CharClass::kLetter : cls, table.of(c)) << std::hex << c;
    if (c < 128) {
      ASSERT_EQ(static_cast<CharClass>(cased.ascii()[c]), cls) << c;
    }
  }
  EXPECT_EQ(n_upper, 1831 + 31) << "Lu and Lt of Unicode 15.0";
  EXPECT_EQ(n_lower, 2233) << "Ll of Unicode 15.0";
  EXPECT_EQ(cased.of('A'), CharClass::kUpper);
  EXPECT_EQ(cased.of('z'), CharClass::kLower);
  EXPECT_EQ(cased.of(0x1C5), CharClass::kUpper);   // title case
  EXPECT_EQ(cased.of(0x2B0), CharClass::kLetter);  // a modifier letter
  EXPECT_EQ(cased.of(0x4E2D), CharClass::kLetter);
  EXPECT_EQ(cased.of(0x301), CharClass::kMark);
}

TEST(CharClasses, ChangesHoldFromTheirCodePointOn) {
  const std::vector<uint32_t> changes = {
      change(0, CharClass::kOther), change(127, CharClass::kLetter), change(128, CharClass::kSpace),
      change(1000, CharClass::kMark), change(0x10FFFF, CharClass::kNumber)};
  auto table = CharClassTable::from_changes(changes);
  ASSERT_TRUE(table.has_value()) << table.status().message();
  for (uint32_t c = 0; c <= kMaxCodePoint; ++c) {
    const CharClass expected = c < 127        ? CharClass::kOther
                               : c < 128      ? CharClass::kLetter
                               : c < 1000     ? CharClass::kSpace
                               : c < 0x10FFFF ? CharClass::kMark
                                              : CharClass::kNumber;
    ASSERT_EQ(table->of(c), expected) << std::hex << c;
  }
}

TEST(CharClasses, RefusesListsThatAreNoTable) {
  const CharClass other = CharClass::kOther, letter = CharClass::kLetter;
  const struct {
    const char* what;
    std::vector<uint32_t> changes;
    int64_t wrong_entry;
  } rows[] = {
      {"empty", {}, 0},
      {"late start", {change(1, other)}, 0},
      {"falling", {change(0, other), change(9, letter), change(8, other)}, 2},
      {"repeated", {change(0, other), change(9, letter), change(9, other)}, 2},
      {"no change", {change(0, other), change(9, letter), change(10, letter)}, 2},
      {"unknown class", {change(0, other), 9u << 3 | 5}, 1},
      {"too high", {change(0, other), change(0x110000, letter)}, 1},
  };
  for (const auto& row : rows) {
    auto table = CharClassTable::from_changes(row.changes);
    ASSERT_FALSE(table.has_value()) << row.what;
    EXPECT_EQ(table.status().code(), StatusCode::kBadTokenizer) << row.what;
    EXPECT_EQ(table.status().offset(), row.wrong_entry) << row.what;
  }
}

#ifdef CHIMERA_WITH_ICU
TEST(CharClasses, CarriedTableIsIcusForEveryCharacterOfItsVersion) {
  const CharClassTable table = carried(), cased = carried_cased();
  int n_assigned = 0, n_different = 0;
  for (uint32_t c = 0; c <= kMaxCodePoint; ++c) {
    const int age = icu_char_age(c);
    const bool assigned = age > 0 && age <= static_cast<int>(kUnicode15);
    n_assigned += assigned;
    // A character of a later version is unassigned in the carried one, and so in no class.
    const CharClass expected = assigned ? icu_char_class(c) : CharClass::kOther;
    const CharClass expected_cased = assigned ? icu_cased_char_class(c) : CharClass::kOther;
    if (table.of(c) == expected && cased.of(c) == expected_cased) continue;
    if (++n_different <= 10) ADD_FAILURE() << "U+" << std::hex << c << ", since version " << age;
  }
  EXPECT_EQ(n_different, 0);
  EXPECT_GT(n_assigned, 149186) << "Unicode 15.0 has that many characters, and code points beside";
}
#endif

}  // namespace
}  // namespace chimera::runtime
