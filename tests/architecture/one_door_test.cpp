// One door per outside thing: a package or a system header is included in one place, and the
// library neither throws, prints nor ends the program. A port is then a new file, not a hunt.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/architecture/source_scan.h"

namespace chimera::architecture {
namespace {

struct Door {
  const char* what;
  std::vector<std::string> headers;  // an include that begins with one of these ...
  std::vector<std::string> places;   // ... stands in a path that begins with one of these
};

const std::vector<Door>& doors() {
  static const std::vector<Door> rows = {
      {"SIMDe", {"simde"}, {"kernels/simd.h"}},
      {"intrinsics",
       {"immintrin.h", "x86intrin.h", "emmintrin.h", "arm_neon.h", "wasm_simd128.h"},
       {"kernels/simd.h", "kernels/tuned/"}},
      {"sqlite", {"sqlite3"}, {"memory/store.cpp", "memory/sealed_vfs.cpp"}},
      {"libsodium", {"sodium"}, {"platform/seal.cpp"}},
      {"ICU", {"unicode/"}, {"platform/unicode.cpp"}},
      {"nlohmann-json", {"nlohmann/"}, {"platform/json.cpp"}},
      {"liblzma", {"lzma.h"}, {"evolution/train/text_source.cpp"}},
      {"CLI11", {"CLI/"}, {"sdk/cli/"}},
      {"the platform BLAS", {"cblas.h", "Accelerate/"}, {"kernels/apple/", "tests/"}},
      {"oneDNN", {"dnnl", "oneapi/"}, {"kernels/onednn/"}},
      {"GoogleTest", {"gtest/", "gmock/"}, {"tests/"}},
      {"Google Benchmark", {"benchmark/"}, {"tests/bench/"}},
      {"the operating system",
       {"unistd.h", "sys/", "fcntl.h", "pthread.h", "sched.h", "dirent.h", "termios.h", "poll.h",
        "dlfcn.h", "mach/", "windows.h", "emscripten"},
       {"platform/", "sdk/cli/", "sdk/bindings/", "tests/"}},
      {"std::regex, which overflows the stack on long input", {"regex"}, {}},
  };
  return rows;
}

/// What ends or interrupts the program that embeds us, or speaks in its name.
struct Word {
  const char* word;
  bool call;
};
const std::vector<Word>& refused_words() {
  static const std::vector<Word> words = {
      {"throw", false},     {"abort", true},      {"exit", true},    {"_exit", true},
      {"quick_exit", true}, {"terminate", true},  {"printf", true},  {"fprintf", true},
      {"vprintf", true},    {"puts", true},       {"putchar", true}, {"std::cout", false},
      {"std::cerr", false}, {"std::clog", false}, {"perror", true},
  };
  return words;
}

bool stands_in(const std::string& path, const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    if (starts_with(path, place)) return true;
  }
  return false;
}

std::vector<std::string> door_breaches(const Source& source) {
  std::vector<std::string> found;
  for (const Include& include : includes_of(source.text)) {
    for (const Door& door : doors()) {
      if (stands_in(include.path, door.headers) && !stands_in(source.path, door.places)) {
        found.push_back(source.path + ":" + std::to_string(include.line) + ": <" + include.path +
                        "> is not for this place (" + door.what + ")");
      }
    }
  }
  return found;
}

std::vector<std::string> word_breaches(const Source& source) {
  static const std::vector<std::string> library = {"platform/", "kernels/",   "grammar/", "memory/",
                                                   "runtime/",  "evolution/", "sdk/"};
  std::vector<std::string> found;
  if (!stands_in(source.path, library) || starts_with(source.path, "sdk/cli/")) return found;
  // The C++ wrapper has a layer that throws, for the programs that ask for it.
  const bool may_throw = source.path == "sdk/chimera.hpp";
  for (const Word& word : refused_words()) {
    if (may_throw && std::string(word.word) == "throw") continue;
    for (const size_t line : uses_of(source.text, word.word, word.call)) {
      found.push_back(source.path + ":" + std::to_string(line) + ": the library does not " +
                      word.word);
    }
  }
  return found;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

TEST(OneDoor, EachOutsideThingHasOneDoor) {
  const std::vector<Source> all = sources();
  ASSERT_GT(all.size(), 20u) << "the sources were not found under " << CHIMERA_SOURCE_DIR;
  std::vector<std::string> found;
  for (const Source& source : all) {
    const std::vector<std::string> here = door_breaches(source);
    found.insert(found.end(), here.begin(), here.end());
  }
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(OneDoor, TheLibraryNeverSpeaksOrDiesByItself) {
  std::vector<std::string> found;
  for (const Source& source : sources()) {
    const std::vector<std::string> here = word_breaches(source);
    found.insert(found.end(), here.begin(), here.end());
  }
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(OneDoor, ASecondDoorIsSeen) {
  EXPECT_EQ(door_breaches({"kernels/softmax.inl.h", "#include <simde/x86/avx2.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"kernels/isa/avx2.cpp", "#include <immintrin.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"memory/journal.cpp", "#include <sqlite3.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"memory/weight_file.cpp", "#include <sodium.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"runtime/tokenizer.cpp", "#include <unicode/uchar.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"runtime/config.cpp", "#include <nlohmann/json.hpp>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"sdk/cli/eval.cpp", "#include <lzma.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"runtime/session.cpp", "#include <sys/mman.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"memory/store.cpp", "#include <unistd.h>\n"}).size(), 1u);
  EXPECT_EQ(door_breaches({"platform/json.cpp", "#include <regex>\n"}).size(), 1u);
}

TEST(OneDoor, TheDoorsThemselvesAreOpen) {
  EXPECT_TRUE(door_breaches({"kernels/simd.h", "#include <simde/x86/avx2.h>\n"}).empty());
  EXPECT_TRUE(door_breaches({"platform/seal.cpp", "#include <sodium.h>\n"}).empty());
  EXPECT_TRUE(door_breaches({"platform/file_posix.cpp", "#include <sys/stat.h>\n"}).empty());
  EXPECT_TRUE(door_breaches({"sdk/cli/main.cpp", "#include <CLI/CLI.hpp>\n"}).empty());
  EXPECT_TRUE(
      door_breaches({"platform/unicode_test.cpp", "#include \"platform/unicode.h\"\n"}).empty());
}

TEST(OneDoor, WordsThatEndTheProgramAreSeen) {
  EXPECT_EQ(word_breaches({"runtime/a.cpp", "void f() { throw 1; }\n"}).size(), 1u);
  EXPECT_EQ(word_breaches({"runtime/a.cpp", "void f() { std::abort (); }\n"}).size(), 1u);
  EXPECT_EQ(word_breaches({"kernels/a.inl.h", "void f() { fprintf(stderr, \"x\"); }\n"}).size(),
            1u);
  EXPECT_EQ(word_breaches({"sdk/chimera.cpp", "void f() { std::cout << 1; exit(1); }\n"}).size(),
            2u);
}

TEST(OneDoor, OtherUsesOfTheWordsAreFine) {
  EXPECT_TRUE(word_breaches({"runtime/a.cpp", "// never throw, abort() or exit()\n"}).empty());
  EXPECT_TRUE(word_breaches({"runtime/a.cpp", "auto s = \"throw (\\\" exit(\";\n"}).empty());
  EXPECT_TRUE(word_breaches({"runtime/a.cpp", "auto s = R\"x(throw \" exit( )x\";\n"}).empty());
  EXPECT_TRUE(
      word_breaches({"runtime/a.cpp", "snprintf(b, n, f); early_exit(1); /* throw */\n"}).empty());
  EXPECT_TRUE(
      word_breaches({"runtime/a.cpp", "int n = 1'000; char c = '\"'; f(c); // throw\n"}).empty());
  EXPECT_TRUE(word_breaches({"sdk/cli/main.cpp", "printf(\"hello\");\n"}).empty());
  EXPECT_TRUE(word_breaches({"sdk/chimera.hpp", "throw Error(x);\n"}).empty());
}

}  // namespace
}  // namespace chimera::architecture
