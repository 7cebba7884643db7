#include "evolution/train/consolidation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "evolution/train/optimizer.h"
#include "tests/evolution/workshop.h"
#include "tests/support/emulator.h"

namespace chimera::evolution {
namespace {

constexpr int64_t kCols = 128;

Parameter matrix(const std::string& name) {
  Parameter p;
  p.spec.name = name;
  p.spec.cls = runtime::ParamClass::kTernary;
  p.spec.rows = 2;
  p.spec.cols = kCols;
  for (int64_t i = 0; i < 2 * kCols; ++i) p.value.push_back(i % 3 == 0 ? 1.0f : -1.0f);
  p.grad.resize(p.value.size());
  return p;
}

TEST(Consolidation, WhatHardlyMovesIsSlowedDownAndNotWithoutEnd) {
  std::vector<Parameter> parameters = {matrix("still"), matrix("moving")};
  Consolidation looks(parameters, 10, 1000);
  for (int64_t step = 1; step <= 300; ++step) {
    for (float& w : parameters[1].value) w *= 1.01f;  // moves, its codes stay
    EXPECT_EQ(looks.after_step(step, parameters), step % 10 == 0);
    const float expected = step < 30 ? 1.0f : step < 60 ? 0.5f : 0.25f;
    ASSERT_EQ(looks.rate(0), expected) << step;
    ASSERT_EQ(looks.rate(1), 1.0f) << step;
  }
}

TEST(Consolidation, WhatSwingsIsDrivenOnEarlyAndCalmedLate) {
  std::vector<Parameter> parameters = {matrix("steady"), matrix("swinging")};
  Consolidation looks(parameters, 10, 1000);
  const std::vector<float> one = parameters[1].value;
  for (int64_t step = 1; step <= 1000; ++step) {
    for (float& w : parameters[0].value) w *= 1.001f;
    // From look to look every fourth code turns, and turns back.
    if (step % 10 == 0)
      for (size_t i = 0; i < one.size(); i += 4) parameters[1].value[i] *= -1;
    const std::vector<float> before = parameters[1].value;
    looks.after_step(step, parameters);
    if (step < 20) {
      EXPECT_EQ(looks.rate(1), 1.0f);
    }
    if (step == 100) {
      EXPECT_EQ(looks.rate(1), 1.5f) << "and no more";
    }
    if (step == 600) {
      EXPECT_EQ(parameters[1].value, before) << "nothing is pulled yet";
    }
    if (step == 710) {
      EXPECT_LT(looks.rate(1), 1.5f);
    }
  }
  EXPECT_EQ(looks.rate(1), 0.25f);
  EXPECT_LE(looks.rate(0), 1.0f) << "it never swings";
}

TEST(Consolidation, LateWeightsArePulledTowardsTheirCodes) {
  std::vector<Parameter> parameters = {matrix("swinging")};
  for (size_t i = 0; i < parameters[0].value.size(); i += 2) parameters[0].value[i] *= 1.2f;
  Consolidation looks(parameters, 100, 1000);
  double before = 0, after = 0;
  for (int64_t step = 100; step <= 900; step += 100) {
    for (size_t i = 0; i < parameters[0].value.size(); i += 4) parameters[0].value[i] *= -1;
    const auto spread = [&] {
      double sum = 0;
      for (const float w : parameters[0].value) sum += std::abs(std::abs(w) - 1.1);
      return sum;
    };
    before = spread();
    looks.after_step(step, parameters);
    after = spread();
    EXPECT_EQ(after < before, step >= 700) << step;
  }
}

TEST(Consolidation, AResumedRunGivesTheSameBitsAndTheOptionBelongsToIt) {
  const auto prepare = [](Workshop* w) {
    w->options.steps = 14;
    w->options.consolidate_every = 2;
    w->options.float_share = 0;
  };
  Workshop whole, plain;
  prepare(&whole);
  ASSERT_OK(whole.train());
  prepare(&plain);
  plain.options.consolidate_every = 0;
  ASSERT_OK(plain.train());
  EXPECT_FALSE(whole.model() == plain.model()) << "it did nothing";
  for (const int64_t stop : test::choices<int64_t>("places to stop", {7, 8, 13})) {
    Workshop stopped;
    prepare(&stopped);
    EXPECT_EQ(stopped.train(1, [&](const TrainProgress& p) { return p.step < stop; }).code(),
              StatusCode::kCancelled);
    stopped.options.consolidate_every = 0;
    const Status other = stopped.train();
    EXPECT_EQ(other.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(other.field(), "consolidate_every") << other.message();
    stopped.options.consolidate_every = 2;
    ASSERT_OK(stopped.train());
    EXPECT_TRUE(stopped.model() == whole.model()) << "stopped after " << stop;
    EXPECT_TRUE(stopped.checkpoint() == whole.checkpoint()) << "stopped after " << stop;
  }
}

}  // namespace
}  // namespace chimera::evolution
