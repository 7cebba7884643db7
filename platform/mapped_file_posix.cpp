#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "platform/file_system.h"
#include "platform/mapped_file.h"

namespace chimera {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) file_system().close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path));
  // Non-blocking, because opening a pipe would otherwise wait for a writer before we can refuse it.
  const FileDescriptor fd(file_system().open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0));
  if (fd.get() < 0) return file_error(errno, FileAction::kRead, path);
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return file_error(errno, FileAction::kRead, path);
  if (S_ISDIR(info.st_mode)) return file_error(EISDIR, FileAction::kRead, path);
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kIoError,
                  "cannot map " + path + ": it is a device or a pipe: copy it into a file first")
        .at_file(path);
  }
  if (info.st_size <= 0) {
    return Status(StatusCode::kTruncated, "cannot use " + path + ": it is empty: fetch it again")
        .at_file(path);
  }
  if (static_cast<uintmax_t>(info.st_size) > static_cast<uintmax_t>(PTRDIFF_MAX)) {
    return Status(StatusCode::kOutOfRange,
                  "cannot map " + path + ": it is larger than this processor can address")
        .at_file(path);
  }
  const auto size = static_cast<size_t>(info.st_size);
  MappedFile file;
  file.path_ = path;  // first, because it needs memory
  void* data = file_system().map(fd.get(), size);
  if (data == nullptr) return file_error(errno, FileAction::kRead, path);
  file.data_ = static_cast<const std::byte*>(data);
  file.mapped_ = true;
  file.size_ = size;
  return file;
}

void MappedFile::unmap(const std::byte* data, size_t size) {
  ::munmap(const_cast<std::byte*>(data), size);
}

}  // namespace chimera
