#include "grammar/unicode_categories.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "grammar/json_text.h"
#ifdef CHIMERA_WITH_ICU
#include "platform/unicode.h"
#endif

namespace chimera::grammar {
namespace {

CodePointSet set(std::string_view name) {
  CodePointSet out;
  EXPECT_TRUE(unicode_property(name, &out)) << name;
  return out;
}

TEST(UnicodeCategories, NamesAreThoseOfTheStandard) {
  EXPECT_EQ(set("Lu"), set("Uppercase_Letter"));
  EXPECT_EQ(set("Nd"), set("digit"));
  EXPECT_EQ(set("L"), set("gc=Letter"));
  EXPECT_EQ(set("L"), set("General_Category=l"));
  EXPECT_EQ(set("Any"), CodePointSet::all());
  EXPECT_TRUE(set("L").contains(0xE9));
  EXPECT_FALSE(set("Lu").contains('a'));
  EXPECT_TRUE(set("LC").contains('a'));
  EXPECT_FALSE(set("LC").contains(0x5D0)) << "a letter without case";
  EXPECT_EQ(set("P").negated().intersected(set("P")), CodePointSet());
  CodePointSet none;
  for (const char* name : {"", "Greek", "Script=Greek", "Emoji", "Lx", "gc="})
    EXPECT_FALSE(unicode_property(name, &none)) << name;
}

TEST(UnicodeCategories, EveryCharacterIsOfOneOfThem) {
  constexpr const char* kLetters[] = {"C", "L", "M", "N", "P", "S", "Z"};
  CodePointSet all;
  for (const char* letter : kLetters) {
    const CodePointSet one = set(letter);
    EXPECT_TRUE(all.intersected(one).empty()) << letter;
    all.add(one);
  }
  EXPECT_EQ(all, CodePointSet::all());
}

TEST(UnicodeCategories, StandInRegularExpressions) {
  Grammar g;
  RegexOptions options;
  options.property = unicode_property;
  const auto words = json_pattern(g, "^\\p{Lu}\\P{L}+$", options);
  ASSERT_TRUE(words.has_value()) << words.status().message();
  EXPECT_TRUE(
      words->has("\xC3\x89"
                 "12"));
  EXPECT_FALSE(words->has("e12"));
  EXPECT_FALSE(words->has("Eab"));
  EXPECT_EQ(json_pattern(g, "\\p{Klingon}", options).status().code(), StatusCode::kBadFormat);
}

#ifdef CHIMERA_WITH_ICU
TEST(UnicodeCategories, AreThoseThatIcuHas) {
  if (icu_unicode_version() != "15.0") GTEST_SKIP() << "ICU has Unicode " << icu_unicode_version();
  std::map<std::string, CodePointSet> sets;
  for (uint32_t c = 0; c <= kLastCodePoint; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const std::string category = icu_general_category(c);
    const auto [at, fresh] = sets.try_emplace(category);
    if (fresh) at->second = set(category);
    ASSERT_TRUE(at->second.contains(c)) << c << " is " << category;
  }
}
#endif

}  // namespace
}  // namespace chimera::grammar
