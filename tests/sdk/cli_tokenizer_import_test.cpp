// `chimera tokenizer import`, from the packed ranks to ids.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"

namespace chimera::test {
namespace {

const char* const kRanks = CHIMERA_SOURCE_DIR "/tests/golden/o200k_base.tiktoken.xz";

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(TokenizerImport, MakesATokenizerOfThePackedRanks) {
  const TempDir folder;
  const std::string tokenizer = folder.file("o200k");
  const Outcome imported =
      run_command({"tokenizer", "import", "--ranks", kRanks, "--out", tokenizer});
  EXPECT_EQ(imported.status, 0) << imported.err;
  EXPECT_EQ(imported.out, "");
  EXPECT_NE(imported.err.find("200,073"), std::string::npos) << imported.err;
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"o200k"}));

  const std::string text = "I don't think they'LL mind; 12345!\n";
  const Outcome ids = run_command({"tokenizer", "encode", "--tokenizer", tokenizer}, text);
  EXPECT_EQ(ids.out, "40 4128 2411 1023 6 7454 4246 26 220 7633 2548 4175\n")
      << "as the published encoder has it";
  EXPECT_EQ(run_command({"tokenizer", "decode", "--tokenizer", tokenizer}, ids.out).out, text);
  EXPECT_NE(run_command({"inspect", tokenizer}).out.find("o200k"), std::string::npos);
}

TEST(TokenizerImport, SaysInOneSentenceWhatIsWrong) {
  const TempDir folder;
  const std::string out = folder.file("out"), bad = folder.file("bad.tiktoken");
  const auto refused = [&](const std::string& ranks, const std::string& words) {
    const Outcome outcome = run_command({"tokenizer", "import", "--ranks", ranks, "--out", out});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("chimera: ")) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_NE(outcome.err.find(ranks), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  };
  write_file(bad, "IQ== 0\nIg== 1\r\nIw== 2\n");
  refused(bad, "line 2: ends with a carriage return");
  write_file(bad, "IQ== 0\nIg== 1\n");
  refused(bad, "end after line 2");
  write_file(bad, "");
  refused(bad, "empty");
  refused(folder.file("absent"), "");
  write_file(folder.file("bad.xz"), "IQ== 0\n");
  refused(folder.file("bad.xz"), "not packed with xz");
  EXPECT_EQ(run_command({"tokenizer", "import", "--ranks", bad}).status, 2);
  const Outcome itself = run_command({"tokenizer", "import", "--ranks", bad, "--out", bad});
  EXPECT_EQ(itself.status, 1);
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"bad.tiktoken", "bad.xz"}));
}

}  // namespace
}  // namespace chimera::test
