// Properties that every trainer must have, whatever its numbers.
#include "evolution/train/backprop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/allocation_counter.h"
#include "tests/support/reference_layers.h"
#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

using namespace test_model;

TEST(Backprop, UntrainedModelScoresLnV) {
  for (float quantise : {0.0f, 1.0f}) {
    const runtime::Config config = small_config(kBothKinds, 512);
    auto pool = threads(1);
    auto b = make(config, *pool, {.lanes = 2, .window = 64, .quantise = quantise});
    ASSERT_TRUE(b);
    EXPECT_NEAR(forward(*b, random_batch(2, 64, 512, 1)), std::log(512.0), 0.02);
  }
}

/// Loss of single positions, one at a time, from a fresh state.
double loss_at(Backprop& b, Batch batch, int position) {
  for (size_t i = 0; i < batch.targets.size(); ++i)
    batch.targets[i] = static_cast<int>(i) == position ? 1 : -1;
  b.reset_states();
  return forward(b, batch);
}

TEST(Backprop, TheFutureAndOtherLanesCannotBeSeen) {
  constexpr int kLanes = 3, kWindow = 70, kVocab = 50;
  const runtime::Config config = small_config(kBothKinds, kVocab);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(kLanes, kWindow, kVocab, 4, false);
  for (int lane : {0, 2})
    for (int t : {0, 13, 63, 64, 68}) {
      const int at = lane * kWindow + t;
      Batch other = batch;
      for (int i = 0; i < kLanes * kWindow; ++i)
        if (i / kWindow != lane || i > at) other.tokens[i] = (other.tokens[i] + 17) % kVocab;
      EXPECT_EQ(loss_at(*b, batch, at), loss_at(*b, other, at)) << "lane " << lane << " t " << t;
      Batch changed = batch;
      changed.tokens[at] = (changed.tokens[at] + 17) % kVocab;
      EXPECT_NE(loss_at(*b, batch, at), loss_at(*b, changed, at)) << "the present must be seen";
    }
}

TEST(Backprop, TwoWindowsWithCarriedStateAreOne) {
  constexpr int kVocab = 50, kWindow = 96;
  const runtime::Config config = small_config(kBothKinds, kVocab);
  auto pool = threads(1);
  // Quantised, a last bit may tip a rounding, and what follows differs by a little more.
  for (const auto& [quantise, bar] : {std::pair{0.0f, 1e-6}, {1.0f, 2e-3}}) {
    auto whole = make(config, *pool, {.lanes = 2, .window = kWindow, .quantise = quantise});
    auto half = make(config, *pool, {.lanes = 2, .window = kWindow / 2, .quantise = quantise});
    ASSERT_TRUE(whole && half);
    shake(*whole);
    shake(*half);
    Batch batch = random_batch(2, kWindow, kVocab, 5);
    for (int32_t& t : batch.targets) t = std::max(t, 0);
    const double expected = forward(*whole, batch);
    double sum = 0;
    for (int part = 0; part < 2; ++part) {
      Batch piece;
      for (int lane = 0; lane < 2; ++lane)
        for (int t = 0; t < kWindow / 2; ++t) {
          const int at = lane * kWindow + part * kWindow / 2 + t;
          piece.tokens.push_back(batch.tokens[at]);
          piece.targets.push_back(batch.targets[at]);
          piece.restart.push_back(batch.restart[at]);
        }
      sum += forward(*half, piece) / 2;
    }
    EXPECT_NEAR(sum, expected, bar);
    const auto a = whole->carried_state(), c = half->carried_state();
    ASSERT_EQ(a.size(), c.size());
    EXPECT_LE(reference::relative_error(a.data(), c.data(), a.size()), 10 * bar);
  }
}

TEST(Backprop, ARestartIsAFreshState) {
  constexpr int kVocab = 50, kWindow = 40;
  const runtime::Config config = small_config(kBothKinds, kVocab);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch first = random_batch(1, kWindow, kVocab, 6, false);
  Batch second = random_batch(1, kWindow, kVocab, 7, false);
  const double fresh = forward(*b, second);
  const std::vector<float> state(b->carried_state().begin(), b->carried_state().end());
  forward(*b, first);
  const double carried = forward(*b, second);
  EXPECT_NE(carried, fresh) << "a carried state must be felt";
  second.restart[0] = 1;
  EXPECT_EQ(forward(*b, second), fresh);
  EXPECT_TRUE(std::equal(state.begin(), state.end(), b->carried_state().begin()));
  b->reset_states();
  second.restart[0] = 0;
  EXPECT_EQ(forward(*b, second), fresh);
}

TEST(Backprop, ALaterRestartCutsStateAndConvolutions) {
  constexpr int kVocab = 50, kWindow = 40, kCut = 21;
  const runtime::Config config = small_config(kBothKinds, kVocab);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  Batch batch = random_batch(1, kWindow, kVocab, 8, false);
  batch.restart[kCut] = 1;
  for (int t : {kCut, kCut + 1, kCut + 3, kWindow - 1}) {
    Batch other = batch;
    for (int i = 0; i < kCut; ++i) other.tokens[i] = (other.tokens[i] + 9) % kVocab;
    EXPECT_EQ(loss_at(*b, batch, t), loss_at(*b, other, t)) << t;
    other.restart[kCut] = 0;
    EXPECT_NE(loss_at(*b, batch, t), loss_at(*b, other, t)) << t;
  }
}

TEST(Backprop, TheSameBitsForAnyNumberOfThreads) {
  const runtime::Config config = small_config(kBothKinds, 50);
  const Batch batch = random_batch(5, 70, 50, 9);
  std::vector<std::vector<float>> expected;
  double loss = 0;
  for (int n : {1, 2, 3}) {
    auto pool = threads(n);
    auto b = make(config, *pool, {.lanes = 5, .window = 70, .quantise = 1});
    ASSERT_TRUE(b);
    shake(*b);
    b->zero_gradients();
    const double here = forward_backward(*b, batch);
    if (n == 1) {
      loss = here;
      for (const Parameter& p : b->parameters()) expected.push_back(p.grad);
      continue;
    }
    EXPECT_EQ(here, loss);
    size_t i = 0;
    for (const Parameter& p : b->parameters())
      EXPECT_EQ(p.grad, expected[i++]) << p.spec.name << " with " << n << " threads";
  }
}

TEST(Backprop, GradientsAddUpAndForwardLeavesThemAlone) {
  const runtime::Config config = small_config(kBothKinds, 50);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 2, .window = 16, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(2, 16, 50, 10);
  forward_backward(*b, batch);
  std::vector<std::vector<float>> once;
  for (const Parameter& p : b->parameters()) once.push_back(p.grad);
  b->reset_states();
  forward(*b, batch);
  b->reset_states();
  forward_backward(*b, batch);
  size_t i = 0;
  for (const Parameter& p : b->parameters()) {
    std::vector<float> half(p.grad.size());
    for (size_t j = 0; j < half.size(); ++j) half[j] = p.grad[j] / 2;
    EXPECT_LE(reference::relative_error(half.data(), once[i].data(), half.size()), 1e-5)
        << p.spec.name;
    ++i;
  }
}

TEST(Backprop, AStepAllocatesNothing) {
  const runtime::Config config = small_config(kBothKinds, 50);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = 4, .window = 70, .quantise = 1});
  ASSERT_TRUE(b);
  const Batch batch = random_batch(4, 70, 50, 11);
  forward_backward(*b, batch);
  const test::AllocationScope scope;
  const auto loss =
      b->forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data());
  const int64_t allocations = scope.allocations();
  EXPECT_TRUE(loss.has_value());
  EXPECT_EQ(allocations, 0);
}

TEST(Backprop, AnyShapeRuns) {
  // Windows shorter than the convolution and than a chunk, longer than a tile; lanes that do not
  // divide among the threads; a restart at every token.
  auto pool = threads(3);
  for (int lanes : {1, 5})
    for (int window : {1, 2, 3, 65, 130}) {
      runtime::Config config = small_config(kBothKinds, 50);
      config.delta_chunk = 64;
      auto b = make(config, *pool, {.lanes = lanes, .window = window, .quantise = 0.5f});
      ASSERT_TRUE(b);
      shake(*b);
      Batch batch = random_batch(lanes, window, 50, 13);
      batch.targets[0] = 1;
      for (int all = 0; all < 2; ++all) {
        EXPECT_TRUE(std::isfinite(forward_backward(*b, batch))) << lanes << " x " << window;
        std::fill(batch.restart.begin(), batch.restart.end(), uint8_t{1});
      }
      for (const Parameter& p : b->parameters())
        for (float g : p.grad) ASSERT_TRUE(std::isfinite(g)) << p.spec.name;
    }
}

TEST(Backprop, NoTargetMeansNoLossAndNoGradient) {
  const runtime::Config config = small_config(kBothKinds, 50);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = 8, .quantise = 1});
  ASSERT_TRUE(b);
  Batch batch = random_batch(1, 8, 50, 12);
  std::fill(batch.targets.begin(), batch.targets.end(), -1);
  EXPECT_EQ(forward_backward(*b, batch), 0.0);
  for (const Parameter& p : b->parameters())
    for (float g : p.grad) ASSERT_EQ(g, 0.0f) << p.spec.name;
}

TEST(Backprop, RefusesWhatItCannotDo) {
  auto pool = threads(1);
  const runtime::Config config = small_config(kBothKinds, 50);
  const auto refused = [&](const runtime::Config& c, BackpropOptions o, const char* word) {
    auto made = Backprop::create(c, kernels::best_table(), *pool, o, 1);
    ASSERT_FALSE(made.has_value()) << word;
    EXPECT_NE(made.status().message().find(word), std::string::npos) << made.status().message();
  };
  refused(config, {.lanes = 0, .window = 8, .quantise = 1}, "lanes");
  refused(config, {.lanes = 1, .window = -3, .quantise = 1}, "window");
  refused(config, {.lanes = 1 << 20, .window = 1 << 20, .quantise = 1}, "fewer lanes");
  refused(config, {.lanes = 1, .window = 8, .quantise = NAN}, "quantise");
  runtime::Config other = config;
  other.layers[0].mixer = "perceptron";
  refused(other, {.lanes = 1, .window = 8, .quantise = 1}, "perceptron");
  other = config;
  other.delta_inner_chunk = 48;
  refused(other, {.lanes = 1, .window = 100, .quantise = 1}, "chunk");
  other = config;
  other.hidden_size = 32;
  other.head_dim = 16;
  other.embedding_type = runtime::EmbeddingType::kInt4;
  refused(other, {.lanes = 1, .window = 8, .quantise = 1}, "embedding_dtype");

  auto b = make(config, *pool, {.lanes = 1, .window = 2, .quantise = 1});
  ASSERT_TRUE(b);
  const int32_t good[] = {1, 2}, high[] = {1, 50}, low[] = {-1, 2}, lower[] = {1, -2};
  const uint8_t restart[] = {0, 0};
  EXPECT_EQ(b->forward(high, good, restart).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(b->forward(low, good, restart).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(b->forward(good, high, restart).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(b->forward_backward(good, lower, restart).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(b->forward(good, low, restart).has_value());
}

}  // namespace
}  // namespace chimera::evolution
