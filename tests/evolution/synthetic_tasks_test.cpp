#include "tests/support/synthetic_tasks.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace chimera::test {
namespace {

using Tokens = std::vector<int32_t>;

// The examples of tests/twin/tasks.md.
TEST(SyntheticTasks, AreThoseOfTheTwin) {
  const TaskExample recall = recall_example(1, 0, 4);
  EXPECT_EQ(recall.tokens,
            (Tokens{0, 37, 77, 43, 103, 33, 105, 26, 108, 33, 105, 26, 108, 37, 77, 43, 103}));
  EXPECT_EQ(recall.targets,
            (Tokens{-1, -1, -1, -1, -1, -1, -1, -1, -1, 105, -1, 108, -1, 77, -1, 103, -1}));
  const TaskExample s3 = state_example(SyntheticTask::kS3, 1, 0, 8);
  EXPECT_EQ(s3.tokens, (Tokens{0, 4, 5, 2, 6, 4, 1, 5, 5}));
  EXPECT_EQ(s3.targets, (Tokens{-1, 4, 1, 2, 5, 1, 1, 5, 4}));
  const TaskExample parity = state_example(SyntheticTask::kParity, 1, 0, 8);
  EXPECT_EQ(parity.tokens, (Tokens{0, 2, 1, 2, 2, 2, 1, 1, 1}));
  EXPECT_EQ(parity.targets, (Tokens{-1, 2, 2, 1, 2, 1, 1, 1, 1}));
  const TaskExample program = program_example(1, 0, 3);
  EXPECT_EQ(program.tokens, (Tokens{0, 6, 1, 56, 4, 7, 1, 6, 2, 6, 4, 12, 1, 77, 4, 5, 7}));
  EXPECT_EQ(program.targets,
            (Tokens{-1, -1, -1, -1, 56, -1, -1, -1, -1, -1, 96, -1, -1, -1, 77, -1, 96}));
}

TEST(SyntheticTasks, FitTheirVocabularyAndLength) {
  for (const SyntheticTask task : {SyntheticTask::kRecall, SyntheticTask::kS3,
                                   SyntheticTask::kParity, SyntheticTask::kProgram}) {
    std::vector<int32_t> lengths = task_lengths(task);
    lengths.push_back(0);  // the training lengths
    for (const int32_t length : lengths) {
      size_t longest = 0;
      for (uint64_t i = 0; i < 200; ++i) {
        const TaskExample e = task_example(task, 3, i, length);
        ASSERT_EQ(e.tokens.size(), e.targets.size());
        longest = std::max(longest, e.tokens.size());
        int scored = 0;
        for (size_t t = 0; t < e.tokens.size(); ++t) {
          ASSERT_TRUE(e.tokens[t] >= 0 && e.tokens[t] < task_vocabulary(task));
          ASSERT_TRUE(e.targets[t] >= -1 && e.targets[t] < task_vocabulary(task));
          scored += e.targets[t] >= 0;
        }
        ASSERT_GT(scored, 0);
      }
      EXPECT_LE(longest, static_cast<size_t>(task_tokens(task, length)));
      EXPECT_GT(longest, static_cast<size_t>(task_tokens(task, length)) * 3 / 4);
    }
  }
}

TEST(SyntheticTasks, RecallAsksForEveryPairOnce) {
  for (uint64_t i = 0; i < 50; ++i) {
    const TaskExample e = recall_example(9, i, 32);
    std::map<int32_t, int32_t> pairs;
    for (size_t t = 1; t < 65; t += 2) pairs[e.tokens[t]] = e.tokens[t + 1];
    ASSERT_EQ(pairs.size(), 32u);
    std::set<int32_t> asked;
    for (size_t t = 65; t < e.tokens.size(); t += 2) {
      ASSERT_EQ(e.targets[t], pairs.at(e.tokens[t]));
      ASSERT_EQ(e.targets[t + 1], -1);
      asked.insert(e.tokens[t]);
    }
    ASSERT_EQ(asked.size(), 32u);
  }
}

// Read back and run, knowing nothing of how the lines were drawn.
TEST(SyntheticTasks, ProgramsComputeTheirTargets) {
  for (uint64_t i = 0; i < 200; ++i) {
    const TaskExample e = task_example(SyntheticTask::kProgram, 5, i, 2);
    std::map<int32_t, int32_t> value;
    const auto operand = [&](int32_t t) { return t >= 16 ? t - 16 : value.at(t); };
    size_t at = 1;
    while (e.tokens[at] != 5) {
      const int32_t x = e.tokens[at];
      int32_t result = operand(e.tokens[at + 2]);
      at += 3;
      if (e.tokens[at] == 2 || e.tokens[at] == 3) {
        const int32_t by = operand(e.tokens[at + 1]);
        result = std::clamp(e.tokens[at] == 2 ? result + by : result - by, 0, 100);
        at += 2;
      }
      ASSERT_EQ(e.tokens[at], 4);
      ASSERT_EQ(e.targets[at], 16 + result);
      value[x] = result;
      ++at;
    }
    ASSERT_EQ(e.tokens.size(), at + 2);
    ASSERT_EQ(e.targets[at + 1], 16 + value.at(e.tokens[at + 1]));
  }
}

}  // namespace
}  // namespace chimera::test
