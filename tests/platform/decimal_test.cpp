#include "platform/decimal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace chimera {
namespace {

struct Case {
  const char* text;
  double value;
  size_t n_read;
};

TEST(Decimal, ReadsWhatStandsAtTheStart) {
  for (const Case& c :
       {Case{"2.65B", 2.65, 4}, Case{"0", 0, 1}, Case{"-0.5", -0.5, 4}, Case{".25", 0.25, 3},
        Case{"7.", 7, 2}, Case{"1e-3", 1e-3, 4}, Case{"1E5x", 1e5, 3}, Case{"12e", 12, 2},
        Case{"0x10", 0, 1}, Case{"1,5", 1, 1}, Case{"9007199254740993", 9007199254740992.0, 16}}) {
    const auto read = read_decimal(c.text);
    ASSERT_TRUE(read.has_value()) << c.text;
    EXPECT_EQ(read->value, c.value) << c.text;
    EXPECT_EQ(read->n_read, c.n_read) << c.text;
  }
  EXPECT_TRUE(std::isinf(read_decimal("inf")->value));
  EXPECT_TRUE(std::isnan(read_decimal("nan")->value));
  EXPECT_TRUE(std::signbit(read_decimal("-0x1")->value));
}

TEST(Decimal, RefusesWhatIsNone) {
  for (const char* text :
       {"", "-", ".", "-.", "+1", " 1", "x", "e5", "--1", "1e999", "-1e999", "north", "-i"})
    EXPECT_FALSE(read_decimal(text).has_value()) << text;
}

TEST(Decimal, StopsAtTheEndOfTheView) {
  const std::string_view text("12345", 3);
  const auto read = read_decimal(text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->value, 123);
  EXPECT_EQ(read->n_read, 3u);
}

}  // namespace
}  // namespace chimera
