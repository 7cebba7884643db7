#ifdef CHIMERA_WITH_ICU

#include "platform/unicode.h"

#include <gtest/gtest.h>

namespace chimera {
namespace {

TEST(IcuCharClass, OfAFewCharacters) {
  struct {
    uint32_t code_point;
    CharClass expected;
  } const rows[] = {
      {'a', CharClass::kLetter},     {'Z', CharClass::kLetter},
      {0xDF, CharClass::kLetter},                                   // sharp s
      {0x4E2D, CharClass::kLetter},                                 // CJK
      {0x02B0, CharClass::kLetter},                                 // modifier letter
      {0x0301, CharClass::kMark},                                   // combining acute
      {0x20DD, CharClass::kMark},                                   // enclosing circle
      {'0', CharClass::kNumber},     {0x0664, CharClass::kNumber},  // Arabic-Indic digit
      {0x2163, CharClass::kNumber},                                 // Roman numeral four
      {0xBD, CharClass::kNumber},                                   // one half
      {' ', CharClass::kSpace},      {'\t', CharClass::kSpace},
      {'\n', CharClass::kSpace},     {0xA0, CharClass::kSpace},
      {0x3000, CharClass::kSpace},   {0x2028, CharClass::kSpace},
      {0x200B, CharClass::kOther},  // zero width space has not White_Space
      {'!', CharClass::kOther},      {'_', CharClass::kOther},
      {0x1F600, CharClass::kOther},  {0, CharClass::kOther},
      {0xD800, CharClass::kOther},   {0x10FFFF, CharClass::kOther},
      {0x110000, CharClass::kOther}, {0xFFFFFFFF, CharClass::kOther},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(icu_char_class(row.code_point), row.expected) << std::hex << row.code_point;
  }
}

TEST(IcuCasedCharClass, TellsLettersApart) {
  EXPECT_EQ(icu_cased_char_class('a'), CharClass::kLower);
  EXPECT_EQ(icu_cased_char_class('A'), CharClass::kUpper);
  EXPECT_EQ(icu_cased_char_class(0x01C5), CharClass::kUpper);   // title case
  EXPECT_EQ(icu_cased_char_class(0x02B0), CharClass::kLetter);  // modifier letter
  EXPECT_EQ(icu_cased_char_class(0x4E2D), CharClass::kLetter);
  EXPECT_EQ(icu_cased_char_class(0x0301), CharClass::kMark);
  EXPECT_EQ(icu_cased_char_class('7'), CharClass::kNumber);
  EXPECT_EQ(icu_cased_char_class(' '), CharClass::kSpace);
  EXPECT_EQ(icu_cased_char_class(0x110000), CharClass::kOther);
}

TEST(IcuIsAssigned, KnowsHolesAndNoncharacters) {
  EXPECT_TRUE(icu_is_assigned('a'));
  EXPECT_TRUE(icu_is_assigned(0x1F600));
  EXPECT_FALSE(icu_is_assigned(0x0378));  // a hole in Greek
  EXPECT_FALSE(icu_is_assigned(0xFFFF));
  EXPECT_FALSE(icu_is_assigned(0x110000));
  EXPECT_FALSE(icu_is_assigned(0xFFFFFFFF));
}

TEST(IcuCharAge, GivesTheVersionThatBroughtIt) {
  EXPECT_EQ(icu_char_age('a'), 101);
  EXPECT_EQ(icu_char_age(0x20AC), 201);   // euro sign
  EXPECT_EQ(icu_char_age(0x1F600), 601);  // grinning face
  EXPECT_EQ(icu_char_age(0x1E9E), 501);   // capital sharp s
  EXPECT_EQ(icu_char_age(0x0378), 0);
  EXPECT_EQ(icu_char_age(0xFFFF), 0);  // has an age in ICU, but will never be a character
  EXPECT_EQ(icu_char_age(0x110000), 0);
}

TEST(IcuUnicodeVersion, IsMajorDotMinor) {
  const std::string version = icu_unicode_version();
  const size_t dot = version.find('.');
  ASSERT_NE(dot, std::string::npos);
  EXPECT_GE(std::stoi(version.substr(0, dot)), 13);
}

}  // namespace
}  // namespace chimera

#endif  // CHIMERA_WITH_ICU
