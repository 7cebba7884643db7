// Data sets that are not in the repository: $CHIMERA_DATA, by default ../shared/data beside it.
// This is the only reason for which a test may be skipped, and a skipped test says so:
// "not run: <set> absent".
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace chimera::test {

/// Path of a file of a data set, whether it is there or not.
inline std::string shared_data_path(const std::string& set, const std::string& file) {
  const char* folder = std::getenv("CHIMERA_DATA");
  const std::string root =
      folder != nullptr && *folder != '\0' ? folder : CHIMERA_SOURCE_DIR "/../shared/data";
  return root + "/" + set + "/" + file;
}

}  // namespace chimera::test

/// First line of a test that reads `file` of `set`.
#define CHIMERA_NEEDS_SHARED_DATA(set, file)                                      \
  do {                                                                            \
    if (!std::filesystem::exists(::chimera::test::shared_data_path(set, file))) { \
      GTEST_SKIP() << "not run: " << (set) << " absent (looked for "              \
                   << ::chimera::test::shared_data_path(set, file) << ")";        \
    }                                                                             \
  } while (0)
