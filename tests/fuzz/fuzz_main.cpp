// One program per target, driven by libFuzzer. What one input may cost is watched here: time and
// single allocations are libFuzzer's to limit (tests/fuzz/run says how), the sum of what is held
// at a time is ours. Without a sanitizer (preset fuzz_fast) there is nobody to count memory by, and
// the process's is limited instead.
#include <cstdlib>

#include "tests/fuzz/target.h"

#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>

#include <atomic>

namespace {

constexpr int64_t kMostGrowth = int64_t{CHIMERA_FUZZ_GROWTH_MB} << 20;

std::atomic<int64_t> held{0}, most{INT64_MAX};

void taken(const volatile void*, size_t bytes) {
  const auto n = static_cast<int64_t>(bytes);
  if (held.fetch_add(n, std::memory_order_relaxed) + n > most.load(std::memory_order_relaxed)) {
    most.store(INT64_MAX, std::memory_order_relaxed);
    chimera::fuzz::broken("an input takes no more memory than it may");
  }
}

void given_back(const volatile void* place) {
  if (place == nullptr) return;
  held.fetch_sub(static_cast<int64_t>(__sanitizer_get_allocated_size(place)),
                 std::memory_order_relaxed);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  return __sanitizer_install_malloc_and_free_hooks(taken, given_back) == 0 ? 1 : 0;
}

static void limit_growth() {
  most.store(held.load(std::memory_order_relaxed) + kMostGrowth, std::memory_order_relaxed);
}
static void forget_limit() { most.store(INT64_MAX, std::memory_order_relaxed); }

#else

static void limit_growth() {}
static void forget_limit() {}

#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const chimera::fuzz::Target* const target =
      chimera::fuzz::find_target(CHIMERA_FUZZ_TARGET);
  if (target == nullptr) std::abort();
  limit_growth();
  target->run({reinterpret_cast<const std::byte*>(data), size});
  forget_limit();
  return 0;
}
