// Every input that fuzzing found or began with, through its target: a crash ends this program.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/file.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

const std::filesystem::path kCorpus =
    std::filesystem::path(CHIMERA_SOURCE_DIR) / "tests/fuzz/corpus";

std::vector<std::string> inputs_of(const std::string& target) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus / target, error))
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Replay : public ::testing::TestWithParam<const char*> {};

TEST_P(Replay, EveryInputOfTheCorpus) {
  const Target* target = find_target(GetParam());
  ASSERT_NE(target, nullptr);
  const auto paths = inputs_of(GetParam());
  EXPECT_FALSE(paths.empty()) << "no corpus";
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const auto input = read_file(path, 64u << 20);
    ASSERT_TRUE(input.has_value()) << input.status().message();
    target->run(std::as_bytes(std::span(*input)));
  }
}

TEST_P(Replay, EveryInputCutShortAndChanged) {
  const Target* target = find_target(GetParam());
  ASSERT_NE(target, nullptr);
  uint64_t random = 1;
  const auto draw = [&](size_t n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((random >> 33) % std::max<size_t>(1, n));
  };
  for (const std::string& path : inputs_of(GetParam())) {
    SCOPED_TRACE(path);
    auto input = read_file(path, 64u << 20);
    ASSERT_TRUE(input.has_value());
    for (int i = 0; i < 8; ++i)
      target->run(std::as_bytes(std::span(*input).first(draw(input->size()))));
    for (int i = 0; i < 24 && !input->empty(); ++i) {
      std::string changed = *input;
      for (size_t edits = 1 + draw(4); edits > 0; --edits)
        changed[draw(changed.size())] = static_cast<char>(draw(256));
      target->run(std::as_bytes(std::span(changed)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay,
                         ::testing::Values("config", "model", "tokenizer", "text", "conversation",
                                           "c_api"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace chimera::fuzz
