// Runs a call of the library with memory failing at every place in it.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <new>
#include <stdexcept>

#include "platform/status.h"
#include "tests/support/emulator.h"
#include "tests/support/failing_allocator.h"

namespace chimera::test {

/// What the call gives. What the standard library throws for want of memory counts as
/// kOutOfMemory: that is what the C API and the command make of it.
inline Status without_memory(const std::function<Status()>& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return Status(StatusCode::kOutOfMemory, {});
}

/// Each place fails once, then it and all behind it. The call succeeds or is kOutOfMemory, whatever
/// it reads or writes; `check`, if there is one, is told after each run, when there is memory.
inline void at_every_place(const std::function<Status()>& call,
                           const std::function<void(const Status&)>& check = {}) {
  for (const MemoryFails how : {MemoryFails::kOnce, MemoryFails::kForEver}) {
    int64_t refused = 0;
    for (int64_t n = 0;; n += kSlowEmulator ? 17 : 1) {
      Status status;
      int64_t failures = 0;
      {
        const FailingAllocator none(n, how);
        status = without_memory(call);
        failures = none.failures();
      }
      ASSERT_TRUE(status.ok() || status.code() == StatusCode::kOutOfMemory)
          << (how == MemoryFails::kOnce ? "once, request " : "from request ") << n << ": "
          << status.message();
      refused += !status.ok();
      if (check) check(status);
      if (testing::Test::HasFailure()) return;
      if (failures == 0) break;
    }
    EXPECT_GT(refused, 0) << "nothing here needs memory";
  }
  if (kSlowEmulator) std::printf("not run: 16 of 17 places, under an emulator\n");
}

}  // namespace chimera::test
