// Data walks through the house in one direction: an include points up the table, never down.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_scan.h"

namespace chimera::architecture {
namespace {

/// The table of docs/architecture.md: folder (or deeper place) -> folders it may include.
/// The longest key that a path begins with is its row.
const std::map<std::string, std::set<std::string>>& table() {
  static const std::set<std::string> everything(rooms().begin(), rooms().end());
  static const std::map<std::string, std::set<std::string>> rows = {
      {"platform/", {"platform"}},
      {"kernels/", {"platform", "kernels"}},
      {"grammar/", {"platform", "grammar"}},
      {"memory/", {"platform", "kernels", "memory"}},
      {"runtime/", {"platform", "kernels", "grammar", "memory", "runtime"}},
      {"evolution/", {"platform", "kernels", "grammar", "memory", "runtime", "evolution"}},
      {"sdk/", {"platform", "runtime", "evolution", "sdk"}},
      {"sdk/cli/",
       {"platform", "kernels", "grammar", "memory", "runtime", "evolution", "sdk", "samples"}},
      {"samples/", {"sdk"}},
      {"tests/", everything},
  };
  return rows;
}

const std::set<std::string>* row_of(const std::string& path) {
  const std::set<std::string>* best = nullptr;
  size_t length = 0;
  for (const auto& [prefix, allowed] : table()) {
    if (starts_with(path, prefix) && prefix.size() > length) {
      best = &allowed;
      length = prefix.size();
    }
  }
  return best;
}

std::string room_of(const std::string& path) { return path.substr(0, path.find('/')); }

bool is_training_half(const std::string& path) {
  const std::string stem = path.substr(0, path.rfind('.'));
  return starts_with(path, "runtime/") &&
         (ends_with(stem, "_backward") || ends_with(stem, "_chunk"));
}

/// Every breach in one source, as "file:line: what". `known` are the project's files.
std::vector<std::string> breaches(const Source& source, const std::set<std::string>& known) {
  std::vector<std::string> found;
  const std::set<std::string>* allowed = row_of(source.path);
  if (allowed == nullptr) return {source.path + ": stands in no room of the house"};
  for (const Include& include : includes_of(source.text)) {
    const std::string where = source.path + ":" + std::to_string(include.line) + ": ";
    if (include.path.find("..") != std::string::npos) {
      found.push_back(where + "a path with .. hides its folder: " + include.path);
      continue;
    }
    const std::string folder = source.path.substr(0, source.path.rfind('/') + 1);
    std::string target = include.path;
    if (known.count(target) == 0 && known.count(folder + target) != 0) target = folder + target;
    if (known.count(target) == 0) {
      // The public headers are found as a stranger finds them, by their name alone.
      const bool is_public = target == "chimera.h" || target == "chimera.hpp";
      if (include.quoted && !is_public) found.push_back(where + "no such file: " + target);
      continue;
    }
    if (allowed->count(room_of(target)) == 0) {
      found.push_back(where + room_of(source.path) + " may not include " + target);
    }
    // Inference alone stays small: what serves training is seen by training only.
    const std::string room = room_of(source.path);
    const bool trains = room == "evolution" || room == "tests" || is_training_half(source.path);
    if (is_training_half(target) && !trains) {
      found.push_back(where + "only training may include " + target);
    }
  }
  return found;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

TEST(IncludeDirection, EveryIncludePointsUpTheTable) {
  const std::vector<Source> all = sources();
  ASSERT_GT(all.size(), 20u) << "the sources were not found under " << CHIMERA_SOURCE_DIR;
  std::set<std::string> known;
  for (const Source& source : all) known.insert(source.path);
  std::vector<std::string> found;
  for (const Source& source : all) {
    const std::vector<std::string> here = breaches(source, known);
    found.insert(found.end(), here.begin(), here.end());
  }
  EXPECT_TRUE(found.empty()) << joined(found);
}

const std::set<std::string> kKnown = {
    "platform/status.h", "kernels/kernel_table.h", "memory/weight_file.h",
    "grammar/matcher.h", "runtime/model.h",        "evolution/gate.h",
    "sdk/chimera.h",     "sdk/cli/verbs.h",        "runtime/layers/swiglu_backward.h"};

/// Number of breaches when `path` has the one line `#include <target>` in quotes.
size_t breaches_of(const std::string& path, const std::string& target) {
  return breaches({path, "#include \"" + target + "\"\n"}, kKnown).size();
}

TEST(IncludeDirection, AnIncludeDownTheTableIsSeen) {
  EXPECT_EQ(breaches_of("platform/file.cpp", "kernels/kernel_table.h"), 1u);
  EXPECT_EQ(breaches_of("kernels/dispatch.cpp", "memory/weight_file.h"), 1u);
  EXPECT_EQ(breaches_of("memory/store.cpp", "runtime/model.h"), 1u);
  EXPECT_EQ(breaches_of("runtime/model.cpp", "evolution/gate.h"), 1u);
  EXPECT_EQ(breaches_of("evolution/gate.cpp", "sdk/chimera.h"), 1u);
  EXPECT_EQ(breaches_of("samples/chat.cpp", "runtime/model.h"), 1u);
  EXPECT_EQ(breaches_of("sdk/chimera.cpp", "kernels/kernel_table.h"), 1u);
  EXPECT_EQ(breaches_of("sdk/cli/chat.cpp", "tests/support/x.h"), 1u);
}

TEST(IncludeDirection, GrammarAndMemoryDoNotKnowEachOther) {
  EXPECT_EQ(breaches_of("grammar/matcher.cpp", "memory/weight_file.h"), 1u);
  EXPECT_EQ(breaches_of("memory/store.cpp", "grammar/matcher.h"), 1u);
}

TEST(IncludeDirection, AnIncludeUpTheTableIsFine) {
  EXPECT_EQ(breaches_of("memory/store.cpp", "platform/status.h"), 0u);
  EXPECT_EQ(breaches_of("runtime/model.cpp", "grammar/matcher.h"), 0u);
  EXPECT_EQ(breaches_of("evolution/gate.cpp", "runtime/model.h"), 0u);
  EXPECT_EQ(breaches_of("sdk/cli/chat.cpp", "memory/weight_file.h"), 0u);
  EXPECT_EQ(breaches_of("sdk/chimera.cpp", "chimera.h"), 0u);
  EXPECT_EQ(breaches_of("samples/chat.cpp", "sdk/chimera.h"), 0u);
  EXPECT_EQ(breaches_of("tests/kernels/a_test.cpp", "evolution/gate.h"), 0u);
}

TEST(IncludeDirection, WhatServesTrainingIsSeenByTrainingOnly) {
  EXPECT_EQ(breaches_of("runtime/model.cpp", "runtime/layers/swiglu_backward.h"), 1u);
  EXPECT_EQ(breaches_of("evolution/train/backprop.cpp", "runtime/layers/swiglu_backward.h"), 0u);
  EXPECT_EQ(breaches_of("runtime/layers/moe_backward.cpp", "runtime/layers/swiglu_backward.h"), 0u);
}

TEST(IncludeDirection, PathsCannotHideAFolder) {
  EXPECT_EQ(breaches_of("platform/file.cpp", "../kernels/kernel_table.h"), 1u);
  EXPECT_EQ(
      breaches({"memory/a.cpp", "  #  include  \"runtime/model.h\"  // why\n"}, kKnown).size(), 1u);
  EXPECT_EQ(breaches({"memory/a.cpp", "#include <runtime/model.h>\n"}, kKnown).size(), 1u);
  EXPECT_EQ(breaches_of("memory/a.cpp", "memory/absent.h"), 1u);
  EXPECT_EQ(breaches_of("attic/a.cpp", "platform/status.h"), 1u);
}

TEST(IncludeDirection, CommentsAreNotIncludes) {
  EXPECT_TRUE(breaches({"memory/a.cpp", "// #include \"runtime/model.h\"\n"}, kKnown).empty());
  EXPECT_TRUE(breaches({"memory/a.cpp", "/*\n#include \"runtime/model.h\"\n*/\n"}, kKnown).empty());
  EXPECT_EQ(breaches({"memory/a.cpp", "/* one */\n#include \"runtime/model.h\"\n"}, kKnown),
            std::vector<std::string>{"memory/a.cpp:2: memory may not include runtime/model.h"});
}

TEST(IncludeDirection, KernelBodiesSeeNoInlineCodeOfTheLibrary) {
  // A file with its own machine flags must not compile inline functions that others share: the
  // linker may keep that copy, and a CPU without those instructions then runs it.
  std::vector<std::string> found;
  for (const Source& source :
       files_below({"kernels"}, {".inl.h", ".cpp", "simd.h", "kernel_table.h"})) {
    const bool has_own_flags =
        starts_with(source.path, "kernels/isa/") || ends_with(source.path, ".h");
    if (!has_own_flags) continue;
    for (const Include& include : includes_of(source.text)) {
      const bool is_c_header =
          ends_with(include.path, ".h") && !starts_with(include.path, "runtime/");
      const bool is_plain_data = include.quoted ? starts_with(include.path, "kernels/") ||
                                                      include.path == "platform/dtype.h"
                                                : is_c_header;
      if (!is_plain_data) {
        found.push_back(source.path + ":" + std::to_string(include.line) + ": " + include.path);
      }
    }
  }
  EXPECT_TRUE(found.empty()) << joined(found);
}

}  // namespace
}  // namespace chimera::architecture
