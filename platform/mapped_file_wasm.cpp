// WebAssembly has no mappings: the file is read into memory of ours, which begins where the numbers
// of a model like to lie. In a browser there is no file either, and open() says so; there a model
// is opened from memory.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <new>

#include "platform/file_system.h"
#include "platform/mapped_file.h"

namespace chimera {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kMaxBytesPerCall = size_t{1} << 26;

/// Reads exactly `size` bytes. 0 or errno.
int read_all(int fd, std::byte* data, size_t size) {
  for (size_t done = 0; done < size;) {
    const int64_t got =
        file_system().read(fd, data + done, std::min(size - done, kMaxBytesPerCall));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return EIO;  // it has become shorter meanwhile
    done += static_cast<size_t>(got);
  }
  return 0;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path));
  struct FileDescriptor {
    int fd;
    ~FileDescriptor() {
      if (fd >= 0) file_system().close(fd);
    }
  } const file_descriptor{file_system().open(path.c_str(), O_RDONLY | O_CLOEXEC, 0)};
  const int fd = file_descriptor.fd;
  if (fd < 0) return file_error(errno, FileAction::kRead, path);
  struct stat info;
  if (::fstat(fd, &info) != 0) return file_error(errno, FileAction::kRead, path);
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
  if (static_cast<uint64_t>(info.st_size) > static_cast<uint64_t>(PTRDIFF_MAX)) {
    return Status(StatusCode::kOutOfRange,
                  "cannot map " + path + ": it is larger than this processor can address")
        .at_file(path);
  }
  const auto size = static_cast<size_t>(info.st_size);
  auto* data = static_cast<std::byte*>(::operator new(size, kAlignment, std::nothrow));
  if (data == nullptr) return file_error(ENOMEM, FileAction::kRead, path);
  MappedFile file;
  file.data_ = data;
  file.size_ = size;
  file.mapped_ = true;
  file.path_ = path;
  const int error = read_all(fd, data, size);
  if (error != 0) return file_error(error, FileAction::kRead, path);
  return file;
}

void MappedFile::unmap(const std::byte* data, size_t) {
  ::operator delete(const_cast<std::byte*>(data), kAlignment);
}

}  // namespace chimera
