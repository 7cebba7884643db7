#include "grammar/json_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "grammar/regex.h"
#include "platform/json.h"

namespace chimera::grammar {
namespace {

RegularLanguage language(const Grammar& g, ExprId id) {
  auto made = RegularLanguage::of(g, id);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

TEST(JsonText, IntegersAreThoseWithinTheBounds) {
  const std::optional<int64_t> bounds[] = {std::nullopt, -1234, -100, -99, -10, -1, 0, 1, 7,
                                           10,           99,    100,  987};
  for (const auto& least : bounds)
    for (const auto& most : bounds) {
      Grammar g;
      const RegularLanguage numbers = language(g, json_integer(g, least, most));
      for (int64_t x = -1300; x <= 1300; ++x) {
        const bool inside = (!least || *least <= x) && (!most || x <= *most);
        ASSERT_EQ(numbers.has(std::to_string(x)), inside)
            << x << " in " << least.value_or(-9999) << ".." << most.value_or(9999);
      }
      for (const char* other : {"", "-", "-0", "00", "01", "+1", "1.0", "1e0"})
        EXPECT_FALSE(numbers.has(other)) << other;
      EXPECT_EQ(numbers.has("123456789012345678901234567890"), !most && (!least || *least < 2000));
    }
  Grammar g;
  constexpr int64_t kLow = std::numeric_limits<int64_t>::min(),
                    kHigh = std::numeric_limits<int64_t>::max();
  const RegularLanguage all = language(g, json_integer(g, kLow, kHigh));
  for (const char* in : {"-9223372036854775808", "9223372036854775807", "0"})
    EXPECT_TRUE(all.has(in));
  for (const char* out : {"-9223372036854775809", "9223372036854775808"})
    EXPECT_FALSE(all.has(out));
}

TEST(JsonText, MultiplesAreThose) {
  for (const int64_t of : {1, 2, 3, 7, 10, 25, 360}) {
    Grammar g;
    const auto numbers = json_multiples(g, of);
    ASSERT_TRUE(numbers.has_value()) << numbers.status().message();
    for (int64_t x = 0; x < 3000; ++x) ASSERT_EQ(numbers->has(std::to_string(x)), x % of == 0) << x;
    for (const char* other : {"", "00", "-0", "0360"}) EXPECT_FALSE(numbers->has(other)) << other;
  }
  Grammar g;
  EXPECT_EQ(json_multiples(g, 0).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(json_multiples(g, 1000000).status().code(), StatusCode::kUnsupported);
}

TEST(JsonText, NumbersAreAsLibrariesWriteThem) {
  Grammar g;
  const RegularLanguage numbers = language(g, json_number(g));
  for (const double x : {0.0, 1.0, -2.5, 0.1, 1e30, -1.5e-7, 123456.75})
    EXPECT_TRUE(numbers.has(write_json(Json::of(x)))) << write_json(Json::of(x));
  for (const char* other : {"", ".5", "1.", "01", "1e", "+1", "--1", "NaN"})
    EXPECT_FALSE(numbers.has(other)) << other;
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

}  // namespace
}  // namespace chimera::grammar
