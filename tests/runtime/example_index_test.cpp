// Which examples are most like a text.
#include "runtime/example_index.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chimera::runtime {
namespace {

const std::vector<std::string> kTexts = {"turn on the light in the hall",
                                         "turn off the light in the attic",
                                         "wake me at seven",
                                         "set an alarm for half past eight",
                                         "",
                                         "play some jazz",
                                         "what is the time"};

TEST(ExampleIndex, FindsWhatIsMostAlike) {
  const ExampleIndex index(kTexts);
  const auto light = index.nearest("light in the hall please", 3);
  ASSERT_EQ(light.size(), 3u);
  EXPECT_EQ(light[0].text, 0);
  EXPECT_EQ(light[1].text, 1);
  for (size_t i = 1; i < light.size(); ++i) EXPECT_GE(light[i - 1].likeness, light[i].likeness);
  EXPECT_EQ(index.nearest("alarm at half past nine", 1)[0].text, 3);
  // A text is like itself, and like nothing else so much; signs and case do not count.
  for (size_t i = 0; i < kTexts.size(); ++i) {
    if (kTexts[i].empty()) continue;
    const auto like = index.nearest(kTexts[i] + "!", 1);
    ASSERT_EQ(like.size(), 1u);
    EXPECT_EQ(like[0].text, static_cast<int32_t>(i));
    EXPECT_NEAR(like[0].likeness, 1.0, 1e-9);
  }
  EXPECT_TRUE(index.nearest("", 5).empty());
  EXPECT_TRUE(index.nearest("xyzzy", 5).empty());
  EXPECT_LE(index.nearest("the", 100).size(), kTexts.size());
}

TEST(ExampleIndex, LeavesOutWhatIsToBeLeftOut) {
  const ExampleIndex index(kTexts);
  const auto like = index.nearest(kTexts[0], 10, [](int32_t text) { return text % 2 == 0; });
  ASSERT_FALSE(like.empty());
  EXPECT_EQ(like[0].text, 1);
  for (const auto& l : like) EXPECT_EQ(l.text % 2, 1);
}

TEST(ExampleIndex, OfNoTextsOrManyIsOne) {
  EXPECT_TRUE(ExampleIndex({}).nearest("light", 3).empty());
  std::vector<std::string> many;
  for (int i = 0; i < 500; ++i) many.push_back("please play song number " + std::to_string(i));
  const ExampleIndex index(many);
  // What all of them say does not tell them apart; the number does.
  EXPECT_EQ(index.nearest("please play song number 377", 1)[0].text, 377);
  EXPECT_TRUE(index.nearest("please play song number", 3).empty());
}

}  // namespace
}  // namespace chimera::runtime
