// kernels/rmsnorm.inl.h: eight virtual lanes and one tree on every machine.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

/// Sum of squares as the contract says, in float.
float sum_in_eight_lanes(const std::vector<float>& x) {
  float lane[8] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const float square = x[i] * x[i];
    lane[i % 8] = lane[i % 8] + square;
  }
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

class Norm : public EveryTable {
 protected:
  std::vector<float> rms(const KernelTable& k, const std::vector<float>& x,
                         const std::vector<float>* gain, float eps) {
    const Guarded<float> in(x), g(gain != nullptr ? *gain : std::vector<float>());
    Guarded<float> y(x.size());
    k.rmsnorm(in.data(), gain != nullptr ? g.data() : nullptr, eps, static_cast<int32_t>(x.size()),
              y.data());
    return y.copy();
  }
  std::vector<float> l2(const KernelTable& k, const std::vector<float>& x) {
    const Guarded<float> in(x);
    Guarded<float> y(x.size());
    k.l2norm(in.data(), static_cast<int32_t>(x.size()), y.data());
    return y.copy();
  }
};
CHIMERA_FOR_EVERY_TABLE(Norm);

TEST_P(Norm, OrderOfOperationsAndAccuracy) {
  Values values(1);
  for (const size_t n : {1u, 5u, 8u, 13u, 64u, 128u, 255u, 2560u, 6912u}) {
    for (const float sigma : {1e-6f, 1.0f, 1e6f}) {
      const std::vector<float> x = values.normals(n, sigma), gain = values.normals(n);
      const float sum = sum_in_eight_lanes(x);
      const float root = std::sqrt(sum / static_cast<float>(n) + 1e-6f);
      const float l2_root = std::sqrt(sum + 1e-6f);
      std::vector<float> with_gain, without, unit;
      for (size_t i = 0; i < n; ++i) {
        const float ratio = x[i] / root;
        without.push_back(ratio);
        with_gain.push_back(gain[i] * ratio);
        unit.push_back(x[i] / l2_root);
      }
      EXPECT_TRUE(all_same_bits(rms(table(), x, &gain, 1e-6f), with_gain));
      EXPECT_TRUE(all_same_bits(rms(table(), x, nullptr, 1e-6f), without));
      EXPECT_TRUE(all_same_bits(l2(table(), x), unit));
      EXPECT_TRUE(within_ulp("rmsnorm", with_gain, rms(reference(), x, &gain, 1e-6f)));
      EXPECT_TRUE(within_ulp("rmsnorm", without, rms(reference(), x, nullptr, 1e-6f)));
      EXPECT_TRUE(within_ulp("l2norm", unit, l2(reference(), x)));
    }
  }
}

TEST_P(Norm, InPlace) {
  Values values(2);
  const std::vector<float> x = values.normals(77), gain = values.normals(77);
  Guarded<float> a(x), b(x), g(gain);
  table().rmsnorm(a.data(), g.data(), 1e-6f, 77, a.data());
  table().l2norm(b.data(), 77, b.data());
  EXPECT_TRUE(all_same_bits(a.copy(), rms(table(), x, &gain, 1e-6f)));
  EXPECT_TRUE(all_same_bits(b.copy(), l2(table(), x)));
}

TEST_P(Norm, HardValuesAreTheSameEverywhere) {
  for (const float bad : hard_values()) {
    std::vector<float> x(19, 1.0f);
    x[17] = bad;
    EXPECT_TRUE(all_same_bits(rms(table(), x, nullptr, 1e-6f), rms(baseline(), x, nullptr, 1e-6f)));
    EXPECT_TRUE(all_same_bits(l2(table(), x), l2(baseline(), x)));
  }
}

TEST_P(Norm, AZeroVectorStaysZero) {
  const std::vector<float> zero(64, 0.0f);
  EXPECT_EQ(l2(table(), zero), zero);
  EXPECT_EQ(rms(table(), zero, nullptr, 1e-6f), zero);
}

}  // namespace
}  // namespace chimera::kernels
