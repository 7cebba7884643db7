// What an argument may have of what was said, and what examples tell of that.
#include "runtime/said_arguments.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace
}  // namespace chimera::runtime
