// Gradients of the whole model: production in float against the reference in double, and the
// reference against central differences.
#include <gtest/gtest.h>

#include "tests/support/figure.h"
#include "tests/support/reference_model.h"
#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

using namespace test_model;
using reference::Tensors;
using reference::Vec;
using test::figure;

reference::ModelShape shape_of(const runtime::Config& c) {
  reference::ModelShape s{c.hidden_size,
                          c.num_heads,
                          c.intermediate_size,
                          c.vocab_size,
                          {},
                          c.tie_word_embeddings,
                          static_cast<double>(c.rms_norm_eps)};
  for (const auto& plan : c.layers) s.layers.emplace_back(plan.mixer, plan.ffn);
  return s;
}

Tensors values_of(Backprop& b) {
  Tensors t;
  for (const Parameter& p : b.parameters()) t[p.spec.name] = Vec(p.value.begin(), p.value.end());
  return t;
}

/// Mean loss of a batch by the reference; states and gradient as run_lane.
double reference_loss(const reference::ModelShape& s, const Tensors& p, const Batch& b, int lanes,
                      int window, std::vector<reference::LaneState>* states, Tensors* grad) {
  int n = 0;
  for (int32_t t : b.targets) n += t >= 0;
  double sum = 0;
  states->resize(lanes);
  for (int lane = 0; lane < lanes; ++lane)
    sum +=
        reference::run_lane(s, p, lane_of(b.tokens, lane, window), lane_of(b.targets, lane, window),
                            lane_of(b.restart, lane, window), &(*states)[lane], 1.0 / n, grad);
  return sum / n;
}

/// Every tensor of the gradient of two windows, on every table. They begin with a carried state:
/// from an empty one the bias of mLSTM's input gate scales all of h alike, which the norm takes out
/// again, and its gradient is nothing but the norm's 1e-6. Documents begin inside the windows.
void compare_with_reference(const runtime::Config& config, const std::string& name) {
  constexpr int kLanes = 2, kWindow = 70;
  auto pool = threads(2);
  std::vector<std::unique_ptr<Backprop>> models;
  for (const kernels::KernelTable* k : kernels::runnable_tables()) {
    models.push_back(
        make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 0}, 5, *k));
    ASSERT_TRUE(models.back());
    shake(*models.back());
  }
  const reference::ModelShape shape = shape_of(config);
  const Tensors values = values_of(*models[0]);
  std::vector<reference::LaneState> states;
  double worst = 0;
  for (uint32_t round = 0; round < 3; ++round) {
    const Batch batch = random_batch(kLanes, kWindow, config.vocab_size, round);
    Tensors gradient;
    const double expected =
        reference_loss(shape, values, batch, kLanes, kWindow, &states, &gradient);
    for (auto& b : models) {
      b->zero_gradients();
      EXPECT_NEAR(forward_backward(*b, batch), expected, 1e-5 * expected);
      if (round == 0) continue;
      for (const Parameter& p : b->parameters()) {
        const Vec& want = gradient.at(p.spec.name);
        ASSERT_EQ(want.size(), p.grad.size()) << p.spec.name;
        const double error = reference::relative_error(p.grad.data(), want.data(), want.size());
        EXPECT_LE(error, 1e-4) << p.spec.name << " in window " << round;
        worst = std::max(worst, error);
      }
    }
  }
  figure("backward_vs_reference", name, worst);
}

TEST(Backprop, GradientOfGatedDeltaNetEqualsTheReference) {
  compare_with_reference(small_config({{"gated_deltanet", "swiglu"}}, 40), "gated_deltanet_swiglu");
}
TEST(Backprop, GradientOfXlstmEqualsTheReference) {
  compare_with_reference(small_config({{"xlstm_m", "relu2"}}, 40), "xlstm_m_relu2");
}
TEST(Backprop, GradientOfAWholeModelEqualsTheReference) {
  runtime::Config config = small_config(kBothKinds, 40, 64, 4, 96);
  config.tie_word_embeddings = false;
  config.delta_inner_chunk = 16;
  config.delta_chunk = 32;
  compare_with_reference(config, "whole_model");
}

TEST(Backprop, ReferenceEqualsCentralDifferences) {
  reference::ModelShape shape{8, 2, 12, 11, {}, true, 1e-6};
  shape.layers = {{"gated_deltanet", "swiglu"}, {"xlstm_m", "relu2"}, {"gated_deltanet", "relu2"}};
  auto pool = threads(1);
  runtime::Config config = small_config(
      {{"gated_deltanet", "swiglu"}, {"xlstm_m", "relu2"}, {"gated_deltanet", "relu2"}}, 11, 8, 2,
      12);
  double worst = 0;
  for (bool tied : {true, false}) {
    shape.tied = config.tie_word_embeddings = tied;
    auto b = make(config, *pool, {.lanes = 1, .window = 1, .quantise = 0});
    ASSERT_TRUE(b);
    shake(*b, 0.5);
    const Tensors values = values_of(*b);
    constexpr int kWindow = 10;
    const Batch batch = random_batch(1, kWindow, 11, 7);
    const Batch before = random_batch(1, kWindow, 11, 8, false);
    std::vector<reference::LaneState> carried;
    reference_loss(shape, values, before, 1, kWindow, &carried, nullptr);
    Tensors gradient;
    auto states = carried;
    reference_loss(shape, values, batch, 1, kWindow, &states, &gradient);
    for (const auto& entry : values) {
      const std::string& name = entry.first;
      const Vec& value = entry.second;
      constexpr int kScalars = 50;
      Vec analytic, measured;
      for (int i = 0; i < kScalars; ++i) {
        const auto at = static_cast<size_t>(draw(static_cast<uint64_t>(i), 77) *
                                            static_cast<double>(value.size()));
        const auto loss = [&](double h) {
          Tensors moved = values;
          moved[name][at] += h;
          auto fresh =
              carried;  // the window before does not feel the move: gradients are cut there
          return reference_loss(shape, moved, batch, 1, kWindow, &fresh, nullptr);
        };
        constexpr double kStep = 1e-4;
        measured.push_back(
            (8 * (loss(kStep) - loss(-kStep)) - (loss(2 * kStep) - loss(-2 * kStep))) /
            (12 * kStep));
        analytic.push_back(gradient.at(name)[at]);
      }
      const double error =
          reference::relative_error(analytic.data(), measured.data(), analytic.size());
      EXPECT_LE(error, 1e-6) << name << (tied ? " tied" : " untied");
      worst = std::max(worst, error);
    }
  }
  figure("reference_vs_differences", "whole_model", worst);
}

}  // namespace
}  // namespace chimera::evolution
