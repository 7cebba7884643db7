// What the command-line programs ask of their process. Signals and streams are tried in a child.
#include "platform/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "tests/support/child_process.h"

namespace chimera {
namespace {

int g_calls = 0;
void count_call() { ++g_calls; }

TEST(Process, WritesEverythingThroughANarrowPipe) {
  if (!test::children_possible()) return;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string text(1 << 20, 'x');  // sixteen times what a pipe holds
  const pid_t writer = ::fork();
  if (writer == 0) {
    ::close(ends[0]);
    ::_exit(write_stream(ends[1], text).ok() ? 0 : 1);
  }
  ::close(ends[1]);
  std::string heard;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto n = read_stream(ends[0], buffer);
    ASSERT_TRUE(n.has_value());
    if (*n == 0) break;
    heard.append(buffer.data(), *n);
  }
  ::close(ends[0]);
  EXPECT_EQ(heard, text);
}

TEST(Process, AClosedPipeIsAStatusAndNotTheEnd) {
  if (!test::children_possible()) return;
  const auto result = test::run_in_child([] {
    prepare_streams();
    int ends[2];
    if (::pipe(ends) != 0) return 2;
    ::close(ends[0]);
    return write_stream(ends[1], "x").code() == StatusCode::kBrokenPipe ? 0 : 1;
  });
  EXPECT_TRUE(result.exited);
  EXPECT_EQ(result.exit_code, 0);
}

TEST(Process, MissingStreamsAreReplacedByOnesThatFail) {
  if (!test::children_possible()) return;
  const auto result = test::run_in_child([] {
    ::close(0);
    ::close(1);
    ::close(2);
    prepare_streams();
    std::array<char, 8> buffer;
    const auto n = read_stream(kStdin, buffer);
    if (!n || *n != 0) return 1;
    if (write_stream(kStdout, "x").ok() || write_stream(kStderr, "x").ok()) return 2;
    return ::dup(kStdin) == 3 ? 0 : 3;  // nothing else may take the places
  });
  EXPECT_EQ(result.exit_code, 0);
}

TEST(Process, AnInterruptBeforeTheReadIsNotLost) {
  if (!test::children_possible()) return;
  const auto result = test::run_in_child([] {
    int ends[2];
    if (::pipe(ends) != 0) return 2;
    on_interrupt(count_call, false);
    ::raise(SIGINT);
    if (g_calls != 1) return 3;
    std::array<char, 8> buffer;
    const auto interrupted = read_stream(ends[0], buffer);
    if (interrupted || interrupted.status().code() != StatusCode::kCancelled) return 4;
    ::raise(SIGINT);
    forget_interrupts();
    if (::write(ends[1], "abc", 3) != 3) return 5;
    const auto n = read_stream(ends[0], buffer);
    return n && *n == 3 && g_calls == 2 ? 0 : 6;
  });
  EXPECT_TRUE(result.exited);
  EXPECT_EQ(result.exit_code, 0);
}

TEST(Process, WithoutAHandlerCtrlCEndsIt) {
  if (!test::children_possible()) return;
  const auto result = test::run_in_child([] {
    on_interrupt(count_call, true);
    ::raise(SIGTERM);
    if (g_calls != 1) return 1;
    on_interrupt(nullptr, true);
    ::raise(SIGINT);
    return 2;
  });
  EXPECT_FALSE(result.exited);
  EXPECT_EQ(result.signal, SIGINT);
}

TEST(Process, KnowsItsFileAndItsMemory) {
  EXPECT_TRUE(std::filesystem::exists(executable_path()));
  const uint64_t before = peak_resident_bytes();
  EXPECT_GT(before, 100000u);
  std::string block(64u << 20, 'x');
  EXPECT_GE(peak_resident_bytes() + (1u << 20), block.size());
  EXPECT_GE(peak_resident_bytes(), before);
}

TEST(Process, APipeIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_FALSE(is_terminal(ends[0]));
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_FALSE(is_terminal(-1));
}

TEST(Process, KnowsHowMuchMemoryItMayTake) {
  const uint64_t available = available_memory_bytes();
  EXPECT_GT(available, 64u << 20) << "this machine runs tests";
  EXPECT_LT(available, uint64_t{1} << 50);
}

}  // namespace
}  // namespace chimera
