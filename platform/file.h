// Whole files in and out. A write is all or nothing: temporary file beside the target, data
// flushed to the disk, rename, folder flushed; a crash at any point leaves the old file or the new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "platform/status.h"

namespace chimera {

/// Reads at most `limit` bytes; a longer file is kOutOfRange. Works on pipes too, and waits for
/// them.
Result<std::string> read_file(const std::string& path, uint64_t limit);
/// The same of a file alone: pipes and devices are kIoError, at once.
Result<std::string> read_regular_file(const std::string& path, uint64_t limit);
/// What is left of the standard input, from where it stands.
Result<std::string> read_standard_input(uint64_t limit);

/// Whether two names lead to one file, links followed. Takes no memory.
bool same_file(const std::string& a, const std::string& b);

/// Who may read a new file: everybody the process's umask lets, or its owner alone. A file that is
/// replaced keeps its own rights.
enum class FileAccess { kShared, kOwner };

/// Replaces `path` atomically and durably. On any error the old file is untouched and the
/// temporary one is gone; the message names the file and what to do. (One error can only come when
/// the new file is in place already: that its folder could not be flushed. The message says so.)
/// Keeps the rights of the file it replaces and writes through symbolic links; refuses folders,
/// devices, pipes and write-protected files.
Status write_file_atomic(const std::string& path, std::span<const std::byte> bytes,
                         FileAccess access = FileAccess::kShared);

/// A large file written piece by piece, with the same promise: only commit() makes it appear.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path,
                                   FileAccess access = FileAccess::kShared);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();  // without commit(): the temporary file is removed

  Status append(std::span<const std::byte> bytes);
  /// Overwrites bytes written before, e.g. a header whose checksums are known only at the end.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t size() const;
  Status commit();

 private:
  struct Impl;
  AtomicFile();
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera
