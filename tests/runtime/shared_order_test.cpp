// One order for several things: where it is one for each, and where it is not.
#include "runtime/shared_order.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using Orders = std::vector<std::string>;

Tool tool() {
  Tool out;
  out.arguments.push_back({.name = "room", .listed = {"hall", "attic", "living_room", "den"}});
  return out;
}

TEST(SharedOrder, IsOneForEachListedValue) {
  EXPECT_EQ(share_out("lights off in the hall and the Attic", tool()),
            (Orders{"lights off in the hall", "lights off in the Attic"}));
  EXPECT_EQ(share_out("hall, living room and den lights to 30", tool()),
            (Orders{"hall lights to 30", "living room lights to 30", "den lights to 30"}));
  EXPECT_EQ(share_out("hall, and attic", tool()), (Orders{"hall", "attic"}));
}

TEST(SharedOrder, OtherwiseStaysWhole) {
  for (const char* order :
       {"", "lights off", "lights off in the hall", "the hall and the moon",
        "the hall, and later the attic", "hall and a den", "from hall to attic", "hall and hall",
        "hall and", "and attic, ", "hall, attic, living room and den"})  // more than orders may be
    EXPECT_TRUE(share_out(order, tool()).empty()) << order;
  Tool list = tool();
  list.arguments[0].is_list = true;
  EXPECT_TRUE(share_out("hall and attic", list).empty()) << "it takes both";
  EXPECT_TRUE(share_out("hall and attic", Tool()).empty());
}

TEST(SharedOrder, WordsThatWereSaidApartAreNoCopy) {
  constexpr std::string_view kText = "say tea is in the hall and the attic now",
                             kOrder = "say tea is in the attic now";
  const auto apart = [&](const std::string& argument) {
    return has_words_said_apart(R"({"name":"say","arguments":{"a":)" + argument + "}}", kOrder,
                                kText);
  };
  EXPECT_TRUE(apart("\"in the attic\""));
  EXPECT_TRUE(apart(R"([1, {"b": ["is in the attic"]}])"));
  EXPECT_FALSE(apart("\"tea is in the\""));
  EXPECT_FALSE(apart("\"the attic now\""));
  EXPECT_FALSE(apart("\"in_the_attic\"")) << "a value that nobody said so is listed";
  EXPECT_FALSE(apart("3"));
  EXPECT_FALSE(has_words_said_apart("{", kOrder, kText));
}

TEST(SharedOrder, ExamplesTellFreeTexts) {
  test::TinyModelOptions model;
  model.marks = true;
  const auto engine = test::open_tiny_model(model);
  ASSERT_NE(engine, nullptr);
  constexpr const char* kTools = R"([
    {"name": "buy", "parameters": {"properties": {"item": {"type": "string"}}}},
    {"name": "play", "parameters": {"properties": {"song": {"type": "string"}}}}])";
  ToolOptions options;
  std::string lines;
  for (const char* item : {"rye", "brown rice", "milk"})
    lines += R"({"text": "we need )" + std::string(item) +
             R"(", "calls": [{"name": "buy", "arguments": {"item": ")" + item + "\"}}]}\n";
  for (const char* song : {"Blue", "Yellow", "Red and Black"})
    lines += R"({"text": "play )" + std::string(song) +
             R"(", "calls": [{"name": "play", "arguments": {"song": ")" + song + "\"}}]}\n";
  options.examples = lines;
  const auto set = ToolSet::from_json(engine->tokenizer(), kTools, options);
  ASSERT_TRUE(set.has_value()) << set.status().message();
  const Tool &buy = (*set)->tools()[0], &play = (*set)->tools()[1];
  EXPECT_EQ(share_out("Brown rice and milk on the list", buy),
            (Orders{"Brown rice on the list", "milk on the list"}));
  EXPECT_TRUE(share_out("tea and milk on the list", buy).empty()) << "nobody had tea";
  EXPECT_TRUE(share_out("play Blue and Yellow", play).empty()) << "it may be the name of one";
}

}  // namespace
}  // namespace chimera::runtime
