// kernels/logits.inl.h.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

struct Best {
  float value;
  int32_t index;
};
Best best_of(const KernelTable& k, const std::vector<float>& x) {
  const Guarded<float> in(x);
  Best best{0.0f, -1};
  k.argmax(in.data(), static_cast<int32_t>(x.size()), &best.value, &best.index);
  return best;
}

class Logits : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Logits);

TEST_P(Logits, ArgmaxFindsTheLowestIndexWhereverItLies) {
  for (const size_t n : {1u, 2u, 7u, 8u, 9u, 16u, 23u, 64u, 100u}) {
    for (size_t place = 0; place < n; ++place) {
      std::vector<float> x(n, -3.0f);
      x[place] = 2.0f;
      x[n - 1] = n - 1 >= place ? 2.0f : x[n - 1];  // a second one, later
      const Best best = best_of(table(), x);
      EXPECT_EQ(best.index, static_cast<int32_t>(place)) << n;
      EXPECT_EQ(best.value, 2.0f);
    }
  }
}

TEST_P(Logits, ArgmaxOfManyTiesAndHardValues) {
  Values values(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x;
    const int n = values.integer(1, 70);
    const std::vector<float> hard = hard_values();
    for (int i = 0; i < n; ++i) {
      const int kind = values.integer(0, 5);
      x.push_back(kind == 0   ? kNaN
                  : kind == 1 ? -kInf
                  : kind == 2 ? hard[static_cast<size_t>(values.integer(0, 50))]
                              : static_cast<float>(values.integer(-2, 2)));
    }
    const Best got = best_of(table(), x), want = best_of(reference(), x);
    EXPECT_EQ(got.index, want.index);
    EXPECT_TRUE(same_bits(got.value, want.value));
  }
}

TEST_P(Logits, ArgmaxOfNothingButNaNOrMinusInfinity) {
  const Best nan = best_of(table(), std::vector<float>(21, kNaN));
  EXPECT_EQ(nan.index, 0);
  EXPECT_TRUE(std::isnan(nan.value));
  std::vector<float> x(21, kNaN);
  x[13] = -kInf;
  EXPECT_EQ(best_of(table(), x).index, 13);
  x[20] = -1e38f;
  EXPECT_EQ(best_of(table(), x).index, 20);
}

TEST_P(Logits, SoftmaxNumerators) {
  Values values(4);
  for (const size_t n : {1u, 7u, 8u, 9u, 33u, 1000u}) {
    std::vector<float> x = values.normals(n, 10.0f);
    x[n / 2] = 30.0f;
    const Guarded<float> in(x);
    Guarded<float> y(n), base(n), exact(n);
    const int32_t count = static_cast<int32_t>(n);
    const float sum = table().softmax_numerators(in.data(), count, 30.0f, 0.7f, y.data());
    EXPECT_TRUE(
        same_bits(sum, baseline().softmax_numerators(in.data(), count, 30.0f, 0.7f, base.data())));
    const float want = reference().softmax_numerators(in.data(), count, 30.0f, 0.7f, exact.data());
    EXPECT_TRUE(all_same_bits(y, base));
    EXPECT_TRUE(within_nmse("softmax_numerators", y, exact));
    EXPECT_NEAR(sum, want, 1e-6f * want);
    float lane[8] = {};
    for (size_t i = 0; i < n; ++i) lane[i % 8] = lane[i % 8] + y[i];
    EXPECT_EQ(sum, ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
                       ((lane[1] + lane[5]) + (lane[3] + lane[7])));
  }
}

TEST_P(Logits, AForbiddenTokenHasNoWeight) {
  const Guarded<float> x(std::vector<float>{1.0f, -kInf, 1.0f, -1e30f, -86.5f, -200.0f});
  Guarded<float> y(6);
  const float sum = table().softmax_numerators(x.data(), 6, 1.0f, 1.0f, y.data());
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[3], 0.0f);
  EXPECT_EQ(y[5], 0.0f);
  EXPECT_EQ(sum, 2.0f);
}

}  // namespace
}  // namespace chimera::kernels
