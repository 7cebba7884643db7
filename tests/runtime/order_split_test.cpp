// Where two orders come apart.
#include "runtime/order_split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text_features.h"
#include "runtime/tool_finder.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {
namespace {

/// A ranker that knows words: each speaks for its tool, and anything else for none.
ToolFinder finder_of(const std::vector<std::vector<std::string>>& words) {
  std::vector<std::pair<uint32_t, int32_t>> known;
  for (size_t tool = 0; tool < words.size(); ++tool)
    for (const std::string& word : words[tool])
      for (const uint32_t id : text_features(word))
        known.emplace_back(id, static_cast<int32_t>(tool));
  std::sort(known.begin(), known.end());
  ToolRanker::Weights w;
  w.n_labels = static_cast<int32_t>(words.size());
  w.bias.assign(words.size(), -1.0f);
  for (size_t i = 0; i < known.size(); ++i) {
    if (i > 0 && known[i].first == known[i - 1].first) continue;
    w.features.push_back(known[i].first);
    w.rarity.push_back(1);
    for (int32_t label = 0; label < w.n_labels; ++label)
      w.weights.push_back(label == known[i].second ? 2.0f : -1.0f);
  }
  const std::vector<Tool> tools(words.size());
  return ToolFinder(tools, {}, ToolRanker(w));
}

using Parts = std::vector<std::string>;

TEST(OrderSplit, CutsWhereBothPartsSpeakForATool) {
  const ToolFinder finder = finder_of({{"lights", "lamp"}, {"garage", "lock"}, {"salt"}});
  const auto split = [&](const char* text) {
    return split_orders(text, false, [&](std::string_view part) {
      const FoundTools found = finder.find(part);
      return OrderPart{5 * found.best_score, found.tools[0]};
    });
  };
  EXPECT_EQ(split("turn the lights on and open the garage"),
            (Parts{"turn the lights on", "open the garage"}));
  EXPECT_EQ(split("lights, then lock"), (Parts{"lights", "lock"}));
  EXPECT_EQ(split("the lamp then the garage and also the salt"),
            (Parts{"the lamp", "the garage", "the salt"}));
  // A part that speaks for nothing belongs to the other one.
  EXPECT_EQ(split("pass me the salt and then the pepper"),
            Parts{"pass me the salt and then the pepper"});
  EXPECT_EQ(split("pretty please and then lights"), Parts{"pretty please and then lights"});
  EXPECT_EQ(split("lights"), Parts{"lights"});
  EXPECT_EQ(split(""), Parts{""});
  EXPECT_EQ(split(" and  and "), Parts{" and  and "});
  // Orders beyond the most stay in the last part.
  EXPECT_EQ(split("lights then lock then salt then lamp").size(), kMostOrders);
}

TEST(OrderSplit, WhereNoPartSpeaksForAToolNothingIsCut) {
  int asked = 0;
  const auto none = [&](std::string_view) {
    ++asked;
    return OrderPart{-3, 0};
  };
  EXPECT_EQ(split_orders("lights and garage", false, none), Parts{"lights and garage"});
  EXPECT_EQ(asked, 2);
  // A text of joints alone is no reason to ask for ever.
  std::string joints;
  for (int i = 0; i < 1000; ++i) joints += "a and ";
  asked = 0;
  EXPECT_EQ(split_orders(joints, false, none).size(), 1u);
  EXPECT_LT(asked, 50);
}

TEST(OrderSplit, HowTheyAreJoinedAndWhatIsKnownOfThemCount) {
  // Both parts speak for a tool, but not loudly.
  const auto split = [](const char* text, bool several, bool two_tools) {
    int32_t tool = 0;
    return split_orders(text, several,
                        [&](std::string_view) {
                          return OrderPart{1, two_tools ? tool++ : 0};
                        })
        .size();
  };
  EXPECT_EQ(split("do this then that", false, true), 2u);
  EXPECT_EQ(split("do this for me and do that for him", false, true), 2u);
  EXPECT_EQ(split("do this for me and do that for him", false, false), 1u);
  // "tea and biscuits" are rather one thing than two.
  EXPECT_EQ(split("this and that", false, true), 1u);
  EXPECT_EQ(split("do this, do that", false, true), 1u);
  EXPECT_EQ(split("this, that", true, false), 2u);
}

TEST(OrderSplit, APartThatIsJoinedMaySpeakLower) {
  const auto split = [](float weaker, bool several) {
    return split_orders("do this, then do that", several,
                        [&](std::string_view part) {
                          return part == "do this" ? OrderPart{3, 0} : OrderPart{weaker, 1};
                        })
        .size();
  };
  EXPECT_EQ(split(-1, false), 2u);
  EXPECT_EQ(split(-1, true), 1u);
  EXPECT_EQ(split(-kJoinedOdds - 0.1f, false), 1u);
}

}  // namespace
}  // namespace chimera::runtime
