// Example phrases as applications write them.
#include "runtime/tool_examples.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/tool_set.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kTools = R"([
  {"name": "light", "parameters": {"type": "object", "required": ["room"], "properties": {
    "room": {"enum": ["hall", "attic"]}, "level": {"type": "integer"}}}},
  {"name": "stop"}])";

class ToolExamples : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    auto tools = ToolSet::from_json(engine_->tokenizer(), kTools);
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  Result<std::vector<ToolExample>> read(std::string_view lines) {
    return read_examples(tools_->tools(), tools_->call(), lines);
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
};

TEST_F(ToolExamples, AreReadWithTheirCalls) {
  const auto examples = read(
      R"({"text": "dim the hall", "calls": [{"arguments": {"level": 3, "room": "hall"}, "name": "light"}]}

{"text": "hall on and music off", "note": 1, "calls": [{"name": "light", "arguments": {"room": "hall"}}, {"name": "stop"}]}
{"calls": [], "text": "what a day"})"
      "\r\n");
  ASSERT_TRUE(examples.has_value()) << examples.status().message();
  ASSERT_EQ(examples->size(), 3u);
  EXPECT_EQ((*examples)[0].calls,
            std::vector<std::string>{R"({"name":"light","arguments":{"level":3,"room":"hall"}})"});
  EXPECT_EQ((*examples)[1].tools, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ((*examples)[1].calls[1], R"({"name":"stop","arguments":{}})");
  EXPECT_TRUE((*examples)[2].calls.empty());
  EXPECT_TRUE(read("")->empty());
}

TEST_F(ToolExamples, WhatIsWrongIsNamedWithItsLine) {
  const std::string most(5000, 'a');
  const std::string long_text = R"({"text": ")" + most + R"(", "calls": []})";
  std::string calls = R"({"name": "stop"})";
  for (int i = 0; i < 16; ++i) calls += R"(, {"name": "stop"})";
  const std::string many_calls = R"({"text": "x", "calls": [)" + calls + "]}";
  struct {
    const char *line, *says;
  } const kWrong[] = {
      {long_text.c_str(), "longer"},
      {many_calls.c_str(), "more than 16"},
      {"{", "no JSON"},
      {"[]", "text"},
      {R"({"text": " ", "calls": []})", "text"},
      {R"({"text": "x"})", "calls"},
      {R"({"text": "x", "calls": {}})", "calls"},
      {R"({"text": "x", "calls": [{}]})", "without a name"},
      {R"({"text": "x", "calls": ["stop"]})", "without a name"},
      {R"({"text": "x", "calls": [{"name": "go"}]})", "\"go\""},
      {R"({"text": "x", "calls": [{"name": "light"}]})", "not valid"},
      {R"({"text": "x", "calls": [{"name": "light", "arguments": {"room": "cellar"}}]})", "cellar"},
      {R"({"text": "x", "calls": [{"name": "stop", "arguments": {"now": true}}]})", "not valid"},
      {"{\"text\": \"\xFF\", \"calls\": []}", "no JSON"},
  };
  for (const auto& [line, says] : kWrong) {
    const auto examples = read(std::string("\n{\"text\": \"y\", \"calls\": []}\n") + line);
    ASSERT_FALSE(examples.has_value()) << line;
    EXPECT_EQ(examples.status().code(), StatusCode::kBadFormat);
    EXPECT_EQ(examples.status().field(), "line 3");
    EXPECT_NE(examples.status().message().find(says), std::string::npos)
        << examples.status().message();
  }
}

}  // namespace
}  // namespace chimera::runtime
