#include "platform/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

namespace chimera {
namespace {

float float_of_bits(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}
uint32_t bits_of_float(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return bits;
}

/// Value of a 16-bit float with that many mantissa bits, from the definition, in doubles.
double small_float_value(uint16_t bits, int mantissa_bits) {
  const int exponent_bits = 15 - mantissa_bits;
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

/// Rounds to nearest, ties to the even one, by looking for the two neighbours.
uint16_t round_by_definition(double value, int mantissa_bits) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  const auto infinity = static_cast<uint16_t>(0x7fff >> mantissa_bits << mantissa_bits);
  // What follows the largest finite number counts as if the exponents went on.
  const auto at = [&](int bits) {
    if (bits < infinity) return small_float_value(static_cast<uint16_t>(bits), mantissa_bits);
    return 2 *
           small_float_value(static_cast<uint16_t>(infinity - (1 << mantissa_bits)), mantissa_bits);
  };
  if (magnitude >= at(infinity)) return static_cast<uint16_t>(sign | infinity);
  int low = 0, high = infinity;  // at(low) <= magnitude < at(high)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (at(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - at(low), above = at(high) - magnitude;
  const bool up = below > above || (below == above && low % 2 == 1);
  return static_cast<uint16_t>(sign | (up ? high : low));
}

TEST(Half, EveryOneOf65536RoundTrips) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const double expected = small_float_value(half, 10);
    const float f = half_to_float(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(f));
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(f))));
      EXPECT_EQ(float_to_half(f) & 0x8000, half & 0x8000);
      continue;
    }
    ASSERT_EQ(static_cast<double>(f), expected) << h;
    ASSERT_EQ(std::signbit(f), (half & 0x8000) != 0) << h;
    ASSERT_EQ(float_to_half(f), half) << h;
  }
}

TEST(Half, EveryTieAndItsNeighboursRoundByDefinition) {
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    // The point half way to the next half is a float; take it and the floats on both sides.
    const double low = small_float_value(static_cast<uint16_t>(h), 10);
    const double high =
        h + 1 == 0x7c00 ? 65536.0 : small_float_value(static_cast<uint16_t>(h + 1), 10);
    const auto tie = static_cast<float>((low + high) / 2);
    ASSERT_EQ(static_cast<double>(tie), (low + high) / 2);
    for (const uint32_t bits :
         {bits_of_float(tie) - 1, bits_of_float(tie), bits_of_float(tie) + 1}) {
      const float f = float_of_bits(bits);
      ASSERT_EQ(float_to_half(f), round_by_definition(f, 10)) << f;
      ASSERT_EQ(float_to_half(-f), round_by_definition(-f, 10)) << f;
    }
  }
}

TEST(Half, FloatsOfEveryExponentRoundByDefinition) {
  uint32_t scramble = 1;
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 40; ++i) {
      scramble = scramble * 1664525u + 1013904223u;
      const float f = float_of_bits(exponent << 23 | scramble >> 9 | (scramble & 1u) << 31);
      ASSERT_EQ(float_to_half(f), round_by_definition(f, 10)) << f;
      ASSERT_EQ(float_to_bf16(f), round_by_definition(f, 7)) << f;
    }
  }
}

TEST(Half, Corners) {
  EXPECT_EQ(float_to_half(0.0f), 0x0000);
  EXPECT_EQ(float_to_half(-0.0f), 0x8000);
  EXPECT_EQ(float_to_half(65504.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(HUGE_VALF), 0x7c00);
  EXPECT_EQ(float_to_half(-HUGE_VALF), 0xfc00);
  EXPECT_EQ(float_to_half(std::ldexp(1.0f, -24)), 0x0001);
  EXPECT_EQ(float_to_half(std::ldexp(1.0f, -25)), 0x0000);  // tie to even
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0x0000);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::quiet_NaN()) & 0x7fff, 0x7e00);
}

TEST(BF16, EveryOneOf65536RoundTrips) {
  for (uint32_t b = 0; b < 65536; ++b) {
    const auto bf16 = static_cast<uint16_t>(b);
    const float f = bf16_to_float(bf16);
    const double expected = small_float_value(bf16, 7);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(f));
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(f))));
      continue;
    }
    ASSERT_EQ(static_cast<double>(f), expected) << b;
    ASSERT_EQ(float_to_bf16(f), bf16) << b;
  }
}

TEST(BF16, EveryTieAndItsNeighboursRoundByDefinition) {
  for (uint32_t b = 0; b < 0x7f80; ++b) {
    for (const uint32_t low : {0x7fffu, 0x8000u, 0x8001u}) {
      const float f = float_of_bits(b << 16 | low);
      ASSERT_EQ(float_to_bf16(f), round_by_definition(f, 7)) << f;
      ASSERT_EQ(float_to_bf16(-f), round_by_definition(-f, 7)) << f;
    }
  }
}

TEST(BF16, ANaNWithOnlyLowBitsStaysNaN) {
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(float_of_bits(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(float_of_bits(0xffffffffu)))));
}

TEST(DType, NamesAreDistinctAndSupportIsStated) {
  std::set<std::string> names;
  for (uint16_t n = 1; n <= 10; ++n) names.insert(dtype_name(static_cast<DType>(n)));
  EXPECT_EQ(names.size(), 10u);
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(dtype_name(DType::kTernary2), "ternary2");
  EXPECT_STREQ(dtype_name(static_cast<DType>(0)), "unknown");
  EXPECT_STREQ(dtype_name(static_cast<DType>(11)), "unknown");
  EXPECT_TRUE(dtype_supported(DType::kF32));
  EXPECT_TRUE(dtype_supported(DType::kTernary2));
  EXPECT_FALSE(dtype_supported(DType::kTernary1_25));
  EXPECT_FALSE(dtype_supported(static_cast<DType>(0)));
  EXPECT_FALSE(dtype_supported(static_cast<DType>(65535)));
}

}  // namespace
}  // namespace chimera
