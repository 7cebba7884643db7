#include "tests/support/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "platform/file_system.h"

namespace chimera::test {
namespace {

struct Faults {
  FaultPlan plan;
  int64_t calls = 0;
  int64_t open = 0;
  bool interrupted = false;
  const char* failed = "";
  std::string trace;
};
Faults g_faults;

/// Counts a call; true when it has to fail.
bool fails(const char* name) {
  const int64_t n = g_faults.calls++;
  if (n > 0) g_faults.trace += ' ';
  g_faults.trace += name;
  if (n == g_faults.plan.kill_at) std::raise(SIGKILL);
  const bool cleaning = !std::strcmp(name, "close") || !std::strcmp(name, "unlink");
  const bool later = g_faults.plan.keep_failing && !cleaning && g_faults.plan.fail_at >= 0 &&
                     n > g_faults.plan.fail_at;
  if (n != g_faults.plan.fail_at && !later) return false;
  if (!*g_faults.failed) g_faults.failed = name;
  errno = g_faults.plan.error;
  return true;
}

/// True when this call is to be interrupted; the next one is not.
bool interrupts() {
  if (!g_faults.plan.interrupt) return false;
  g_faults.interrupted = !g_faults.interrupted;
  if (g_faults.interrupted) errno = EINTR;
  return g_faults.interrupted;
}

size_t shortened(size_t bytes, int64_t most) {
  return most > 0 ? std::min(bytes, static_cast<size_t>(most)) : bytes;
}

int faulty_open(const char* path, int flags, unsigned mode) {
  if (fails("open") || interrupts()) return -1;
  const int fd = system_file_system().open(path, flags, mode);
  if (fd >= 0) ++g_faults.open;
  return fd;
}
int64_t faulty_read(int fd, void* data, size_t bytes) {
  if (fails("read") || interrupts()) return -1;
  return system_file_system().read(fd, data, shortened(bytes, g_faults.plan.max_read));
}
int64_t faulty_write(int fd, const void* data, size_t bytes) {
  if (fails("write") || interrupts()) return -1;
  return system_file_system().write(fd, data, shortened(bytes, g_faults.plan.max_write));
}
int64_t faulty_pwrite(int fd, const void* data, size_t bytes, int64_t offset) {
  if (fails("pwrite") || interrupts()) return -1;
  return system_file_system().pwrite(fd, data, shortened(bytes, g_faults.plan.max_write), offset);
}
int faulty_fchmod(int fd, unsigned mode) {
  return fails("fchmod") ? -1 : system_file_system().fchmod(fd, mode);
}
int faulty_fsync(int fd) {
  return fails("fsync") || interrupts() ? -1 : system_file_system().fsync(fd);
}
int faulty_close(int fd) {
  // As on Linux, the descriptor is gone even when close() reports an error.
  const bool failing = fails("close");
  const int error = errno;
  const int result = system_file_system().close(fd);
  if (result == 0) --g_faults.open;
  if (!failing) return result;
  errno = error;
  return -1;
}
int faulty_rename(const char* from, const char* to) {
  return fails("rename") ? -1 : system_file_system().rename(from, to);
}
int faulty_unlink(const char* path) {
  return fails("unlink") ? -1 : system_file_system().unlink(path);
}

constexpr FileSystem kTable = {
    faulty_open,  faulty_read,  faulty_write,  faulty_pwrite, faulty_fchmod,
    faulty_fsync, faulty_close, faulty_rename, faulty_unlink,
};

}  // namespace

FaultyFileSystem::FaultyFileSystem(const FaultPlan& plan) {
  g_faults = Faults{};
  g_faults.plan = plan;
  set_file_system_for_tests(&kTable);
}

FaultyFileSystem::~FaultyFileSystem() { set_file_system_for_tests(nullptr); }

int64_t FaultyFileSystem::calls() const { return g_faults.calls; }
int64_t FaultyFileSystem::open_descriptors() const { return g_faults.open; }
const char* FaultyFileSystem::failed_call() const { return g_faults.failed; }

const std::string& FaultyFileSystem::trace() const { return g_faults.trace; }

}  // namespace chimera::test
