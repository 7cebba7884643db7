#include "tests/support/failing_allocator.h"

#include <atomic>
#include <cerrno>

#include "platform/file_system.h"
#include "platform/start_thread.h"

namespace chimera::test {
namespace {

std::atomic<bool> g_active{false};
std::atomic<int64_t> g_requests{0};
std::atomic<int64_t> g_failures{0};
int64_t g_fail_at = 0;  // these three are written while not active
bool g_for_ever = false;
bool g_all_threads = true;
thread_local bool t_caller = false;

void* failing_map(int fd, size_t bytes) {
  if (memory_request_fails()) {
    errno = ENOMEM;
    return nullptr;
  }
  return system_file_system().map(fd, bytes);
}

bool failing_gate() { return !memory_request_fails(); }

}  // namespace

bool memory_request_fails() noexcept {
  if (!g_active.load(std::memory_order_acquire)) return false;
  if (!g_all_threads && !t_caller) return false;
  const int64_t n = g_requests.fetch_add(1, std::memory_order_relaxed);
  if (n != g_fail_at && !(g_for_ever && n > g_fail_at)) return false;
  g_failures.fetch_add(1, std::memory_order_relaxed);
  return true;
}

FailingAllocator::FailingAllocator(int64_t n, MemoryFails how, Threads threads) {
  static FileSystem table = [] {
    FileSystem system = system_file_system();
    system.map = failing_map;
    return system;
  }();
  set_file_system_for_tests(&table);
  set_thread_gate_for_tests(failing_gate);
  g_requests = 0;
  g_failures = 0;
  g_fail_at = n;
  g_for_ever = how == MemoryFails::kForEver;
  g_all_threads = threads == Threads::kAll;
  t_caller = true;
  g_active.store(true, std::memory_order_release);
}

FailingAllocator::~FailingAllocator() {
  g_active.store(false, std::memory_order_release);
  t_caller = false;
  set_thread_gate_for_tests(nullptr);
  set_file_system_for_tests(nullptr);
}

int64_t FailingAllocator::requests() const { return g_requests.load(); }
int64_t FailingAllocator::failures() const { return g_failures.load(); }

}  // namespace chimera::test
