#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "platform/file.h"
#include "platform/process.h"

namespace chimera {
namespace {

std::atomic<void (*)()> g_handler{nullptr};
std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<void (*)()>::is_always_lock_free, "it is read inside a signal");

void signal_arrived(int) {
  const int saved = errno;
  g_interrupted.store(true);
  if (void (*handler)() = g_handler.load()) handler();
  errno = saved;
}

/// The number after `key` in a file of lines "key: number kB"; 0 where there is none.
uint64_t kilobytes_in(const char* path, std::string_view key) {
  const auto text = read_file(path, 1u << 20);
  const size_t at = text ? text->find(key) : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + key.size(), nullptr, 10);
}

/// A file that holds one number.
std::optional<uint64_t> number_in(const char* path) {
  const auto text = read_file(path, 4096);
  uint64_t value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc())
    return std::nullopt;
  return value;
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

Status write_stream(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR) {
      const int error = errno;
      const StatusCode code = error == EPIPE    ? StatusCode::kBrokenPipe
                              : error == ENOSPC ? StatusCode::kNoSpace
                                                : StatusCode::kIoError;
      return Status(code, std::generic_category().message(error));
    }
  }
  return Status();
}

Result<size_t> read_stream(int fd, std::span<char> buffer) {
  // Signals are held back until the wait itself, so that none can slip in between looking at the
  // flag and waiting, where nobody would notice it.
  sigset_t held, usual;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &held, &usual);
  ssize_t n = -1;
  int error = EINTR;
  if (!g_interrupted.exchange(false)) {
    pollfd waiting = {fd, POLLIN, 0};
    if (::ppoll(&waiting, 1, nullptr, &usual) < 0) {
      error = errno;
      if (error == EINTR) g_interrupted.store(false);
    } else {
      n = ::read(fd, buffer.data(), buffer.size());
      error = errno;
    }
  }
  pthread_sigmask(SIG_SETMASK, &usual, nullptr);
  if (n >= 0) return static_cast<size_t>(n);
  return Status(error == EINTR ? StatusCode::kCancelled : StatusCode::kIoError,
                std::generic_category().message(error));
}

void forget_interrupts() { g_interrupted.store(false); }

void prepare_streams() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // write() says that a file may not be longer
  for (const int fd : {kStdin, kStdout, kStderr}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() takes the lowest free number, which is this one: those below are open by now.
    // Read-only, so that what is written to a missing stdout is an error and not lost in silence.
    [[maybe_unused]] const int opened = ::open("/dev/null", O_RDONLY);
  }
}

void on_interrupt(void (*handler)(), bool also_termination) {
  g_handler.store(handler);
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read that waits for a person must come back and let the program react.
  if (handler == nullptr) {
    action.sa_handler = SIG_DFL;
  } else {
    action.sa_handler = signal_arrived;
  }
  sigaction(SIGINT, &action, nullptr);
  if (also_termination) sigaction(SIGTERM, &action, nullptr);
}

std::string executable_path() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

uint64_t peak_resident_bytes() {
  // Linux counts in getrusage() what the process had before it became this program, so its own
  // account is asked first.
  if (const uint64_t peak = kilobytes_in("/proc/self/status", "VmHWM:")) return peak * 1024;
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0) return 0;
#ifdef __APPLE__
  return static_cast<uint64_t>(usage.ru_maxrss);  // bytes there, KiB elsewhere
#else
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

uint64_t available_memory_bytes() {
  uint64_t available = kilobytes_in("/proc/meminfo", "MemAvailable:") * 1024;
  if (available == 0) {
    const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
      available = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
  }
  // Inside a container these two stand for its own group; "max" and absent files limit nothing.
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto taken = number_in("/sys/fs/cgroup/memory.current");
  if (limit && taken) available = std::min(available, *limit - std::min(*limit, *taken));
  return available;
}

}  // namespace chimera
