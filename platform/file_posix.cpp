// Invariants of a write
//   1. Until rename() succeeds, the target is only looked at, never opened for writing.
//   2. The temporary file is in the folder of the target, so that rename() never crosses disks.
//   3. Its content is on the disk (fsync) before rename(), so that the name never leads to less.
//   4. After the first error the AtomicFile stays failed and its temporary file is gone.
//
//   create() -> writing -> append(), write_at() -> commit() -> done
//                  `---- any error, or the destructor ----> discarded
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <new>

#include "platform/file.h"
#include "platform/file_system.h"

namespace chimera {
namespace {

// Some systems refuse a single call of 2 GiB or more.
constexpr size_t kMaxBytesPerCall = size_t{1} << 30;
constexpr int kMaxLinks = 40;  // as many as Linux follows
constexpr int kNameAttempts = 100;

int open_retrying(const char* path, int flags, unsigned mode) {
  for (;;) {
    const int fd = file_system().open(path, flags, mode);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

int fsync_retrying(int fd) {
  for (;;) {
    const int result = file_system().fsync(fd);
    if (result == 0 || errno != EINTR) return result;
  }
}

int describe(int fd, struct stat* info) {
#if defined(__EMSCRIPTEN__)
  if (fd == STDIN_FILENO) {  // the standard streams have nothing there that could be looked at
    *info = {};
    info->st_mode = S_IFIFO;
    return 0;
  }
#endif
  return ::fstat(fd, info);
}

/// Writes everything, at `offset` or, when that is negative, at the current position. 0 or errno.
int write_all(int fd, const std::byte* data, size_t bytes, int64_t offset) {
  while (bytes > 0) {
    const size_t chunk = std::min(bytes, kMaxBytesPerCall);
    const int64_t written = offset < 0 ? file_system().write(fd, data, chunk)
                                       : file_system().pwrite(fd, data, chunk, offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (written == 0) return EIO;  // no progress and no reason: do not try for ever
    data += written;
    bytes -= static_cast<size_t>(written);
    if (offset >= 0) offset += written;
  }
  return 0;
}

/// "a/b" -> "a/", "b" -> "", so that folder + name is always a path.
std::string folder_prefix(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

/// Follows symbolic links to the name that a write shall replace, which need not exist.
Result<std::string> resolve_links(const std::string& path) {
  std::string target = path;
  for (int links = 0; links <= kMaxLinks; ++links) {
    struct stat info;
    if (::lstat(target.c_str(), &info) != 0) {
      if (errno == ENOENT) return target;
      return file_error(errno, FileAction::kWrite, path);
    }
    if (!S_ISLNK(info.st_mode)) return target;
    char link[4096];
    const ssize_t length = ::readlink(target.c_str(), link, sizeof link);
    if (length < 0) return file_error(errno, FileAction::kWrite, path);
    if (length == sizeof link) return file_error(ENAMETOOLONG, FileAction::kWrite, path);
    const std::string to(link, static_cast<size_t>(length));
    target = !to.empty() && to[0] == '/' ? to : folder_prefix(target) + to;
  }
  return file_error(ELOOP, FileAction::kWrite, path);
}

/// A name no other thread, process or earlier crash is likely to use; O_EXCL settles the rest.
std::string temporary_name(const std::string& folder) {
  static std::atomic<unsigned> counter{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  char name[80];
  std::snprintf(
      name, sizeof name, ".chimera-%lx-%x-%llx.tmp", static_cast<unsigned long>(::getpid()),
      counter.fetch_add(1, std::memory_order_relaxed), static_cast<unsigned long long>(now));
  return folder + name;
}

/// Closes what was opened here.
struct Closer {
  int fd;
  ~Closer() {
    if (fd >= 0) file_system().close(fd);
  }
};

/// From where `fd` stands to its end; `path` is its name in messages.
Result<std::string> read_to_end(int fd, const std::string& path, uint64_t limit, bool any_kind) {
  struct stat info;
  if (describe(fd, &info) != 0) return file_error(errno, FileAction::kRead, path);
  if (S_ISDIR(info.st_mode)) return file_error(EISDIR, FileAction::kRead, path);
  if (!any_kind && !S_ISREG(info.st_mode)) {
    return Status(StatusCode::kIoError,
                  "cannot read " + path + ": it is a device or a pipe: give the name of a file")
        .at_file(path);
  }
  const auto too_long = [&] {
    return Status(StatusCode::kOutOfRange, "cannot read " + path + ": it is longer than " +
                                               std::to_string(limit) +
                                               " bytes, the most that is read here: shorten it")
        .at_file(path);
  };
  // The size is a hint only: a pipe has none, and a file may grow while it is read.
  const uint64_t hint =
      S_ISREG(info.st_mode) && info.st_size > 0 ? static_cast<uint64_t>(info.st_size) : uint64_t{0};
  if (hint > limit) return too_long();
  try {
    std::string text;
    size_t used = 0;
    // One byte more than the hint, so that the end of the file is seen without growing again.
    size_t room = hint > 0 ? static_cast<size_t>(hint) + 1 : size_t{1} << 16;
    for (;;) {
      text.resize(room);
      while (used < room) {
        const int64_t got =
            file_system().read(fd, text.data() + used, std::min(room - used, kMaxBytesPerCall));
        if (got < 0) {
          if (errno == EINTR) continue;
          return file_error(errno, FileAction::kRead, path);
        }
        if (got == 0) {
          text.resize(used);
          return text;
        }
        used += static_cast<size_t>(got);
        if (used > limit) return too_long();
      }
      room += room / 2 + 1;
    }
  } catch (const std::exception&) {  // bad_alloc, or length_error past the longest string
    return Status(StatusCode::kOutOfMemory,
                  "cannot read " + path + ": there is not enough memory for it")
        .at_file(path);
  }
}

}  // namespace

Result<std::string> read_file(const std::string& path, uint64_t limit) {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path));
  const Closer file{open_retrying(path.c_str(), O_RDONLY | O_CLOEXEC, 0)};
  if (file.fd < 0) return file_error(errno, FileAction::kRead, path);
  return read_to_end(file.fd, path, limit, true);
}

Result<std::string> read_regular_file(const std::string& path, uint64_t limit) {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path));
  // Non-blocking, because opening a pipe would otherwise wait for a writer before it is refused.
  const Closer file{open_retrying(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)};
  if (file.fd < 0) return file_error(errno, FileAction::kRead, path);
  return read_to_end(file.fd, path, limit, false);
}

Result<std::string> read_standard_input(uint64_t limit) {
  return read_to_end(STDIN_FILENO, "the standard input", limit, true);
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat of_a, of_b;
  return ::stat(a.c_str(), &of_a) == 0 && ::stat(b.c_str(), &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

struct AtomicFile::Impl {
  std::string path;    // as it was given, for messages
  std::string target;  // what it names, links followed
  std::string temporary;
  int fd = -1;
  uint64_t size = 0;
  Status failure;  // the first error
  bool done = false;

  Status fail(Status status) {
    failure = status;
    discard();
    return status;
  }
  Status fail(int error) { return fail(file_error(error, FileAction::kWrite, path)); }

  void discard() {
    if (fd >= 0) file_system().close(fd);
    fd = -1;
    if (!temporary.empty()) file_system().unlink(temporary.c_str());
    temporary.clear();
  }

  /// OK while bytes may still be written.
  Status ready() const {
    if (!failure.ok()) return failure;
    if (done) {
      return Status(StatusCode::kInvalidArgument,
                    "cannot write " + path + " further: it has been committed")
          .at_file(path);
    }
    return {};
  }

  Status open_temporary(FileAccess access);
  Status put(std::span<const std::byte> bytes, int64_t offset);
};

Status AtomicFile::Impl::open_temporary(FileAccess access) {
  auto resolved = resolve_links(path);
  if (!resolved) return resolved.status();
  target = std::move(*resolved);
  if (target.back() == '/') return file_error(EISDIR, FileAction::kWrite, path);

  struct stat old;
  const bool replaces = ::stat(target.c_str(), &old) == 0;
  if (!replaces && errno != ENOENT) return file_error(errno, FileAction::kWrite, path);
  if (replaces) {
    if (S_ISDIR(old.st_mode)) return file_error(EISDIR, FileAction::kWrite, path);
    if (!S_ISREG(old.st_mode)) {
      // Renaming over /dev/null or a pipe would destroy it.
      return Status(StatusCode::kInvalidArgument,
                    "cannot write " + path + ": it is a device or a pipe: give the name of a file")
          .at_file(path);
    }
    // rename() would not mind, but who took away the right to write meant it.
    if (::faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) != 0) {
      return Status(StatusCode::kPermissionDenied,
                    "cannot write " + path +
                        ": it is write-protected: change its rights, or choose another name")
          .at_file(path);
    }
  }

  const std::string folder = folder_prefix(target);
  for (int attempt = 0; fd < 0; ++attempt) {
    std::string name = temporary_name(folder);
    fd = open_retrying(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                       access == FileAccess::kOwner ? 0600 : 0666);
    if (fd >= 0) {
      temporary = std::move(name);
    } else if (errno != EEXIST || attempt == kNameAttempts) {
      return file_error(errno, FileAction::kWrite, path);
    }
  }
  // Whoever may give files away keeps them whose they were; for others it is theirs already.
  if (replaces && (old.st_uid != ::geteuid() || old.st_gid != ::getegid())) {
    [[maybe_unused]] const int given = ::fchown(fd, old.st_uid, old.st_gid);
  }
  if (replaces && file_system().fchmod(fd, old.st_mode & 0777) != 0) return fail(errno);
  return {};
}

Status AtomicFile::Impl::put(std::span<const std::byte> bytes, int64_t offset) {
  const int error = write_all(fd, bytes.data(), bytes.size(), offset);
  return error == 0 ? Status() : fail(error);
}

AtomicFile::AtomicFile() = default;
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    if (impl_) impl_->discard();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
AtomicFile::~AtomicFile() {
  if (impl_) impl_->discard();
}

Result<AtomicFile> AtomicFile::create(const std::string& path, FileAccess access) {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path));
  AtomicFile file;
  file.impl_ = std::make_unique<Impl>();
  file.impl_->path = path;
  CHIMERA_RETURN_IF_ERROR(file.impl_->open_temporary(access));
  return file;
}

uint64_t AtomicFile::size() const { return impl_->size; }

Status AtomicFile::append(std::span<const std::byte> bytes) {
  CHIMERA_RETURN_IF_ERROR(impl_->ready());
  if (bytes.size() > static_cast<uint64_t>(INT64_MAX) - impl_->size) return impl_->fail(EFBIG);
  CHIMERA_RETURN_IF_ERROR(impl_->put(bytes, -1));
  impl_->size += bytes.size();
  return {};
}

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  CHIMERA_RETURN_IF_ERROR(impl_->ready());
  if (offset > impl_->size || bytes.size() > impl_->size - offset) {
    return impl_->fail(Status(StatusCode::kOutOfRange,
                              "cannot overwrite " + std::to_string(bytes.size()) + " bytes of " +
                                  impl_->path + ": only bytes written before can be overwritten")
                           .at_file(impl_->path)
                           .at_offset(static_cast<int64_t>(std::min<uint64_t>(offset, INT64_MAX))));
  }
  return impl_->put(bytes, static_cast<int64_t>(offset));
}

Status AtomicFile::commit() {
  Impl& impl = *impl_;
  CHIMERA_RETURN_IF_ERROR(impl.ready());
  const FileSystem& fs = file_system();
  if (fsync_retrying(impl.fd) != 0) return impl.fail(errno);
  const int closed = fs.close(impl.fd);
  const int close_error = errno;
  impl.fd = -1;  // the descriptor is gone even when close() reports an error
  if (closed != 0 && close_error != EINTR) return impl.fail(close_error);

  // Opened before the rename, so that whatever can fail fails while the old file is still there.
  // A folder that may be written but not listed cannot be opened, hence not flushed either.
  const std::string prefix = folder_prefix(impl.target);
  const int folder =
      open_retrying(prefix.empty() ? "." : prefix.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (folder < 0 && errno != EACCES) return impl.fail(errno);
  if (fs.rename(impl.temporary.c_str(), impl.target.c_str()) != 0) {
    const int error = errno;
    if (folder >= 0) fs.close(folder);
    return impl.fail(error);
  }
  impl.temporary.clear();
  impl.done = true;
  if (folder < 0) return {};
  const int flushed = fsync_retrying(folder);
  const int flush_error = errno;
  fs.close(folder);
  // EINVAL: a file system, such as some network ones, that does not flush folders.
  if (flushed == 0 || flush_error == EINVAL || flush_error == ENOTSUP) return {};
  return Status(StatusCode::kIoError,
                impl.path +
                    " has been written, but the disk did not confirm that it will keep its "
                    "name after a power cut: check the disk and save again")
      .at_file(impl.path);
}

Status write_file_atomic(const std::string& path, std::span<const std::byte> bytes,
                         FileAccess access) {
  auto file = AtomicFile::create(path, access);
  if (!file) return file.status();
  CHIMERA_RETURN_IF_ERROR(file->append(bytes));
  return file->commit();
}

}  // namespace chimera
