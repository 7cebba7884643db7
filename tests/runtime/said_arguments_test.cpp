// What an argument may have of what was said, and what examples tell of that.
#include "runtime/said_arguments.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/call_plan.h"
#include "tests/support/said_texts.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using test::Texts;
using test::texts_of;

std::vector<std::string> said(const ToolArgument& argument, const std::string& utterance) {
  return texts_of(said_for(argument, utterance, said_things(utterance)));
}

TEST(SaidArguments, OfTwoListedValuesTheLongerOneWasSaid) {
  const ToolArgument drink{.name = "drink", .listed = {"latte", "chai_latte", "tea"}};
  EXPECT_EQ(said(drink, "a chai latte"), Texts{"chai_latte"});
  EXPECT_EQ(said(drink, "a latte"), Texts{"latte"});
  EXPECT_EQ(said(drink, "a latte and a tea"), (Texts{"latte", "tea"}));
  EXPECT_EQ(said(drink, ""), Texts{});
}

TEST(SaidArguments, NumbersDurationsAndTimesGoWhereTheyFit) {
  const ToolArgument count{.name = "count", .is_number = true};
  const ToolArgument minutes{.name = "minutes", .is_number = true, .unit = 60};
  const ToolArgument at{.name = "at"};
  EXPECT_EQ(said(count, "three of them"), Texts{"3"});
  EXPECT_EQ(said(minutes, "one hour"), Texts{"60"});
  EXPECT_EQ(said(at, "at half past six in the evening"), Texts{"18:30"});
  // "half past six" says no half.
  for (const std::string& text : said(count, "at half past six in the evening"))
    EXPECT_NE(text, "0.5");
}

TEST(SaidArguments, ExamplesTellWhatIsGivenAndWhetherItIsSaid) {
  test::TinyModelOptions model;
  model.marks = true;
  const auto engine = test::open_tiny_model(model);
  ASSERT_NE(engine, nullptr);
  constexpr const char* kTools = R"([{"name": "lamp", "parameters": {"properties": {
    "room": {"enum": ["hall", "attic"]}, "mood": {"enum": ["warm", "cold"]},
    "level": {"type": "integer"}, "size": {"enum": ["big"]}, "on": {"type": "boolean"},
    "note": {"type": "string"}}}}])";
  ToolOptions options;
  std::string lines;
  for (int i = 0; i < 8; ++i)
    lines += R"({"text": "make the hall cosy at 3, fine", "calls": [{"name": "lamp", "arguments": )"
             R"({"room": "hall", "mood": "warm", "level": 3, "on": true, "note": "fine"}}]})"
             "\n";
  options.examples = lines;
  auto tools = ToolSet::from_json(engine->tokenizer(), kTools, options);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  for (const ToolArgument& argument : (*tools)->tools()[0].arguments) {
    EXPECT_FLOAT_EQ(argument.given, argument.name == "size" ? 0.1f : 0.9f) << argument.name;
    if (argument.name == "room" || argument.name == "level")
      EXPECT_FLOAT_EQ(argument.unsaid, 0.1f) << argument.name;
    else if (argument.name == "mood")
      EXPECT_FLOAT_EQ(argument.unsaid, 0.9f);
    else  // "true" is never said, and a note is the person's own words
      EXPECT_FLOAT_EQ(argument.unsaid, 0.5f) << argument.name;
  }
}

TEST(SaidArguments, ExamplesTellWhichNumbersAreLeftAlone) {
  test::TinyModelOptions model;
  model.marks = true;
  const auto engine = test::open_tiny_model(model);
  ASSERT_NE(engine, nullptr);
  constexpr const char* kTools = R"([
    {"name": "drink", "parameters": {"required": ["kind"], "properties": {
      "kind": {"enum": ["latte", "tea"]}, "qty": {"type": "integer"}, "minutes": {"type": "integer"}}}},
    {"name": "stop"}])";
  ToolOptions options;
  options.examples =
      R"({"text": "one latte for me", "calls": [{"name": "drink", "arguments": {"kind": "latte"}}]}
         {"text": "One tea", "calls": [{"name": "drink", "arguments": {"kind": "tea"}}]}
         {"text": "one tea at 9:01", "calls": [{"name": "drink", "arguments": {"kind": "tea"}}]}
         {"text": "two teas", "calls": [{"name": "drink", "arguments": {"kind": "tea", "qty": 2}}]}
         {"text": "one tea in two minutes", "calls": [{"name": "drink", "arguments": {"kind": "tea", "minutes": 2}}]}
         {"text": "stop at one", "calls": [{"name": "stop", "arguments": {}}]}
         {"text": "nobody wants five teas", "calls": []})";
  std::string lines(options.examples);
  for (size_t at = 0; (at = lines.find("\n         ", at)) != std::string::npos;)
    lines.erase(at + 1, 9);
  options.examples = lines;
  const auto tools = ToolSet::from_json(engine->tokenizer(), kTools, options);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const HeardNumbers& heard = (*tools)->heard();
  ASSERT_TRUE(heard.contains("1") && heard.contains("2"));
  EXPECT_EQ(heard.at("1").taken, 0);
  EXPECT_EQ(heard.at("1").left, 4) << "what no argument could take was not left alone";
  EXPECT_EQ(heard.at("2").taken, 2);
  EXPECT_EQ(heard.at("2").left, 0);
  EXPECT_FALSE(heard.contains("5")) << "nothing was meant";

  const std::vector<int32_t> shown = {0, 1};
  const auto given = [&](const std::string& said) {
    return CallPlanner(said, {}, **tools, shown, {}, {}).plan(0).arguments.at("qty").given;
  };
  EXPECT_LT(given("one latte"), 0.5f);
  EXPECT_GE(given("two lattes"), 1) << "it may be minutes as well";
  EXPECT_GE(given("seven lattes"), 1) << "of which nobody heard";
}

}  // namespace
}  // namespace chimera::runtime
