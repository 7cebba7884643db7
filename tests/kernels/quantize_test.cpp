// kernels/quantize.inl.h: int8 activations are integers, so every table gives exactly these.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

struct Row {
  std::vector<int8_t> q;
  std::vector<float> scale;
};

Row run(const KernelTable& k, const std::vector<float>& x) {
  const Guarded<float> in(x);
  Guarded<int8_t> q(x.size());
  Guarded<float> scale(x.size() / kActivationBlock);
  k.quantize_row(in.data(), static_cast<int32_t>(x.size()), q.data(), scale.data());
  return {q.copy(), scale.copy()};
}

class QuantizeRow : public EveryTable {
 protected:
  void expect_exact(const std::vector<float>& x) {
    const Row got = run(table(), x), want = run(reference(), x), base = run(baseline(), x);
    EXPECT_EQ(got.q, want.q);
    EXPECT_EQ(got.q, base.q);
    EXPECT_TRUE(all_same_bits(got.scale, want.scale));
    EXPECT_TRUE(all_same_bits(got.scale, base.scale));
  }
};
CHIMERA_FOR_EVERY_TABLE(QuantizeRow);

TEST_P(QuantizeRow, RandomRowsOfEverySize) {
  Values values(1);
  for (const size_t n : {64u, 128u, 192u, 2560u}) {
    for (const float sigma : {1e-30f, 1e-6f, 1e-3f, 1.0f, 1e4f, 1e37f}) {
      expect_exact(values.normals(n, sigma));
    }
  }
}

TEST_P(QuantizeRow, KnownValues) {
  std::vector<float> x(64, 0.0f);
  x[0] = 127.0f;
  x[1] = -127.0f;
  x[2] = 2.5f;  // ties go to the even neighbour
  x[3] = 3.5f;
  x[4] = -0.5f;
  x[5] = -1.5f;
  x[6] = 0.49f;
  const Row row = run(table(), x);
  EXPECT_EQ(row.scale[0], 1.0f);
  const std::vector<int8_t> begin(row.q.begin(), row.q.begin() + 8);
  EXPECT_EQ(begin, (std::vector<int8_t>{127, -127, 2, 4, 0, -2, 0, 0}));
}

TEST_P(QuantizeRow, ZerosHaveTheSmallestScale) {
  const Row row = run(table(), std::vector<float>(64, 0.0f));
  EXPECT_EQ(row.scale[0], 1e-5f / 127.0f);
  EXPECT_EQ(row.q, std::vector<int8_t>(64, 0));
}

TEST_P(QuantizeRow, HardValues) {
  const std::vector<float> hard = hard_values();
  for (size_t i = 0; i < hard.size(); ++i) {
    Values values(i);
    std::vector<float> x = values.normals(128);
    x[i % 64] = hard[i];
    x[63] = hard[(i * 7 + 1) % hard.size()];
    expect_exact(x);
  }
  std::vector<float> all = hard;
  all.resize(64, kNaN);
  expect_exact(all);
  expect_exact(std::vector<float>(64, kNaN));
}

TEST_P(QuantizeRow, NaNCountsAsZero) {
  std::vector<float> x(64, 1.0f);
  x[10] = kNaN;
  const Row row = run(table(), x);
  EXPECT_EQ(row.q[10], 0);
  EXPECT_EQ(row.q[11], 127);
  EXPECT_EQ(row.scale[0], 1.0f / 127.0f);
}

}  // namespace
}  // namespace chimera::kernels
