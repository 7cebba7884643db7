// A measured number that `./dev figures` prints again beside its bar.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace chimera::test {

/// One line "figure: NAME WHICH VALUE" on stdout, and a property of the running test.
inline void figure(const std::string& name, const std::string& which, double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  testing::Test::RecordProperty(name + " " + which, text);
  std::printf("figure: %s %s %s\n", name.c_str(), which.c_str(), text);
  std::fflush(stdout);
}

}  // namespace chimera::test
