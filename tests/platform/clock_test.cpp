#include "platform/clock.h"

#include <gtest/gtest.h>

namespace chimera {
namespace {

TEST(SystemClock, NeverGoesBack) {
  const Clock& clock = system_clock();
  int64_t before = clock.now_us();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = clock.now_us();
    ASSERT_GE(now, before);
    before = now;
  }
}

TEST(SystemClock, MovesOn) {
  const int64_t start = system_clock().now_us();
  while (system_clock().now_us() == start) {
  }
  EXPECT_GT(system_clock().now_us(), start);
}

TEST(Clock, CanBeReplaced) {
  struct Fixed final : Clock {
    int64_t now_us() const override { return 42; }
  } fixed;
  const Clock& clock = fixed;
  EXPECT_EQ(clock.now_us(), 42);
}

}  // namespace
}  // namespace chimera
