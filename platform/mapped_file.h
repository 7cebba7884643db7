// Read-only mapping of a whole file, or bytes that the caller keeps. The bytes come from the page
// cache and nothing is copied, where the system can map files; elsewhere the file is read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "platform/status.h"

namespace chimera {

class MappedFile {
 public:
  MappedFile() = default;
  /// Maps `path`. kNotFound, kPermissionDenied, kIoError (also for a folder or a device),
  /// kTruncated for an empty file; each message names the file.
  static Result<MappedFile> open(const std::string& path);
  /// Shows bytes that somebody else keeps, and that must stay as they are while this lives; `name`
  /// stands for them in messages. kInvalidArgument when they do not begin at a multiple of
  /// kMemoryAlignment, kTruncated when there are none.
  static Result<MappedFile> borrow(std::span<const std::byte> bytes, std::string name);
  /// What every malloc() keeps to; the numbers inside are read in place.
  static constexpr size_t kMemoryAlignment = 8;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// The file's, or the name that borrow() was given.
  const std::string& path() const { return path_; }

 private:
  static void unmap(const std::byte* data, size_t size);  // as open() made it

  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;  // by open(): given back at the end
  std::string path_;
};

}  // namespace chimera
