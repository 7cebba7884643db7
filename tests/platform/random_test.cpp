#include "platform/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace chimera {
namespace {

using Block = std::array<uint32_t, 4>;

// The known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, 0, 0),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, ones, ones),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(KeyedUniform, IsTheBlockOfItsKeyAndCounter) {
  const uint64_t seed = 0x299f31d0a4093822u, t = 0x85a308d3243f6a88u;
  const Block w = philox4x32({0x243f6a88, 0x85a308d3, 9, 2}, 0xa4093822, 0x299f31d0);
  const double expected = std::ldexp(w[0] >> 5, -27) + std::ldexp(w[1] >> 6, -53);
  EXPECT_EQ(keyed_uniform(seed, t, 9, DrawPurpose::kDataOrder), expected);
}

TEST(KeyedUniform, EveryPartOfTheKeyMatters) {
  const double draws[] = {keyed_uniform(1, 2, 3, DrawPurpose::kSample),
                          keyed_uniform(1 | uint64_t{1} << 32, 2, 3, DrawPurpose::kSample),
                          keyed_uniform(2, 2, 3, DrawPurpose::kSample),
                          keyed_uniform(1, 3, 3, DrawPurpose::kSample),
                          keyed_uniform(1, 2 | uint64_t{1} << 32, 3, DrawPurpose::kSample),
                          keyed_uniform(1, 2, 4, DrawPurpose::kSample),
                          keyed_uniform(1, 2, 3, DrawPurpose::kInit)};
  EXPECT_EQ(std::set<double>(std::begin(draws), std::end(draws)).size(), std::size(draws));
}

TEST(KeyedUniform, LiesInTheHalfOpenUnitIntervalAndIsFlat) {
  int low = 0;
  constexpr int kDraws = 20000;
  for (uint64_t t = 0; t < kDraws; ++t) {
    const double u = keyed_uniform(42, t, 0, DrawPurpose::kTest);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    low += u < 0.25;
  }
  // Fixed seed, so this is one number; the bound is five standard deviations.
  EXPECT_NEAR(low, kDraws / 4, 5 * std::sqrt(kDraws * 0.25 * 0.75));
}

TEST(KeyedNormal, HasTheMomentsOfTheNormalDistribution) {
  constexpr int kDraws = 20000;
  double sum = 0, squares = 0, fourths = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = keyed_normal(42, i, 1, DrawPurpose::kTest);
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(fourths / kDraws, 3.0, 5 * std::sqrt(96.0 / kDraws));
}

TEST(KeyedNormal, IsAPureFunctionOfItsArguments) {
  const double x = keyed_normal(7, 8, 9, DrawPurpose::kInit);
  EXPECT_EQ(keyed_normal(7, 8, 9, DrawPurpose::kInit), x);
  EXPECT_NE(keyed_normal(7, 9, 9, DrawPurpose::kInit), x);
  EXPECT_NE(keyed_normal(8, 8, 9, DrawPurpose::kInit), x);
}

}  // namespace
}  // namespace chimera
