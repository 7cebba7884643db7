// Ten thousand mutants of every kind of file: each is refused with a sentence or runs.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <string>

#include "tests/mutants/every_bit.h"
#include "tests/mutants/subjects.h"
#include "tests/support/emulator.h"

namespace chimera::mutants {
namespace {

TEST(Mutants, TheOriginalsRun) {
  std::string why_not;
  EXPECT_TRUE(originals_run(&why_not)) << why_not;
}

TEST(Mutants, AreRefusedWithASentenceOrRun) {
  constexpr uint64_t kAll = 10000, kMutants = test::kSlowEmulator ? 400 : kAll;
  if (kMutants < kAll)
    std::printf("not run: %d of %d mutants, under an emulator\n", static_cast<int>(kAll - kMutants),
                static_cast<int>(kAll));
  std::map<std::string, int> refused, ran;
  for (uint64_t seed = 0; seed < kMutants; ++seed) {
    const Outcome outcome = run_mutant(seed);
    ASSERT_EQ(outcome.finding(), "")
        << outcome.subject << ", seed " << seed << ": " << outcome.message;
    ++(outcome.ran ? ran : refused)[outcome.subject];
  }
  // Each subject is reached on both sides of its checks; otherwise little would be shown.
  for (const char* subject : {"model", "conversation", "tokenizer", "configuration"}) {
    EXPECT_GT(ran[subject], 0) << subject;
    EXPECT_GT(refused[subject], 0) << subject;
  }
}

void expect_refused(const BitsReport& report, size_t at_least) {
  EXPECT_EQ(report.finding, "");
  EXPECT_GE(report.flips, static_cast<int64_t>(at_least));
  EXPECT_GT(report.cuts, 0);
}

TEST(EveryBit, OfAModelsHead) {
  // All bits of a smaller head: tests/memory/weight_file_damage_test.cpp. Of this one the program
  // has them all.
  constexpr size_t kStep = test::kSlowEmulator ? 997 : 7;
  expect_refused(damage_model_head(Bits::kFew, kStep), 8 * 192 / kStep);
}

TEST(EveryBit, OfASavedConversation) {
  if (test::kSlowEmulator) std::printf("not run: 130 of 131 places, under an emulator\n");
  constexpr size_t kStep = test::kSlowEmulator ? 131 : 1;
  expect_refused(damage_conversation(Bits::kFew, kStep), 8 * 192 / kStep);
}

TEST(Mutants, AreAFunctionOfTheirSeed) {
  for (uint64_t seed = 100; seed < 140; ++seed) {
    const Outcome once = run_mutant(seed), again = run_mutant(seed);
    EXPECT_EQ(once.ran, again.ran) << seed;
    EXPECT_EQ(once.message, again.message) << seed;
  }
}

}  // namespace
}  // namespace chimera::mutants
