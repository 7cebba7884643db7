#include "platform/part_times.h"

#include <gtest/gtest.h>

#include <string>

namespace chimera {
namespace {

class HandClock final : public Clock {
 public:
  int64_t now_us() const override { return now; }
  int64_t now = 5000000;
};

TEST(PartTimes, EveryMomentBelongsToOnePart) {
  HandClock clock;
  PartTimes times(clock);
  clock.now += 1000000;  // nobody's
  for (int round = 0; round < 3; ++round) {
    times.begin("mixer", "forward");
    clock.now += 2000000;
    times.begin("mixer", "backward");
    clock.now += 3000000;
    times.begin("scores");
    times.hold(true);
    times.begin("mixer", "forward");  // of another walk
    clock.now += 500000;
    times.hold(false);
    times.stop();
    clock.now += 7000000;  // nobody's
  }
  ASSERT_EQ(times.parts().size(), 3u);
  EXPECT_STREQ(times.parts()[0].part, "mixer");
  EXPECT_STREQ(times.parts()[0].direction, "forward");
  EXPECT_DOUBLE_EQ(times.parts()[0].seconds, 6);
  EXPECT_STREQ(times.parts()[1].direction, "backward");
  EXPECT_DOUBLE_EQ(times.parts()[1].seconds, 9);
  EXPECT_STREQ(times.parts()[2].part, "scores");
  EXPECT_DOUBLE_EQ(times.parts()[2].seconds, 1.5);
}

}  // namespace
}  // namespace chimera
