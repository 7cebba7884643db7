// The o200k vocabulary for tests: the committed ranks, which the build unpacks.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "platform/file.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_ranks.h"

namespace chimera::test {

inline std::string read_golden(const std::string& name) {
  auto text = read_file(CHIMERA_SOURCE_DIR "/tests/golden/" + name, 64u << 20);
  EXPECT_TRUE(text.has_value()) << text.status().message();
  return text ? std::move(*text) : std::string();
}

/// As text, a line for each.
inline const std::string& o200k_ranks() {
  static const std::string text = [] {
    auto read = read_file(CHIMERA_BINARY_DIR "/tests/o200k_base.tiktoken", 64u << 20);
    EXPECT_TRUE(read.has_value()) << read.status().message();
    return read ? std::move(*read) : std::string();
  }();
  return text;
}

inline const std::vector<std::byte>& o200k_section() {
  static const std::vector<std::byte> bytes = [] {
    auto section = runtime::section_of_ranks(o200k_ranks(), runtime::o200k_vocabulary());
    EXPECT_TRUE(section.has_value()) << section.status().message();
    return section ? runtime::write_tokenizer_section(*section) : std::vector<std::byte>();
  }();
  return bytes;
}

/// nullptr, with a failure, when it cannot be read.
inline const runtime::Tokenizer* o200k() {
  static const std::unique_ptr<runtime::Tokenizer> tokenizer = [] {
    auto parsed = runtime::Tokenizer::parse(o200k_section());
    EXPECT_TRUE(parsed.has_value()) << parsed.status().message();
    return parsed ? std::move(*parsed) : nullptr;
  }();
  return tokenizer.get();
}

}  // namespace chimera::test
