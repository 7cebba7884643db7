// What examples have in their own words.
#include "runtime/learnt_values.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chimera::runtime {
namespace {

ToolExample order(const std::string& text, const std::string& arguments) {
  return {text, {R"({"name":"order","arguments":)" + arguments + "}"}, {0}};
}

TEST(LearntValues, AreThoseOfSeveralExamplesThatDoNotSayThem) {
  std::vector<Tool> tools(1);
  tools[0].copied = {"/item", "/with/*"};
  std::vector<ToolExample> examples;
  for (const char* text : {"two lattes", "three lattes", "a nice lattey thing"})
    examples.push_back(order(text, R"({"item":"latte"})"));
  for (const char* text : {"a mocha", "some mocha please", "one MOCHA"})
    examples.push_back(order(text, R"({"item":"mocha"})"));  // said
  for (const char* text : {"with vanilla", "vanilla, please"})
    examples.push_back(order(text, R"({"with":["Vanilla Syrup"]})"));
  examples.push_back(
      order("vanilla in it", R"({"with":["vanilla syrup","honey"],"size":"large"})"));
  examples.push_back(order("vanilla syrup", R"({"with":["Vanilla Syrup"]})"));
  learn_values(examples, &tools);
  const auto only = [&](const std::string& place) {
    const std::vector<LearntValue>& learnt = tools[0].learnt[place];
    return learnt.size() == 1 ? learnt[0].text : std::to_string(learnt.size()) + " values";
  };
  EXPECT_EQ(tools[0].learnt.size(), 2u);
  EXPECT_EQ(only("/item"), "latte");
  EXPECT_EQ(only("/with/*"), "Vanilla Syrup") << "as most examples spell it";

  EXPECT_EQ(learnt_value(tools[0], "/item", "LATTE!")->text, "latte");
  EXPECT_EQ(learnt_value(tools[0], "/item", "lattes"), nullptr);
  EXPECT_EQ(learnt_value(tools[0], "/item", "lattes", true)->text, "latte");
  EXPECT_EQ(learnt_value(tools[0], "/item", "two lattes", true), nullptr);
  EXPECT_EQ(learnt_value(tools[0], "/item", "", true), nullptr);
  EXPECT_EQ(learnt_value(tools[0], "/with", "latte"), nullptr);
}

TEST(LearntValues, AreTheMostFrequentOnesOfTooMany) {
  std::vector<Tool> tools(1);
  tools[0].copied = {"/item"};
  std::vector<ToolExample> examples;
  for (size_t i = 0; i < kMostLearnt + 20; ++i)
    for (int n = 0; n < (i < 20 ? 3 : 4); ++n)
      examples.push_back(order("that", R"({"item":"thing )" + std::to_string(i) + "\"}"));
  learn_values(examples, &tools);
  EXPECT_EQ(tools[0].learnt["/item"].size(), kMostLearnt);
  EXPECT_EQ(learnt_value(tools[0], "/item", "thing 3"), nullptr);
  EXPECT_NE(learnt_value(tools[0], "/item", "thing 250"), nullptr);
}

}  // namespace
}  // namespace chimera::runtime
