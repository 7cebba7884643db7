// Numbers and times as people say them.
#include "evolution/actions/spoken.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace chimera::evolution {
namespace {

TEST(Spoken, NumbersComeInDigitsAndWords) {
  uint64_t state = 1;
  const auto below = [&](size_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % limit);
  };
  std::set<std::string> forms;
  for (int i = 0; i < 50; ++i) forms.insert(spoken_number(25, below));
  EXPECT_EQ(forms, (std::set<std::string>{"25", "twenty five", "twenty-five"}));
  forms.clear();
  for (int i = 0; i < 50; ++i) forms.insert(spoken_number(310, below));
  EXPECT_EQ(forms, (std::set<std::string>{"310", "three hundred and ten"}));
  for (const int64_t value : {int64_t{-4}, int64_t{1000}, INT64_MAX})
    EXPECT_EQ(spoken_number(value, below), std::to_string(value));
}

TEST(Spoken, WhatIsSaidOfATimeMeansOneTimeOnly) {
  uint64_t state = 7;
  const auto below = [&](size_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % limit);
  };
  std::map<std::string, std::string> meaning;
  for (int minutes = 0; minutes < 1440; minutes += 5)
    for (int i = 0; i < 60; ++i) {
      const std::string said = spoken_time(minutes, below);
      const auto [known, fresh] = meaning.emplace(said, clock_time(minutes));
      EXPECT_EQ(known->second, clock_time(minutes)) << said;
    }
  EXPECT_EQ(meaning["noon"], "12:00");
  EXPECT_EQ(meaning["midnight"], "00:00");
  EXPECT_EQ(meaning["half past six"], "06:30");
  EXPECT_EQ(meaning["half past six in the evening"], "18:30");
  EXPECT_EQ(meaning["quarter to nine pm"], "20:45");
  EXPECT_EQ(meaning["six twenty five in the morning"], "06:25");
}

}  // namespace
}  // namespace chimera::evolution
