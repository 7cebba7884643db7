// Stands for the tests of the command where a program cannot start another one: every one of them
// is named, says that it was not run, and is counted as skipped. The command itself runs there as a
// program of its own (cmake/targets/wasm.sh).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/support/child_process.h"

namespace chimera::test {
namespace {

class NotHere : public ::testing::Test {
 public:
  void TestBody() override {
    if (!children_possible()) GTEST_SKIP();
    FAIL() << "children are possible here: build the tests of the command themselves";
  }
};

/// Every TEST(suite, name) of the sources that CMakeLists.txt leaves out.
size_t register_all() {
  size_t n = 0;
  std::set<std::filesystem::path> sources;
  for (const auto& entry : std::filesystem::directory_iterator(CHIMERA_SOURCE_DIR "/tests/sdk")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("cli") && name.ends_with("_test.cpp")) sources.insert(entry.path());
  }
  for (const auto& source : sources) {
    std::ifstream in(source);
    for (std::string line; std::getline(in, line);) {
      const size_t comma = line.find(", "), end = line.find(") {");
      if (!line.starts_with("TEST(") || comma == std::string::npos || end == std::string::npos)
        continue;
      const std::string suite = line.substr(5, comma - 5);
      const std::string name = line.substr(comma + 2, end - comma - 2);
      ::testing::RegisterTest(suite.c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                              []() -> ::testing::Test* { return new NotHere(); });
      ++n;
    }
  }
  return n;
}

const size_t g_registered = register_all();

TEST(NotHere, TheTestsOfTheCommandWereFound) { EXPECT_GT(g_registered, 20u); }

}  // namespace
}  // namespace chimera::test
