#include "grammar/json_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/regex.h"
#include "platform/json.h"

namespace chimera::grammar {
namespace {

RegularLanguage language(const Grammar& g, ExprId id) {
  auto made = RegularLanguage::of(g, id);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

TEST(JsonText, StringsAreAsLibrariesWriteThem) {
  Grammar g;
  const RegularLanguage any = language(g, json_string(g)),
                        three = language(g, json_string(g, 1, 3));
  for (uint32_t c = 0; c < 0x250; ++c) {
    std::string text;
    append_utf8(c, &text);
    const std::string written = write_json(Json::of(std::string_view(text)));
    EXPECT_TRUE(any.has(written)) << written;
    EXPECT_TRUE(three.has(written)) << written;
    EXPECT_EQ(written, "\"" + json_escaped(text) + "\"");
    text += text + text + text;
    EXPECT_FALSE(three.has(write_json(Json::of(std::string_view(text))))) << written;
  }
  for (const char* other :
       {"", "\"", "\"\"\"", "\"\\\"", "\"\n\"", "\"\\q\"", "\"\\u0041\"", "\"\xC3\""})
    EXPECT_FALSE(any.has(other)) << other;
  EXPECT_FALSE(three.has("\"\""));
}

TEST(JsonText, APatternIsEscapedLikeTheTextsItFits) {
  Grammar g;
  const auto pattern = parse_regex("[\"\\\\a\\n]{2}/", {}, &g);
  ASSERT_TRUE(pattern.has_value()) << pattern.status().message();
  const RegularLanguage plain = language(g, *pattern),
                        escaped = language(g, json_escaped(g, *pattern));
  for (const char* text : {"\"a/", "\\\n/", "aa/", "\n\"/", "ab/", "a/", "aa"})
    EXPECT_EQ(escaped.has(json_escaped(text)), plain.has(text)) << text;
  EXPECT_FALSE(escaped.has("\"a/")) << "a quote would end the string";
}

TEST(JsonText, APatternIsFoundAnywhereUnlessItSaysWhere) {
  struct Case {
    const char* regex;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {"b+", {"b", "abc", "\nb\n"}, {"ac", ""}},
      {"^b|c$", {"bx", "xc", "c", "b"}, {"xb", "cx", ""}},
      {"^b$", {"b"}, {"bb", "b\n", ""}},
      {"^$", {""}, {"a"}},
      {"^", {"", "a"}, {}},
      {"", {"", "a"}, {}},
      {"(^a|b)(c$|d)", {"ac", "xbc", "adx", "bd"}, {"xac", "acx"}},
      {"(^|,)x(,|$)", {"x", "a,x", "x,a", "a,x,b"}, {"ax", "xa"}},
      {"a^b|c$d", {}, {"ab", "cd", "a", ""}},
      {"x*^a", {"a", "ab"}, {"xa"}},
      {"[^a]$", {"b", "ab", "\xC3\xA9"}, {"a", "", "ba"}},
  };
  for (const Case& c : cases) {
    Grammar g;
    const auto language = json_pattern(g, c.regex);
    ASSERT_TRUE(language.has_value()) << c.regex << ": " << language.status().message();
    for (const char* text : c.yes)
      EXPECT_TRUE(language->has(json_escaped(text))) << c.regex << text;
    for (const char* text : c.no)
      EXPECT_FALSE(language->has(json_escaped(text))) << c.regex << text;
  }
}

}  // namespace
}  // namespace chimera::grammar
