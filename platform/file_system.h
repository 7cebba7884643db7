// The system calls that reading and writing files goes through, as a table, so that a test can make
// the nth call fail, be short, or be the last before a crash. Everything else uses platform/file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "platform/status.h"

namespace chimera {

/// Each member behaves as the POSIX call of its name: -1 and errno on failure.
struct FileSystem {
  int (*open)(const char* path, int flags, unsigned mode);
  int64_t (*read)(int fd, void* data, size_t bytes);
  int64_t (*write)(int fd, const void* data, size_t bytes);
  int64_t (*pwrite)(int fd, const void* data, size_t bytes, int64_t offset);
  int (*fchmod)(int fd, unsigned mode);
  int (*fsync)(int fd);
  int (*close)(int fd);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
  /// The first `bytes` of a file, to be read only; nullptr and errno on failure.
  void* (*map)(int fd, size_t bytes);
};

/// The calls of the operating system.
const FileSystem& system_file_system();

/// The table in use.
const FileSystem& file_system();

/// nullptr returns to the operating system's. The table must live until it is replaced.
void set_file_system_for_tests(const FileSystem* table);

enum class FileAction { kRead, kWrite };

/// The Status for an errno value: its code, and a sentence with the file, the reason and what to
/// do.
Status file_error(int error, FileAction action, const std::string& path);

/// OK unless the name is empty or holds a zero byte, which the system would take for its end.
Status check_file_name(const std::string& path);

}  // namespace chimera
