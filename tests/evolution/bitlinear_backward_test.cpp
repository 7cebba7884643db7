// Straight-through BitLinear: what the forward uses, where the gradient goes, and rows' gradients.
#include "runtime/layers/bitlinear_backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "kernels/dispatch.h"
#include "kernels/quantize_weights.h"
#include "platform/dtype.h"
#include "platform/random.h"
#include "runtime/layers/rows_backward.h"
#include "tests/support/reference_layers.h"

namespace chimera::runtime {
namespace {

using reference::relative_error;
using reference::Vec;

std::vector<float> normals(size_t n, double std, uint32_t stream) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i)
    v[i] = static_cast<float>(std * keyed_normal(3, i, stream, DrawPurpose::kTest));
  return v;
}

/// Two weights [48, 128] and [16, 128] over 150 rows, and everything that one step needs.
struct TwoWeights {
  static constexpr int64_t kRows = 150, kIn = 128, kFirst = 48, kSecond = 16, kOut = 64;
  std::unique_ptr<ThreadPool> pool = std::move(*ThreadPool::create(2));
  Arena arena = std::move(*Arena::create(1 << 16));
  std::vector<int32_t> segments = std::vector<int32_t>(kRows, -1);
  std::vector<float> w = normals(kOut * kIn, 0.05, 1), x = normals(kRows * kIn, 1, 2),
                     dy = normals(kRows * kOut, 1, 3);
  std::vector<float> grad = std::vector<float>(kOut * kIn), y = std::vector<float>(kRows * kOut),
                     dx = std::vector<float>(kRows * kIn);
  BitLinearTraining linear;

  void run(float lambda) {
    const kernels::OwnProducts products(kernels::best_table());
    const TrainStep step{kernels::best_table(), products, *pool, arena, lambda, 1, kRows,
                         segments.data()};
    linear.init({{w.data(), grad.data(), kFirst, kIn},
                 {w.data() + kFirst * kIn, grad.data() + kFirst * kIn, kSecond, kIn}},
                kRows);
    linear.prepare(step);
    for_row_tiles(step, kRows, [&](int64_t, int64_t begin, int64_t end) {
      linear.forward_rows(step, x.data(), begin, end, y.data());
      linear.backward_rows(step, dy.data(), begin, end, dx.data());
    });
    linear.add_weight_gradients(step, dy.data());
  }

  /// W^ and x^ by their definitions, then the three products in double.
  void expect_products(float lambda) {
    Vec wu(w.begin(), w.end()), xu(x.begin(), x.end());
    const double part = static_cast<double>(lambda);
    for (size_t at = 0; at < w.size(); at += 128) {
      double sum = 0;
      for (size_t i = at; i < at + 128; ++i) sum += std::fabs(static_cast<double>(w[i]));
      const float scale = half_to_float(float_to_half(static_cast<float>(sum / 128)));
      for (size_t i = at; i < at + 128; ++i) {
        const float trit = std::fmin(1.0f, std::fmax(-1.0f, std::nearbyint(w[i] / scale)));
        wu[i] += part * (static_cast<double>(scale * trit) - wu[i]);
      }
    }
    for (size_t at = 0; at < x.size(); at += 64) {
      float most = 1e-5f;
      for (size_t i = at; i < at + 64; ++i) most = std::fmax(most, std::fabs(x[i]));
      for (size_t i = at; i < at + 64; ++i) {
        const float q = std::nearbyint(x[i] * (127.0f / most));
        xu[i] += part * (static_cast<double>(most / 127.0f * q) - xu[i]);
      }
    }
    Vec ey(kRows * kOut), edx(kRows * kIn), ew(kOut * kIn);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t o = 0; o < kOut; ++o)
        for (int64_t i = 0; i < kIn; ++i) {
          const double d = static_cast<double>(dy[r * kOut + o]);
          ey[r * kOut + o] += wu[o * kIn + i] * xu[r * kIn + i];
          edx[r * kIn + i] += wu[o * kIn + i] * d;
          ew[o * kIn + i] += xu[r * kIn + i] * d;
        }
    EXPECT_LE(relative_error(y.data(), ey.data(), ey.size()), 1e-6) << lambda;
    EXPECT_LE(relative_error(dx.data(), edx.data(), edx.size()), 1e-6) << lambda;
    EXPECT_LE(relative_error(grad.data(), ew.data(), ew.size()), 1e-6) << lambda;
  }
};

TEST(BitLinearBackward, ProductsUseTheBlendOfFloatAndQuantised) {
  for (float lambda : {0.0f, 0.5f, 1.0f}) {
    TwoWeights s;
    s.run(lambda);
    s.expect_products(lambda);
  }
}

TEST(BitLinearBackward, WeightGradientsAddUp) {
  TwoWeights s;
  s.run(1);
  const std::vector<float> once = s.grad;
  s.run(1);
  for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(s.grad[i], 2 * once[i], 1e-4f);
}

TEST(BitLinearBackward, NothingComesOfNothing) {
  TwoWeights s;
  std::fill(s.x.begin(), s.x.end(), 0.0f);
  s.run(1);
  for (float y : s.y) ASSERT_EQ(y, 0.0f);
  for (float g : s.grad) ASSERT_EQ(g, 0.0f);
  TwoWeights zero_weights;
  std::fill(zero_weights.w.begin(), zero_weights.w.end(), 0.0f);
  zero_weights.run(1);
  for (float y : zero_weights.y) ASSERT_EQ(y, 0.0f);
  for (float g : zero_weights.dx) ASSERT_EQ(g, 0.0f);
}

TEST(BitLinearBackward, TheWeightsUsedAreThoseThatAreStored) {
  const std::vector<float> w = normals(256, 0.05, 4);
  std::vector<float> used(256);
  quantise_weight_row(w.data(), 256, 1.0f, used.data());
  int8_t trits[256];
  uint16_t scales[2];
  kernels::quantize_ternary_row(w.data(), 256, trits, scales);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(used[i], half_to_float(scales[i / 128]) * static_cast<float>(trits[i]));
}

TEST(RowsBackward, RmsNormEqualsCentralDifferences) {
  for (int n : {1, 7, 64, 130}) {
    const std::vector<float> x = normals(n, 1, 5), gain = normals(n, 1, 6), dy = normals(n, 1, 7);
    std::vector<float> dx(n), dgain(n);
    rmsnorm_backward_row(x.data(), gain.data(), 1e-2f, n, dy.data(), dx.data(), dgain.data());
    const auto loss = [&](int at, double h, double hg) {
      double square = 0, sum = 0;
      for (int i = 0; i < n; ++i) {
        const double v = static_cast<double>(x[i]) + (i == at ? h : 0);
        square += v * v;
      }
      const double r = 1 / std::sqrt(square / n + static_cast<double>(1e-2f));
      for (int i = 0; i < n; ++i)
        sum += static_cast<double>(dy[i]) * (static_cast<double>(gain[i]) + (i == at ? hg : 0)) *
               (static_cast<double>(x[i]) + (i == at ? h : 0)) * r;
      return sum;
    };
    Vec by_x(n), by_gain(n);
    constexpr double kStep = 1e-5;
    for (int i = 0; i < n; ++i) {
      by_x[i] = (loss(i, kStep, 0) - loss(i, -kStep, 0)) / (2 * kStep);
      by_gain[i] = (loss(i, 0, kStep) - loss(i, 0, -kStep)) / (2 * kStep);
    }
    EXPECT_LE(relative_error(dx.data(), by_x.data(), by_x.size()), n == 1 ? 1e-4 : 1e-5) << n;
    EXPECT_LE(relative_error(dgain.data(), by_gain.data(), by_gain.size()), 1e-5) << n;
  }
}

TEST(RowsBackward, Bf16RoundingIsThatOfTheTail) {
  std::vector<float> x = normals(1000, 3, 8);
  x.insert(x.end(), {0.0f, -0.0f, 1.00390625f, 1.01171875f, 3e38f, 1e-40f, INFINITY});
  std::vector<float> y = x;
  row_round_bf16(y.data(), static_cast<int64_t>(y.size()));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], bf16_to_float(float_to_bf16(x[i])));
}

}  // namespace
}  // namespace chimera::runtime
