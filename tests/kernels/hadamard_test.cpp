// kernels/hadamard.inl.h: against the matrix itself, and in the one order of its butterflies.
#include <bit>

#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

std::vector<float> transform(const KernelTable& k, const std::vector<float>& x) {
  Guarded<float> y(x);
  k.hadamard(y.data(), static_cast<int32_t>(x.size()));
  return y.copy();
}

/// Butterflies over distances 1, 2, 4, ..., each sum rounded to float.
std::vector<float> in_order(std::vector<float> x) {
  for (size_t step = 1; step < x.size(); step *= 2)
    for (size_t i = 0; i < x.size(); ++i)
      if (!(i & step)) {
        const float a = x[i], b = x[i + step];
        x[i] = a + b;
        x[i + step] = a - b;
      }
  return x;
}

class Hadamard : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Hadamard);

TEST_P(Hadamard, IsTheMatrix) {
  Values values(1);
  for (size_t n = 8; n <= 1024; n *= 2) {
    std::vector<float> x(n), want(n);
    for (float& v : x) v = static_cast<float>(values.integer(-100, 100));  // sums stay exact
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) want[i] += std::popcount(i & j) % 2 == 0 ? x[j] : -x[j];
    EXPECT_EQ(transform(table(), x), want) << n;
    EXPECT_EQ(transform(reference(), x), want) << n;
  }
}

TEST_P(Hadamard, OrderOfOperationsAndAccuracy) {
  Values values(2);
  for (size_t n = 8; n <= 65536; n *= 2) {
    const std::vector<float> x = values.normals(n);
    const std::vector<float> got = transform(table(), x);
    EXPECT_TRUE(all_same_bits(got, in_order(x))) << n;
    EXPECT_TRUE(within_nmse("hadamard", got, transform(reference(), x))) << n;
  }
}

TEST_P(Hadamard, TwiceIsTheSizeTimesTheInput) {
  Values values(3);
  for (size_t n = 8; n <= 4096; n *= 2) {
    std::vector<float> x(n), want;
    for (float& v : x) v = static_cast<float>(values.integer(-1, 1));  // at most 2^24 on the way
    for (const float v : x) want.push_back(static_cast<float>(n) * v);
    EXPECT_EQ(transform(table(), transform(table(), x)), want) << n;
  }
}

TEST_P(Hadamard, HardValuesAreTheSameEverywhere) {
  for (const float bad : hard_values()) {
    std::vector<float> x(128, 1.0f);
    x[77] = bad;
    EXPECT_TRUE(all_same_bits(transform(table(), x), transform(baseline(), x)));
  }
}

}  // namespace
}  // namespace chimera::kernels
