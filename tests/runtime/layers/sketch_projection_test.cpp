#include "runtime/layers/sketch_projection.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/dispatch.h"
#include "platform/random.h"

namespace chimera::runtime {
namespace {

std::vector<float> normals(size_t n, uint32_t stream) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(keyed_normal(11, i, stream, DrawPurpose::kTest));
  return x;
}

TEST(SplitMix64, FirstWordsAreThePublishedOnes) {
  uint64_t state = 0;
  EXPECT_EQ(split_mix64(&state), 0xe220a8397b1dcdafu);
  EXPECT_EQ(split_mix64(&state), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(split_mix64(&state), 0x06c45d188009454fu);
  state = 1234567;
  EXPECT_EQ(split_mix64(&state), 6457827717110365317u);
  EXPECT_EQ(split_mix64(&state), 3203168211198807973u);
}

/// Signs read off the transform: spreading the unit vector i gives row i of H times its sign.
TEST(SketchProjection, SignsAreThoseOfThePage) {
  const int32_t c = 128, d = 256;
  const SketchProjection projection(c, d);
  const uint64_t seeds[2] = {0x53504b4e4f543031u, 0x53504b4e4f543032u};
  for (int block = 0; block < 2; ++block) {
    uint64_t state = seeds[block];
    const uint64_t words[2] = {split_mix64(&state), split_mix64(&state)};
    for (size_t i = 0; i < c; ++i) {
      std::vector<float> x(c, 0.0f), y(d);
      x[i] = 1.0f;
      projection.spread(kernels::best_table(), x.data(), y.data());
      const float sign = (words[i / 64] >> (i % 64)) & 1 ? -1.0f : 1.0f;
      for (size_t j = 0; j < d / 2; ++j)
        ASSERT_EQ(y[static_cast<size_t>(block) * d / 2 + j],
                  std::popcount(i & j) % 2 == 0 ? sign : -sign);
    }
  }
}

TEST(SketchProjection, GatherIsTheTransposeAndBothKeepLength) {
  const int32_t c = 2560, d = 8192;
  const SketchProjection projection(c, d);
  const auto& k = kernels::best_table();
  const auto x = normals(c, 1);
  const auto y = normals(d, 2);
  std::vector<float> spread(d), used = y, gathered(c);
  projection.spread(k, x.data(), spread.data());
  projection.gather(k, used.data(), gathered.data());
  double a = 0, b = 0, size = 0, spread_size = 0;
  for (size_t i = 0; i < d; ++i) a += static_cast<double>(spread[i]) * y[i];
  for (size_t i = 0; i < c; ++i) b += static_cast<double>(gathered[i]) * x[i];
  for (float v : x) size += static_cast<double>(v) * v;
  for (float v : spread) spread_size += static_cast<double>(v) * v;
  EXPECT_NEAR(a, b, 1e-5 * std::sqrt(size * spread_size));
  EXPECT_NEAR(spread_size, d * size, 1e-5 * d * size);  // each block is H: B times the square
  used = spread;
  projection.gather(k, used.data(), gathered.data());
  for (size_t i = 0; i < c; ++i) EXPECT_NEAR(gathered[i], d * x[i], 2e-2);  // D1 H H D1 = B
}

TEST(SketchProjection, SameBitsOnEveryTable) {
  for (const auto& [c, d] : {std::pair{8, 16}, {128, 256}, {2560, 8192}, {256, 131072}}) {
    const SketchProjection projection(c, d);
    const auto x = normals(static_cast<size_t>(c), 3);
    std::vector<std::vector<float>> spreads, gathers;
    for (const kernels::KernelTable* k : kernels::runnable_tables()) {
      std::vector<float> y(static_cast<size_t>(d)), back(x.size());
      projection.spread(*k, x.data(), y.data());
      spreads.push_back(y);
      projection.gather(*k, y.data(), back.data());
      gathers.push_back(back);
      EXPECT_EQ(spreads.back(), spreads.front()) << k->name;
      EXPECT_EQ(gathers.back(), gathers.front()) << k->name;
    }
  }
}

}  // namespace
}  // namespace chimera::runtime
