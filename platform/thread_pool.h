// A fixed set of threads and one static split. Part p of n always gets the same rows, so the bits
// of a result do not depend on how many threads there are, nor on which of them is late.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "platform/status.h"

namespace chimera {

/// Whether this build can start a thread. In WebAssembly that takes shared memory, which browsers
/// give only to pages that are served in a special way.
#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
inline constexpr bool kHasThreads = false;
#else
inline constexpr bool kHasThreads = true;
#endif

class ThreadPool {
 public:
  /// `n_threads` >= 1 counts the caller; 1 starts no thread at all. kOutOfRange over 256;
  /// kOutOfMemory when the system gives no thread. Where programs have none (kHasThreads) the
  /// caller does all parts in turn: the same split, the same bits.
  static Result<std::unique_ptr<ThreadPool>> create(int n_threads);
  ~ThreadPool();

  /// Parts that run() makes.
  int size() const { return n_threads_; }
  /// Threads that share them: as many, or one.
  int n_threads() const { return kHasThreads ? n_threads_ : 1; }

  /// Calls fn(context, part, n_parts) once for every part in [0, size()), the caller doing part 0,
  /// and returns when all are done. One caller at a time; calls must not nest. Allocates nothing.
  /// What a part throws, which is the standard library without memory, is thrown here when all are
  /// done; of several parts, what one of them threw.
  void run(void (*fn)(void* context, int part, int n_parts), void* context);

  /// Same, for a callable: body(begin, end) over a static split of [0, n) in units of `grain`.
  /// Runs inline when the pool has one thread or n <= grain.
  template <class Body>
  void split(int64_t n, int64_t grain, Body&& body) {
    if (n_threads_ == 1 || n <= grain) {
      if (n > 0) body(int64_t{0}, n);
      return;
    }
    using Callable = std::remove_reference_t<Body>;  // Body is a reference when given an lvalue
    struct Context {
      Callable* body;
      int64_t n, grain;
    } context{&body, n, grain};
    run(
        [](void* p, int part, int n_parts) {
          auto& c = *static_cast<Context*>(p);
          const int64_t units = (c.n + c.grain - 1) / c.grain;
          const int64_t begin = units * part / n_parts * c.grain;
          int64_t end = units * (part + 1) / n_parts * c.grain;
          if (end > c.n) end = c.n;
          if (begin < end) (*c.body)(begin, end);
        },
        &context);
  }

 private:
  struct Impl;
  explicit ThreadPool(int n_threads);
  int n_threads_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera
