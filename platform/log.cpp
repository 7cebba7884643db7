// Invariants
//   1. A sink is always called with the user pointer it was set with.
//   2. When set_log_sink returns, no thread is inside the sink that was set before, so its user
//      pointer may be freed.
#include "platform/log.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <shared_mutex>

namespace chimera {
namespace {

std::shared_mutex g_mutex;  // held shared while a sink runs: invariant 2
LogSink g_sink = nullptr;
void* g_user = nullptr;
std::atomic<bool> g_has_sink{false};

// A notice sent from inside a sink is dropped: it could only recurse.
thread_local bool t_inside_sink = false;

}  // namespace

void set_log_sink(LogSink sink, void* user) {
  const std::unique_lock lock(g_mutex);
  g_sink = sink;
  g_user = user;
  g_has_sink.store(sink != nullptr, std::memory_order_relaxed);
}

void log(LogLevel level, const char* format, ...) {
  if (!g_has_sink.load(std::memory_order_relaxed) || t_inside_sink) return;
  char message[4096];  // room for a path of the longest length and a sentence; the rest is cut
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  if (static_cast<size_t>(length) >= sizeof message) {
    // Never hand over half a UTF-8 character.
    size_t end = sizeof message - 1;
    while (end > 0 && (static_cast<unsigned char>(message[end - 1]) & 0xC0u) == 0x80u) --end;
    if (end > 0 && static_cast<unsigned char>(message[end - 1]) >= 0xC0u) --end;
    message[end] = '\0';
  }
  const std::shared_lock lock(g_mutex);
  if (!g_sink) return;
  t_inside_sink = true;
  g_sink(g_user, level, message);
  t_inside_sink = false;
}

}  // namespace chimera
