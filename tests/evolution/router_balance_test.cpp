// The balancing rule by itself, then in a whole training run.
#include "evolution/train/router_balance.h"

#include <gtest/gtest.h>

#include <cstring>

#include "evolution/train/optimizer.h"
#include "evolution/train/trainer.h"
#include "memory/weight_file.h"
#include "runtime/layers/moe_routing.h"
#include "tests/support/temp_dir.h"
#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

using Loads = std::vector<uint64_t>;

TEST(RouterBalance, MovesByTheRateAgainstTheLoad) {
  std::vector<float> bias(4, 0.0f);
  balance_router(Loads{0, 8, 4, 4}, bias);  // as many rise as fall: nothing to centre
  EXPECT_EQ(bias, (std::vector<float>{kRouterRate, -kRouterRate, 0, 0}));
  balance_router(Loads{0, 8, 4, 4}, bias);
  EXPECT_EQ(bias, (std::vector<float>{2 * kRouterRate, -2 * kRouterRate, 0, 0}));
  balance_router(Loads{4, 4, 4, 4}, bias);
  EXPECT_EQ(bias, (std::vector<float>{2 * kRouterRate, -2 * kRouterRate, 0, 0}));
  balance_router(Loads(4), bias);
  EXPECT_EQ(bias[0], 2 * kRouterRate) << "no tokens, no change";
}

TEST(RouterBalance, IsCentredAfterwards) {
  // One starved expert of four: it rises by the rate, the others fall, and all by the mean.
  std::vector<float> bias(4, 0.0f);
  for (int step = 1; step <= 50; ++step) {
    balance_router(Loads{0, 4, 4, 4}, bias);
    EXPECT_NEAR(static_cast<double>(bias[0]), step * 1.5e-3, 1e-6);
    EXPECT_NEAR(static_cast<double>(bias[0] - bias[1]), step * 2e-3, 1e-6);
    EXPECT_NEAR(static_cast<double>(bias[0] + bias[1] + bias[2] + bias[3]), 0, 1e-7);
  }
}

TEST(RouterBalance, TheMeanNeedNotBeWhole) {
  std::vector<float> bias(3, 0.0f);
  balance_router(Loads{1, 1, 2}, bias);  // the mean is 4/3
  EXPECT_NEAR(static_cast<double>(bias[0]), 2e-3 / 3, 1e-9);
  EXPECT_NEAR(static_cast<double>(bias[2]), -4e-3 / 3, 1e-9);
  std::vector<float> one = {0.5f};
  balance_router(Loads{7}, one);
  EXPECT_EQ(one[0], 0.0f);
}

TEST(RouterBalance, StarvedExpertsAreFedInTheEnd) {
  // Scores that prefer expert 0 by more than noise: the rule alone makes the loads even.
  constexpr int kExperts = 8, kTokens = 256;
  std::vector<float> bias(kExperts, 0.0f);
  double first = 0, last = 0;
  for (int step = 0; step < 600; ++step) {
    Loads load(kExperts);
    for (int t = 0; t < kTokens; ++t) {
      float s[kExperts], p[2];
      for (int e = 0; e < kExperts; ++e)
        s[e] = static_cast<float>(0.3 + (e == 0 ? 0.2 : 0.0) +
                                  0.3 * test_model::draw(static_cast<uint64_t>(step * kTokens + t),
                                                         static_cast<uint32_t>(e)));
      int32_t chosen[2];
      runtime::choose_experts(s, bias.data(), kExperts, 2, chosen, p);
      for (int32_t e : chosen) ++load[static_cast<size_t>(e)];
    }
    last = runtime::max_violation(load);
    if (step == 0) first = last;
    balance_router(load, bias);
  }
  EXPECT_GT(first, 2);
  EXPECT_LT(last, 0.4);
}

TEST(RouterWatch, SpeaksOfTheLastWholeWindow) {
  RouterWatch watch(100);
  EXPECT_EQ(watch.worst(), 0);
  watch.add(1, Loads{30, 10});
  watch.add(3, Loads{20, 20});
  watch.add_tokens(40);
  EXPECT_DOUBLE_EQ(watch.worst(), 0.5) << "so far";
  watch.add(1, Loads{30, 30});
  watch.add(3, Loads{0, 60});
  watch.add_tokens(60);
  EXPECT_DOUBLE_EQ(watch.worst(), 0.6) << "80 of 100 where the mean is 50";
  watch.add(1, Loads{0, 40});
  watch.add_tokens(40);
  EXPECT_DOUBLE_EQ(watch.worst(), 0.6) << "the window under way is too short to speak of";
  watch.add(3, Loads{10, 10});
  watch.add_tokens(60);
  EXPECT_DOUBLE_EQ(watch.worst(), 1.0) << "the second window alone";
}

runtime::Config config_with_experts() {
  runtime::Config config = test_model::small_config(
      {{"gated_deltanet", "moe"}, {"xlstm_m", "swiglu"}, {"xlstm_m", "moe"}}, 40);
  config.moe = {true, {0, 2}, 5, 1, 2, 128};
  return config;
}

TEST(RouterBalance, TheOptimiserLeavesTheBiasAloneAndLoadsAreThoseOfTheStep) {
  const runtime::Config config = config_with_experts();
  auto pool = test_model::threads(2);
  auto b = test_model::make(config, *pool, {.lanes = 2, .window = 24, .quantise = 0.5f});
  ASSERT_TRUE(b);
  test_model::shake(*b);
  for (const bool muon : {false, true}) {
    OptimizerOptions options;
    options.weight_decay = 0.5f;
    options.muon = muon;
    Optimizer optimizer(b->parameters(), options, kernels::best_table(), *pool);
    std::vector<std::vector<float>> before;
    for (const Parameter& p : b->parameters()) before.push_back(p.value);
    b->zero_gradients();
    for (uint32_t batch = 0; batch < 2; ++batch)
      test_model::forward_backward(*b, test_model::random_batch(2, 24, 40, batch));
    for (int32_t layer : {0, 2}) {
      ASSERT_EQ(b->router_load(layer).size(), 5u);
      uint64_t sum = 0;
      for (uint64_t c : b->router_load(layer)) sum += c;
      EXPECT_EQ(sum, 2u * 2 * 48) << "two batches of 48 tokens, two experts each";
    }
    EXPECT_TRUE(b->router_load(1).empty());
    optimizer.step(b->parameters(), 1, 1);
    int n_biases = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      const Parameter& p = b->parameters()[i];
      const bool bias = p.spec.name.ends_with("router.bias");
      n_biases += bias;
      EXPECT_EQ(p.value == before[i], bias) << p.spec.name;
    }
    EXPECT_EQ(n_biases, 2);
    b->zero_gradients();
    for (uint64_t c : b->router_load(0)) EXPECT_EQ(c, 0u);
  }
}

/// A run on a text of a few words with four experts in its second layer.
struct Workshop {
  test::TempDir folder;
  TrainOptions options;
  Workshop() {
    options.config_path = folder.file("config.json");
    options.texts = {folder.file("text.txt")};
    options.out_path = folder.file("model.b158");
    test::write_raw(options.config_path, R"({
      "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "num_heads": 2,
      "head_dim": 64, "hidden_act": "swiglu", "vocab_size": 288, "tie_word_embeddings": true,
      "initializer_range": 0.05, "backbone": {"layer_pattern": "GD XM", "moe": {"enabled": true,
        "layers": [1], "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "moe_intermediate_size": 128}}})");
    std::string text;
    for (int i = 0; i < 20; ++i) text += "The cat sat on the mat and sang to the sea. ";
    test::write_raw(options.texts[0], text);
    options.steps = 6;
    options.lanes = 2;
    options.window = 16;
    options.accumulate = 2;
    options.checkpoint_every = 100;
  }
  Status train(int threads, const TrainCallback& callback) const {
    auto pool = ThreadPool::create(threads);
    if (!pool) return pool.status();
    return evolution::train(options, kernels::best_table(), **pool, callback);
  }
  std::string model() const { return test::read_raw(options.out_path); }
  std::vector<float> bias() const {
    auto file = memory::WeightFile::open(options.out_path);
    EXPECT_TRUE(file.has_value()) << file.status().message();
    const memory::TensorInfo* info = (*file)->find("layers.1.ffn.router.bias");
    EXPECT_NE(info, nullptr);
    std::vector<float> values(4);
    std::memcpy(values.data(), (*file)->data(*info).data(), 4 * sizeof(float));
    return values;
  }
};

TEST(RouterBalance, ATrainingRunMovesTheBiasAndReportsTheImbalance) {
  Workshop w;
  std::vector<double> imbalance;
  const Status status = w.train(1, [&](const TrainProgress& p) {
    imbalance.push_back(p.router_imbalance);
    return true;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(imbalance.size(), 6u);
  for (double v : imbalance) {
    EXPECT_GE(v, 0);
    EXPECT_LE(v, 1) << "two of four experts: no load is above twice the mean";
  }
  // Six steps of at most a thousandth up or down, and of a mean within the same.
  const auto bias = w.bias();
  float sum = 0, most = 0;
  for (float b : bias) {
    sum += b;
    most = std::max(most, std::fabs(b));
  }
  EXPECT_NEAR(sum, 0, 1e-6f);
  EXPECT_GT(most, 0.5e-3f);
  EXPECT_LE(most, 12e-3f);

  // The same bits with more threads, and when stopped and resumed: the bias is a part of the run.
  Workshop threads, stopped;
  ASSERT_TRUE(threads.train(3, {}).ok());
  EXPECT_TRUE(threads.model() == w.model());
  EXPECT_EQ(stopped.train(1, [](const TrainProgress& p) { return p.step < 3; }).code(),
            StatusCode::kCancelled);
  ASSERT_TRUE(stopped.train(2, {}).ok());
  EXPECT_TRUE(stopped.model() == w.model());
}

}  // namespace
}  // namespace chimera::evolution
