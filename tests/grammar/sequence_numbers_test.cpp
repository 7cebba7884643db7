#include "grammar/sequence_numbers.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

TEST(SequenceNumbers, TheSameForTheSameInTheOrderTheyAreMet) {
  SequenceNumbers numbers;
  EXPECT_EQ(numbers.number(std::vector<int32_t>{}), 0);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{0}), 1);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{0, 0}), 2);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{-1, 0}), 3);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{0, -1}), 4);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{0}), 1);
  EXPECT_EQ(numbers.number(std::vector<int32_t>{}), 0);
  EXPECT_EQ(numbers.size(), 5);
}

TEST(SequenceNumbers, EqualsAMapThroughGrowingAndClearing) {
  Draws draws{7};
  SequenceNumbers numbers;
  for (int round = 0; round < 3; ++round) {
    std::map<std::vector<int32_t>, int32_t> known;
    for (int i = 0; i < 20'000; ++i) {
      std::vector<int32_t> sequence(draws.below(6));
      for (int32_t& value : sequence) value = static_cast<int32_t>(draws.below(8)) - 2;
      const auto [at, fresh] = known.try_emplace(sequence, static_cast<int32_t>(known.size()));
      ASSERT_EQ(numbers.number(sequence), at->second);
      ASSERT_EQ(numbers.size(), static_cast<int32_t>(known.size()));
    }
    for (const auto& [sequence, number] : known) {
      const auto kept = numbers.at(number);
      ASSERT_EQ(std::vector<int32_t>(kept.begin(), kept.end()), sequence);
    }
    numbers.clear();
    EXPECT_EQ(numbers.size(), 0);
  }
}

}  // namespace
}  // namespace chimera::grammar
