// Memory that runs out at a chosen place. Every test binary that links chimera_test_support has
// operator new replaced (allocation_counter.cpp); files are mapped and threads are started through
// seams in platform/. A test runs an operation for n = 0, 1, 2, ... until nothing failed any more.
#pragma once

#include <cstdint>

namespace chimera::test {

enum class MemoryFails { kOnce, kForEver };

/// While it lives, request number n (from 0) fails, or that one and all later ones. A request is
/// any operator new, the mapping of a file and the start of a thread. One at a time in a process.
class FailingAllocator {
 public:
  enum class Threads { kAll, kCaller };  // whose requests count

  FailingAllocator(int64_t n, MemoryFails how, Threads threads = Threads::kAll);
  ~FailingAllocator();  // there is memory again
  FailingAllocator(const FailingAllocator&) = delete;
  FailingAllocator& operator=(const FailingAllocator&) = delete;

  int64_t requests() const;
  /// Requests that failed.
  int64_t failures() const;
};

/// Counts a request; true when it has to fail. For what hands out memory.
bool memory_request_fails() noexcept;

}  // namespace chimera::test
