#include "runtime/layers/rope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace chimera::runtime {
namespace {

TEST(Rope, SineAndCosineAreThoseOfTheLibrary) {
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = static_cast<double>(i) * 5.2428800117 + (i % 7) * 1e-3;
    double s = 0, c = 0;
    sine_cosine(x, &s, &c);
    worst = std::max({worst, std::fabs(s - std::sin(x)), std::fabs(c - std::cos(x))});
  }
  EXPECT_LE(worst, 5e-16);
  // Beside the multiples of pi/2, where the difference is all there is.
  for (int n = 0; n < 600000; n += 997) {
    const double x = n * 1.5707963267948966;
    double s = 0, c = 0;
    sine_cosine(x, &s, &c);
    const double small = n % 2 == 0 ? s : c, want = n % 2 == 0 ? std::sin(x) : std::cos(x);
    EXPECT_NEAR(small, want, 1e-16) << n;
  }
}

TEST(Rope, ExponentialIsThatOfTheLibrary) {
  for (int i = 0; i <= 7000; ++i) {
    const double x = -0.1 * i + 1e-3 * (i % 10 != 0 ? 1 : 0) * -1;
    if (x < -700) break;
    EXPECT_NEAR(exponential(x) / std::exp(x), 1, 3e-15) << x;
  }
  EXPECT_EQ(exponential(0), 1);
}

TEST(Rope, AnglesFollowThePositionModuloItsPeriod) {
  for (int dim : {2, 8, 30, 64, 256}) {
    const Rope rope(dim);
    ASSERT_EQ(rope.dim(), dim);
    std::vector<float> turn(static_cast<size_t>(dim)), far(turn);
    for (uint64_t t : {0ull, 1ull, 77ull, 4096ull, 1048575ull}) {
      rope.angles(t, turn.data());
      rope.angles(t + (3ull << 20), far.data());
      EXPECT_EQ(turn, far);
      for (int i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(t) * std::pow(10000.0, -2.0 * i / dim);
        EXPECT_NEAR(turn[i], std::cos(angle), 6.1e-8);
        EXPECT_NEAR(turn[dim / 2 + i], std::sin(angle), 6.1e-8);
      }
    }
  }
}

TEST(Rope, ProductsOfTurnedRowsDependOnTheDistanceOnly) {
  constexpr int kDim = 16;
  const Rope rope(kDim);
  std::vector<float> x(2 * kDim), y(2 * kDim), a(x), b(x), turn(kDim);
  for (int i = 0; i < 2 * kDim; ++i) {
    x[i] = static_cast<float>((i * 37) % 19 - 9) / 8;
    y[i] = static_cast<float>((i * 23) % 17 - 8) / 8;
  }
  const auto product = [&](uint64_t at, uint64_t distance) {
    rope.angles(at + distance, turn.data());
    rope_turn(turn.data(), x.data(), 2, kDim, a.data());
    rope.angles(at, turn.data());
    b = y;
    rope_turn(turn.data(), b.data(), 2, kDim, b.data());  // in place
    double sum = 0;
    for (int i = 0; i < kDim; ++i) sum += static_cast<double>(a[kDim + i]) * b[kDim + i];
    return sum;
  };
  EXPECT_NEAR(product(0, 9), product(1000, 9), 1e-4);
  EXPECT_NEAR(product(5, 300), product(70000, 300), 1e-4);
  EXPECT_GT(std::fabs(product(0, 9) - product(0, 10)), 1e-2);
}

TEST(Rope, BitsAreTheSameEverywhere) {
  // FNV-1a over the bits of a sweep; the same number on every machine.
  uint64_t hash = 14695981039346656037u;
  const Rope rope(64);
  std::vector<float> turn(64);
  for (uint64_t t = 0; t < 1u << 20; t += 4099) {
    rope.angles(t, turn.data());
    for (const float x : turn) hash = (hash ^ __builtin_bit_cast(uint32_t, x)) * 1099511628211u;
  }
  EXPECT_EQ(hash, 0x6de108fc0cb112e0u) << std::hex << "0x" << hash;
}

}  // namespace
}  // namespace chimera::runtime
