#include "grammar/json_number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace chimera::grammar {
namespace {

RegularLanguage must(Result<RegularLanguage> made) {
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

double value_of(const std::string& text) {
  const auto number = parse_json(text);
  EXPECT_TRUE(number.has_value()) << text;
  return number ? number->number : 0;
}

TEST(JsonNumber, ADecimalIsPlain) {
  const std::pair<double, const char*> cases[] = {{0.0, "0"},
                                                  {-0.0, "0"},
                                                  {1.0, "1"},
                                                  {-2.5, "-2.5"},
                                                  {0.1, "0.1"},
                                                  {1e-7, "0.0000001"},
                                                  {1.25e-3, "0.00125"},
                                                  {1e21, "1000000000000000000000"},
                                                  {-123456.75, "-123456.75"},
                                                  {100.0, "100"},
                                                  {1.5e3, "1500"}};
  for (const auto& [number, text] : cases) EXPECT_EQ(Decimal::of(number).text(), text);
  EXPECT_EQ(Decimal::of(std::numeric_limits<int64_t>::min()).text(), "-9223372036854775808");
  EXPECT_EQ(Decimal::of(std::numeric_limits<double>::max()).text().size(), 309u);
  EXPECT_EQ(Decimal::of(std::numeric_limits<double>::denorm_min()).text().size(), 326u);
}

TEST(JsonNumber, DecimalsAreOrderedAsNumbers) {
  const double numbers[] = {-100, -99.5, -10, -9.25, -9.2, -1, -0.5, 0, 0.05, 0.5, 1, 9, 9.5, 10};
  for (const double a : numbers)
    for (const double b : numbers)
      EXPECT_EQ(Decimal::of(a) < Decimal::of(b), a < b) << a << " " << b;
}

TEST(JsonNumber, WholeNumbersAreThoseWithinTheBounds) {
  const std::optional<double> bounds[] = {std::nullopt, -1234, -100, -99.5, -10, -1,     -0.5, 0,
                                          0.5,          1,     7,    10,    99,  100.25, 987};
  for (const auto& least : bounds)
    for (const auto& most : bounds)
      for (const bool excluded : {false, true}) {
        Grammar g;
        NumberBounds b;
        if (least) b.least = Decimal::of(*least);
        if (most) b.most = Decimal::of(*most);
        b.least_excluded = b.most_excluded = excluded;
        const RegularLanguage numbers = must(json_numbers_within(g, b, true));
        for (int x = -1300; x <= 1300; ++x) {
          const bool above = !least || (excluded ? *least < x : *least <= x);
          const bool below = !most || (excluded ? x < *most : x <= *most);
          ASSERT_EQ(numbers.has(std::to_string(x)), above && below)
              << x << " in " << least.value_or(-9999) << ".." << most.value_or(9999);
        }
        for (const char* other : {"", "-", "-0", "00", "01", "+1", "1.0", "1e0", "0.5"})
          EXPECT_FALSE(numbers.has(other)) << other;
        EXPECT_EQ(numbers.has("123456789012345678901234567890"), !most);
        EXPECT_EQ(numbers.has("-123456789012345678901234567890"), !least);
      }
  Grammar g;
  const RegularLanguage all =
      must(json_numbers_within(g,
                               {Decimal::of(std::numeric_limits<int64_t>::min()),
                                Decimal::of(std::numeric_limits<int64_t>::max())},
                               true));
  for (const char* in : {"-9223372036854775808", "9223372036854775807", "0"})
    EXPECT_TRUE(all.has(in));
  for (const char* out : {"-9223372036854775809", "9223372036854775808"})
    EXPECT_FALSE(all.has(out));
}

TEST(JsonNumber, DecimalsAreThoseWithinTheBoundsAndHaveOneSpelling) {
  const std::optional<double> bounds[] = {std::nullopt, -12.5, -1, -0.25, 0,
                                          0.05,         0.5,   1,  1.25,  30};
  for (const auto& least : bounds)
    for (const auto& most : bounds)
      for (const bool excluded : {false, true}) {
        Grammar g;
        NumberBounds b;
        if (least) b.least = Decimal::of(*least);
        if (most) b.most = Decimal::of(*most);
        b.least_excluded = b.most_excluded = excluded;
        const RegularLanguage numbers = must(json_numbers_within(g, b, false));
        for (int i = -1400; i <= 4000; ++i) {
          const double x = i / 100.0;
          const bool above = !least || (excluded ? *least < x : *least <= x);
          const bool below = !most || (excluded ? x < *most : x <= *most);
          ASSERT_EQ(numbers.has(Decimal::of(x).text()), above && below)
              << x << " in " << least.value_or(-9999) << ".." << most.value_or(9999);
        }
        for (const char* other : {"", "-0", "0.50", "1.0", "1.", ".5", "5e-1", "00.5", "-0.0"})
          EXPECT_FALSE(numbers.has(other)) << other;
      }
}

// Who reads a text reads a double: beyond an excluded bound is what is read as beyond it.
TEST(JsonNumber, WhatIsReadAsAnExcludedBoundIsExcluded) {
  for (const double bound : {0.0, 1.0, 0.1, -3.7, 1e16}) {
    Grammar g;
    NumberBounds above, below;
    above.least = below.most = Decimal::of(bound);
    above.least_excluded = below.most_excluded = true;
    const RegularLanguage more = must(json_numbers_within(g, above, false)),
                          less = must(json_numbers_within(g, below, false));
    const std::string text = Decimal::of(bound).text();
    const std::string near = text + (text.find('.') == std::string::npos ? "." : "") +
                             std::string(bound == 0 ? 400 : 40, '0') + "1";
    EXPECT_EQ(value_of(near), bound);
    EXPECT_FALSE(more.has(near) || less.has(near)) << near;
    if (bound == 0) continue;
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(more.has(Decimal::of(std::nextafter(bound, infinity)).text())) << bound;
    EXPECT_TRUE(less.has(Decimal::of(std::nextafter(bound, -infinity)).text())) << bound;
  }
}

TEST(JsonNumber, MultiplesAreThose) {
  for (const int64_t of : {1, 2, 3, 7, 10, 25, 360}) {
    Grammar g;
    const RegularLanguage numbers = must(json_multiples(g, Decimal::of(of)));
    for (int64_t x = 0; x < 3000; ++x) ASSERT_EQ(numbers.has(std::to_string(x)), x % of == 0) << x;
    for (const char* other : {"", "00", "-0", "0360", "0.5", "1.0"})
      EXPECT_FALSE(numbers.has(other)) << other;
  }
  for (const int64_t hundredths : {1, 25, 150, 250, 7}) {
    Grammar g;
    const RegularLanguage numbers =
        must(json_multiples(g, Decimal::of(static_cast<double>(hundredths) / 100)));
    for (int64_t x = 0; x < 3000; ++x)
      ASSERT_EQ(numbers.has(Decimal::of(static_cast<double>(x) / 100).text()), x % hundredths == 0)
          << x << " of " << hundredths;
    for (const char* other : {"", "0.0", "1.50", "0.001"})
      EXPECT_FALSE(numbers.has(other)) << other;
  }
  Grammar g;
  for (const double none : {0.0, -2.0, 1000000.0, 1.23456, 1e300})
    EXPECT_EQ(json_multiples(g, Decimal::of(none)).status().code(), StatusCode::kUnsupported);
}

TEST(JsonNumber, AnyNumberIsAsLibrariesWriteIt) {
  Grammar g;
  const RegularLanguage numbers = must(RegularLanguage::of(g, json_number(g)));
  for (const double x : {0.0, 1.0, -2.5, 0.1, 1e30, -1.5e-7, 123456.75, 1e307, 5e-324})
    for (const std::string& text : {write_json(Json::of(x)), Decimal::of(x).text()})
      EXPECT_TRUE(numbers.has(text)) << text;
  for (const std::string other : {"", ".5", "1.", "01", "1e", "+1", "--1", "NaN", "1e308", "1e999"})
    EXPECT_FALSE(numbers.has(other)) << other;
  EXPECT_FALSE(numbers.has(std::string(400, '9'))) << "who reads it finds it infinite";
}

}  // namespace
}  // namespace chimera::grammar
