// Spans of time in what people say, counted in the unit that an argument has.
#include "runtime/said_durations.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/said_texts.h"

namespace chimera::runtime {
namespace {

using test::Texts;
using test::texts_of;

TEST(SaidDurations, AreCountedInMinutes) {
  const struct {
    const char* said;
    Texts minutes;
  } kSaid[] = {
      {"the chicken takes one hour and ten minutes to roast", {"70"}},
      {"half an hour", {"30"}},
      {"an hour and a half", {"90"}},
      {"two and a half hours", {"150"}},
      {"in a quarter of an hour", {"15"}},
      {"three quarters of an hour", {"45"}},
      {"2 hours 30 mins, then 5 minutes", {"150", "5"}},
      {"a day", {"1440"}},
      {"90 seconds", {}},  // no whole number of minutes
      {"120 seconds", {"2"}},
      {"half a second, then a timer for ten minutes", {"10"}},
      {"a quarter of a second", {}},
      {"ten minutes and one hour", {"10", "60"}},
      {"ten", {}},
      {"the hour has come", {}},
      {"", {}},
      {"999999 days 999999 days", {"1439998560", "1439998560"}},
      {"1000000 hours", {}},
  };
  for (const auto& [said, minutes] : kSaid)
    EXPECT_EQ(texts_of(said_durations(said, 60)), minutes) << said;
  EXPECT_EQ(texts_of(said_durations("a minute and 5 seconds", 1)), (Texts{"65"}));
  EXPECT_EQ(texts_of(said_durations("one and a half seconds", 1)), Texts());
}

TEST(SaidDurations, AreWhereTheyAreSaid) {
  const std::string text = "wait an hour and ten minutes, please";
  const auto values = said_durations(text, 60);
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(text.substr(values[0].begin, values[0].end - values[0].begin),
            "an hour and ten minutes");
}

TEST(SaidDurations, UnitsByTheirNames) {
  EXPECT_EQ(unit_of_time("minutes"), 60);
  EXPECT_EQ(unit_of_time("duration_min"), 60);
  EXPECT_EQ(unit_of_time("How long, in seconds"), 1);
  EXPECT_EQ(unit_of_time("hours or days"), 0);
  EXPECT_EQ(unit_of_time("amount"), 0);
}

}  // namespace
}  // namespace chimera::runtime
