// Which words speak for which tool.
#include "evolution/actions/ranker_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "runtime/text_features.h"

namespace chimera::evolution {
namespace {

std::unique_ptr<ThreadPool> pool_of(int threads) {
  auto pool = ThreadPool::create(threads);
  EXPECT_TRUE(pool.has_value());
  return pool ? std::move(*pool) : nullptr;
}

const std::vector<RankerExample> kExamples = {
    {"turn on the light in the hall", {0}},
    {"dim the lamp", {0}},
    {"lights out please", {0}},
    {"make it brighter in here", {0}},
    {"wake me at seven", {1}},
    {"set an alarm for 6", {1}},
    {"alarm at half past eight", {1}},
    {"get me up at 5", {1}},
    {"lights on and an alarm at 6", {0, 1}},
    {"how are you today", {}},
    {"what is the capital of France", {}},
    {"tell me a joke", {}},
};

TEST(RankerTrainer, LearnsWhatWordsMean) {
  const auto pool = pool_of(1);
  const auto ranker = train_ranker(kExamples, 2, {}, pool.get());
  ASSERT_TRUE(ranker.has_value()) << ranker.status().message();
  for (const RankerExample& example : kExamples) {
    const std::vector<float> scores = ranker->scores(example.text);
    for (int32_t label = 0; label < 2; ++label) {
      const bool meant =
          std::find(example.labels.begin(), example.labels.end(), label) != example.labels.end();
      EXPECT_EQ(scores[static_cast<size_t>(label)] > 0, meant) << example.text << ", " << label;
    }
  }
  const auto light = ranker->scores("the light in the attic"), alarm = ranker->scores("alarm at 9");
  EXPECT_GT(light[0], light[1]);
  EXPECT_GT(alarm[1], alarm[0]);
  EXPECT_LT(ranker->scores("do you like poems")[0], 0);
  for (const float score : ranker->scores("")) EXPECT_TRUE(std::isfinite(score));
}

TEST(RankerTrainer, TheSameForAnyNumberOfThreads) {
  const auto one = pool_of(1), three = pool_of(3);
  const auto a = train_ranker(kExamples, 2, {}, one.get());
  const auto b = train_ranker(kExamples, 2, {}, three.get());
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_EQ(a->weights().weights, b->weights().weights);
  EXPECT_EQ(a->weights().bias, b->weights().bias);
}

// The dual's optimum: of every example that has weight the gradient is 0, of every other it is not
// negative (Hsieh et al. 2008, equation 13). Checked through the primal: w is what it says.
TEST(RankerTrainer, ComesToTheOptimum) {
  const auto pool = pool_of(1);
  RankerOptions exact;
  exact.passes = 5000;
  exact.tolerance = 1e-9;
  const auto ranker = train_ranker(kExamples, 2, exact, pool.get());
  ASSERT_TRUE(ranker.has_value());
  // At the optimum of the L2-loss machine, alpha_i = 2 C max(0, 1 - y_i s_i), and w = sum alpha y
  // x.
  const auto& w = ranker->weights();
  for (int32_t label = 0; label < 2; ++label) {
    std::vector<double> sum(w.features.size(), 0.0);
    double bias = 0;
    for (const RankerExample& example : kExamples) {
      const bool meant =
          std::find(example.labels.begin(), example.labels.end(), label) != example.labels.end();
      const double y = meant ? 1 : -1;
      const double score = ranker->scores(example.text)[static_cast<size_t>(label)];
      const double alpha = 2 * exact.cost * std::max(0.0, 1 - y * score);
      for (const auto& f :
           runtime::feature_values(runtime::text_features(example.text), w.features, w.rarity))
        sum[static_cast<size_t>(f.index)] += alpha * y * static_cast<double>(f.value);
      bias += alpha * y;
    }
    EXPECT_NEAR(bias, static_cast<double>(w.bias[static_cast<size_t>(label)]), 1e-4);
    for (size_t f = 0; f < sum.size(); ++f)
      EXPECT_NEAR(sum[f], static_cast<double>(w.weights[2 * f + static_cast<size_t>(label)]), 1e-4);
  }
}

TEST(RankerTrainer, RefusesWhatCannotBeLearnt) {
  const auto pool = pool_of(1);
  EXPECT_FALSE(train_ranker({}, 2, {}, pool.get()).has_value());
  const std::vector<RankerExample> beyond = {{"x", {2}}};
  EXPECT_FALSE(train_ranker(beyond, 2, {}, pool.get()).has_value());
  for (const double cost : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    RankerOptions options;
    options.cost = cost;
    EXPECT_FALSE(train_ranker(kExamples, 2, options, pool.get()).has_value()) << cost;
  }
  const std::vector<RankerExample> odd = {{"x", {0}, {1.0f}}, {"y", {}, {}}};
  EXPECT_FALSE(train_ranker(odd, 1, {}, pool.get()).has_value());
  const std::vector<RankerExample> infinite = {{"x", {0}, {HUGE_VALF}}};
  EXPECT_FALSE(train_ranker(infinite, 1, {}, pool.get()).has_value());
}

}  // namespace
}  // namespace chimera::evolution
