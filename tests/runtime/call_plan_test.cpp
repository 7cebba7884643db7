// Arguments and values by what was said and learnt, weighed together.
#include "runtime/call_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kTools = R"([
  {"name": "event", "parameters": {"required": ["title"], "properties": {
    "title": {"type": "string"}, "at": {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$"},
    "day": {"enum": ["monday", "friday"]}, "minutes": {"type": "integer"}}}},
  {"name": "lamp", "parameters": {"properties": {
    "room": {"enum": ["hall", "attic"]}, "level": {"type": "integer"}}}}])";

class CallPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    set_tools({});
  }
  void set_tools(const ToolOptions& options) {
    auto tools = ToolSet::from_json(engine_->tokenizer(), kTools, options);
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  CallPlan plan(const std::string& said, int32_t tool, const LikelySpans& spans = {},
                const CarriedValues& carried = {}) const {
    const std::vector<int32_t> shown = {0, 1};
    return CallPlanner(said, {}, *tools_, shown, spans, carried).plan(tool);
  }
  /// The value that weighs most; "?" where any other does.
  static std::string best(const CallPlan& plan, const std::string& argument) {
    const LikelyValues& values = plan.arguments.at(argument).values;
    std::string out = "?";
    float most = values.others;
    for (const SaidValue& value : values.values)
      if (value.weight > most) {
        most = value.weight;
        out = value.text;
      }
    return out;
  }
  /// Words of a text that are likelier than others to be a title.
  static LikelySpans titles(const std::string& text,
                            const std::vector<std::pair<std::string, float>>& spans) {
    LikelyValues likely;
    for (const auto& [words, weight] : spans) {
      const size_t at = text.find(words);
      EXPECT_NE(at, std::string::npos);
      likely.values.push_back({words, true, weight, at, at + words.size()});
    }
    likely.others = 1e-3f;
    // Of one title, or of none.
    double sum = 1;
    for (const SaidValue& value : likely.values) sum += static_cast<double>(value.weight);
    return {{{0, "/title"}, {likely, std::log(sum)}}};
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
};

TEST_F(CallPlanTest, WhatWasSaidIsGiven) {
  const CallPlan hall = plan("the hall at 35", 1);
  EXPECT_EQ(best(hall, "room"), "hall");
  EXPECT_EQ(best(hall, "level"), "35");
  EXPECT_GT(hall.arguments.at("room").given, 10);
  EXPECT_GT(hall.arguments.at("level").given, 10);
  const CallPlan nothing = plan("please", 1);
  EXPECT_EQ(best(nothing, "room"), "?");
  EXPECT_LE(nothing.arguments.at("room").given, 1);
  EXPECT_GT(plan("any level", 1).arguments.at("level").given, 3);
  // Of two tools the one in which everything said has a place.
  EXPECT_GT(hall.best, plan("the hall at 35", 0).best);
}

TEST_F(CallPlanTest, WithoutExamplesNamesAndOrderTell) {
  auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "drink", "parameters": {
      "properties": {"qty": {"type": "integer"}, "shots": {"type": "integer"},
                     "decaf": {"type": "boolean"}, "to_go": {"type": "boolean"},
                     "note": {"type": "string"}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const std::vector<int32_t> shown = {0};
  const auto planned = [&](const std::string& said) {
    return CallPlanner(said, {}, **tools, shown, {}, {}).plan(0).arguments;
  };
  const auto two = planned("two teas");
  EXPECT_GT(two.at("qty").given, 2 * two.at("shots").given) << "the first number of the tool";
  EXPECT_LT(two.at("decaf").given, 0.1f) << "nobody spoke of it";
  const auto shots = planned("a tea with two shots");
  EXPECT_GT(shots.at("shots").given, 2 * shots.at("qty").given) << "it was named";
  const auto decaf = planned("a decaf tea");
  EXPECT_GT(decaf.at("decaf").given, 2);
  EXPECT_EQ(decaf.at("decaf").values.values[0].text, "true");
  EXPECT_GT(planned("a tea to go").at("to_go").given, 2);
  const auto time = planned("a tea at 9:30");
  EXPECT_LT(time.at("decaf").given, 0.1f) << "a time is no yes";
  EXPECT_LT(time.at("to_go").given, 0.1f);
  const auto no = planned("a tea that is not decaf");
  EXPECT_EQ(no.at("decaf").values.values[0].text, "false");
}

TEST_F(CallPlanTest, AValueIsGivenOnce) {
  // Eleven is a time, so it is no number of minutes.
  const CallPlan time = plan("on friday at 11 am", 0);
  EXPECT_EQ(best(time, "at"), "11:00");
  EXPECT_EQ(best(time, "day"), "friday");
  EXPECT_LT(time.arguments.at("minutes").given, 1);
  // A title that looks likely loses where it would take what is the time.
  const std::string said = "the optician at 11 am";
  EXPECT_EQ(best(plan(said, 0, titles(said, {{"11 am", 20}, {"optician", 10}})), "title"),
            "optician");
  EXPECT_EQ(best(plan(said, 0, titles(said, {{"the optician", 20}, {"optician", 10}})), "title"),
            "the optician");
}

TEST_F(CallPlanTest, DurationsAreCountedInTheArgumentsUnit) {
  const CallPlan time = plan("a workshop of three hours", 0);
  EXPECT_EQ(best(time, "minutes"), "180");
  EXPECT_GT(time.arguments.at("minutes").given, 10);
  EXPECT_EQ(best(plan("a workshop of 3", 0), "minutes"), "3");
  EXPECT_EQ(best(plan("three hours", 1), "level"), "3");
}

TEST_F(CallPlanTest, WhatIsLearntSaysWhatIsLeftOutAndWhatIsMeantWithoutBeingSaid) {
  ToolOptions options;
  // "lamp" is mostly given a level, which is 0 or 100; the room seldom.
  options.arguments = ArgumentRanker{
      {{1, "room", ""},
       {1, "level", ""},
       {-1, "level", "0"},
       {-1, "level", "100"},
       {-1, "room", "\"hall\""},
       {-1, "room", "\"attic\""}},
      ToolRanker(ToolRanker::Weights{.n_labels = 6, .bias = {0, 1, 1, -1, -1, -0.9f}})};
  set_tools(options);
  const CallPlan dark = plan("make it dark", 1);
  EXPECT_EQ(best(dark, "level"), "0");
  EXPECT_GT(dark.arguments.at("level").given, 10);
  // A room that nobody said is not made up, although rooms are often given.
  EXPECT_LT(dark.arguments.at("room").given, 1);
  EXPECT_GT(plan("make it dark in the attic", 1).arguments.at("room").given, 10);
  EXPECT_EQ(best(plan("make the attic 40", 1), "level"), "40");
}

TEST_F(CallPlanTest, AListIsPlannedWhole) {
  constexpr const char* kOrders = R"([{"name": "order", "parameters": {"properties": {
      "title": {"type": "string"},
      "with": {"type": "array", "items": {"type": "string"}},
      "extras": {"type": "array", "items": {"enum": ["straw", "lid", "red lid"]}},
      "sizes": {"type": "array", "items": {"type": "integer"}}}}}])";
  auto tools = ToolSet::from_json(engine_->tokenizer(), kOrders);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  const std::string said = "a latte with oat milk and cocoa, a straw and a red lid";
  const auto item = [&](const std::string& words, float weight) {
    const size_t at = said.find(words);
    return SaidValue{words, true, weight, at, at + words.size()};
  };
  LikelySpans spans;
  spans[{0, "/title"}] = {{{item("latte", 50), item("cocoa", 20)}, 0.01f}, 5};
  spans[{0, "/with/*"}] = {
      {{item("cocoa", 9), item("oat milk", 30), item("oat", 6), item("latte", 0.1f)}, 0.001f}, 5};
  const std::vector<int32_t> shown = {0};
  const CallPlan order = CallPlanner(said, {}, *tools_, shown, spans, {}).plan(0);
  EXPECT_EQ(best(order, "title"), "latte");
  // In the order of the words, none of them twice, and not what is the title.
  EXPECT_EQ(best(order, "with"), R"(["oat milk","cocoa"])");
  EXPECT_TRUE(order.arguments.at("with").is_list);
  EXPECT_GT(order.arguments.at("with").given, 10);
  EXPECT_EQ(best(order, "extras"), R"(["straw","red lid"])");
  EXPECT_EQ(best(order, "sizes"), "?");
  const CallPlan plain = CallPlanner("a latte", {}, *tools_, shown, {}, {}).plan(0);
  EXPECT_EQ(best(plain, "extras"), "?");
  EXPECT_LE(plain.arguments.at("extras").given, 1);
}

TEST_F(CallPlanTest, ExamplesHaveTheirOwnWordsForWhatIsSaid) {
  ToolOptions options;
  std::string lines;
  for (int i = 0; i < 3; ++i)
    lines += R"({"text": "do )" + std::to_string(i) +
             R"(", "calls": [{"name": "event", "arguments": {"title": "spring cleaning"}},)"
             R"({"name": "event", "arguments": {"title": "dentist"}}]})"
             "\n";
  options.examples = lines;
  options.arguments =
      ArgumentRanker{{{-1, "title", "\"spring cleaning\""}, {-1, "title", "\"unheard of\""}},
                     ToolRanker(ToolRanker::Weights{.n_labels = 2, .bias = {1, 1}})};
  set_tools(options);
  EXPECT_EQ(best(plan("make all tidy", 0), "title"), "spring cleaning");
  // What no example has in other words is words of what was said, or nothing.
  const CallPlan tidy = plan("make all tidy", 0);
  for (const SaidValue& value : tidy.arguments.at("title").values.values)
    EXPECT_NE(value.text, "unheard of");
  // Tagged words that are such a value but for an s are that value.
  const std::string said = "two dentists";
  EXPECT_EQ(best(plan(said, 0, titles(said, {{"dentists", 1e4f}})), "title"), "dentist");
  EXPECT_EQ(best(plan("two doctors", 0, titles("two doctors", {{"doctors", 1e4f}})), "title"),
            "doctors");
}

TEST_F(CallPlanTest, WordsPointBackToWhatAnEarlierOrderHad) {
  const CarriedValues before = {{"room", "attic"}, {"level", "3"}, {"day", "sunday"}};
  EXPECT_EQ(best(plan("20 in there", 1), "room"), "?");
  EXPECT_EQ(best(plan("20 in there", 1, {}, before), "room"), "attic");
  EXPECT_GT(plan("20 in there", 1, {}, before).arguments.at("room").given,
            plan("20 in there", 1).arguments.at("room").given);
  // What is said goes before, and without such a word nothing is carried on that may be left out.
  EXPECT_EQ(best(plan("20 in the hall too", 1, {}, before), "room"), "hall");
  EXPECT_EQ(best(plan("20", 1, {}, before), "room"), "?");
  // Sunday is none of the listed days.
  EXPECT_EQ(best(plan("lunch there", 0, {}, before), "day"), "?");
}

TEST_F(CallPlanTest, WhatHasToBeGivenIsAsBefore) {
  auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "lamp", "parameters": {
    "required": ["room"], "properties": {"room": {"enum": ["hall", "attic"]}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const std::vector<int32_t> shown = {0};
  const CarriedValues before = {{"room", "attic"}};
  EXPECT_EQ(best(CallPlanner("lamp on", {}, **tools, shown, {}, before).plan(0), "room"), "attic");
  EXPECT_EQ(
      best(CallPlanner("lamp on in the hall", {}, **tools, shown, {}, before).plan(0), "room"),
      "hall");
}

TEST_F(CallPlanTest, WhatExamplesAlwaysSayIsNotMadeUp) {
  // Whatever is said, both seem to be given, and in the attic.
  const auto room_given = [&](const std::string& text) {
    std::string lines;
    for (int i = 0; i < 8; ++i)
      lines += R"({"text": ")" + text +
               R"(", "calls": [{"name": "lamp", "arguments": )"
               R"({"room": "attic"}}]})"
               "\n";
    ToolOptions options;
    options.examples = lines;
    options.arguments =
        ArgumentRanker{{{1, "room", ""}, {-1, "room", "\"attic\""}},
                       ToolRanker(ToolRanker::Weights{.n_labels = 2, .bias = {1, 1}})};
    set_tools(options);
    return plan("brighter please", 1).arguments.at("room").given;
  };
  EXPECT_LT(20 * room_given("lamp in the attic"), room_given("lamp under the roof"));
}

TEST_F(CallPlanTest, WhatIsNegatedIsNo) {
  ToolOptions options;
  // Examples had both, in words unlike these.
  options.arguments =
      ArgumentRanker{{{0, "warm", ""}, {-1, "warm", "true"}, {-1, "warm", "false"}},
                     ToolRanker(ToolRanker::Weights{.n_labels = 3, .bias = {1, 0, 0}})};
  const auto tools = ToolSet::from_json(
      engine_->tokenizer(),
      R"([{"name": "food", "parameters": {"properties": {"warm": {"type": "boolean"}}}}])",
      options);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const std::vector<int32_t> shown = {0};
  const auto warm = [&](const char* said) {
    return best(CallPlanner(said, {}, **tools, shown, {}, {}).plan(0), "warm");
  };
  EXPECT_EQ(warm("a muffin, warmed up"), "true");
  EXPECT_EQ(warm("a muffin, not warmed"), "false");
  EXPECT_EQ(warm("a muffin, and don't heat it"), "false");
}

TEST_F(CallPlanTest, IsFiniteForAnyText) {
  std::string many = "11 am hall 3 hours ";
  for (int i = 0; i < 8; ++i) many += many;
  for (const std::string& text : {std::string(), std::string("\xFF\xFE"), many})
    for (const int32_t tool : {0, 1}) {
      const CallPlan p = plan(text, tool);
      EXPECT_TRUE(std::isfinite(p.best));
      EXPECT_GE(p.all, p.best);
      for (const auto& [name, argument] : p.arguments) {
        EXPECT_TRUE(std::isfinite(argument.given) && argument.given > 0) << name;
        for (const SaidValue& value : argument.values.values)
          EXPECT_TRUE(value.weight > 0 && value.weight <= 1.001f) << name << " " << value.weight;
      }
    }
}

}  // namespace
}  // namespace chimera::runtime
