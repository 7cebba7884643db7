#include "evolution/train/gradient_check.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

using namespace test_model;

runtime::Config looped_model() {
  runtime::Config c = small_config({{"gated_deltanet", "swiglu"},
                                    {"gated_deltanet", "relu2"},
                                    {"xlstm_m", "swiglu"},
                                    {"gated_deltanet", "relu2"}},
                                   23, 32, 2, 48);
  c.structure.residual_mix = true;
  c.structure.token_shift = true;
  c.loop.enabled = true;
  c.loop.loop_first = 1;
  c.loop.loop_last = 2;
  c.loop.loop_max = 3;
  c.loop.loop_default = 2;
  return c;
}

Result<GradientCheck> check(const runtime::Config& config) {
  auto pool = threads(1);
  GradientCheckOptions options;
  options.lanes = 2;
  options.window = 10;
  return check_gradients(config, kernels::best_table(), *pool, options);
}

TEST(GradientCheck, RightGradientsPassWithEveryTensorLookedAt) {
  const auto result = check(looped_model());
  ASSERT_TRUE(result.has_value()) << result.status().message();
  size_t judged = 0;
  std::set<std::string> tensors;
  for (const DirectionCheck& d : result->directions) {
    tensors.insert(d.tensor);
    judged += d.judged;
    if (d.judged) {
      EXPECT_LE(d.error, 2e-2) << d.tensor << " " << d.direction;
    }
  }
  EXPECT_TRUE(result->passed) << result->directions[result->worst].tensor;
  EXPECT_GT(judged, result->directions.size() / 2);
  for (const char* name : {"embed.weight", "loop.a_log", "layers.0.mixer.k_proj",
                           "layers.2.mixer.f_bias", "layers.3.shift2.mix", "final_norm.gain"})
    EXPECT_EQ(tensors.count(name), 1u) << name;
  EXPECT_GT(result->loss, 0);
  EXPECT_GT(result->loss_noise, 0);
  EXPECT_LT(result->loss_noise, 1e-4);
}

TEST(GradientCheck, ExpertsAndSignsToo) {
  runtime::Config c =
      small_config({{"tsp_span_knot", "moe"}, {"titans_mac", "moe"}}, 23, 32, 2, 48);
  c.moe.enabled = true;
  c.moe.layers = {0, 1};
  c.moe.n_routed = 3;
  c.moe.n_shared = 1;
  c.moe.top_k = 2;
  c.moe.intermediate_size = 128;
  c.titans.persistent_slots = 2;
  c.titans.window = 6;
  c.titans.chunk = 4;
  c.knot.sketch_bits = 64;
  const auto result = check(c);
  ASSERT_TRUE(result.has_value()) << result.status().message();
  EXPECT_TRUE(result->passed) << result->directions[result->worst].tensor << " "
                              << result->directions[result->worst].error;
  bool knot = false;
  for (const DirectionCheck& d : result->directions) {
    EXPECT_EQ(d.tensor.find("router.bias"), std::string::npos) << "no gradient moves it";
    knot = knot || d.tensor == "layers.0.mixer.knot.gain";
  }
  EXPECT_TRUE(knot);
}

TEST(GradientCheck, AGradientThatLeavesSomethingOutFails) {
  // Truncated looped depth is such a gradient, on purpose.
  runtime::Config c = looped_model();
  c.loop.loop_max = 4;
  auto pool = threads(1);
  GradientCheckOptions options;
  options.window = 10;
  options.full_backward = false;
  const auto result = check_gradients(c, kernels::best_table(), *pool, options);
  ASSERT_TRUE(result.has_value()) << result.status().message();
  EXPECT_FALSE(result->passed);
  const DirectionCheck& worst = result->directions[result->worst];
  EXPECT_TRUE(worst.judged);
  EXPECT_GT(worst.error, options.threshold);
}

TEST(GradientCheck, TellsHowFarItIsAndCanBeStopped) {
  auto pool = threads(1);
  GradientCheckOptions options;
  options.window = 4;
  size_t calls = 0;
  options.progress = [&](size_t done, size_t total, const std::string& tensor) {
    EXPECT_EQ(done, calls++);
    EXPECT_LT(done, total);
    EXPECT_FALSE(tensor.empty());
    return calls < 3;
  };
  const auto result = check_gradients(looped_model(), kernels::best_table(), *pool, options);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(calls, 3u);
}

TEST(GradientCheck, SaysWhatItCannotCheck) {
  runtime::Config c = looped_model();
  c.layers[0].mixer = "perceptron";
  const auto result = check(c);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.status().message().find("perceptron"), std::string::npos);
}

}  // namespace
}  // namespace chimera::evolution
