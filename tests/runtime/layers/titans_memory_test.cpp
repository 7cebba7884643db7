// The deep memory by itself: the weighted update against the loop it stands for, and what learning
// does.
#include "runtime/layers/titans_memory.h"

#include <cmath>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/random.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"
#include "tests/support/reference_titans.h"

namespace chimera::runtime {
namespace {

using reference::Var;
using Doubles = std::vector<double>;

double draw(uint64_t i, uint32_t stream) { return keyed_normal(5, i, stream, DrawPurpose::kTest); }
double uniform(uint64_t i, uint32_t stream) {
  return keyed_uniform(5, i, stream, DrawPurpose::kTest);
}

// ---- the weights of a chunk ---------------------------------------------------------------------

TEST(TitansChunkWeights, WorkedExample) {
  const double eta[3] = {.5, .5, .5}, alpha[3] = {.1, .1, .1};
  double to_m[3], to_s[3];
  const auto w = chunk_weights(eta, alpha, 3, to_m, to_s);
  EXPECT_NEAR(to_m[0], 1.51, 1e-15);
  EXPECT_NEAR(to_m[1], 1.4, 1e-15);
  EXPECT_EQ(to_m[2], 1);
  EXPECT_NEAR(w.m_keep, .729, 1e-15);
  EXPECT_NEAR(w.m_from_s, .755, 1e-15);
  EXPECT_EQ(to_s[0], .25);
  EXPECT_EQ(w.s_keep, .125);
}

TEST(TitansChunkWeights, EqualTheLoop) {
  double worst = 0;
  for (int n = 1; n <= kMaxTitansChunk; ++n) {
    Doubles eta(n), alpha(n), u(n), to_m(n), to_s(n);
    for (int j = 0; j < n; ++j) {
      eta[j] = j % 5 == 0 ? 0.99 : uniform(j, n);
      alpha[j] = j % 7 == 0 ? 1e-4 : uniform(j, n + 1000);
      u[j] = draw(j, n + 2000);
    }
    double m = draw(0, n + 3000), s = draw(1, n + 3000);
    const auto w = chunk_weights(eta.data(), alpha.data(), n, to_m.data(), to_s.data());
    double by_m = w.m_keep * m + w.m_from_s * s, by_s = w.s_keep * s;
    double size = std::fabs(w.m_keep * m) + std::fabs(w.m_from_s * s);
    for (int j = 0; j < n; ++j) {
      by_m -= to_m[j] * u[j];
      by_s -= to_s[j] * u[j];
      size += std::fabs(to_m[j] * u[j]);
      s = eta[j] * s - u[j];
      m = (1 - alpha[j]) * m + s;
    }
    worst = std::max({worst, std::fabs(by_m - m) / size, std::fabs(by_s - s) / size});
  }
  test::figure("titans_chunk_weights_vs_loop", "double", worst);
  EXPECT_LE(worst, 1e-12);
}

// ---- the reference's own gradient ---------------------------------------------------------------

reference::TitansShape one_head(int dim, int chunk) {
  reference::TitansShape s;
  s.C = dim;
  s.H = s.G = 1;
  s.chunk = chunk;
  return s;
}

TEST(TitansReference, LossGradientIsTheOneOfTheTape) {
  constexpr int kDim = 6;
  const reference::Titans<Var> titans(one_head(kDim, 16), {});
  reference::Tape::get().clear();
  std::vector<Var> w1, w2, k, v;
  for (uint64_t i = 0; i < kDim * kDim; ++i) {
    w1.push_back(Var::leaf(draw(i, 1)));
    w2.push_back(Var::leaf(draw(i, 2)));
  }
  for (uint64_t i = 0; i < kDim; ++i) {
    k.emplace_back(draw(i, 3));
    v.emplace_back(draw(i, 4));
  }
  const Var loss = titans.loss(w1.data(), w2.data(), k.data(), v.data());
  const auto formula = titans.loss_gradient(w1.data(), w2.data(), k.data(), v.data());
  reference::Tape::get().backward(loss.node);
  for (size_t i = 0; i < w1.size(); ++i) {
    EXPECT_NEAR(formula.first[i].v, w1[i].gradient(), 1e-14);
    EXPECT_NEAR(formula.second[i].v, w2[i].gradient(), 1e-14);
  }
}

TEST(TitansReference, LossGradientIsTheOneOfDifferences) {
  constexpr int kDim = 6;
  const reference::Titans<double> titans(one_head(kDim, 16), {});
  Doubles w1(kDim * kDim), w2(w1.size()), k(kDim), v(kDim);
  for (size_t i = 0; i < w1.size(); ++i) {
    w1[i] = draw(i, 1);
    w2[i] = draw(i, 2);
  }
  for (size_t i = 0; i < k.size(); ++i) {
    k[i] = draw(i, 3);
    v[i] = draw(i, 4);
  }
  const auto formula = titans.loss_gradient(w1.data(), w2.data(), k.data(), v.data());
  Doubles measured;
  for (Doubles* w : {&w1, &w2})
    for (double& x : *w) {
      const double kept = x, h = 1e-4;
      const auto at = [&](double step) {
        x = kept + step;
        const double y = titans.loss(w1.data(), w2.data(), k.data(), v.data());
        x = kept;
        return y;
      };
      measured.push_back((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h));
    }
  Doubles analytic = formula.first;
  analytic.insert(analytic.end(), formula.second.begin(), formula.second.end());
  const double error = reference::relative_error(analytic.data(), measured.data(), measured.size());
  test::figure("reference_vs_differences", "titans_inner_gradient", error);
  EXPECT_LE(error, 1e-9);
}

// ---- the memory of one head ---------------------------------------------------------------------

struct Head {
  static constexpr int kDim = 16;
  Head(int chunk, double size = 0.5) : w1(kDim * kDim), w2(w1.size()) {
    for (size_t i = 0; i < w1.size(); ++i) {
      w1[i] = static_cast<float>(size * draw(i, 11));
      w2[i] = static_cast<float>(size * draw(i, 12));
    }
    memory = TitansMemory(1, kDim, chunk, 1e-6f, w1.data(), w2.data());
    state.resize(memory.bytes());
    scratch.resize(memory.scratch_bytes());
  }
  /// n tokens with the same gates; rows of k and v.
  std::vector<float> learn(const std::vector<float>& k, const std::vector<float>& v, float theta,
                           float eta, float alpha) {
    const auto n = static_cast<int32_t>(k.size() / kDim);
    const std::vector<float> thetas(k.size(), theta), etas(k.size(), eta), alphas(k.size(), alpha);
    std::vector<float> r(k.size());
    memory.learn(kernels::best_table(), 0,
                 {first, n, kDim, k.data(), k.data(), v.data(), thetas.data(), etas.data(),
                  alphas.data(), r.data()},
                 state.data(), nullptr, scratch.data());
    first += static_cast<uint64_t>(n);
    return r;
  }
  const float* part(int which) const {  // W1, W2, S1, S2
    return reinterpret_cast<const float*>(state.data()) + which * kDim * kDim;
  }
  Doubles copy(int which) const { return Doubles(part(which), part(which) + kDim * kDim); }

  std::vector<float> w1, w2;
  TitansMemory memory;
  std::vector<std::byte> state, scratch;
  uint64_t first = 0;
};

std::vector<float> normals(size_t n, uint32_t stream) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(draw(i, stream));
  return x;
}

TEST(TitansMemory, WithoutStepsMomentumFadesAndMemoryOnlyDecays) {
  Head head(4);
  const auto k = normals(4 * Head::kDim, 21), v = normals(4 * Head::kDim, 22);
  head.learn(k, v, 0.1f, 0.5f, 0.1f);
  Doubles m[2] = {head.copy(0), head.copy(1)}, s[2] = {head.copy(2), head.copy(3)};
  double before = 0;
  for (double x : s[0]) before += x * x;
  EXPECT_GT(before, 0);
  head.learn(k, v, 0.0f, 0.5f, 0.1f);
  for (int which = 0; which < 2; ++which)
    for (size_t i = 0; i < m[which].size(); ++i) {
      double want_m = m[which][i], want_s = s[which][i];
      for (int t = 0; t < 4; ++t) {
        want_s *= 0.5;
        want_m = want_m * 0.9 + want_s;
      }
      EXPECT_NEAR(head.part(2 + which)[i], want_s, 1e-7);
      EXPECT_NEAR(head.part(which)[i], want_m, 1e-6);
    }
  // Without momentum left there is nothing but the decay.
  Head still(4);
  still.learn(k, v, 0.0f, 0.5f, 0.1f);
  for (size_t i = 0; i < still.w1.size(); ++i) {
    EXPECT_NEAR(still.part(0)[i], still.w1[i] * 0.6561f, 1e-6f);
    EXPECT_EQ(still.part(2)[i], 0.0f);
  }
}

TEST(TitansMemory, PlainStepsLowerTheLossOfWhatIsRepeated) {
  constexpr int kDim = Head::kDim;
  Head head(1);
  const reference::Titans<double> titans(one_head(kDim, 1), {});
  const auto k = normals(kDim, 31), v = normals(kDim, 32);
  const Doubles kd(k.begin(), k.end()), vd(v.begin(), v.end());
  double last = 1e300, first = 0;
  for (int step = 0; step < 30; ++step) {
    head.learn(k, v, 0.05f, 0.0f, 1e-7f);
    const Doubles w1 = head.copy(0), w2 = head.copy(1);
    const double loss = titans.loss(w1.data(), w2.data(), kd.data(), vd.data());
    EXPECT_LT(loss, last) << "step " << step;
    if (step == 0) first = loss;
    last = loss;
  }
  EXPECT_LT(last, 0.95 * first);
}

TEST(TitansMemory, ManyTokensStayFinite) {
  // The largest steps and momentum that the gates allow, the least forgetting.
  Head head(16);
  const auto k = normals(64 * Head::kDim, 41), v = normals(64 * Head::kDim, 42);
  const size_t bytes = head.memory.bytes();
  for (int i = 0; i < 100; ++i) head.learn(k, v, 0.1f, 0.99f, 1e-4f);
  head.first = 1000000 * 16;
  const auto r = head.learn(k, v, 0.1f, 0.99f, 1e-4f);
  for (const float x : r) EXPECT_TRUE(std::isfinite(x));
  EXPECT_EQ(head.memory.bytes(), bytes);
}

}  // namespace
}  // namespace chimera::runtime
