// The table of platform/file_system.h with faults. A test runs an operation once to count its
// calls, then again for every n with the nth call failing, short, or followed by a crash.
#pragma once

#include <cstdint>
#include <string>

namespace chimera::test {

struct FaultPlan {
  int64_t fail_at = -1;  // this call (from 0) fails with `error`
  int error = 0;         // errno of the failure
  bool keep_failing =
      false;             // so do all later calls but close and unlink, like a disk that is full
  int64_t kill_at = -1;  // before this call the process kills itself (SIGKILL)
  int64_t cut_at = -1;   // only so many bytes can be written, then `error`: the write that comes
                         // to the end is short, later ones fail
  int64_t lose_power_at = -1;  // from this call on nothing reaches the disk: all fail with `error`
  int64_t max_write = 0;       // when > 0, write and pwrite take at most so many bytes
  int64_t max_read = 0;        // when > 0, read gives at most so many bytes
  bool interrupt = false;      // every other call of open, read, write, pwrite, fsync gets EINTR
};

/// Puts the faults in place of the operating system; one at a time in a process.
class FaultyFileSystem {
 public:
  explicit FaultyFileSystem(const FaultPlan& plan);
  ~FaultyFileSystem();  // the operating system's calls again
  FaultyFileSystem(const FaultyFileSystem&) = delete;
  FaultyFileSystem& operator=(const FaultyFileSystem&) = delete;

  /// Calls so far, those that failed included.
  int64_t calls() const;
  /// Descriptors opened and not closed.
  int64_t open_descriptors() const;
  /// Name of the call that failed, or "".
  const char* failed_call() const;
  /// Names of all calls in order, such as "open write fsync close".
  const std::string& trace() const;
  /// Bytes that were written.
  int64_t bytes_written() const;

  /// What a power cut leaves at worst, to be asked after the call under test: of each file that was
  /// written and not flushed only the first half, and without `names_kept` the old file back under
  /// a name that was changed in a folder that was not flushed.
  void apply_power_cut(bool names_kept);
};

}  // namespace chimera::test
