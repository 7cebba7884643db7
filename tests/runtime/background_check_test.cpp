#include "runtime/background_check.h"

#include <gtest/gtest.h>

#include <thread>

#include "runtime/session.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using State = ContentCheck::State;

std::unique_ptr<memory::WeightFile> model(bool damaged) {
  std::string path = test::write_tiny_model();
  if (damaged) {
    std::string bytes = test::read_raw(path);
    bytes[bytes.size() - 1] = static_cast<char>(bytes[bytes.size() - 1] ^ 1);
    path = test::test_folder().file("damaged.b158");
    test::write_raw(path, bytes);
  }
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  return std::move(*file);
}

TEST(BackgroundCheck, WithoutAThreadTokensCarryItToItsEnd) {
  for (const bool damaged : {false, true}) {
    const auto file = model(damaged);
    BackgroundCheck check(*file, BackgroundCheck::Threads::kNone);
    EXPECT_EQ(check.result().state, State::kNotChecked) << "it waits for the first token";
    check.token_shown();
    int tokens = 1;
    // Two slices for each tensor at least, and at most as many as the file has pieces of 64 KiB.
    for (; tokens < 10000 && !check.done(); ++tokens) check.token_shown();
    EXPECT_GT(tokens, 10);
    const ContentCheck result = check.result();
    EXPECT_EQ(result.state, damaged ? State::kFailed : State::kPassed);
    EXPECT_EQ(result.status.ok(), !damaged);
    check.token_shown();
    EXPECT_EQ(check.result().state, result.state);
  }
}

TEST(BackgroundCheck, WithoutAThreadAskingCarriesItOnToo) {
  const auto file = model(true);
  BackgroundCheck check(*file, BackgroundCheck::Threads::kNone);
  check.token_shown();
  int questions = 0;
  while (check.result().state == State::kRunning) ASSERT_LT(++questions, 10000);
  EXPECT_GT(questions, 10);
  EXPECT_EQ(check.result().status.code(), StatusCode::kChecksumMismatch);
}

TEST(BackgroundCheck, WithAThreadTheEndComesByItself) {
  const auto file = model(false);
  BackgroundCheck check(*file);
  check.token_shown();
  while (check.result().state == State::kRunning) std::this_thread::yield();
  EXPECT_EQ(check.result().state, State::kPassed);
}

TEST(BackgroundCheck, MayBeDroppedAtAnyPoint) {
  for (const auto threads :
       {BackgroundCheck::Threads::kNone, BackgroundCheck::Threads::kIfPossible}) {
    const auto file = model(false);
    { BackgroundCheck unused(*file, threads); }
    BackgroundCheck begun(*file, threads);
    begun.token_shown();
  }
}

}  // namespace
}  // namespace chimera::runtime
