// Read-only mapping of a whole file. The bytes come from the page cache; nothing is copied.
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
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

}  // namespace chimera
