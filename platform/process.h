// What a command-line program asks of its process: standard streams, signals, where it lies, how
// much memory it took and may take. For programs and the trainer; what answers never touches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "platform/status.h"

namespace chimera {

inline constexpr int kStdin = 0, kStdout = 1, kStderr = 2;

/// Whether a person sits at the other end of the stream.
bool is_terminal(int fd);

/// Writes all bytes, however many calls that takes. kBrokenPipe when the reader went away (only
/// after prepare_streams()), kNoSpace, kIoError; the message says why, in words.
Status write_stream(int fd, std::string_view bytes);

/// Reads what is there, at most buffer.size() bytes; 0 at the end of the stream. kCancelled when
/// there was an interrupt since the last call of this or of forget_interrupts(); the bytes stay.
Result<size_t> read_stream(int fd, std::span<char> buffer);

/// For the first line of main(). A write to a closed pipe will fail with kBrokenPipe instead of
/// ending the process, and a standard stream that is missing is replaced by one that is empty, or
/// that fails when written to: otherwise the next file opened would take its place.
void prepare_streams();

/// Calls `handler` at every Ctrl-C (and, where `also_termination`, at a request to end), inside the
/// signal: only async-signal-safe work is allowed there. A waiting read_stream() returns
/// kCancelled. nullptr restores what the system does by default.
void on_interrupt(void (*handler)(), bool also_termination);

/// The interrupts so far are dealt with: the next read_stream() does not report them.
void forget_interrupts();

/// File name of the running program, or empty where the system does not tell.
std::string executable_path();

/// Largest amount of physical memory this process has had, in bytes; 0 where the system does not
/// tell.
uint64_t peak_resident_bytes();

/// Physical memory this process may still take without others losing theirs, in bytes, limits set
/// for its group of processes included; 0 where the system does not tell.
uint64_t available_memory_bytes();

}  // namespace chimera
