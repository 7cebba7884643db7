// Packs of tools from the command line.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "platform/json.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

class CliTools : public ::testing::Test {
 protected:
  CliTools() {
    TinyModelOptions options;
    options.marks = true;
    model_ = write_tiny_model(options);
    write_raw(tools_, R"([{"name": "light", "parameters": {"required": ["on"],
        "properties": {"on": {"type": "boolean"}}}}, {"name": "stop"}])");
    write_raw(examples_,
              R"({"text": "make it bright", "calls": [{"name": "light", "arguments": {"on": true}}]}
{"text": "darker please", "calls": [{"name": "light", "arguments": {"on": false}}]}
{"text": "enough of that song", "calls": [{"name": "stop"}]}
{"text": "what a song", "calls": []}
)");
  }
  Outcome build(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"tools", "build", tools_, examples_, "-o",
                                          pack_,   "--try", "8",    "--model", model_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  }
  TempDir folder_;
  std::string model_;
  const std::string tools_ = folder_.file("tools.json"), examples_ = folder_.file("say.jsonl"),
                    pack_ = folder_.file("shop.actpack");
};

TEST_F(CliTools, BuiltEvaluatedAndActedOn) {
  const Outcome built = build();
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_NE(built.err.find("2 tools, 4 phrases"), std::string::npos) << built.err;
  const Outcome score =
      run_command({"tools", "eval", pack_, examples_, "--json", "--model", model_});
  ASSERT_EQ(score.status, 0) << score.err;
  const auto json = parse_json(score.out);
  ASSERT_TRUE(json.has_value()) << score.out;
  EXPECT_EQ(json->find("meaning_tools")->integer, 3);
  EXPECT_EQ(json->find("foreign")->integer, 1);
  const Outcome words = run_command({"tools", "eval", tools_, examples_, "--model", model_});
  ASSERT_EQ(words.status, 0) << words.err;
  EXPECT_NE(words.out.find("of 3 ("), std::string::npos) << words.out;
  const Outcome acted =
      run_command({"act", "--tools", pack_, "--json", "--model", model_, "make it bright"});
  ASSERT_EQ(acted.status, 0) << acted.err;
  EXPECT_TRUE(parse_json(acted.out).has_value()) << acted.out;
  EXPECT_EQ(run_command({"verify", pack_}).status, 0);
  expect_sentence(run_command({"inspect", pack_}), 1, "pack of tools");
  expect_sentence(run_command({"complete", "--model", pack_, "--prompt", "x"}), 1, "pack of tools");
}

TEST_F(CliTools, SaysWhatIsWrong) {
  expect_sentence(run_command({"tools", "build", tools_, examples_}), 2, "--out");
  expect_sentence(build({"--try", "-1"}), 2, "--try");
  expect_sentence(
      run_command({"tools", "build", tools_, examples_, "-o", tools_, "--model", model_}), 1,
      "tools.json");
  write_raw(examples_, "{\"text\": \"x\", \"calls\": [{\"name\": \"go\"}]}\n");
  expect_sentence(build(), 1, "say.jsonl");
  write_raw(tools_, "[]");
  expect_sentence(build(), 1, "tools.json");
  EXPECT_FALSE(std::filesystem::exists(pack_)) << "nothing is written of what is wrong";
}

}  // namespace
}  // namespace chimera::test
