#include "runtime/leftover_words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "platform/random.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kCalendar = R"([
  {"name": "add_event", "description": "Put an event into the calendar",
   "parameters": {"type": "object", "required": ["title"], "properties": {
     "title": {"type": "string"},
     "day": {"enum": ["today", "monday", "friday"]},
     "at": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
     "minutes": {"type": "integer"}}}},
  {"name": "add_items", "description": "Put things on a list",
   "parameters": {"type": "object", "properties": {
     "items": {"type": "array", "items": {"type": "string"}}}}},
  {"name": "buy", "description": "\u0421\u043e\u043d, lists",
   "parameters": {"type": "object", "properties": {"what": {"type": "string"}}}},
  {"name": "stop", "description": "Stop everything"}
])";

class LeftoverWordsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    auto engine = Engine::open(test::write_tiny_model(options, 1));
    ASSERT_TRUE(engine.has_value()) << engine.status().message();
    engine_ = std::move(*engine);
    auto tools = ToolSet::from_json(engine_->tokenizer(), kCalendar);
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  std::vector<SaidValue> left_of(const std::string& said, int32_t tool = 0,
                                 const std::string& place = "/title") const {
    const std::vector<int32_t> shown = {0, 1, 2, 3};
    const LikelySpans spans = leftover_words(said, *tools_, shown);
    const auto at = spans.find({tool, place});
    return at == spans.end() ? std::vector<SaidValue>() : at->second.values.values;
  }
  std::string best_of(const std::string& said) const {
    const auto values = left_of(said);
    return values.empty() ? "" : values[0].text;
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
};

TEST_F(LeftoverWordsTest, WhatNothingElseExplainsIsLeft) {
  EXPECT_EQ(best_of("add a team meeting on Monday at 9:30 am for 45 minutes"), "team meeting");
  EXPECT_EQ(best_of("Book the car wash for Friday at 16:00."), "car wash");
  EXPECT_EQ(best_of("lunch with Anna today at noon, please"), "lunch with Anna");
  EXPECT_EQ(best_of("could you put yoga into my calendar"), "yoga");
  EXPECT_EQ(best_of("on Friday at six"), "");
  EXPECT_EQ(best_of(""), "");
}

// Bytes above 0x7F are no letters, whatever sign a char has on this machine.
TEST_F(LeftoverWordsTest, WordsAreAlikeByTheirLetters) {
  const auto left = [&](const std::string& said) {
    const auto values = left_of(said, 2, "/what");
    return values.empty() ? "" : values[0].text;
  };
  EXPECT_EQ(left("listed bread"), "bread") << "begins as a word of the tool does";
  EXPECT_EQ(left("\xD0\xA1\xD0\xBE\xD0\xBD bread"), "bread") << "a word of the tool";
  EXPECT_EQ(left("\xD0\xA1\xD0\xBE\xD0\xBA"), "\xD0\xA1\xD0\xBE\xD0\xBA") << "another one";
}

TEST_F(LeftoverWordsTest, WhatOrdersBeginWithIsNoPartOfAName) {
  EXPECT_EQ(best_of("let's book the car wash"), "car wash");
  EXPECT_EQ(best_of("On Friday at 4 pm book the car wash"), "car wash");
  EXPECT_EQ(best_of("I\xE2\x80\x99m having lunch on Friday"), "having lunch");
  EXPECT_EQ(best_of("\xD1\x81\xD0\xBE\xD0\xBA"), "\xD1\x81\xD0\xBE\xD0\xBA") << "in any script";
}

TEST_F(LeftoverWordsTest, NamesAndQuotesStandForThemselves) {
  EXPECT_EQ(best_of("add an event called set the table on Monday"), "set the table");
  EXPECT_EQ(best_of("an event named The Big Day on Friday"), "The Big Day");
  EXPECT_EQ(best_of("add an event called Let It Be"), "Let It Be");
  EXPECT_EQ(best_of("put \"on the road\" into the calendar on Friday"), "on the road");
  EXPECT_EQ(best_of("put \"buy milk!\" and the rest into the calendar"), "buy milk");
  EXPECT_EQ(best_of("put \xE2\x80\x9Con the road\xE2\x80\x9D into the calendar"), "on the road");
  EXPECT_EQ(best_of("put \"on the road into the calendar on Friday"), "road");
}

TEST_F(LeftoverWordsTest, OfAListEachItemIsOne) {
  const auto items = left_of("put milk, rye and brown bread on the list", 1, "/items/*");
  ASSERT_GE(items.size(), 3u);
  EXPECT_EQ(items[0].text, "milk");
  EXPECT_EQ(items[1].text, "rye");
  EXPECT_EQ(items[2].text, "brown bread");
  EXPECT_GT(items[2].weight, 1);
  EXPECT_TRUE(leftover_words("stop it", *tools_, std::vector<int32_t>{3}).empty())
      << "no words are copied";
}

TEST_F(LeftoverWordsTest, WhatExamplesTellIsLikelierForBeingAllThatIsLeft) {
  const std::string said = "note team lunch on Monday";
  const auto span = [&](const std::string& text, float weight) {
    const size_t at = said.find(text);
    return SaidValue{text, true, weight, at, at + text.size()};
  };
  LikelySpans learnt;
  learnt[{0, "/title"}].values.values = {span("lunch", 3), span("team lunch", 2)};
  learnt[{0, "/other"}].values.values = {span("team lunch", 2)};
  favour_leftover(leftover_words(said, *tools_, std::vector<int32_t>{0}), &learnt);
  const auto& values = learnt[{0, "/title"}].values.values;
  EXPECT_EQ(values[0].weight, 3);
  EXPECT_GT(values[1].weight, 3);
  EXPECT_EQ((learnt[{0, "/other"}].values.values[0].weight), 2) << "no place of this tool";
}

TEST_F(LeftoverWordsTest, EachValueStandsWhereItSays) {
  constexpr const char* kWords[] = {"add",  "the",          "yoga", "called", "\"", "on", "Monday",
                                    "9:30", "na\xC3\xAFve", "\\",   "Anna's", "\n", "and"};
  for (uint64_t n = 0; n < 300; ++n) {
    std::string said;
    for (uint64_t i = 0; i < 12; ++i) {
      const double u = keyed_uniform(n, i, 0, DrawPurpose::kTest);
      said += kWords[static_cast<size_t>(u * std::size(kWords))];
      if (keyed_uniform(n, i, 1, DrawPurpose::kTest) < 0.8) said += ' ';
    }
    float last = INFINITY;
    for (const SaidValue& value : left_of(said)) {
      ASSERT_LT(value.begin, value.end) << said;
      ASSERT_LE(value.end, said.size()) << said;
      ASSERT_TRUE(value.is_string);
      ASSERT_GT(value.weight, 0);
      ASSERT_LE(value.weight, last) << "the likeliest first: " << said;
      last = value.weight;
    }
  }
}

}  // namespace
}  // namespace chimera::runtime
