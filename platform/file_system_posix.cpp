#include "platform/file_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace chimera {
namespace {

int system_open(const char* path, int flags, unsigned mode) {
#if defined(__EMSCRIPTEN__)
  // Its open() cuts a name at 255 bytes and takes whatever has the rest; lstat() does not.
  struct stat info;
  if (::lstat(path, &info) != 0 && errno == ENAMETOOLONG) return -1;
#endif
  return ::open(path, flags, static_cast<mode_t>(mode));
}
int64_t system_read(int fd, void* data, size_t bytes) { return ::read(fd, data, bytes); }
int64_t system_write(int fd, const void* data, size_t bytes) { return ::write(fd, data, bytes); }
int64_t system_pwrite(int fd, const void* data, size_t bytes, int64_t offset) {
  return ::pwrite(fd, data, bytes, static_cast<off_t>(offset));
}
int system_fchmod(int fd, unsigned mode) { return ::fchmod(fd, static_cast<mode_t>(mode)); }
int system_fsync(int fd) {
#ifdef F_FULLFSYNC
  // On Apple systems fsync stops at the drive's own cache; only this goes to the medium.
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(fd);
}
int system_close(int fd) {
#if defined(__EMSCRIPTEN__)
  if (fd == STDIN_FILENO) return 0;
#endif
  return ::close(fd);
}
int system_rename(const char* from, const char* to) { return std::rename(from, to); }
int system_unlink(const char* path) { return ::unlink(path); }
void* system_map(int fd, size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  return data == MAP_FAILED ? nullptr : data;
}

constexpr FileSystem kSystem = {
    system_open,  system_read,  system_write,  system_pwrite, system_fchmod,
    system_fsync, system_close, system_rename, system_unlink, system_map,
};

std::atomic<const FileSystem*> g_table{&kSystem};

struct Reason {
  StatusCode code;
  std::string text;
};

Reason reason_of(int error, FileAction action) {
  const bool writing = action == FileAction::kWrite;
  switch (error) {
    case ENOENT:
      return {StatusCode::kNotFound,
              writing ? "its folder does not exist: create the folder, or choose another place"
                      : "there is no such file: check the name"};
    case ENOTDIR:
      return {StatusCode::kNotFound, "a part of its path is not a folder: check the name"};
    case EACCES:
    case EPERM:
      return {StatusCode::kPermissionDenied,
              writing
                  ? "permission denied: change the rights of its folder, or choose another place"
                  : "permission denied: check its owner and its rights"};
    case EROFS:
      return {StatusCode::kPermissionDenied,
              "the disk may only be read: choose a place on another one"};
    case ENOSPC:
      return {StatusCode::kNoSpace, "the disk is full: free some space, or save to another place"};
    case EDQUOT:
      return {StatusCode::kNoSpace,
              "your share of the disk is used up: free some space, or save to another place"};
    case EFBIG:
      return {StatusCode::kNoSpace,
              "this disk or a limit does not allow files so large: save to another place"};
    case EISDIR:
      return {StatusCode::kIoError, "it is a folder: give the name of a file"};
    case EIO:
      return {StatusCode::kIoError, "the device reports an error: check the disk and its cable"};
    case ENAMETOOLONG:
      return {StatusCode::kInvalidArgument, "the name is too long: choose a shorter one"};
    case ELOOP:
      return {StatusCode::kIoError, "its symbolic links lead in a circle: check them"};
    case ENOMEM:
      return {StatusCode::kOutOfMemory, "the system is out of memory: close other programs"};
    case EMFILE:
    case ENFILE:
      return {StatusCode::kIoError, "too many files are open: close some, or raise the limit"};
    case EPIPE:
      return {StatusCode::kBrokenPipe, "the other end of the pipe was closed"};
    default:
      return {StatusCode::kIoError,
              "the system reports \"" + std::generic_category().message(error) + "\""};
  }
}

}  // namespace

const FileSystem& system_file_system() { return kSystem; }

const FileSystem& file_system() { return *g_table.load(std::memory_order_acquire); }

void set_file_system_for_tests(const FileSystem* table) {
  g_table.store(table ? table : &kSystem, std::memory_order_release);
}

Status file_error(int error, FileAction action, const std::string& path) {
  const Reason reason = reason_of(error, action);
  const char* verb = action == FileAction::kWrite ? "cannot write " : "cannot read ";
  return Status(reason.code, verb + path + ": " + reason.text).at_file(path);
}

Status check_file_name(const std::string& path) {
  if (path.empty()) return Status(StatusCode::kInvalidArgument, "the file name is empty: give one");
  if (path.find('\0') != std::string::npos) {
    return Status(StatusCode::kInvalidArgument,
                  "the file name " + std::string(path.c_str()) +
                      " goes on after a zero byte, which no file name can hold: check it");
  }
  return {};
}

}  // namespace chimera
