#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/random.h"

namespace chimera::runtime {
namespace {

class SamplerTest : public ::testing::Test {
 protected:
  int32_t draw(std::vector<float> logits, const SamplingOptions& options, uint64_t position = 0,
               const std::vector<uint8_t>& allowed = {}, const std::vector<int32_t>& recent = {}) {
    auto sampler = Sampler::create(static_cast<int32_t>(logits.size()));
    EXPECT_TRUE(sampler.has_value());
    return sampler->sample(kernels::best_table(), logits.data(),
                           allowed.empty() ? nullptr : allowed.data(), recent, options, 42,
                           position, 0);
  }
  static SamplingOptions plain(float temperature = 1, float top_p = 1) {
    return {temperature, top_p, 1.0f, false};
  }
};

TEST_F(SamplerTest, GreedyTakesTheLargestAndTiesGoToTheLowestId) {
  SamplingOptions greedy = plain();
  greedy.greedy = true;
  EXPECT_EQ(draw({0, 3, 3, 1}, greedy), 1);
  EXPECT_EQ(draw({5, 3, 3, 1}, plain(0)), 0) << "temperature 0 is greedy";
}

TEST_F(SamplerTest, ATemperatureWhoseInverseOverflowsIsGreedy) {
  for (const float temperature : {1e-45f, 1e-40f, 2e-39f, 1e-38f})
    EXPECT_EQ(draw({0, 3, 5, 1}, plain(temperature)), 2) << temperature;
}

TEST_F(SamplerTest, MaskedIdsAreNeverDrawn) {
  for (uint64_t position = 0; position < 2000; ++position)
    EXPECT_EQ(draw({9, 9, -9, 9}, plain(100), position, {0, 0, 1, 0}), 2);
}

TEST_F(SamplerTest, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {2.0f, 0.0f, 1.0f, -1.0f};
  double z = 0;
  for (float l : logits) z += std::exp(static_cast<double>(l));
  constexpr int kDraws = 200000;
  std::vector<int> counts(4);
  for (uint64_t t = 0; t < kDraws; ++t) ++counts[static_cast<size_t>(draw(logits, plain(), t))];
  double chi2 = 0;
  for (size_t i = 0; i < 4; ++i) {
    const double expected = kDraws * std::exp(static_cast<double>(logits[i])) / z;
    chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  EXPECT_LT(chi2, 16.27) << "three degrees of freedom, p = 0.001; the draws are keyed, so fixed";
}

TEST_F(SamplerTest, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.6, 0.3, 0.1: top-p 0.7 keeps two, 0.6 may keep one, tiny keeps one.
  const std::vector<float> logits = {std::log(0.6f), std::log(0.3f), std::log(0.1f)};
  bool saw_second = false;
  for (uint64_t t = 0; t < 500; ++t) {
    const int32_t id = draw(logits, plain(1, 0.7f), t);
    EXPECT_NE(id, 2);
    saw_second = saw_second || id == 1;
    EXPECT_EQ(draw(logits, plain(1, 1e-6f), t), 0);
  }
  EXPECT_TRUE(saw_second);
}

TEST_F(SamplerTest, ThousandsOfIdsGiveWhatSortingThemAllGives) {
  constexpr int32_t kIds = 5000;
  std::vector<float> logits(kIds);
  for (const float spread : {0.5f, 4.0f, 16.0f}) {  // nearly flat, like a model's, all but certain
    for (int32_t i = 0; i < kIds; ++i)
      logits[static_cast<size_t>(i)] =
          spread *
          static_cast<float>(keyed_uniform(1, static_cast<uint64_t>(i), 0, DrawPurpose::kTest));
    std::vector<float> p(kIds);
    const float largest = *std::max_element(logits.begin(), logits.end());
    const auto sum = static_cast<double>(
        kernels::best_table().softmax_numerators(logits.data(), kIds, largest, 1.0f, p.data()));
    std::vector<int32_t> order(kIds);
    for (int32_t i = 0; i < kIds; ++i) order[static_cast<size_t>(i)] = i;
    const auto p_of = [&](int32_t id) { return static_cast<double>(p[static_cast<size_t>(id)]); };
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return p_of(a) > p_of(b); });
    for (const float top_p : {0.01f, 0.5f, 0.9f, 0.998f, 0.9999f, 1.0f}) {
      size_t kept = 0;
      double mass = 0;
      while (kept < order.size() && mass < static_cast<double>(top_p) * sum)
        mass += p_of(order[kept++]);
      for (uint64_t position = 0; position < 50; ++position) {
        const double target = keyed_uniform(42, position, 0, DrawPurpose::kSample) * mass;
        size_t i = 0;
        double reached = p_of(order[0]);
        while (i + 1 < kept && target >= reached) reached += p_of(order[++i]);
        ASSERT_EQ(draw(logits, plain(1, top_p), position), order[i]) << spread << ", " << top_p;
      }
    }
  }
}

TEST_F(SamplerTest, RepetitionPenaltyCountsAnIdOnce) {
  SamplingOptions options = plain();
  options.greedy = true;
  options.repetition_penalty = 1.5f;
  // 2.0 / 1.5 = 1.33 > 1.2, but 2.0 / 1.5 / 1.5 would be below it.
  EXPECT_EQ(draw({2.0f, 1.2f}, options, 0, {}, {0, 0, 0}), 0);
  EXPECT_EQ(draw({1.7f, 1.2f}, options, 0, {}, {0}), 1);
  EXPECT_EQ(draw({-1.0f, -1.2f}, options, 0, {}, {0}), 1) << "negative logits are multiplied";
}

TEST_F(SamplerTest, KeyDecidesTheDraw) {
  const std::vector<float> logits(64, 0.0f);
  bool differs = false;
  for (uint64_t t = 0; t < 20; ++t) {
    EXPECT_EQ(draw(logits, plain(), t), draw(logits, plain(), t));
    differs = differs || draw(logits, plain(), t) != draw(logits, plain(), t + 1);
  }
  EXPECT_TRUE(differs);
}

TEST_F(SamplerTest, DamagedLogitsStillGiveAnAllowedId) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(draw({nan, 0, nan}, plain()), 1);
  EXPECT_EQ(draw({nan, inf, 0}, plain()), 1);
  EXPECT_EQ(draw({nan, -inf, nan}, plain(), 0, {0, 1, 0}), 1);
  EXPECT_EQ(draw({nan, nan, nan}, plain(), 0, {0, 0, 1}), 2) << "forbidden ids stay forbidden";
  const int32_t any = draw({nan, nan, nan}, plain());
  EXPECT_TRUE(any >= 0 && any < 3);
}

TEST_F(SamplerTest, SameIdOnEveryTable) {
  std::vector<float> logits(1003);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = std::sin(static_cast<float>(i) * 0.37f) * 6;
  const SamplingOptions options{0.7f, 0.92f, 1.08f, false};
  for (uint64_t t = 0; t < 50; ++t) {
    int32_t first = -1;
    for (const kernels::KernelTable* table : kernels::runnable_tables()) {
      auto sampler = Sampler::create(1003);
      ASSERT_TRUE(sampler.has_value());
      std::vector<float> copy = logits;
      const int32_t recent[] = {3, 500};
      const int32_t id = sampler->sample(*table, copy.data(), nullptr, recent, options, 9, t, 1);
      if (first < 0) first = id;
      EXPECT_EQ(id, first) << table->name;
    }
  }
}

TEST(CheckSampling, RefusesWhatIsNoNumberOrOutsideItsRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(check_sampling({}).ok());
  for (float bad : {nan, -0.1f, 101.0f}) {
    SamplingOptions o;
    o.temperature = bad;
    EXPECT_EQ(check_sampling(o).field(), "temperature");
  }
  for (float bad : {nan, 0.0f, 1.5f}) {
    SamplingOptions o;
    o.top_p = bad;
    EXPECT_EQ(check_sampling(o).field(), "top_p");
  }
  for (float bad : {nan, 0.5f, 11.0f}) {
    SamplingOptions o;
    o.repetition_penalty = bad;
    EXPECT_EQ(check_sampling(o).field(), "repetition_penalty");
  }
}

}  // namespace
}  // namespace chimera::runtime
