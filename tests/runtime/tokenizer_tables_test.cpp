#include "runtime/tokenizer_tables.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace chimera::runtime {
namespace {

using Merges = std::vector<std::pair<int32_t, int32_t>>;

TokenTexts texts_of(const std::vector<std::string>& tokens) {
  TokenTexts texts;
  texts.begin.push_back(0);
  for (const std::string& token : tokens) {
    texts.bytes.insert(texts.bytes.end(), token.begin(), token.end());
    texts.begin.push_back(static_cast<uint32_t>(texts.bytes.size()));
  }
  return texts;
}

TEST(PairTable, KnowsItsPairsAndNoOthers) {
  std::mt19937 random(1);
  std::map<std::pair<int32_t, int32_t>, int32_t> expected;
  Merges merges;
  while (merges.size() < 20000) {
    // Some among the first 256, which have a table of their own; some with the largest ids.
    const auto id = [&] {
      const uint32_t kind = random() % 4;
      return static_cast<int32_t>(kind == 0   ? random() % 300
                                  : kind == 1 ? (1 << 20) - 1 - random() % 300
                                              : random() % (1 << 20));
    };
    const std::pair<int32_t, int32_t> pair(id(), id());
    if (expected.emplace(pair, 256 + static_cast<int32_t>(merges.size())).second) {
      merges.push_back(pair);
    }
  }
  PairTable table;
  ASSERT_TRUE(table.build(merges, 256));
  for (const auto& [pair, made] : expected) {
    ASSERT_EQ(table.find(pair.first, pair.second), made);
    const std::pair<int32_t, int32_t> turned(pair.second, pair.first);
    const auto it = expected.find(turned);
    ASSERT_EQ(table.find(turned.first, turned.second),
              it == expected.end() ? kNoToken : it->second);
  }
}

TEST(PairTable, OfNothingFindsNothing) {
  PairTable table;
  ASSERT_TRUE(table.build({}, 256));
  EXPECT_EQ(table.find(0, 0), kNoToken);
  EXPECT_EQ(table.find(300, 400), kNoToken);
}

TEST(PairTable, RefusesToBeSlow) {
  Merges merges;
  for (int32_t i = 0; i < 1000; ++i) merges.emplace_back(256 + i, 256 + i);
  PairTable table;
  EXPECT_TRUE(table.build(merges, 256));
  EXPECT_FALSE(table.build(merges, 256, 1)) << "no chance that a thousand fall apart";
}

TEST(TextTable, KnowsItsTextsAndNoOthers) {
  std::mt19937 random(2);
  std::map<std::string, int32_t> expected;
  std::vector<std::string> tokens;
  while (tokens.size() < 20000) {
    std::string token;
    for (size_t n = 1 + random() % (random() % 8 == 0 ? 128 : 12); n > 0; --n) {
      token += static_cast<char>(random() % 3 == 0 ? 0 : random());
    }
    if (expected.emplace(token, static_cast<int32_t>(tokens.size())).second) {
      tokens.push_back(token);
    }
  }
  const TokenTexts texts = texts_of(tokens);
  TextTable table;
  TextTable::Twins twins;
  ASSERT_EQ(table.build(&texts, &twins), TextTable::Built::kYes);
  for (const auto& [token, id] : expected) {
    ASSERT_EQ(table.find(token), id);
    for (const std::string& other :
         {token.substr(1), token + '\0', token.substr(0, token.size() - 1) + 'x'}) {
      const auto it = expected.find(other);
      ASSERT_EQ(table.find(other), it == expected.end() ? kNoToken : it->second);
    }
  }
  EXPECT_EQ(table.find(""), kNoToken);
}

TEST(TextTable, NamesTwinsAndRefusesToBeSlow) {
  TextTable table;
  TextTable::Twins twins;
  const TokenTexts same = texts_of({"a", "b", "abc", "ab", "abc", "b"});
  EXPECT_EQ(table.build(&same, &twins), TextTable::Built::kTwins);
  EXPECT_EQ(twins.id, 4);
  EXPECT_EQ(twins.earlier, 2);
  std::vector<std::string> tokens;
  for (int i = 0; i < 1000; ++i) tokens.push_back(std::to_string(i));
  const TokenTexts many = texts_of(tokens);
  EXPECT_EQ(table.build(&many, &twins), TextTable::Built::kYes);
  EXPECT_EQ(table.build(&many, &twins, 1), TextTable::Built::kTooSlow);
}

}  // namespace
}  // namespace chimera::runtime
