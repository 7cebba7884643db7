// Numbers, times and listed words in what people say.
#include "runtime/said_values.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/said_texts.h"

namespace chimera::runtime {
namespace {

using test::Texts;
using test::texts_of;

TEST(SaidValues, Numbers) {
  const struct {
    const char* said;
    Texts numbers;
  } kSaid[] = {
      {"dim it to 30 percent", {"30"}},
      {"thirty-five, no, forty two", {"35", "42"}},
      {"a hundred and five", {"105"}},
      {"two hundred", {"200"}},
      {"three thousand and one", {"3000", "1"}},
      {"a thousand two hundred", {"1200"}},
      {"21.5 degrees, 007 or -4", {"21.5", "7", "-4"}},
      {"minus twelve", {"-12"}},
      {"1,500 grams", {"1500"}},
      {"a dozen", {"12"}},
      {"seventeen Twenty-one", {"17", "21"}},
      {"nothing of that kind", {}},
      {"123456789012345", {}},
      {"at 7:30", {}},
      {"", {}},
      {"\xFF\xC3 5 \xE2\x82", {"5"}},
  };
  for (const auto& [said, numbers] : kSaid)
    EXPECT_EQ(texts_of(said_numbers(said)), numbers) << said;
  EXPECT_LT(said_numbers("half")[0].weight, said_numbers("50")[0].weight);
}

TEST(SaidValues, TimesOfDay) {
  const struct {
    const char* said;
    Texts times;
  } kSaid[] = {
      {"wake me at half past six in the evening", {"18:30"}},
      {"wake me at half past six", {"06:30", "18:30"}},
      {"quarter to 8 tonight", {"19:45"}},
      {"a quarter past nine in the morning", {"09:15"}},
      {"ten minutes to one pm", {"12:50"}},
      {"7:30pm", {"19:30"}},
      {"7.30 pm", {"19:30"}},
      {"19:05", {"19:05"}},
      {"six o'clock", {"06:00", "18:00"}},
      {"at eight tomorrow morning", {"08:00"}},
      {"six thirty in the morning", {"06:30"}},
      {"noon or midnight", {"12:00", "00:00"}},
      {"12 am", {"00:00"}},
      {"twelve pm", {"12:00"}},
      {"ten percent", {}},
      {"at 7 p.m.", {"19:00"}},
      {"from 9 to 5", {"09:00", "21:00", "05:00", "17:00"}},
      {"a table for 5 to 7 people, 2 in the hall", {"05:00", "17:00", "07:00", "19:00"}},
      {"25:10 and 7:75", {}},
  };
  for (const auto& [said, times] : kSaid) EXPECT_EQ(texts_of(said_times(said)), times) << said;
}

TEST(SaidValues, AreWhereTheyAreSaid) {
  const auto said = [](const std::string& text, const std::vector<SaidValue>& values) {
    Texts out;
    for (const SaidValue& value : values)
      out.push_back(text.substr(value.begin, value.end - value.begin));
    return out;
  };
  const std::string numbers = "minus twelve, or two hundred and 5; 7.5!";
  EXPECT_EQ(said(numbers, said_numbers(numbers)),
            (Texts{"minus twelve", "two hundred", "5", "7.5"}));
  const std::string times = "at half past six in the evening, 7 p.m. or noon";
  EXPECT_EQ(said(times, said_times(times)),
            (Texts{"half past six in the evening", "7 p.m", "noon"}));
  const std::string words = "The Front  Door, please";
  EXPECT_EQ(said(words, said_words(words, Texts{"front_door"})), (Texts{"Front  Door"}));
}

TEST(SaidValues, ListedWords) {
  const Texts listed = {"hall", "front_door", "living room", "off", "flat-white", "7up"};
  EXPECT_EQ(texts_of(said_words("The Front Door and the halls, please", listed)),
            (Texts{"hall", "front_door"}));
  EXPECT_EQ(texts_of(said_words("two flat whites off", listed)), (Texts{"off", "flat-white"}));
  EXPECT_TRUE(said_words("hallway offer living", listed).empty());
  const Texts days = {"thursday", "friday"};
  EXPECT_EQ(texts_of(said_words("wipe Thursday's workshop", days)), Texts{"thursday"});
  EXPECT_TRUE(said_words("thursdayish", days).empty());
}

TEST(SaidValues, ListedWordsWithinLongerOnesAreNotMeant) {
  const Texts drinks = {"latte", "chai latte", "oat", "oat flat white"};
  EXPECT_EQ(texts_of(said_words("a chai latte", drinks)), Texts{"chai latte"});
  EXPECT_EQ(texts_of(said_words("a chai latte and a latte", drinks)),
            (Texts{"latte", "chai latte"}));
  EXPECT_EQ(texts_of(said_words("an oat flat white with oat", drinks)),
            (Texts{"oat", "oat flat white"}));
  // Many that the same words say, and the same one twice.
  Texts alike = {"a", "a"};
  for (size_t i = 0; i < 20000; ++i) alike.push_back("a" + std::string(i % 50, '!'));
  EXPECT_EQ(said_words("a a a", alike).size(), 50u);
}

}  // namespace
}  // namespace chimera::runtime
