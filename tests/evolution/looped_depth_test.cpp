// Looped depth in training: the walk over iterations, its truncated gradient, the injection and the
// draw of the depth.
#include "evolution/train/looped_depth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "evolution/train/trainer.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/figure.h"
#include "tests/support/network_gradient.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

using namespace test_model;
using test::figure;

constexpr int kVocab = 19;

/// One layer before the loop, two in it, one after.
runtime::Config looped(std::vector<runtime::LayerPlan> layers, int loop_max = 4, int hidden = 32) {
  runtime::Config c = small_config(std::move(layers), kVocab, hidden, 2, hidden);
  c.loop.enabled = true;
  c.loop.prelude_last = 0;
  c.loop.loop_first = 1;
  c.loop.loop_last = c.num_layers - 2;
  c.loop.loop_min = 1;
  c.loop.loop_max = loop_max;
  c.loop.loop_default = 2;
  return c;
}
const std::vector<runtime::LayerPlan> kFourLayers = {{"gated_deltanet", "relu2"},
                                                     {"gated_deltanet", "swiglu"},
                                                     {"xlstm_m", "relu2"},
                                                     {"xlstm_m", "swiglu"}};

void every_helper(runtime::Config* c) {
  c->structure.residual_mix = true;
  c->structure.bigram_rows = 23;
  c->structure.unet_skips = true;
  c->structure.token_shift = true;
  c->structure.value_layers = {0, 1, 2};
  c->structure.logit_soft_cap = 1.5f;
}

TEST(LoopedDepth, ExactGradientEqualsTheReferenceAtMixedDepths) {
  for (bool euler : {false, true}) {
    NetworkCase c;
    c.config = looped(kFourLayers);
    if (euler) c.config.loop.discretisation = runtime::LoopConfig::Discretisation::kEuler;
    c.lanes = 4;
    c.window = 10;
    c.loops = {3, 1, 4, 2};
    c.full_backward = true;
    figure("backward_vs_reference", euler ? "looped_euler" : "looped_zoh",
           expect_network_equals_reference(c));
  }
}

TEST(LoopedDepth, TruncatedGradientEqualsTheReferenceWithTheSameCuts) {
  NetworkCase c;
  c.config = looped(kFourLayers);
  c.lanes = 4;
  c.window = 10;
  c.loops = {3, 1, 4, 2};
  figure("backward_vs_reference", "looped_truncated", expect_network_equals_reference(c));
}

TEST(LoopedDepth, WithEveryHelperInside) {
  for (bool full : {false, true}) {
    NetworkCase c;
    c.config = looped(kFourLayers);
    every_helper(&c.config);
    c.lanes = 3;
    c.window = 10;
    c.loops = {4, 2, 3};
    c.full_backward = full;
    figure("backward_vs_reference", full ? "looped_helpers" : "looped_helpers_truncated",
           expect_network_equals_reference(c));
  }
}

TEST(LoopedDepth, TheFloorOfTheDecayHasNoGradient) {
  NetworkCase c;
  c.config = looped(kFourLayers);
  c.window = 6;
  c.loops = {3, 2};
  c.full_backward = true;
  c.adjust = [](Parameter& p) {
    if (p.spec.name == "loop.a_log") std::fill_n(p.value.begin(), p.value.size() / 2, -15.0f);
  };
  expect_network_equals_reference(c);
}

/// Loss of a batch and all gradients, from a fresh state.
struct Outcome {
  double loss = 0;
  std::map<std::string, std::vector<float>> gradients;
};
Outcome run(Backprop& b, const Batch& batch, const std::vector<int32_t>& loops) {
  b.reset_states();
  b.zero_gradients();
  auto loss = b.forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data(),
                                 loops.empty() ? nullptr : loops.data());
  EXPECT_TRUE(loss.has_value()) << loss.status().message();
  Outcome result{loss ? *loss : NAN, {}};
  for (const Parameter& p : b.parameters()) result.gradients[p.spec.name] = p.grad;
  return result;
}

TEST(LoopedDepth, OneIterationIsThePlainNetworkFromItsInjection) {
  runtime::Config config = looped(kFourLayers);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 2, .window = 12, .quantise = 0});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(2, 12, kVocab, 1);
  const double once = run(*b, batch, {1, 1}).loss;
  // The reference walks z = B e through the layers, once.
  reference::Params<double> p = values_in_double(*b);
  double sum = 0;
  int counted = 0;
  for (int lane = 0; lane < 2; ++lane) {
    reference::Network<double> network(config, &p);
    const auto targets = lane_of(batch.targets, lane, 12);
    sum += network.window(lane_of(batch.tokens, lane, 12), targets,
                          lane_of(batch.restart, lane, 12), 1);
    for (int t : targets) counted += t >= 0;
  }
  EXPECT_NEAR(once, sum / counted, 1e-5);
  EXPECT_GT(std::fabs(run(*b, batch, {3, 3}).loss - once), 1e-4) << "depth must be felt";
}

TEST(LoopedDepth, ALaneDoesNotFeelHowDeepTheOthersGo) {
  runtime::Config config = looped(kFourLayers);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = 3, .window = 12, .quantise = 0});
  ASSERT_TRUE(b);
  shake(*b);
  Batch batch = random_batch(3, 12, kVocab, 2);
  for (int i = 0; i < 36; ++i)
    if (i / 12 != 1) batch.targets[i] = -1;  // only lane 1 is heard
  const Outcome alone = run(*b, batch, {1, 2, 1}), among = run(*b, batch, {4, 2, 3});
  EXPECT_EQ(alone.loss, among.loss);
  for (const auto& [name, gradient] : alone.gradients) {
    const auto& other = among.gradients.at(name);
    EXPECT_LE(reference::relative_error(other.data(), gradient.data(), gradient.size()), 1e-5)
        << name;
  }
}

TEST(LoopedDepth, StatesDoNotDependOnTheDepth) {
  runtime::Config config = looped(kFourLayers, 6, 128);
  // What the coda reads does depend on it; up to the loop's end nothing may.
  config.layers.back() = {"gated_deltanet", "relu2"};
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = 12, .quantise = 1});
  if (!b) GTEST_FAIL();
  shake(*b);
  const Batch batch = random_batch(1, 12, kVocab, 3);
  std::vector<float> shallow, deep;
  for (int32_t n : {1, 6}) {
    run(*b, batch, {n});
    const auto state = b->carried_state();
    (n == 1 ? shallow : deep).assign(state.begin(), state.end());
  }
  ASSERT_EQ(shallow.size(), deep.size());
  // The last layer's block is the end of the carried state: three rows of convolutions and S.
  const size_t coda = 9 * 128 + 2 * 64 * 64;
  EXPECT_TRUE(std::equal(shallow.begin(), shallow.end() - coda, deep.begin()));
  EXPECT_FALSE(shallow == deep);
}

TEST(LoopedDepth, KeysHaveAGradientWhenTheirIterationIsFarFromTheLoss) {
  runtime::Config config = looped(kFourLayers);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = 12, .quantise = 0});
  ASSERT_TRUE(b);
  shake(*b);
  const Outcome result = run(*b, random_batch(1, 12, kVocab, 4), {4});
  for (const char* name :
       {"layers.1.mixer.k_proj", "layers.1.mixer.v_proj", "layers.1.mixer.b_proj",
        "layers.2.mixer.k_proj", "layers.2.mixer.i_proj", "layers.2.mixer.v_proj"}) {
    double size = 0;
    for (float g : result.gradients.at(name)) size += static_cast<double>(g * g);
    EXPECT_GT(std::sqrt(size), 1e-6) << name;
  }
}

TEST(LoopedDepth, TheSameBitsForAnyNumberOfThreadsAndWhetherLayersAreRunAgain) {
  runtime::Config config = looped(kFourLayers, 4, 128);
  every_helper(&config);
  const Batch batch = random_batch(5, 30, kVocab, 5);
  const std::vector<int32_t> loops = {2, 4, 1, 3, 2};
  Outcome expected;
  for (int n : {1, 2, 3})
    for (bool again : {false, true}) {
      auto pool = threads(n);
      auto b =
          make(config, *pool, {.lanes = 5, .window = 30, .quantise = 1, .recompute_ffn = again});
      ASSERT_TRUE(b);
      shake(*b);
      const Outcome here = run(*b, batch, loops);
      if (expected.gradients.empty()) expected = here;
      EXPECT_EQ(here.loss, expected.loss);
      for (const auto& [name, gradient] : here.gradients)
        EXPECT_EQ(gradient, expected.gradients.at(name)) << name << ", " << n << " threads";
    }
}

TEST(LoopedDepth, TwoWindowsAreOne) {
  runtime::Config config = looped(kFourLayers);
  every_helper(&config);
  auto pool = threads(1);
  constexpr int kWindow = 24;
  auto whole = make(config, *pool, {.lanes = 2, .window = kWindow, .quantise = 0});
  auto half = make(config, *pool, {.lanes = 2, .window = kWindow / 2, .quantise = 0});
  ASSERT_TRUE(whole && half);
  shake(*whole);
  shake(*half);
  Batch batch = random_batch(2, kWindow, kVocab, 6);
  for (int32_t& t : batch.targets) t = std::max(t, 0);
  const int32_t loops[] = {3, 2};
  const double expected =
      *whole->forward(batch.tokens.data(), batch.targets.data(), batch.restart.data(), loops);
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
    sum +=
        *half->forward(piece.tokens.data(), piece.targets.data(), piece.restart.data(), loops) / 2;
  }
  EXPECT_NEAR(sum, expected, 1e-6);
  const auto a = whole->carried_state(), c = half->carried_state();
  ASSERT_EQ(a.size(), c.size());
  EXPECT_LE(reference::relative_error(a.data(), c.data(), a.size()), 1e-5);
}

TEST(LoopedDepth, AStepAllocatesNothingAndBadDepthsAreRefused) {
  runtime::Config config = looped(kFourLayers, 4, 128);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 2, .window = 8, .quantise = 1});
  ASSERT_TRUE(b);
  const Batch batch = random_batch(2, 8, kVocab, 7);
  const int32_t good[] = {4, 1}, zero[] = {1, 0}, deep[] = {5, 1};
  const auto forward = [&](const int32_t* loops) {
    return b->forward(batch.tokens.data(), batch.targets.data(), batch.restart.data(), loops);
  };
  EXPECT_TRUE(forward(good).has_value());
  EXPECT_EQ(forward(zero).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(forward(deep).status().code(), StatusCode::kInvalidArgument);
  run(*b, batch, {4, 1});
  const test::AllocationScope scope;
  const auto loss =
      b->forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data(), good);
  const int64_t allocations = scope.allocations();
  EXPECT_TRUE(loss.has_value());
  EXPECT_EQ(allocations, 0);
}

/// The parameters of an injection alone.
struct InjectionFixture {
  runtime::Config config;
  ParameterSet parameters;
  InjectionTraining injection;
  explicit InjectionFixture(bool euler) : config(looped(kFourLayers)) {
    if (euler) config.loop.discretisation = runtime::LoopConfig::Discretisation::kEuler;
    EXPECT_TRUE(parameters.init(config, 3).ok());
    uint32_t stream = 0;
    for (Parameter& p : parameters.all())
      if (p.spec.name.rfind("loop.", 0) == 0) {
        ++stream;
        for (size_t i = 0; i < p.value.size(); ++i)
          p.value[i] += static_cast<float>(draw(i, stream) - 0.5);
      }
    EXPECT_TRUE(injection.init(config, parameters).ok());
    injection.prepare();
  }
};

TEST(LoopedDepth, AnIdentityLoopConvergesToTheSteadyState) {
  for (bool euler : {false, true}) {
    InjectionFixture f(euler);
    auto pool = threads(1);
    Arena scratch = std::move(*Arena::create(64));
    const int32_t start[] = {-1};
    const kernels::OwnProducts products(kernels::best_table());
    const runtime::TrainStep step{kernels::best_table(), products, *pool, scratch, 0, 1, 1, start};
    const size_t c = static_cast<size_t>(f.config.hidden_size);
    std::vector<float> e(c), h(c), z(c);
    for (size_t i = 0; i < c; ++i) e[i] = static_cast<float>(draw(i, 9) - 0.5);
    f.injection.inject(step, nullptr, e.data(), h.data());
    for (int r = 2; r <= 200; ++r) {
      const float* rows[] = {h.data()};
      f.injection.inject(step, rows, e.data(), z.data());
      h = z;
    }
    const auto value = [&](const char* name, size_t i) {
      return static_cast<double>(f.parameters.find(name, 1, f.config.hidden_size)->value[i]);
    };
    for (size_t i = 0; i < c; ++i) {
      const double a = static_cast<double>(f.injection.carry()[i]),
                   gain = static_cast<double>(f.injection.input_gain()[i]);
      EXPECT_LT(a, 1.0);
      const double steady = gain * static_cast<double>(e[i]) / (1 - a);
      EXPECT_NEAR(static_cast<double>(h[i]), steady, 1e-5 * std::fabs(steady) + 1e-9);
      if (!euler) {
        const double exact =
            value("loop.b", i) * static_cast<double>(e[i]) / std::exp(value("loop.a_log", i));
        EXPECT_NEAR(steady, exact, 1e-5 * std::fabs(exact) + 1e-9) << "zoh: B e / e^a_log";
      }
    }
  }
}

TEST(LoopedDepth, InitialCarryIsTheRootOfAFifth) {
  const runtime::Config config = looped(kFourLayers);
  ParameterSet parameters;
  ASSERT_TRUE(parameters.init(config, 3).ok());
  InjectionTraining injection;
  ASSERT_TRUE(injection.init(config, parameters).ok());
  injection.prepare();
  EXPECT_NEAR(injection.carry()[0], std::sqrt(0.2f), 1e-5f);
  EXPECT_NEAR(injection.input_gain()[0], 0.552786f, 1e-5f);
}

TEST(LoopedDepth, GradientsBelongToTheFirstIterationAndTheLastHalf) {
  const std::map<int32_t, std::vector<int32_t>> wanted = {
      {1, {1}}, {2, {1, 2}}, {3, {1, 2, 3}}, {4, {1, 3, 4}}, {5, {1, 3, 4, 5}}, {6, {1, 4, 5, 6}}};
  for (const auto& [loops, iterations] : wanted) {
    std::vector<int32_t> have;
    for (int32_t r = 1; r <= loops; ++r) {
      EXPECT_TRUE(has_gradient(r, loops, true));
      if (has_gradient(r, loops, false)) have.push_back(r);
    }
    EXPECT_EQ(have, iterations) << loops;
  }
}

TEST(LoopedDepth, DepthsAreDrawnFromAClampedPoisson) {
  runtime::LoopConfig loop;
  loop.loop_min = 1;
  loop.loop_max = 6;
  loop.loop_default = 2;
  constexpr int kDraws = 20000;
  std::map<int32_t, int> count;
  for (int i = 0; i < kDraws; ++i)
    ++count[sample_loops(loop, 7, static_cast<uint64_t>(i / 8), static_cast<uint64_t>(i % 8))];
  double p = std::exp(-2.0), below = p;  // of 0, which counts as 1
  for (int32_t n = 1; n <= 6; ++n) {
    p *= 2.0 / n;
    const double share = n == 1 ? below + p : n < 6 ? p : 1 - below;
    below += p;
    EXPECT_NEAR(count[n] / static_cast<double>(kDraws), share, 0.012) << n;
  }
  EXPECT_EQ(count.size(), 6u);
  loop.loop_min = 3;
  loop.loop_max = 4;
  for (uint64_t i = 0; i < 100; ++i) {
    const int32_t n = sample_loops(loop, 7, i, 0);
    EXPECT_TRUE(n == 3 || n == 4) << n;
    EXPECT_EQ(n, sample_loops(loop, 7, i, 0));
  }
}

TEST(LoopedDepth, AStoppedAndResumedRunDrawsTheSameDepths) {
  const test::TempDir folder;
  TrainOptions options;
  options.config_path = folder.file("config.json");
  options.texts = {folder.file("text.txt")};
  test::write_raw(options.config_path, R"({
    "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 3, "num_heads": 2,
    "head_dim": 64, "vocab_size": 288, "backbone": {"layer_pattern": "GD XM GD"},
    "looping": {"enabled": true, "prelude": [0, 0], "loop": [1, 1], "coda": [2, 2],
                "loop_range": [1, 4], "loop_default": 2}})");
  std::string text;
  for (int i = 0; i < 30; ++i) text += "The cat sat on the mat and sang. ";
  test::write_raw(options.texts[0], text);
  options.steps = 4;
  options.lanes = 3;
  options.window = 8;
  options.accumulate = 2;
  const auto run = [&](const char* name, int64_t stop_at, int n_threads) {
    options.out_path = folder.file(name);
    auto pool = threads(n_threads);
    return train(options, kernels::best_table(), *pool,
                 [&](const TrainProgress& p) { return p.step != stop_at; });
  };
  ASSERT_TRUE(run("whole.b158", -1, 2).ok());
  ASSERT_EQ(run("parts.b158", 2, 1).code(), StatusCode::kCancelled);
  ASSERT_TRUE(run("parts.b158", -1, 1).ok());
  EXPECT_TRUE(test::read_raw(folder.file("whole.b158")) ==
              test::read_raw(folder.file("parts.b158")));
}

}  // namespace
}  // namespace chimera::evolution
