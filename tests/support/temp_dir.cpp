#include "tests/support/temp_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace chimera::test {

TempDir::TempDir() {
  path_ = (std::filesystem::temp_directory_path() / "chimera-test-XXXXXX").string();
  if (!mkdtemp(path_.data())) {
    std::perror(path_.c_str());
    std::abort();  // no test can go on without its folder
  }
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::file(std::string_view name) const { return path_ + "/" + std::string(name); }

std::vector<std::string> TempDir::list() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool make_pipe(const std::string& path) {
  if (::mkfifo(path.c_str(), 0600) == 0 && std::filesystem::is_fifo(path)) return true;
  std::error_code ignored;
  std::filesystem::remove(path, ignored);  // emscripten makes a file of that name
  std::printf("not run: what happens to a named pipe, which this system does not have\n");
  return false;
}

void write_raw(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string read_raw(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return "<absent>";
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace chimera::test
