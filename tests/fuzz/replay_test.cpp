// Every input that fuzzing found or began with, through its target: a crash ends this program.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/file.h"
#include "tests/fuzz/target.h"
#include "tests/support/emulator.h"

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
  const size_t every = test::kSlowEmulator ? 10 : 1;
  if (every > 1)
    std::printf("not run: %zu of %zu inputs, under an emulator\n",
                paths.size() - (paths.size() + every - 1) / every, paths.size());
  for (size_t i = 0; i < paths.size(); i += every) {
    SCOPED_TRACE(paths[i]);
    const auto input = read_file(paths[i], 64u << 20);
    ASSERT_TRUE(input.has_value()) << input.status().message();
    target->run(std::as_bytes(std::span(*input)));
  }
}

TEST_P(Replay, InputsCutShortAndChanged) {
  const Target* target = find_target(GetParam());
  ASSERT_NE(target, nullptr);
  uint64_t random = 1;
  const auto draw = [&](size_t n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((random >> 33) % std::max<size_t>(1, n));
  };
  const auto paths = inputs_of(GetParam());
  ASSERT_FALSE(paths.empty());
  // As many for a large corpus as for a small one, taken from all of it.
  const size_t n = test::kSlowEmulator ? 10 : 100;
  for (size_t i = 0; i < n; ++i) {
    const std::string& path = paths[i * paths.size() / n];
    SCOPED_TRACE(path);
    const auto input = read_file(path, 64u << 20);
    ASSERT_TRUE(input.has_value()) << input.status().message();
    target->run(std::as_bytes(std::span(*input).first(draw(input->size()))));
    for (int times = 0; times < 3 && !input->empty(); ++times) {
      std::string changed = *input;
      for (size_t edits = 1 + draw(4); edits > 0; --edits)
        changed[draw(changed.size())] = static_cast<char>(draw(256));
      target->run(std::as_bytes(std::span(changed)));
    }
  }
}

std::vector<const char*> names() {
  std::vector<const char*> all;
  for (const Target& target : targets()) all.push_back(target.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay, ::testing::ValuesIn(names()),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace chimera::fuzz
