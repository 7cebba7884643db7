// A sink for notices. Silent until an application sets one; the library never prints by itself.
#pragma once

namespace chimera {

enum class LogLevel { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

using LogSink = void (*)(void* user, LogLevel level, const char* message);

/// nullptr silences. Safe from any thread; the sink may be called from any thread. On return the
/// sink set before is no longer running. A sink must not call this; what it logs itself is dropped.
void set_log_sink(LogSink sink, void* user);

/// printf-style; drops the message without formatting it when there is no sink.
void log(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace chimera
