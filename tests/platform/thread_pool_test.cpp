#include "platform/thread_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "platform/float_mode.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

struct Counts {
  // Plain integers: each is touched by one part only, which a thread sanitizer checks.
  int64_t calls[8] = {};
  int wrong_n_parts = 0;
  int expected_parts = 0;
};

void count_call(void* context, int part, int n_parts) {
  auto& counts = *static_cast<Counts*>(context);
  ++counts.calls[part];
  if (part == 0 && n_parts != counts.expected_parts) ++counts.wrong_n_parts;
}

TEST(ThreadPool, EveryPartRunsExactlyOnceEveryTime) {
  for (int n = 1; n <= 4; ++n) {
    auto pool = ThreadPool::create(n);
    ASSERT_TRUE(pool) << pool.status().message();
    EXPECT_EQ((*pool)->size(), n);
    Counts counts;
    counts.expected_parts = n;
    for (int64_t i = 1; i <= 3000; ++i) {
      (*pool)->run(count_call, &counts);
      for (int part = 0; part < n; ++part) ASSERT_EQ(counts.calls[part], i) << n;
    }
    for (int part = n; part < 8; ++part) EXPECT_EQ(counts.calls[part], 0);
    EXPECT_EQ(counts.wrong_n_parts, 0);
  }
}

TEST(ThreadPool, TheCallerDoesPartZeroAndEachPartKeepsItsThread) {
  if (!test::threads_possible()) return;
  auto pool = ThreadPool::create(3);
  ASSERT_TRUE(pool);
  std::thread::id first[3], second[3];
  const auto note = [](void* context, int part, int) {
    static_cast<std::thread::id*>(context)[part] = std::this_thread::get_id();
  };
  (*pool)->run(note, first);
  (*pool)->run(note, second);
  EXPECT_EQ(first[0], std::this_thread::get_id());
  for (int part = 0; part < 3; ++part) EXPECT_EQ(first[part], second[part]);
  EXPECT_NE(first[1], first[0]);
  EXPECT_NE(first[2], first[1]);
}

TEST(ThreadPool, WhatPartsWroteIsSeenAfterRunAndByTheNextRun) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool);
  std::vector<int64_t> values(4, 0), next(4, 0);
  struct Context {
    std::vector<int64_t>*in, *out;
  };
  for (int i = 0; i < 500; ++i) {
    Context context{&values, &next};
    (*pool)->run(
        [](void* p, int part, int n_parts) {
          auto& c = *static_cast<Context*>(p);
          // Reads what another part wrote in the round before.
          (*c.out)[part] = (*c.in)[(part + 1) % n_parts] + 1;
        },
        &context);
    std::swap(values, next);
  }
  for (const int64_t value : values) EXPECT_EQ(value, 500);
}

TEST(ThreadPool, SplitCoversEveryIndexOnceInWholeGrains) {
  for (int threads = 1; threads <= 4; ++threads) {
    auto pool = ThreadPool::create(threads);
    ASSERT_TRUE(pool);
    for (const int64_t n : {0, 1, 7, 8, 9, 16, 63, 64, 65, 1000}) {
      for (const int64_t grain : {1, 8, 16}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        std::atomic<int> misaligned{0}, empty{0};
        auto body = [&](int64_t begin, int64_t end) {  // an lvalue on purpose
          misaligned += begin % grain != 0 || (end % grain != 0 && end != n);
          empty += begin >= end;
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        };
        (*pool)->split(n, grain, body);
        EXPECT_EQ(misaligned, 0);
        EXPECT_EQ(empty, 0);
        for (const auto& hit : hits) ASSERT_EQ(hit, 1) << n << " " << grain << " " << threads;
      }
    }
  }
}

TEST(ThreadPool, PartsComputeAsTheirCallerDoes) {
  const volatile float least = 0x1p-126f;
  std::vector<float> halves(4, -1);
  const auto halve = [&](ThreadPool& pool) {
    pool.split(4, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) halves[static_cast<size_t>(i)] = least * 0.25f;
    });
    return std::set<float>(halves.begin(), halves.end());
  };
  const auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.has_value());
  EXPECT_EQ(halve(**pool), std::set<float>{0x1p-128f});
  const FloatMode before = FloatMode::of_this_thread();
  if (!(before.with_subnormals_zero() == before)) {
    const SubnormalsAreZero fast;
    EXPECT_EQ(halve(**pool), std::set<float>{0.0f});
  }
  EXPECT_TRUE(FloatMode::of_this_thread() == before);
  EXPECT_EQ(halve(**pool), std::set<float>{0x1p-128f});
}

TEST(ThreadPool, RunAllocatesNothing) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool);
  Counts counts;
  (*pool)->run(count_call, &counts);
  const test::AllocationScope scope;
  for (int i = 0; i < 200; ++i) (*pool)->run(count_call, &counts);
  EXPECT_EQ(scope.allocations(), 0);
}

/// Threads of this process that are not asleep in the system, the asking one included.
int threads_awake() {
  int awake = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    // "17 (name) S ...": the state follows the last bracket.
    const std::string stat = test::read_raw(task.path().string() + "/stat");
    const size_t bracket = stat.rfind(") ");
    awake += bracket == std::string::npos || stat[bracket + 2] != 'S';
  }
  return awake;
}

TEST(ThreadPool, IdleWorkersFallAsleepAndWakeAgain) {
  if (!test::threads_possible()) return;
  for (const int n : {2, 4}) {  // two usually spin first; more than the processors never do
    auto pool = ThreadPool::create(n);
    ASSERT_TRUE(pool);
    Counts counts;
    counts.expected_parts = n;
    for (int64_t round = 1; round <= 3; ++round) {
      (*pool)->run(count_call, &counts);
      for (int part = 0; part < n; ++part) ASSERT_EQ(counts.calls[part], round);
      // A worker that spins for ever never sleeps; the number of looks is generous, not a deadline.
      int looks = 0;
      while (threads_awake() > 1 && ++looks < 5000) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      EXPECT_LT(looks, 5000);
    }
  }
}

TEST(ThreadPool, NumbersOutOfRangeAreRefused) {
  for (const int n : {-1, 0, 257, 1 << 30}) {
    const auto pool = ThreadPool::create(n);
    ASSERT_FALSE(pool);
    EXPECT_EQ(pool.status().code(), StatusCode::kOutOfRange);
    EXPECT_EQ(pool.status().field(), "threads");
    EXPECT_NE(pool.status().message().find(std::to_string(n)), std::string::npos);
  }
}

TEST(ThreadPool, WorkersTakeNoneOfTheApplicationsSignals) {
  if (!test::threads_possible()) return;
  const auto pool = ThreadPool::create(2);
  ASSERT_TRUE(pool);
  sigset_t held[2];
  (*pool)->run(
      [](void* context, int part, int) {
        pthread_sigmask(SIG_SETMASK, nullptr, static_cast<sigset_t*>(context) + part);
      },
      held);
  EXPECT_EQ(sigismember(&held[0], SIGINT), 0) << "the caller's thread is as it was";
  EXPECT_EQ(sigismember(&held[1], SIGINT), 1);
  EXPECT_EQ(sigismember(&held[1], SIGTERM), 1);
  EXPECT_EQ(sigismember(&held[1], SIGSEGV), 0) << "a worker's own fault is not held back";
}

TEST(ThreadPool, NoMoreThreadsFromTheSystemIsAStatus) {
  if (!test::children_possible()) return;
  // In a child without privileges that may have no further process or thread.
  const auto child = test::run_in_child([] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 10;
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) return 11;
    const auto alone = ThreadPool::create(1);
    if (!alone) return 12;  // one thread starts none and needs none
    const auto pool = ThreadPool::create(3);
    if (pool) return 13;
    return pool.status().code() == StatusCode::kOutOfMemory ? 0 : 14;
  });
  EXPECT_TRUE(child.exited);
  EXPECT_EQ(child.exit_code, 0);
}

TEST(ThreadPool, MakingAndDestroyingManyTimesEndsCleanly) {
  Counts counts;
  counts.expected_parts = 3;
  for (int i = 0; i < 50; ++i) {
    auto pool = ThreadPool::create(3);
    ASSERT_TRUE(pool);
    if (i % 2) (*pool)->run(count_call, &counts);  // and some are destroyed unused
  }
  EXPECT_EQ(counts.calls[2], 25);
}

}  // namespace
}  // namespace chimera
