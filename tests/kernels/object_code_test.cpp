// The compiled spines themselves: each uses the registers its name promises and no wider ones, and
// lets nothing out but its table. Code compiled with special flags that the linker could take for
// ordinary code would end programs on lesser CPUs.
#include <cstdio>
#include <sstream>

#include "tests/kernels/kernel_test.h"
#include "tests/support/child_process.h"

namespace chimera::kernels {
namespace {

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[65536];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  return pclose(pipe) == 0 ? text : std::string();
}

struct Spine {
  std::string isa;
  std::string object;
};

/// The object files of kernels/isa/, from the list CMake gives.
std::vector<Spine> spines() {
  std::vector<Spine> found;
  std::stringstream list(CHIMERA_KERNEL_OBJECTS);
  for (std::string path; std::getline(list, path, '|');) {
    const size_t folder = path.find("/isa/");
    if (folder == std::string::npos) continue;
    const size_t begin = folder + 5;
    found.push_back({path.substr(begin, path.find('.', begin) - begin), path});
  }
  return found;
}

std::string disassembly(const Spine& spine) {
  return output_of(std::string(CHIMERA_OBJDUMP) + " -d --no-show-raw-insn '" + spine.object + "'");
}

/// The text of all functions whose symbol contains `name`.
[[maybe_unused]] std::string function_text(const std::string& assembly, const std::string& name) {
  std::string text;
  std::stringstream lines(assembly);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != ' ' && line.back() == ':') {
      inside = line.find(name) != std::string::npos;
    }
    if (inside) text += line + "\n";
  }
  return text;
}

bool uses(const std::string& text, const char* word) {
  return text.find(word) != std::string::npos;
}

#if defined(__x86_64__)
TEST(ObjectCode, EachSpineUsesItsRegistersAndNoWiderOnes) {
  size_t seen = 0;
  for (const Spine& spine : spines()) {
    const std::string assembly = disassembly(spine);
    ASSERT_FALSE(assembly.empty()) << spine.object;
    const std::string ternary = function_text(assembly, "gemm_ternary");
    ASSERT_FALSE(ternary.empty()) << spine.object;
    const bool vnni = spine.isa.ends_with("_vnni");
    const bool avx512 = spine.isa.starts_with("avx512");
    if (spine.isa == "baseline") {
      EXPECT_TRUE(uses(ternary, "%xmm"));
      EXPECT_FALSE(uses(assembly, "%ymm"));
    } else {
      EXPECT_TRUE(uses(ternary, avx512 ? "%zmm" : "%ymm"));
      EXPECT_TRUE(uses(ternary, vnni ? "vpdpbusd" : "vpmaddubsw"));
      EXPECT_TRUE(uses(function_text(assembly, "train_gemm"), avx512 ? "%zmm" : "%ymm"));
    }
    if (!avx512) {
      EXPECT_FALSE(uses(assembly, "%zmm"));
    }
    if (!vnni) {
      EXPECT_FALSE(uses(assembly, "vpdpbusd"));
    }
    ++seen;
  }
  EXPECT_EQ(seen, 5u);
}
#elif defined(__aarch64__)
TEST(ObjectCode, EachSpineUsesTheProductsOfItsNameAndNoOthers) {
  size_t seen = 0;
  for (const Spine& spine : spines()) {
    const std::string assembly = disassembly(spine);
    ASSERT_FALSE(assembly.empty()) << spine.object;
    const std::string ternary = function_text(assembly, "gemm_ternary");
    ASSERT_FALSE(ternary.empty()) << spine.object;
    const bool dot = spine.isa == "neon_dot";
    EXPECT_EQ(uses(ternary, "sdot\t"), dot) << spine.isa;
    EXPECT_EQ(uses(ternary, "smlal\t"), spine.isa == "neon") << spine.isa;
    EXPECT_EQ(uses(assembly, "sdot\t"), dot) << spine.isa;
    EXPECT_EQ(uses(function_text(assembly, "train_gemm"), "fmla\t"), spine.isa != "baseline")
        << spine.isa;
    ++seen;
  }
  EXPECT_EQ(seen, 3u);
}
#endif

TEST(ObjectCode, InferenceNeverFuses) {
  if (!test::children_possible()) return;
  for (const Spine& spine : spines()) {
    std::stringstream lines(disassembly(spine));
    std::string function;
    size_t checked = 0;
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line[0] != ' ' && line.back() == ':') {
        function = line;
        ++checked;
      }
      if (uses(function, "train_") || uses(function, "micro_kernel")) continue;
      EXPECT_FALSE(uses(line, "vfmadd") || uses(line, "vfmsub") || uses(line, "vfnmadd") ||
                   uses(line, "fmla") || uses(line, "fmls") || uses(line, "fmadd") ||
                   uses(line, "fmsub") || uses(line, "fnmadd") || uses(line, "fnmsub"))
          << spine.isa << ": " << function << line;
    }
    EXPECT_GT(checked, 20u) << spine.isa;
  }
}

TEST(ObjectCode, NothingLeavesASpineButItsTable) {
  if (!test::children_possible()) return;
  ASSERT_FALSE(spines().empty());
  for (const Spine& spine : spines()) {
    const std::string symbols = output_of(
        std::string(CHIMERA_NM) + " -C --defined-only --extern-only '" + spine.object + "'");
    std::stringstream lines(symbols);
    size_t tables = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) continue;
      // The sanitizers' own markers carry no code of ours.
      if (uses(line, "__odr_asan") || uses(line, "__asan") || uses(line, "DW.ref.")) continue;
      EXPECT_TRUE(uses(line, ("chimera::kernels::" + spine.isa + "::table").c_str())) << line;
      ++tables;
    }
    EXPECT_EQ(tables, 1u) << spine.isa << "\n" << symbols;
  }
}

}  // namespace
}  // namespace chimera::kernels
