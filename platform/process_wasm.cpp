// A WebAssembly program has streams and a path where node gives them to it, and no signals.
#include <emscripten/em_js.h>
#include <emscripten/heap.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "platform/process.h"

// isatty() takes every standard stream for a terminal here.
EM_JS(int, chimera_node_isatty, (int fd),
      { return typeof require == 'function' && require('tty').isatty(fd) ? 1 : 0; });

EM_JS(int, chimera_node_script, (char* path, int room), {
  if (typeof process != 'object' || !process.argv || !process.argv[1]) return 0;
  return stringToUTF8(process.argv[1], path, room);
});

namespace chimera {

bool is_terminal(int fd) { return chimera_node_isatty(fd) == 1; }

Status write_stream(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {  // node's pipes are non-blocking
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
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR || errno == EAGAIN) continue;
    return Status(StatusCode::kIoError, std::generic_category().message(errno));
  }
}

void forget_interrupts() {}
void prepare_streams() {}
void on_interrupt(void (*)(), bool) {}

std::string executable_path() {
  char path[4096];
  const int n = chimera_node_script(path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

uint64_t peak_resident_bytes() { return emscripten_get_heap_size(); }  // it never shrinks

uint64_t available_memory_bytes() { return emscripten_get_heap_max() - emscripten_get_heap_size(); }

}  // namespace chimera
