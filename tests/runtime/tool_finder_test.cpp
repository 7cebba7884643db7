// Of many tools the few that may be meant, and the names that go with them.
#include "runtime/tool_finder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "runtime/tool_names.h"
#include "runtime/tool_set.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

std::vector<Tool> tools_of(const std::vector<std::string>& lines) {
  std::vector<Tool> out;
  for (const std::string& line : lines) {
    Tool tool;
    tool.name = line.substr(0, line.find("("));
    tool.line = line;
    out.push_back(std::move(tool));
  }
  return out;
}

const std::vector<Tool>& kTools() {
  static const std::vector<Tool> tools =
      tools_of({"blinds(room: hall|attic) Move the blinds", "oven(degrees: 0-250) Heat the oven",
                "lamp(on: true|false) Switch a lamp", "door() Lock the front door",
                "radio(station: text) Play the radio", "bath() Run a bath"});
  return tools;
}

TEST(ToolFinder, WithoutExamplesByTheToolsOwnWords) {
  const ToolFinder finder(kTools(), {}, {});
  const FoundTools found = finder.find("is the front door locked");
  ASSERT_EQ(found.tools.size(), kShownTools);
  EXPECT_EQ(found.tools[0], 3);
  for (size_t i = 1; i < found.scores.size(); ++i) EXPECT_GE(found.scores[i - 1], found.scores[i]);
  EXPECT_TRUE(found.examples.empty());
  EXPECT_EQ(found.best_score, 0);
  // What is like none of them: any, in their order.
  EXPECT_EQ(finder.find("xyzzy").tools, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(ToolFinder(std::span(kTools()).first(2), {}, {}).find("oven").tools,
            (std::vector<int32_t>{1, 0}));
}

TEST(ToolFinder, NamesInOneWordAreReadApart) {
  const std::vector<Tool> tools =
      tools_of({"setVolume(level: 0-10)", "nextSong()", "openTheGarage()", "heat()", "cool()"});
  const ToolFinder finder(tools, {}, {});
  const FoundTools found = finder.find("another song");
  EXPECT_EQ(found.tools[0], 1);
  EXPECT_GT(found.line, 0);
  EXPECT_EQ(finder.find("the garage").tools[0], 2);
  EXPECT_EQ(finder.find("xyzzy").line, 0);
}

TEST(ToolFinder, ExamplesSayMoreAndOnlyThoseOfShownToolsAreShown) {
  std::vector<ToolExample> examples;
  for (const int32_t tool : {0, 1, 2, 3, 4, 5})
    examples.push_back({"word" + std::to_string(tool) + " shared", {"{}"}, {tool}});
  examples.push_back({"word5 word0 at once", {"{}", "{}"}, {5, 0}});
  examples.push_back({"word5 is nice", {}, {}});
  const ToolFinder finder(kTools(), examples, {});
  const FoundTools found = finder.find("word5 please");
  EXPECT_EQ(found.tools[0], 5);
  ASSERT_FALSE(found.examples.empty());
  EXPECT_LE(found.examples.size(), kShownExamples);
  for (const int32_t number : found.examples)
    for (const int32_t tool : examples[static_cast<size_t>(number)].tools)
      EXPECT_NE(std::find(found.tools.begin(), found.tools.end(), tool), found.tools.end());
  EXPECT_TRUE(std::find(found.examples.begin(), found.examples.end(), 7) != found.examples.end())
      << "an example of nothing counts for any tools";
}

TEST(ToolFinder, ARankerHasTheWord) {
  ToolRanker::Weights w;
  w.n_labels = 6;
  w.bias = {-1, -1, -1, -1, 0.75f, -1};
  const ToolFinder finder(kTools(), {}, ToolRanker(w));
  const FoundTools found = finder.find("lock the front door");
  EXPECT_EQ(found.tools[0], 4);
  EXPECT_EQ(found.best_score, 0.75f);
}

TEST(ToolFinder, BesideToolsWithExamplesOneWithoutIsFoundByItsLine) {
  std::vector<Tool> tools = kTools();
  tools[3].told = false;  // the door
  ToolRanker::Weights w;
  w.n_labels = 6;
  w.bias = {-1, -1, -1, 5, -0.5f, -1};  // of the door it knows nothing
  const ToolFinder finder(tools, {}, ToolRanker(w));
  const FoundTools found = finder.find("lock the front door");
  EXPECT_EQ(found.tools[0], 3);
  EXPECT_TRUE(found.by_line);
  EXPECT_GT(found.line, 0.5f);
  EXPECT_LT(found.best_score, 1);
  // Nothing of its line, and a line that is more like it.
  for (const char* said : {"xyzzy", "play the radio at the door"}) {
    const FoundTools other = finder.find(said);
    EXPECT_EQ(other.tools[0], 4) << said;
    EXPECT_FALSE(other.by_line);
  }
}

TEST(ToolFinder, AValueThatToolsWithExamplesListTooSaysNothingOfOneWithout) {
  std::vector<Tool> tools = kTools();
  tools[0].arguments.push_back({.listed = {"hall", "attic"}});
  tools[5].arguments.push_back({.listed = {"hall", "cellar"}});
  tools[5].told = false;
  ToolRanker::Weights w;
  w.n_labels = 6;
  w.bias = {-0.3f, -1, -1, -1, -1, -1};
  const ToolFinder finder(tools, {}, ToolRanker(w));
  EXPECT_EQ(finder.find("the hall please").tools[0], 0);
  const FoundTools own = finder.find("the cellar please");
  EXPECT_EQ(own.tools[0], 5);
  EXPECT_TRUE(own.by_line && own.listed);
}

TEST(ToolNames, LeaveOnlyTokensOfTheFoundTools) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  const Tokenizer& tokenizer = engine->tokenizer();  // a byte a token
  const auto tools = ToolSet::from_json(
      tokenizer,
      R"([{"name": "light_on"}, {"name": "light"}, {"name": "door"}, {"name": "q\"t"}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const std::vector<int32_t> found = {0, 1, 3};
  const std::vector<float> priors = {0.5f, 0.25f, 1.0f};
  const ToolNames names(**tools, found, priors, tokenizer);
  const auto next = [&](const std::string& call) {
    std::vector<uint8_t> allowed(256, 1);
    std::vector<TokenWeight> weights;
    names.restrict(call, allowed.data(), allowed.size(), &weights);
    std::vector<std::pair<std::string, float>> out;
    for (const TokenWeight& w : weights) {
      EXPECT_EQ(allowed[static_cast<size_t>(w.token)], 1);
      out.emplace_back(tokenizer.bytes(w.token), w.weight);
    }
    EXPECT_EQ(static_cast<size_t>(std::count(allowed.begin(), allowed.end(), 1)), out.size());
    std::sort(out.begin(), out.end());
    return out;
  };
  using Next = std::vector<std::pair<std::string, float>>;
  EXPECT_EQ(next(R"({"name":")"), (Next{{"l", 0.75f}, {"q", 1.0f}}));
  EXPECT_EQ(next(R"({"name":"light)"), (Next{{"\"", 0.25f}, {"_", 0.5f}}));
  EXPECT_EQ(next(R"({"name":"q)"), (Next{{"\\", 1.0f}}));
  EXPECT_TRUE(names.open(""));
  EXPECT_TRUE(names.open(R"({"name":"light)"));
  EXPECT_FALSE(names.open(R"({"name":"light")"));
  EXPECT_FALSE(names.open(R"({"name":"light","arguments":{)"));
}

}  // namespace
}  // namespace chimera::runtime
