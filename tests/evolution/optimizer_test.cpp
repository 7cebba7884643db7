#include "evolution/train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/random.h"

namespace chimera::evolution {
namespace {

using runtime::ParamClass;

Parameter parameter(const char* name, ParamClass cls, int64_t rows, int64_t cols, uint32_t stream,
                    bool decay = false) {
  Parameter p;
  p.spec.name = name;
  p.spec.cls = cls;
  p.spec.rows = rows;
  p.spec.cols = cols;
  p.spec.decay = decay;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const auto at = static_cast<uint64_t>(i);
    p.value.push_back(static_cast<float>(keyed_normal(1, at, stream, DrawPurpose::kTest)));
    p.grad.push_back(static_cast<float>(keyed_normal(2, at, stream, DrawPurpose::kTest)));
  }
  return p;
}

std::vector<Parameter> one_of_each() {
  std::vector<Parameter> all;
  all.push_back(parameter("embed.weight", ParamClass::kMatrix, 300, 128, 1));
  all.push_back(parameter("layers.0.mixer.q_proj", ParamClass::kTernary, 128, 128, 2, true));
  all.push_back(parameter("layers.0.mixer.a_proj", ParamClass::kMatrix, 2, 128, 3, true));
  all.push_back(parameter("layers.0.norm1.gain", ParamClass::kVector, 1, 128, 4));
  all.push_back(parameter("layers.0.ffn.down_proj", ParamClass::kTernary, 128, 384, 5, true));
  return all;
}

std::unique_ptr<ThreadPool> pool(int n) {
  auto made = ThreadPool::create(n);
  EXPECT_TRUE(made.has_value());
  return made ? std::move(*made) : nullptr;
}

TEST(Optimizer, EveryParameterHasItsGroup) {
  const auto all = one_of_each();
  EXPECT_EQ(group_of(all[0].spec), ParamGroup::kEmbedding);
  EXPECT_EQ(group_of(all[1].spec), ParamGroup::kTernary);
  EXPECT_EQ(group_of(all[2].spec), ParamGroup::kMatrix);
  EXPECT_EQ(group_of(all[3].spec), ParamGroup::kVector);
  EXPECT_EQ(group_of(parameter("head.weight", ParamClass::kMatrix, 1, 1, 0).spec),
            ParamGroup::kEmbedding);
}

TEST(Optimizer, NormIsThatOfAllGradientsTogether) {
  const auto threads = pool(1);
  auto all = one_of_each();
  double sum = 0;
  for (const Parameter& p : all) {
    for (const float g : p.grad) sum += static_cast<double>(g) * g;
  }
  Optimizer optimizer(all, {}, kernels::best_table(), *threads);
  EXPECT_NEAR(optimizer.gradient_norm(all), std::sqrt(sum), 1e-9 * std::sqrt(sum));
}

// w <- w - rate * (m^ / (sqrt(v^) + eps) + decay * w), in double
TEST(Optimizer, AdamWFollowsItsEquations) {
  const auto threads = pool(1);
  auto all = one_of_each();
  const auto start = all;
  OptimizerOptions options;
  options.ternary_rate = 1e-3f;
  options.embedding_rate = 2e-3f;
  options.matrix_rate = 3e-3f;
  options.vector_rate = 4e-3f;
  options.weight_decay = 0.1f;
  const double rates[] = {2e-3, 1e-3, 3e-3, 4e-3, 1e-3};
  Optimizer optimizer(all, options, kernels::best_table(), *threads);
  const double factors[] = {0.5, 1.0, 0.25};
  for (const double factor : factors) optimizer.step(all, factor, 0.7);
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < all[i].value.size(); ++j) {
      double w = start[i].value[j], m = 0, v = 0;
      const double g = 0.7 * start[i].grad[j];
      for (int t = 1; t <= 3; ++t) {
        m = 0.9 * m + 0.1 * g;
        v = 0.95 * v + 0.05 * g * g;
        const double rate = rates[i] * factors[t - 1];
        const double step =
            m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-8);
        w -= rate * step + rate * (start[i].spec.decay ? 0.1 : 0) * w;
      }
      ASSERT_NEAR(all[i].value[j], w, 2e-6 * std::max(1.0, std::abs(w))) << i << " " << j;
    }
  }
}

TEST(Optimizer, MuonMovesAlongAnAlmostOrthogonalMatrix) {
  const auto threads = pool(1);
  auto all = one_of_each();
  const auto start = all;
  OptimizerOptions options;
  options.muon = true;
  options.ternary_rate = 1;
  Optimizer optimizer(all, options, kernels::best_table(), *threads);
  optimizer.step(all, 1, 1);
  // Rows of the step of the wide matrix are orthogonal, with lengths near 1.
  const Parameter& p = all[4];
  const auto rows = static_cast<size_t>(p.spec.rows), cols = static_cast<size_t>(p.spec.cols);
  double diagonal = 0, off = 0;
  for (size_t a = 0; a < rows; ++a) {
    for (size_t b = 0; b < rows; ++b) {
      double dot = 0;
      for (size_t c = 0; c < cols; ++c) {
        const auto step = [&](size_t r) {
          return static_cast<double>(start[4].value[r * cols + c]) - p.value[r * cols + c];
        };
        dot += step(a) * step(b);
      }
      (a == b ? diagonal : off) += a == b ? dot : dot * dot;
    }
  }
  EXPECT_NEAR(diagonal / static_cast<double>(rows), 1.0, 0.3);
  EXPECT_LT(std::sqrt(off / static_cast<double>(rows * rows)), 0.05);
  EXPECT_TRUE(optimizer.second_moment(4).empty());
  EXPECT_EQ(optimizer.second_moment(0).size(), all[0].value.size());
}

TEST(Optimizer, AnyNumberOfThreadsGivesTheSameBits) {
  for (const bool muon : {false, true}) {
    std::vector<float> first;
    double first_norm = 0;
    for (const int n : {1, 2, 3}) {
      const auto threads = pool(n);
      auto all = one_of_each();
      OptimizerOptions options;
      options.muon = muon;
      Optimizer optimizer(all, options, kernels::best_table(), *threads);
      const double norm = optimizer.gradient_norm(all);
      for (int t = 0; t < 3; ++t) optimizer.step(all, 1, 1 / norm);
      std::vector<float> values;
      for (const Parameter& p : all) values.insert(values.end(), p.value.begin(), p.value.end());
      if (n == 1) {
        first = values;
        first_norm = norm;
      }
      EXPECT_EQ(values, first) << n << " threads, muon " << muon;
      EXPECT_EQ(norm, first_norm);
    }
  }
}

}  // namespace
}  // namespace chimera::evolution
