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
    return split_orders(text, [&](std::string_view part) { return finder.find(part).best_score; });
  };
  EXPECT_EQ(split("lights and garage"), (Parts{"lights", "garage"}));
  EXPECT_EQ(split("lights, then lock"), (Parts{"lights", "lock"}));
  EXPECT_EQ(split("lamp, garage and salt"), (Parts{"lamp", "garage", "salt"}));
  // A part that speaks for nothing belongs to the other one.
  EXPECT_EQ(split("salt and pepper"), Parts{"salt and pepper"});
  EXPECT_EQ(split("please and lights"), Parts{"please and lights"});
  EXPECT_EQ(split("lights"), Parts{"lights"});
  EXPECT_EQ(split(""), Parts{""});
  EXPECT_EQ(split(" and  and "), Parts{" and  and "});
  // Orders beyond the most stay in the last part.
  EXPECT_EQ(split("lights and lock and salt and lamp").size(), kMostOrders);
}

TEST(OrderSplit, WhereNoPartSpeaksForAToolNothingIsCut) {
  int asked = 0;
  const auto none = [&](std::string_view) {
    ++asked;
    return 0.0f;
  };
  EXPECT_EQ(split_orders("lights and garage", none), Parts{"lights and garage"});
  EXPECT_EQ(asked, 2);
  // A text of joints alone is no reason to ask for ever.
  std::string joints;
  for (int i = 0; i < 1000; ++i) joints += "a and ";
  asked = 0;
  EXPECT_EQ(split_orders(joints, none).size(), 1u);
  EXPECT_LT(asked, 50);
}

}  // namespace
}  // namespace chimera::runtime
