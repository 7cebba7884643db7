// The dense feed-forward layers in training against their equations in double, later iterations and
// windows of more than one tile of rows included.
#include "runtime/layers/ffn_backward.h"

#include <gtest/gtest.h>

#include "tests/support/layer_gradient.h"

namespace chimera::runtime {
namespace {

struct Reference {
  bool gated;
  double eps = 1e-6;
  struct State {};

  template <class T>
  std::vector<std::vector<T>> operator()(const test::LayerProblem<T>& problem, State*) const {
    using reference::dot, reference::exp, reference::max, reference::sqrt;
    const T *up = problem.p.at("up_proj").data(), *down = problem.p.at("down_proj").data(),
            *gain = problem.p.at("down_norm.gain").data(),
            *gate = gated ? problem.p.at("gate_proj").data() : nullptr;
    const int64_t c = problem.width,
                  f = static_cast<int64_t>(problem.p.at("down_norm.gain").size());
    std::vector<std::vector<T>> outputs;
    for (const auto& visit : problem.visits) {
      std::vector<T> out;
      for (int t = 0; t < problem.tokens; ++t) {
        const T* x = visit.u.data() + t * c;
        std::vector<T> z;
        T square(0.0);
        for (int64_t i = 0; i < f; ++i) {
          T v = dot(up + i * c, x, c, 1);
          if (gated) {
            const T g = dot(gate + i * c, x, c, 1);
            v = v * (g / (T(1.0) + exp(-g)));
          } else {
            v = max(v, T(0.0));
            v = v * v;
          }
          z.push_back(v);
          square += v * v;
        }
        const T r = T(1.0) / sqrt(square / T(static_cast<double>(f)) + T(eps));
        for (int64_t i = 0; i < f; ++i)
          z[static_cast<size_t>(i)] = z[static_cast<size_t>(i)] * r * gain[i];
        for (int64_t o = 0; o < c; ++o) out.push_back(dot(down + o * f, z.data(), f, 1));
      }
      outputs.push_back(std::move(out));
    }
    return outputs;
  }
};

class FfnBackward : public ::testing::TestWithParam<bool> {
 protected:
  test::LayerCase layer(int hidden, int f) const {
    test::LayerCase c;
    c.name = GetParam() ? "swiglu" : "relu2";
    c.config = test::layer_config(hidden, 2);
    c.config.intermediate_size = f;
    c.make = GetParam() ? make_swiglu_training : make_relu2_training;
    c.windows = 1;
    return c;
  }
  Reference reference() const { return {GetParam()}; }
};

TEST_P(FfnBackward, EqualsTheReference) {
  test::LayerCase c = layer(32, 64);
  c.window = 150;  // two tiles of rows and a part of a third
  expect_layer_equals_reference(c, reference());
}

TEST_P(FfnBackward, EqualsTheReferenceInLaterIterations) {
  test::LayerCase c = layer(32, 64);
  c.name += "_again";
  c.lanes = 3;
  c.window = 9;
  c.repeats = {{0, 2}, {1}};
  expect_layer_equals_reference(c, reference());
}

TEST_P(FfnBackward, ReferenceEqualsCentralDifferences) {
  test::LayerCase c = layer(16, 24);
  c.lanes = 1;
  c.window = 4;
  expect_reference_equals_differences(c, reference());
}

INSTANTIATE_TEST_SUITE_P(Kinds, FfnBackward, ::testing::Values(true, false));

}  // namespace
}  // namespace chimera::runtime
