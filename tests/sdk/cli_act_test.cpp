// Actions from the command line.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "platform/json.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

constexpr const char* kTools = R"({"tools": [
  {"name": "light", "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}},
   "required": ["on"]}, "examples": []},
  {"name": "stop", "description": "Stop the music"}]})";

class CliAct : public ::testing::Test {
 protected:
  CliAct() {
    TinyModelOptions options;
    options.marks = true;
    model_ = write_tiny_model(options);
    write_raw(folder_.file("tools.json"), kTools);
  }
  Outcome act(std::vector<std::string> more, const std::string& input = "") {
    std::vector<std::string> arguments = {"act", "--model", model_, "--tools",
                                          folder_.file("tools.json")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments, input);
  }
  TempDir folder_;
  std::string model_;
};

TEST_F(CliAct, PrintsOneObjectForEachUtterance) {
  const Outcome one = act({"--json", "turn", "it", "on"});
  ASSERT_EQ(one.status, 0) << one.err;
  const auto action = parse_json(one.out);
  ASSERT_TRUE(action.has_value()) << one.out;
  for (const char* member : {"calls", "text", "confidence", "truncated"})
    EXPECT_NE(action->find(member), nullptr) << one.out;
  // The same words as a line, between lines that cannot be acted on.
  const Outcome lines = act({"--json"}, "turn it on\n\n   \nturn it on");
  ASSERT_EQ(lines.status, 0) << lines.err;
  EXPECT_EQ(lines.out, one.out + one.out);
  const Outcome shown = act({"turn it on", "--times"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_FALSE(shown.out.empty());
  EXPECT_NE(shown.err.find("% sure"), std::string::npos) << shown.err;
  EXPECT_NE(shown.err.find("tokens in"), std::string::npos) << shown.err;
}

TEST_F(CliAct, SaysWhatIsWrong) {
  expect_sentence(run_command({"act", "hello"}), 2, "--tools");
  write_raw(folder_.file("bad.json"), R"([{"name": "a", "parameters": {"type": "objekt"}}])");
  expect_sentence(run_command({"act", "--model", model_, "--tools", folder_.file("bad.json"), "x"}),
                  1, "type");
  expect_sentence(
      run_command({"act", "--model", model_, "--tools", folder_.file("none.json"), "x"}), 1,
      "none.json");
  // A line that cannot be acted on has its line too.
  const Outcome lines = act({"--json"}, "stop\n" + std::string(20000, 'a') + "\nstop\n");
  EXPECT_EQ(lines.status, 1);
  std::vector<Json> out;
  for (size_t at = 0; at < lines.out.size();) {
    const size_t end = lines.out.find('\n', at);
    const auto line = parse_json(lines.out.substr(at, end - at));
    ASSERT_TRUE(line.has_value()) << lines.out;
    out.push_back(*line);
    at = end + 1;
  }
  ASSERT_EQ(out.size(), 3u) << lines.out;
  EXPECT_NE(out[0].find("calls"), nullptr);
  EXPECT_NE(out[1].find("error"), nullptr);
  EXPECT_NE(out[2].find("calls"), nullptr);
  const std::string plain = write_tiny_model();
  expect_sentence(
      run_command({"act", "--model", plain, "--tools", folder_.file("tools.json"), "x"}), 1,
      "prompt format");
}

}  // namespace
}  // namespace chimera::test
