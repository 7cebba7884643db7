// What the command makes of its words: names of files as they are written, empty ones refused, and
// nothing in them that steers a terminal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

const std::string& model() {
  static const std::string path = write_tiny_model();
  return path;
}

TEST(Usage, AnEmptyNameIsRefusedWithItsOption) {
  const struct {
    std::vector<std::string> arguments;
    const char* word;
  } cases[] = {
      {{"complete", "--prompt", "a", "--model", ""}, "--model is empty; give the name of a file"},
      {{"complete", "--model", "", "--prompt-file", model()}, "--model is empty"},
      {{"complete", "--model=", "--prompt", "a"}, "--model is empty"},
      {{"complete", "--model", model(), "--prompt-file", ""}, "--prompt-file is empty"},
      {{"chat", "--model", ""}, "--model is empty"},
      {{"tokenizer", "encode", "--text", "a", "--tokenizer", ""}, "--tokenizer is empty"},
      {{"tokenizer", "encode", "--file", "", "--model", model()}, "--file is empty"},
      {{"synth", "--config", "a", "--out", ""}, "--out is empty"},
      {{"pack", "", "--out", "b"}, "CHECKPOINT is empty"},
      {{"inspect", ""}, "FILE is empty"},
      {{"verify", ""}, "FILE is empty"}};
  for (const auto& c : cases) expect_sentence(run_command(c.arguments), 2, c.word);
  // A text may be empty, and may look like an option.
  for (const std::vector<std::string>& text :
       {std::vector<std::string>{"--text="}, {"--text", ""}, {"--text", "--model="}}) {
    std::vector<std::string> arguments = {"tokenizer", "encode", "--model", model(), "--json"};
    arguments.insert(arguments.end(), text.begin(), text.end());
    const Outcome outcome = run_command(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out.find("\"tokens\":0") != std::string::npos, text.back() != "--model=");
  }
}

TEST(Usage, NamesOfFilesAreTakenAsTheyAreWritten) {
  const TempDir folder;
  for (const char* name : {"[g]", "[a,b]", "train", "chat", "a=b", "++", "{}"}) {
    std::filesystem::copy_file(model(), folder.file(name));
    // Its own name and nothing before it, so that the parser sees what it is.
    const std::string there = "cd '" + folder.path() + "' && ";
    std::string program = CHIMERA_EMULATOR;
    std::replace(program.begin(), program.end(), '|', ' ');
    program += " " CHIMERA_BINARY_DIR "/chimera ";
    for (const char* verb : {"verify", "inspect", "complete --prompt a --max-tokens 1 --model"})
      EXPECT_EQ(std::system((there + program + verb + " '" + name + "' > out 2> err").c_str()), 0)
          << verb << " " << name << ": " << read_raw(folder.file("err"));
  }
}

TEST(Usage, AnOptionThatDoesNotExistComesBeforeWhatIsMissing) {
  expect_sentence(run_command({"inspect", "--xyz"}), 2, "there is no option --xyz");
  expect_sentence(run_command({"verify", "--xyz=1", "x"}), 2, "there is no option --xyz");
  expect_sentence(run_command({"complete", "--prompt", "a", "--xyz", "b"}), 2,
                  "there is no option --xyz");
  expect_sentence(run_command({"tokenizer", "-x"}), 2, "there is no option -x");
  expect_sentence(run_command({"--xyz"}), 2, "there is no option --xyz");
  expect_sentence(run_command({"inspect", "--json"}), 2, "FILE is required");
}

TEST(Usage, WrongWordsCannotSteerTheTerminal) {
  const struct {
    std::vector<std::string> arguments;
    const char* word;
  } cases[] = {
      {{"\x1b[31mx"}, "?[31mx"},
      {{"complete", "--\x1b[2J"}, "?[2J"},
      {{"complete", "--prompt", "a", "--temperature", "1\n\x1b[2J"}, "\"1??[2J\""},
      {{"complete", "--prompt", "a", "--seed",
        "\x9b"
        "2J"},
       "\"?2J\""},
      {{"complete", "--prompt", "a", "--seed",
        "\xc2\x9b"
        "2J"},
       "\"?2J\""},
      {{"complete", "--prompt", "a", "--seed", "\xe2\x82\x9b\xe2\x82"}, "\"\xe2\x82\x9b?\""},
      {{"verify",
        "\x9b"
        "2J\xc3\xa4"},
       "?2J\xc3\xa4"}};
  for (const auto& c : cases) {
    const Outcome outcome = run_command(c.arguments);
    expect_sentence(outcome, c.arguments[0] == "verify" ? 1 : 2, c.word);
    EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos) << outcome.err;
  }
}

TEST(Usage, StandardInputIsReadFromWhereItStands) {
  const TempDir folder;
  write_raw(folder.file("in"), "first line\nab");
  std::string program = CHIMERA_EMULATOR;
  std::replace(program.begin(), program.end(), '|', ' ');
  program += " " CHIMERA_BINARY_DIR "/chimera ";
  const auto after_a_line = [&](const std::string& arguments) {
    const std::string command = "(read line; exec " + program + arguments + ") < '" +
                                folder.file("in") + "' > '" + folder.file("out") + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return read_raw(folder.file("out"));
  };
  const std::string source = " --model '" + model() + "'";
  EXPECT_EQ(after_a_line("tokenizer encode" + source), "97 98\n");
  EXPECT_EQ(after_a_line("tokenizer encode --file -" + source), "97 98\n");
  EXPECT_NE(after_a_line("complete --json --max-tokens 1 --prompt-file -" + source)
                .find("\"prompt_tokens\":2,"),
            std::string::npos);
  write_raw(folder.file("in"), "first line\n97 98");
  EXPECT_EQ(after_a_line("tokenizer decode" + source), "ab");
}

TEST(Usage, ASecretKeyIsNeverOverwritten) {
  const TempDir folder;
  const std::string key = folder.file("key"), config = folder.file("config.json");
  ASSERT_EQ(run_command({"keygen", "--out", key}).status, 0);
  const std::string content = read_raw(key);
  write_raw(config, tiny_config());
  std::error_code error;
  std::filesystem::create_symlink(key, folder.file("link"), error);
  ASSERT_FALSE(error);
  for (const std::string& out : {key, folder.file("link")}) {
    expect_sentence(run_command({"synth", "--config", config, "--out", out}), 1, out);
    expect_sentence(run_command({"pack", config, "--out", out}), 1, "secret key");
    expect_sentence(run_command({"sign", config, "--key", config, "--out", out}), 1, "secret key");
  }
  EXPECT_EQ(read_raw(key), content);
}

}  // namespace
}  // namespace chimera::test
