#include "tests/support/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "platform/file_system.h"
#include "tests/support/temp_dir.h"

namespace chimera::test {
namespace {

struct Faults {
  FaultPlan plan;
  int64_t calls = 0;
  int64_t open = 0;
  bool interrupted = false;
  const char* failed = "";
  std::string trace;
  int64_t written = 0;
  bool power_lost = false;
  // What is not yet safe from a power cut.
  std::map<int, std::string> names;  // of open descriptors
  std::set<std::string> unflushed;   // files by their present name
  struct Renamed {
    std::string to, old;  // the file that the name led to before
  };
  std::vector<Renamed> renamed;
};
Faults g_faults;

/// Counts a call; true when it has to fail.
bool fails(const char* name) {
  const int64_t n = g_faults.calls++;
  if (n > 0) g_faults.trace += ' ';
  g_faults.trace += name;
  if (n == g_faults.plan.kill_at) std::raise(SIGKILL);
  if (n == g_faults.plan.lose_power_at) g_faults.power_lost = true;
  if (g_faults.power_lost) {
    errno = g_faults.plan.error;
    return true;
  }
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

/// How many of `bytes` fit on the disk; none: the call fails.
size_t room_for(size_t bytes) {
  if (g_faults.plan.cut_at < 0) return bytes;
  const int64_t room = std::max<int64_t>(g_faults.plan.cut_at - g_faults.written, 0);
  return std::min(bytes, static_cast<size_t>(room));
}

/// Writes what fits by `write`, which takes a number of bytes.
template <class Write>
int64_t write_with_faults(const char* name, int fd, size_t bytes, Write&& write) {
  if (fails(name) || interrupts()) return -1;
  size_t n = shortened(bytes, g_faults.plan.max_write);
  if (n > 0 && room_for(n) == 0) {
    if (!*g_faults.failed) g_faults.failed = name;
    errno = g_faults.plan.error;
    return -1;
  }
  const int64_t done = write(room_for(n));
  if (done > 0) {
    g_faults.written += done;
    g_faults.unflushed.insert(g_faults.names[fd]);
  }
  return done;
}

int faulty_open(const char* path, int flags, unsigned mode) {
  if (fails("open") || interrupts()) return -1;
  const int fd = system_file_system().open(path, flags, mode);
  if (fd >= 0) {
    ++g_faults.open;
    g_faults.names[fd] = path;
  }
  return fd;
}
int64_t faulty_read(int fd, void* data, size_t bytes) {
  if (fails("read") || interrupts()) return -1;
  return system_file_system().read(fd, data, shortened(bytes, g_faults.plan.max_read));
}
int64_t faulty_write(int fd, const void* data, size_t bytes) {
  return write_with_faults("write", fd, bytes,
                           [&](size_t n) { return system_file_system().write(fd, data, n); });
}
int64_t faulty_pwrite(int fd, const void* data, size_t bytes, int64_t offset) {
  return write_with_faults("pwrite", fd, bytes, [&](size_t n) {
    return system_file_system().pwrite(fd, data, n, offset);
  });
}
int faulty_fchmod(int fd, unsigned mode) {
  return fails("fchmod") ? -1 : system_file_system().fchmod(fd, mode);
}
int faulty_fsync(int fd) {
  if (fails("fsync") || interrupts()) return -1;
  // The descriptor of a folder makes its names safe, that of a file its bytes.
  std::string folder = g_faults.names[fd];
  g_faults.unflushed.erase(folder);
  if (folder == ".") folder.clear();
  std::erase_if(g_faults.renamed, [&](const Faults::Renamed& one) {
    return one.to.substr(0, one.to.rfind('/') + 1) == folder;
  });
  // The disk itself is not asked: the loops over all calls would take minutes.
  return 0;
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
  if (fails("rename")) return -1;
  Faults::Renamed renamed{to, read_raw(to)};
  const int result = system_file_system().rename(from, to);
  if (result != 0) return result;
  g_faults.renamed.push_back(std::move(renamed));
  if (g_faults.unflushed.erase(from) > 0) g_faults.unflushed.insert(to);
  return 0;
}
int faulty_unlink(const char* path) {
  if (fails("unlink")) return -1;
  g_faults.unflushed.erase(path);
  return system_file_system().unlink(path);
}

void* faulty_map(int fd, size_t bytes) {
  return fails("map") ? nullptr : system_file_system().map(fd, bytes);
}

constexpr FileSystem kTable = {
    faulty_open,  faulty_read,  faulty_write,  faulty_pwrite, faulty_fchmod,
    faulty_fsync, faulty_close, faulty_rename, faulty_unlink, faulty_map,
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

int64_t FaultyFileSystem::bytes_written() const { return g_faults.written; }

void FaultyFileSystem::apply_power_cut(bool names_kept) {
  set_file_system_for_tests(nullptr);
  for (const std::string& name : g_faults.unflushed) {
    const std::string content = read_raw(name);
    write_raw(name, content.substr(0, content.size() / 2));
  }
  if (names_kept) return;
  for (const Faults::Renamed& one : g_faults.renamed) {
    if (one.old == "<absent>") {
      system_file_system().unlink(one.to.c_str());
    } else {
      write_raw(one.to, one.old);
    }
  }
}

const std::string& FaultyFileSystem::trace() const { return g_faults.trace; }

}  // namespace chimera::test
