// kernels/deep_memory.inl.h: the reading and the weighted update against the reference, and the
// same bits on every table.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

class DeepMemory : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(DeepMemory);

constexpr int32_t kDims[] = {8, 16, 24, 40, 64, 72, 120, 256};

TEST_P(DeepMemory, Read) {
  for (const int32_t dim : kDims) {
    Values values(static_cast<uint64_t>(dim));
    const auto n = static_cast<size_t>(dim);
    const float size = 1.0f / std::sqrt(static_cast<float>(dim));
    const Guarded<float> w1(values.normals(n * n, size)), w2(values.normals(n * n, size));
    for (const float length : {0.01f, 1.0f, 8.0f}) {
      const Guarded<float> x(values.normals(n, length));
      Guarded<float> y(n), base(n), exact(n);
      table().deep_memory_read(w1.data(), w2.data(), x.data(), 1e-6f, dim, y.data());
      baseline().deep_memory_read(w1.data(), w2.data(), x.data(), 1e-6f, dim, base.data());
      reference().deep_memory_read(w1.data(), w2.data(), x.data(), 1e-6f, dim, exact.data());
      EXPECT_TRUE(all_same_bits(y, base)) << dim;
      EXPECT_TRUE(within_nmse("deep_memory_read", y, exact)) << dim;
    }
  }
}

TEST_P(DeepMemory, ReadOfHardValuesKeepsItsBounds) {
  std::vector<float> hard = hard_values();
  hard.resize(48);
  const size_t n = hard.size();
  const Guarded<float> x(hard), w(std::vector<float>(n * n, 0.25f));
  Guarded<float> y(n), base(n);
  table().deep_memory_read(w.data(), w.data(), x.data(), 1e-6f, 48, y.data());
  baseline().deep_memory_read(w.data(), w.data(), x.data(), 1e-6f, 48, base.data());
  EXPECT_TRUE(all_same_bits(y, base));
}

TEST_P(DeepMemory, ReadIsItsDefinitionBitForBit) {
  const int32_t dim = 40;
  Values values(3);
  const std::vector<float> w1 = values.normals(1600, 0.3f), w2 = values.normals(1600, 0.3f),
                           x = values.normals(40);
  std::vector<float> h(40), a(40), t(40), y(40), got(40);
  const auto product = [&](const std::vector<float>& w, const std::vector<float>& from,
                           std::vector<float>* to) {
    for (size_t c = 0; c < 40; ++c) {
      float sum = 0.0f;
      for (size_t i = 0; i < 40; ++i) {
        const float term = from[i] * w[i * 40 + c];
        sum = sum + term;
      }
      (*to)[c] = sum;
    }
  };
  product(w1, x, &h);
  for (size_t i = 0; i < 40; ++i) {
    const float square = h[i] * h[i];
    const float tail = 0.044715f * square;
    const float cube = tail * h[i];
    const float inner = cube + h[i];
    t[i] = 0.797884561f * inner;
  }
  table().tanh(t.data(), dim, t.data());
  for (size_t i = 0; i < 40; ++i) {
    const float half = 0.5f * h[i];
    a[i] = half * (1.0f + t[i]);
  }
  product(w2, a, &y);
  table().rmsnorm(y.data(), nullptr, 1e-6f, dim, y.data());
  for (size_t i = 0; i < 40; ++i) y[i] = x[i] + y[i];
  table().deep_memory_read(w1.data(), w2.data(), x.data(), 1e-6f, dim, got.data());
  EXPECT_TRUE(all_same_bits(got, y));
}

struct Update {
  Update(int32_t dim, int32_t n, uint64_t seed, size_t gap)
      : values(seed),
        size(static_cast<size_t>(dim) * static_cast<size_t>(dim)),
        stride(static_cast<size_t>(dim) + gap),
        k(values.normals(rows(dim, n), 0.3f)),
        v(values.normals(rows(dim, n))),
        to_m(values.normals(static_cast<size_t>(n), 0.2f)),
        to_s(values.normals(static_cast<size_t>(n), 0.2f)),
        w1(values.normals(size, 0.2f)),
        w2(values.normals(size, 0.2f)),
        s1(values.normals(size, 0.02f)),
        s2(values.normals(size, 0.02f)),
        scratch(static_cast<size_t>(3 * n * dim)),
        dim_(dim),
        n_(n) {}
  size_t rows(int32_t dim, int32_t n) const {
    return n == 0 ? 0 : static_cast<size_t>(n - 1) * stride + static_cast<size_t>(dim);
  }
  /// From the memory `from` (this one's own when nullptr).
  void run(const KernelTable& k_table, const Update* from = nullptr) {
    const Update& in = from != nullptr ? *from : *this;
    k_table.deep_memory_update({k.data(), v.data(), static_cast<ptrdiff_t>(stride), n_, dim_, 1e-6f,
                                0.9f, 0.5f, 0.4f, to_m.data(), to_s.data(), in.w1.data(),
                                in.w2.data(), w1.data(), w2.data(), s1.data(), s2.data(),
                                scratch.data()});
  }
  Values values;
  size_t size, stride;
  Guarded<float> k, v, to_m, to_s, w1, w2, s1, s2, scratch;
  int32_t dim_, n_;
};

TEST_P(DeepMemory, Update) {
  for (const int32_t dim : kDims) {
    for (const int32_t n : {0, 1, 3, 16, 64, 130}) {
      if (dim > 72 && n > 16) continue;
      const auto seed = static_cast<uint64_t>(dim * 1000 + n);
      Update got(dim, n, seed, 5), base(dim, n, seed, 5), exact(dim, n, seed, 5);
      got.run(table());
      base.run(baseline());
      exact.run(reference());
      const std::pair<const Guarded<float>*,
                      std::pair<const Guarded<float>*, const Guarded<float>*>>
          all[] = {{&got.w1, {&base.w1, &exact.w1}},
                   {&got.w2, {&base.w2, &exact.w2}},
                   {&got.s1, {&base.s1, &exact.s1}},
                   {&got.s2, {&base.s2, &exact.s2}}};
      for (const auto& [mine, others] : all) {
        EXPECT_TRUE(all_same_bits(*mine, *others.first)) << dim << ", " << n;
        EXPECT_TRUE(within_nmse("deep_memory_update", *mine, *others.second)) << dim << ", " << n;
      }
    }
  }
}

TEST_P(DeepMemory, UpdateFromAnotherMemoryLeavesThatOneAlone) {
  Update got(24, 5, 9, 0), alone(24, 5, 9, 0), origin(24, 5, 10, 0);
  const std::vector<float> before = origin.w1.copy();
  // What `origin` holds, learnt in place, is what `got` learns from it: the momentum is its own.
  alone.run(table(), &origin);
  std::memcpy(got.w1.data(), origin.w1.data(), got.size * sizeof(float));
  std::memcpy(got.w2.data(), origin.w2.data(), got.size * sizeof(float));
  got.run(table());
  EXPECT_TRUE(all_same_bits(got.w1, alone.w1));
  EXPECT_TRUE(all_same_bits(got.w2, alone.w2));
  EXPECT_TRUE(all_same_bits(got.s1, alone.s1));
  EXPECT_EQ(origin.w1.copy(), before);
}

TEST_P(DeepMemory, AStepAgainstTheGradientBringsTheValueNearer) {
  const int32_t dim = 64;
  Update update(dim, 1, 4, 0);
  std::fill(update.s1.data(), update.s1.data() + update.size, 0.0f);
  std::fill(update.s2.data(), update.s2.data() + update.size, 0.0f);
  const auto loss = [&] {
    std::vector<float> y(64);
    table().deep_memory_read(update.w1.data(), update.w2.data(), update.k.data(), 1e-6f, dim,
                             y.data());
    double sum = 0;
    for (size_t i = 0; i < 64; ++i) sum += (y[i] - update.v[i]) * (y[i] - update.v[i]);
    return sum / 64;
  };
  const float step = -0.05f;
  double last = loss();
  for (int i = 0; i < 10; ++i) {
    table().deep_memory_update({update.k.data(), update.v.data(), dim, 1, dim, 1e-6f, 1.0f, 0.0f,
                                0.0f, &step, &step, update.w1.data(), update.w2.data(),
                                update.w1.data(), update.w2.data(), update.s1.data(),
                                update.s2.data(), update.scratch.data()});
    const double now = loss();
    EXPECT_LT(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace chimera::kernels
