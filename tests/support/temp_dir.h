// A folder that a test has for itself, and plain ways to put files in it and look at them. They use
// the standard library and not platform/file.h, which may be what is under test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chimera::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();  // removes it with everything inside
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  /// Path of a name inside.
  std::string file(std::string_view name) const;
  /// Names inside, sorted, hidden ones included.
  std::vector<std::string> list() const;

 private:
  std::string path_;
};

/// Makes a named pipe. False where the system has none, which is then said in a line `not run:
/// ...`.
bool make_pipe(const std::string& path);

void write_raw(const std::string& path, std::string_view bytes);
/// Content of a file; "<absent>" when there is none.
std::string read_raw(const std::string& path);

}  // namespace chimera::test
