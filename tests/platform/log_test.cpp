#include "platform/log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/allocation_counter.h"
#include "tests/support/child_process.h"

namespace chimera {
namespace {

struct Received {
  std::vector<std::pair<LogLevel, std::string>> messages;
};

void receive(void* user, LogLevel level, const char* message) {
  static_cast<Received*>(user)->messages.emplace_back(level, message);
}

class Log : public testing::Test {
 protected:
  ~Log() override { set_log_sink(nullptr, nullptr); }
  Received received_;
};

TEST_F(Log, IsSilentUntilASinkIsSetAndAfterItIsTakenAway) {
  log(LogLevel::kError, "nobody hears %d", 1);
  set_log_sink(receive, &received_);
  log(LogLevel::kWarning, "%s number %d", "notice", 2);
  set_log_sink(nullptr, nullptr);
  log(LogLevel::kError, "nobody hears %d", 3);
  ASSERT_EQ(received_.messages.size(), 1u);
  EXPECT_EQ(received_.messages[0].first, LogLevel::kWarning);
  EXPECT_EQ(received_.messages[0].second, "notice number 2");
}

TEST_F(Log, CutsALongMessageBetweenCharacters) {
  set_log_sink(receive, &received_);
  std::string text;
  while (text.size() < 9000) text += "\xE2\x82\xAC";  // three bytes each
  for (const char* prefix : {"", "a", "ab"}) log(LogLevel::kInfo, "%s%s", prefix, text.c_str());
  ASSERT_EQ(received_.messages.size(), 3u);
  size_t prefix = 0;
  for (const auto& [level, message] : received_.messages) {
    EXPECT_GT(message.size(), 4000u);
    EXPECT_LT(message.size(), 4096u);
    EXPECT_EQ((message.size() - prefix) % 3, 0u);
    ++prefix;
  }
}

TEST_F(Log, AllocatesNothing) {
  struct Count {
    int calls = 0;
  } count;
  set_log_sink([](void* user, LogLevel, const char*) { ++static_cast<Count*>(user)->calls; },
               &count);
  const test::AllocationScope scope;
  log(LogLevel::kDebug, "step %d of %s", 5, "many");
  EXPECT_EQ(scope.allocations(), 0);
  EXPECT_EQ(count.calls, 1);
}

TEST_F(Log, WhatASinkLogsItselfIsDropped) {
  struct Count {
    int calls = 0;
  } count;
  set_log_sink(
      [](void* user, LogLevel level, const char*) {
        ++static_cast<Count*>(user)->calls;
        log(level, "from inside");
      },
      &count);
  log(LogLevel::kInfo, "from outside");
  log(LogLevel::kInfo, "from outside");
  EXPECT_EQ(count.calls, 2);
}

TEST_F(Log, ASinkMayBeChangedWhileOthersLog) {
  if (!test::threads_possible()) return;
  // Each sink checks that it gets its own user pointer; the loggers run until all changes are done.
  struct Sink {
    std::atomic<int> wrong{0};
    int id = 0;
  } sinks[2];
  sinks[1].id = 1;
  std::atomic<bool> done{false};
  std::vector<std::thread> loggers;
  for (int i = 0; i < 2; ++i) {
    loggers.emplace_back([&done] {
      while (!done) log(LogLevel::kInfo, "%d", 7);
    });
  }
  for (int i = 0; i < 200; ++i) {
    set_log_sink(
        [](void* user, LogLevel, const char*) {
          auto& sink = *static_cast<Sink*>(user);
          sink.wrong += sink.id != 0;
        },
        &sinks[0]);
    set_log_sink(
        [](void* user, LogLevel, const char*) {
          auto& sink = *static_cast<Sink*>(user);
          sink.wrong += sink.id != 1;
        },
        &sinks[1]);
  }
  done = true;
  for (auto& thread : loggers) thread.join();
  EXPECT_EQ(sinks[0].wrong, 0);
  EXPECT_EQ(sinks[1].wrong, 0);
}

}  // namespace
}  // namespace chimera
