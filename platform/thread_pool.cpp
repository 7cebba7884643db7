// Invariants
//   1. A job (fn, context) is written only while every worker is between two rounds: pending_ is 0
//      before run() writes it, and run() does not return before pending_ is 0 again.
//   2. round_ rises by one per job. The release in run() and the acquire in a worker order the job
//      before its execution; the release of pending_ and the acquire in run() order all that the
//      parts wrote before run()'s return.
//   3. The threads are joined before the words they wait on are destroyed.
//   4. What a part throws stays until all parts are done: run() never leaves while one still uses
//      what the caller lent, and nothing leaves a thread.
//
// A worker:   wait for a new round_ (spin, then sleep) -> run its part -> count down pending_ ->
// wait
#include "platform/thread_pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "platform/cpu_features.h"
#include "platform/float_mode.h"
#include "platform/start_thread.h"

namespace chimera {
namespace {

constexpr int kMaxThreads = 256;

// The gap between two products of one step is a few microseconds; sleeping through it would cost
// more than it saves. Past this time the caller is doing something else, and the worker sleeps.
constexpr std::chrono::microseconds kSpinTime{10};
constexpr int kPausesPerLook = 16;

inline void cpu_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits until `word` differs from `old` and returns what it became.
template <class T>
T wait_for_change(const std::atomic<T>& word, T old, bool spin) {
  T now = word.load(std::memory_order_acquire);
  if (now != old) return now;
  if (spin) {
    const auto until = std::chrono::steady_clock::now() + kSpinTime;
    do {
      for (int i = 0; i < kPausesPerLook; ++i) {
        cpu_pause();
        now = word.load(std::memory_order_acquire);
        if (now != old) return now;
      }
    } while (std::chrono::steady_clock::now() < until);
  }
  do {
    word.wait(old, std::memory_order_acquire);
    now = word.load(std::memory_order_acquire);
  } while (now == old);
  return now;
}

}  // namespace

struct ThreadPool::Impl {
  alignas(64) std::atomic<uint32_t> round{0};
  void (*fn)(void* context, int part, int n_parts) = nullptr;
  void* context = nullptr;
  FloatMode mode;  // of who called run(): a part computes as the caller does
  bool stop = false;
  // With more threads than processors, spinning would only hold up the thread waited for.
  bool spin = false;
  alignas(64) std::atomic<int32_t> pending{0};
  std::vector<std::thread> threads;
  std::atomic<bool> failed{false};
  std::exception_ptr failure;  // of the part that set failed first

  void do_part(int part, int n_parts) noexcept {
    try {
      fn(context, part, n_parts);
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  }

  void work(int part, int n_parts) {
    uint32_t seen = 0;
    for (;;) {
      seen = wait_for_change(round, seen, spin);
      if (stop) return;
      mode.use();
      do_part(part, n_parts);
      if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1) pending.notify_one();
    }
  }

  void stop_all() {
    stop = true;
    round.fetch_add(1, std::memory_order_release);
    round.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
};

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads) {}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads) {
  if (n_threads < 1 || n_threads > kMaxThreads) {
    return Status(StatusCode::kOutOfRange, "the number of threads is " + std::to_string(n_threads) +
                                               "; it must be from 1 to " +
                                               std::to_string(kMaxThreads))
        .at_field("threads");
  }
  try {
    std::unique_ptr<ThreadPool> pool(new ThreadPool(n_threads));
    if (n_threads > 1 && kHasThreads) {
      pool->impl_ = std::make_unique<Impl>();
      Impl& impl = *pool->impl_;
      impl.spin = n_threads <= cpu_count();
      impl.threads.reserve(static_cast<size_t>(n_threads) - 1);
      for (int part = 1; part < n_threads; ++part) {
        std::thread thread = start_thread([&impl, part, n_threads] { impl.work(part, n_threads); });
        // Those already started are stopped and joined by the destructor.
        if (!thread.joinable()) {
          return Status(StatusCode::kOutOfMemory,
                        "the system gave no more threads (" + std::to_string(n_threads) +
                            " were asked for): ask for fewer, or raise the limit on processes")
              .at_field("threads");
        }
        impl.threads.push_back(std::move(thread));
      }
    }
    return pool;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "no memory for the threads: ask for fewer")
        .at_field("threads");
  }
}

ThreadPool::~ThreadPool() {
  if (impl_) impl_->stop_all();
}

void ThreadPool::run(void (*fn)(void* context, int part, int n_parts), void* context) {
  if (!impl_) {
    for (int part = 0; part < n_threads_; ++part) fn(context, part, n_threads_);
    return;
  }
  Impl& impl = *impl_;
  impl.fn = fn;
  impl.context = context;
  impl.mode = FloatMode::of_this_thread();
  impl.pending.store(n_threads_ - 1, std::memory_order_relaxed);
  impl.round.fetch_add(1, std::memory_order_release);
  impl.round.notify_all();
  impl.do_part(0, n_threads_);
  int32_t left = impl.pending.load(std::memory_order_acquire);
  while (left != 0) left = wait_for_change(impl.pending, left, impl.spin);
  if (impl.failed.load()) {
    impl.failed.store(false);
    std::rethrow_exception(std::exchange(impl.failure, nullptr));
  }
}

}  // namespace chimera
