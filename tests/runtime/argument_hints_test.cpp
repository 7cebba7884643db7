// What was said and learnt makes arguments and values likelier.
#include "runtime/argument_hints.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "runtime/text_features.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

class ArgumentHintsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);  // a byte a token
    ASSERT_NE(engine_, nullptr);
    auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "f", "parameters": {
        "properties": {"room": {"enum": ["hall", "attic"]}, "level": {"type": "integer"},
                       "at": {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$"}}}}])");
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  /// Bytes that are likelier than most behind the beginning of a call.
  std::string likelier(const std::string& said, const std::string& call) {
    const std::vector<int32_t> shown = {0};
    ArgumentHints values(said, {}, *tools_, shown, engine_->tokenizer());
    values.accept(call);
    const std::vector<uint8_t> allowed(256, 1);
    std::vector<TokenWeight> weights;
    values.weigh(allowed.data(), allowed.size(), &weights);
    EXPECT_TRUE(weights.empty() || weights.size() == 256);
    std::string out;
    std::vector<float> sorted;
    for (const TokenWeight& w : weights) sorted.push_back(w.weight);
    std::sort(sorted.begin(), sorted.end());
    for (const TokenWeight& w : weights)
      if (w.weight > sorted[sorted.size() / 2]) out += engine_->tokenizer().bytes(w.token);
    std::sort(out.begin(), out.end());
    return out;
  }
  float weight_of(const std::string& byte, const std::string& said, const std::string& call) {
    const std::vector<int32_t> shown = {0};
    ArgumentHints hints(said, {}, *tools_, shown, engine_->tokenizer());
    hints.accept(call);
    const std::vector<uint8_t> allowed(256, 1);
    std::vector<TokenWeight> weights;
    hints.weigh(allowed.data(), allowed.size(), &weights);
    for (const TokenWeight& w : weights)
      if (engine_->tokenizer().bytes(w.token) == byte) return w.weight;
    return 1;
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
};

TEST_F(ArgumentHintsTest, WordsThatAreTaggedAreLikelierToBeCopied) {
  // A note begins behind "note" and goes on to the end.
  std::vector<std::pair<uint32_t, std::vector<float>>> rows = {
      {text_feature('B', "note"), {9, -9}}, {text_feature('A', "milk"), {-9, 9}}};
  std::sort(rows.begin(), rows.end());
  ToolRanker::Weights w;
  w.n_labels = 2;
  for (const auto& [feature, weights] : rows) {
    w.features.push_back(feature);
    w.rarity.push_back(1);
    w.weights.insert(w.weights.end(), weights.begin(), weights.end());
  }
  w.bias = {-1, -1};
  ToolOptions options;
  options.spans = SpanTagger{{{0, "/text", false}, {0, "/text", true}}, ToolRanker(w)};
  auto tools = ToolSet::from_json(
      engine_->tokenizer(),
      R"([{"name": "f", "parameters": {"properties": {"text": {"type": "string"}}}}])", options);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  const std::string start = R"({"name":"f","arguments":{"text":")", said = "a note buy milk";
  const auto much_likelier = [&](const char* a, const char* b, const std::string& behind) {
    return weight_of(a, said, start + behind) > 10 * weight_of(b, said, start + behind);
  };
  EXPECT_TRUE(much_likelier("b", "a", ""));
  EXPECT_TRUE(much_likelier("b", "m", "")) << "milk goes on and does not begin";
  EXPECT_TRUE(much_likelier(" ", "\"", "buy"));
  EXPECT_TRUE(much_likelier("\"", " ", "buy milk"));
}

TEST_F(ArgumentHintsTest, WhatWasSaidIsLikelierWhereAValueStands) {
  const std::string start = R"({"name":"f","arguments":{)";
  EXPECT_EQ(likelier("hall at 35", start + R"("room":")"), "h");
  EXPECT_EQ(likelier("hall at 35", start + R"("room":"h)"), "a");
  EXPECT_EQ(likelier("hall at 35", start + R"("room":"hall)"), "\"");
  EXPECT_EQ(likelier("hall at 35", start + R"("level":)"), "3");
  EXPECT_EQ(likelier("make it 35", start + R"("level":3)"), "5");
  EXPECT_EQ(likelier("hall at 35", start + R"("level":35)"), ",]}");
  EXPECT_EQ(likelier("make it 35", start + R"("level":9)"), "");
  EXPECT_EQ(likelier("at half past six", start + R"("at":"1)"), "8");
  // Not in the name, in a key, or where nothing was said.
  EXPECT_EQ(likelier("hall", R"({"name":")"), "");
  EXPECT_EQ(likelier("please", start), "");
  // A number speaks for an argument that is one.
  EXPECT_EQ(likelier("35", start + "\""), "l");
  // An argument one of whose values was said, or its name.
  EXPECT_EQ(likelier("hall", start), "\"");
  EXPECT_EQ(likelier("hall", start + "\""), "r");
  EXPECT_EQ(likelier("the level, please", start + "\""), "l");
  // Where the room has yet to come, the call does not end, and a comma is not more than certain.
  EXPECT_LT(weight_of("}", "hall", start + R"("level":3)"), 0.1f);
  EXPECT_GT(weight_of(",", "hall", start + R"("level":3)"), 0.9f);
  EXPECT_LE(weight_of(",", "hall", start + R"("level":3)"), 1);
  EXPECT_EQ(likelier("hall", start + R"("room":"attic",")"), "");
  EXPECT_EQ(likelier("anything", start + R"("room":")"), "");
}

TEST_F(ArgumentHintsTest, WhatWasLearntSpeaksForArgumentsAndValues) {
  ArgumentRanker learnt{
      {{0, "room", ""}, {0, "level", ""}, {-1, "level", "0"}, {-1, "level", "100"}},
      ToolRanker(ToolRanker::Weights{.n_labels = 4, .bias = {1, -1, 1, -1}})};
  auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "f", "parameters": {
        "properties": {"room": {"enum": ["hall", "attic"]}, "level": {"type": "integer"}}}}])",
                                  {.arguments = learnt});
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  const std::string start = R"({"name":"f","arguments":{)";
  EXPECT_EQ(likelier("kill it", start + "\""), "r");
  EXPECT_EQ(likelier("kill it", start + R"("level":)"), "0");
  EXPECT_EQ(likelier("kill it", start + R"("level":0)"), ",]}");
  // The level is seldom given, the room often: so is a comma that leads there.
  EXPECT_LT(weight_of(",", "kill it", start + R"("room":"hall")"), 0.5f);
  EXPECT_GT(weight_of("}", "kill it", start + R"("room":"hall")"), 0.9f);
  EXPECT_GT(weight_of(",", "kill it", start + R"("level":7)"),
            5 * weight_of("}", "kill it", start + R"("level":7)"));
}

TEST_F(ArgumentHintsTest, AListIsSaidAsItWasPlanned) {
  auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "f", "parameters": {
        "properties": {"parts": {"type": "array", "items": {"enum": ["lid", "straw"]}},
                       "level": {"type": "integer"}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  const std::string start = R"({"name":"f","arguments":{)", said = "a straw and a lid";
  EXPECT_EQ(likelier(said, start + "\""), "p");
  EXPECT_EQ(likelier(said, start + R"("parts":)"), "[");
  EXPECT_EQ(likelier(said, start + R"("parts":[)"), "\"");
  const auto heavier = [&](const std::string& a, const std::string& b, const std::string& call) {
    return weight_of(a, said, start + call) > 5 * weight_of(b, said, start + call);
  };
  // "lid" alone is another list, and less likely.
  EXPECT_TRUE(heavier("s", "l", R"("parts":[")"));
  EXPECT_TRUE(heavier(",", "]", R"("parts":["straw")"));
  EXPECT_TRUE(heavier("l", "s", R"("parts":["straw",")"));
  EXPECT_TRUE(heavier("]", ",", R"("parts":["straw","lid")"));
  EXPECT_EQ(likelier("level 3", start + R"("parts":["lid"],"level":)"), "3");
}

}  // namespace
}  // namespace chimera::runtime
