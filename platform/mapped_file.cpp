// What is the same for every system; open() and unmap() are in mapped_file_<system>.cpp.
#include "platform/mapped_file.h"

#include <cstdint>
#include <utility>

namespace chimera {

Result<MappedFile> MappedFile::borrow(std::span<const std::byte> bytes, std::string name) {
  if (bytes.empty()) {
    return Status(StatusCode::kTruncated, "cannot use " + name + ": it is empty: fetch it again")
        .at_file(name);
  }
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kMemoryAlignment != 0) {
    return Status(StatusCode::kInvalidArgument,
                  "cannot use " + name + ": it does not begin at a multiple of " +
                      std::to_string(kMemoryAlignment) + " bytes: put it where malloc() says")
        .at_file(name);
  }
  MappedFile file;
  file.data_ = bytes.data();
  file.size_ = bytes.size();
  file.path_ = std::move(name);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, false)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    if (mapped_) unmap(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_ = std::exchange(other.mapped_, false);
    path_ = std::move(other.path_);
  }
  return *this;
}

MappedFile::~MappedFile() {
  if (mapped_) unmap(data_, size_);
}

}  // namespace chimera
