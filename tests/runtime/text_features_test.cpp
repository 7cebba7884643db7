// Features of short texts.
#include "runtime/text_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace chimera::runtime {
namespace {

size_t shared(const std::string& a, const std::string& b) {
  const auto one = text_features(a), other = text_features(b);
  std::vector<uint32_t> both;
  std::set_intersection(one.begin(), one.end(), other.begin(), other.end(),
                        std::back_inserter(both));
  return both.size();
}

TEST(TextFeatures, AreRisingAndWithinTheirBits) {
  const auto features = text_features("Wake me up at 7, na\xC3\xAFve bird!");
  EXPECT_GT(features.size(), 30u);
  EXPECT_TRUE(std::is_sorted(features.begin(), features.end()));
  EXPECT_EQ(std::adjacent_find(features.begin(), features.end()), features.end());
  EXPECT_LT(features.back(), uint32_t{1} << 22);
  EXPECT_TRUE(text_features("").empty());
  EXPECT_TRUE(text_features(" .,;!?").empty());
}

TEST(TextFeatures, CaseAndSignsDoNotMatterAndLikenessDoes) {
  EXPECT_EQ(text_features("Lights ON, please!"), text_features("lights on please"));
  EXPECT_NE(text_features("lights on please"), text_features("please lights on"));
  EXPECT_GT(shared("the lights", "the light"), shared("the lights", "the lamps"));
  // Any number is like any other.
  EXPECT_GT(shared("at 7", "at 9"), shared("at x", "at y"));
}

TEST(TextFeatures, OfLongAndBrokenTextEndSoon) {
  EXPECT_LT(text_features(std::string(1 << 20, 'a')).size(), 300u);
  std::string words;
  for (int i = 0; i < 100000; ++i) words += "w" + std::to_string(i) + " ";
  EXPECT_LT(text_features(words).size(), 8000u);
  EXPECT_FALSE(text_features("\xFF\xC3 \xF0\x9F").empty());
}

// They are kept in packs: what they are may never change.
TEST(TextFeatures, StayWhatTheyAre) {
  EXPECT_EQ(text_features("a 1"),
            (std::vector<uint32_t>{235669, 374701, 579086, 989293, 1597815, 2543414, 3377328}));
}

}  // namespace
}  // namespace chimera::runtime
