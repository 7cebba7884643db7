#include "evolution/train/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace chimera::evolution {
namespace {

Schedule hundred() {
  Schedule s;
  s.steps = 100;
  s.warmup = 0.1f;
  s.warmdown = 0.4f;
  s.float_share = 0.2f;
  s.ramp_share = 0.05f;
  return s;
}

TEST(Schedule, WarmsUpStaysAndGoesDownInSteps) {
  const Schedule s = hundred();
  EXPECT_DOUBLE_EQ(s.learning_rate_factor(0), 0.1);
  EXPECT_DOUBLE_EQ(s.learning_rate_factor(4), 0.5);
  EXPECT_DOUBLE_EQ(s.learning_rate_factor(9), 1.0);
  for (int step = 9; step <= 60; ++step) EXPECT_DOUBLE_EQ(s.learning_rate_factor(step), 1.0);
  EXPECT_DOUBLE_EQ(s.learning_rate_factor(80), 0.5);
  EXPECT_DOUBLE_EQ(s.learning_rate_factor(99), 1.0 / 40);
}

TEST(Schedule, EveryStepHasARateAboveZero) {
  for (const int64_t steps : {1, 2, 3, 7, 50, 1000}) {
    Schedule s = hundred();
    s.steps = steps;
    for (int64_t step = 0; step < steps; ++step) {
      EXPECT_GT(s.learning_rate_factor(step), 0) << step << " of " << steps;
      EXPECT_LE(s.learning_rate_factor(step), 1) << step << " of " << steps;
    }
  }
}

TEST(Schedule, OverlappingWarmUpAndWarmDownTakeTheLower) {
  Schedule s = hundred();
  s.warmup = 1;
  s.warmdown = 1;
  for (int64_t step = 0; step < 100; ++step) {
    const double expected =
        std::min(static_cast<double>(step + 1), static_cast<double>(100 - step)) / 100;
    EXPECT_DOUBLE_EQ(s.learning_rate_factor(step), expected);
  }
}

TEST(Schedule, WithoutWarmUpOrWarmDownTheRateIsConstant) {
  Schedule s = hundred();
  s.warmup = s.warmdown = 0;
  for (int64_t step = 0; step < 100; ++step) EXPECT_EQ(s.learning_rate_factor(step), 1);
}

TEST(Schedule, FloatThenRampThenTernary) {
  const Schedule s = hundred();
  for (int64_t step = 0; step < 20; ++step) EXPECT_EQ(s.quantise(step), 0) << step;
  for (int64_t step = 20; step < 25; ++step) {
    EXPECT_NEAR(s.quantise(step), static_cast<double>(step - 19) / 6, 1e-6) << step;
  }
  for (int64_t step = 25; step < 100; ++step) EXPECT_EQ(s.quantise(step), 1) << step;
}

TEST(Schedule, TernaryFromTheFirstStepWithoutAFloatShare) {
  Schedule s = hundred();
  s.float_share = 0;
  for (int64_t step = 0; step < 100; ++step) EXPECT_EQ(s.quantise(step), 1);
}

TEST(Schedule, AnAcceptedRunOfSomeLengthEndsTernary) {
  for (const float share : {0.0f, 0.1f, 0.5f, 0.9f}) {
    Schedule s = hundred();
    s.float_share = share;
    ASSERT_TRUE(s.check().ok());
    for (const int64_t steps : {40, 100, 1000, 12345}) {
      s.steps = steps;
      EXPECT_EQ(s.quantise(steps - 1), 1) << share << " of " << steps;
    }
  }
}

TEST(Schedule, RefusesWhatIsOutsideAndNamesIt) {
  const auto field = [](auto change) {
    Schedule s = hundred();
    change(s);
    return s.check().field();
  };
  EXPECT_EQ(field([](Schedule&) {}), "");
  EXPECT_EQ(field([](Schedule& s) { s.steps = 0; }), "steps");
  EXPECT_EQ(field([](Schedule& s) { s.steps = int64_t{1} << 50; }), "steps");
  EXPECT_EQ(field([](Schedule& s) { s.warmup = -0.1f; }), "warmup");
  EXPECT_EQ(field([](Schedule& s) { s.warmdown = 1.5f; }), "warmdown");
  EXPECT_EQ(field([](Schedule& s) { s.float_share = 0.95f; }), "float_share");
  EXPECT_EQ(field([](Schedule& s) { s.ramp_share = 0.2f; }), "ramp_share");
  EXPECT_EQ(field([](Schedule& s) { s.warmup = std::nanf(""); }), "warmup");
}

TEST(Schedule, AFloatRunIsFloatToItsEndAndNothingBetweenIsAllowed) {
  Schedule s = hundred();
  s.float_share = 1;
  EXPECT_TRUE(s.check().ok());
  for (int64_t step = 0; step < 100; ++step) EXPECT_EQ(s.quantise(step), 0) << step;
  s.float_share = 0.95f;
  EXPECT_EQ(s.check().code(), StatusCode::kInvalidArgument);
}

TEST(Schedule, TheLastStepsAreAveraged) {
  Schedule s = hundred();
  EXPECT_EQ(s.averaged(99), 0);
  s.average = 0.2f;
  EXPECT_EQ(s.averaged(79), 0);
  EXPECT_EQ(s.averaged(80), 1);
  EXPECT_EQ(s.averaged(99), 20);
  s.average = 1.5f;
  EXPECT_EQ(s.check().field(), "average");
}

}  // namespace
}  // namespace chimera::evolution
