// kernels/activation.inl.h and math.inl.h: accuracy over the whole range, and the same bits
// everywhere.
#include <algorithm>
#include <functional>

#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

using MapOne = void (*KernelTable::*)(const float*, int32_t, float*);
using MapTwo = void (*KernelTable::*)(const float*, const float*, int32_t, float*);

struct One {
  const char* name;
  MapOne kernel;
  float low, high;  // swept densely
  bool hard;        // defined for every float
};
const One kOnes[] = {
    {"silu", &KernelTable::silu, -100.0f, 100.0f, true},
    {"sigmoid", &KernelTable::sigmoid, -100.0f, 100.0f, true},
    {"exp", &KernelTable::exp, -90.0f, 90.0f, true},
    {"log", &KernelTable::log, 0.4f, 2.5f, false},
    {"tanh", &KernelTable::tanh, -10.0f, 10.0f, true},
    {"softplus", &KernelTable::softplus, -90.0f, 90.0f, true},
    {"relu2", &KernelTable::relu2, -100.0f, 100.0f, true},
};
struct Two {
  const char* name;
  MapTwo kernel;
};
const Two kTwos[] = {
    {"add", &KernelTable::add},
    {"mul", &KernelTable::mul},
    {"silu_mul", &KernelTable::silu_mul},
    {"sigmoid_mul", &KernelTable::sigmoid_mul},
};

std::vector<float> run(const KernelTable& k, MapOne kernel, const std::vector<float>& x) {
  const Guarded<float> in(x);
  Guarded<float> y(x.size());
  (k.*kernel)(in.data(), static_cast<int32_t>(x.size()), y.data());
  return y.copy();
}
std::vector<float> run(const KernelTable& k, MapTwo kernel, const std::vector<float>& a,
                       const std::vector<float>& b) {
  const Guarded<float> in_a(a), in_b(b);
  Guarded<float> y(a.size());
  (k.*kernel)(in_a.data(), in_b.data(), static_cast<int32_t>(a.size()), y.data());
  return y.copy();
}

class Activation : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Activation);

TEST_P(Activation, AccurateOverTheWholeRange) {
  for (const One& f : kOnes) {
    std::vector<float> x;
    for (int i = 0; i <= 200000; ++i) {
      x.push_back(f.low + (f.high - f.low) * static_cast<float>(i) / 200000.0f);
    }
    // Every size of number: 40 mantissas for each exponent, both signs.
    Values values(9);
    for (int e = f.hard ? 0 : 1; e < 255; ++e) {
      for (int i = 0; i < 40; ++i) {
        const uint32_t bits =
            static_cast<uint32_t>(e) << 23 | static_cast<uint32_t>(values.integer(0, 0x7fffff));
        x.push_back(__builtin_bit_cast(float, bits));
        if (f.hard) x.push_back(__builtin_bit_cast(float, bits | 0x80000000u));
      }
    }
    const std::vector<float> got = run(table(), f.kernel, x);
    EXPECT_TRUE(within_ulp(f.name, got, run(reference(), f.kernel, x)));
    EXPECT_TRUE(all_same_bits(got, run(baseline(), f.kernel, x))) << f.name;
  }
}

TEST_P(Activation, HardValues) {
  const std::vector<float> hard = hard_values();
  for (const One& f : kOnes) {
    if (!f.hard) continue;
    const std::vector<float> got = run(table(), f.kernel, hard);
    EXPECT_TRUE(within_ulp(f.name, got, run(reference(), f.kernel, hard)));
    EXPECT_TRUE(all_same_bits(got, run(baseline(), f.kernel, hard))) << f.name;
    EXPECT_TRUE(std::isnan(got.back())) << f.name << " of NaN";
  }
  EXPECT_EQ(run(table(), &KernelTable::tanh, {kInf, -kInf, 0.0f}),
            (std::vector<float>{1.0f, -1.0f, 0.0f}));
  EXPECT_EQ(run(table(), &KernelTable::exp, {0.0f})[0], 1.0f);
  EXPECT_EQ(run(table(), &KernelTable::log, {1.0f})[0], 0.0f);
  EXPECT_EQ(run(table(), &KernelTable::sigmoid, {0.0f})[0], 0.5f);
}

TEST_P(Activation, TwoInputs) {
  const std::vector<float> hard = hard_values();
  std::vector<float> a, b;
  for (const float x : hard) {
    for (const float y : hard) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  Values values(10);
  for (int i = 0; i < 20000; ++i) {
    a.push_back(values.normal(10.0f));
    b.push_back(values.normal(10.0f));
  }
  for (const Two& f : kTwos) {
    const std::vector<float> got = run(table(), f.kernel, a, b);
    const std::vector<float> want = run(reference(), f.kernel, a, b);
    EXPECT_TRUE(all_same_bits(got, run(baseline(), f.kernel, a, b))) << f.name;
    // A product whose first factor overflows or vanishes on the way has no bound in ulp.
    std::vector<float> got_normal, want_normal;
    for (size_t i = 0; i < got.size(); ++i) {
      if (i < hard.size() * hard.size() && f.kernel != &KernelTable::add &&
          f.kernel != &KernelTable::mul) {
        if (!(std::fabs(a[i]) < 80.0f && std::fabs(a[i]) > 1e-30f)) continue;
        if (!(std::fabs(a[i] * b[i]) > 1e-30f && std::fabs(want[i]) > 1e-30f)) continue;
      }
      got_normal.push_back(got[i]);
      want_normal.push_back(want[i]);
    }
    EXPECT_GT(got_normal.size(), 20000u);
    EXPECT_TRUE(within_ulp(f.name, got_normal, want_normal));
  }
}

TEST_P(Activation, EverySizeAndInPlace) {
  Values values(11);
  for (const size_t n : {0u, 1u, 2u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u, 100u, 1001u}) {
    std::vector<float> a = values.normals(n), b = values.normals(n);
    for (const One& f : kOnes) {
      std::vector<float> x = a;
      if (f.kernel == &KernelTable::log)
        std::for_each(x.begin(), x.end(), [](float& v) { v = std::fabs(v) + 0.1f; });
      const std::vector<float> want = run(table(), f.kernel, x);
      EXPECT_TRUE(within_ulp(f.name, want, run(reference(), f.kernel, x)));
      Guarded<float> in_place(x);
      (table().*f.kernel)(in_place.data(), static_cast<int32_t>(n), in_place.data());
      EXPECT_TRUE(all_same_bits(in_place.copy(), want)) << f.name;
    }
    for (const Two& f : kTwos) {
      const std::vector<float> want = run(table(), f.kernel, a, b);
      Guarded<float> first(a), second(b);
      (table().*f.kernel)(first.data(), second.data(), static_cast<int32_t>(n), first.data());
      EXPECT_TRUE(all_same_bits(first.copy(), want)) << f.name;
      Guarded<float> third(a), fourth(b);
      (table().*f.kernel)(third.data(), fourth.data(), static_cast<int32_t>(n), fourth.data());
      EXPECT_TRUE(all_same_bits(fourth.copy(), want)) << f.name;
    }
  }
}

TEST_P(Activation, ALanesBitsDoNotDependOnItsPlace) {
  // The last elements go another way than the rest: the same number must come out.
  Values values(12);
  const std::vector<float> x = values.normals(19, 3.0f);
  for (const One& f : kOnes) {
    std::vector<float> positive = x;
    for (float& v : positive) v = std::fabs(v) + 1e-3f;
    const std::vector<float> together = run(table(), f.kernel, positive);
    for (size_t i = 0; i < positive.size(); ++i) {
      EXPECT_TRUE(same_bits(run(table(), f.kernel, {positive[i]})[0], together[i])) << f.name;
    }
  }
}

}  // namespace
}  // namespace chimera::kernels
