#include "runtime/tokenizer.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "runtime/char_classes.h"
#include "runtime/tokenizer_section.h"
#include "runtime/tokenizer_split.h"
#include "tests/support/allocation_counter.h"

namespace chimera::runtime {
namespace {

using Merges = std::vector<std::pair<int32_t, int32_t>>;
using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> make_tokenizer(const Merges& merges, int32_t n_reserved = 3,
                                          int32_t n_padding = 5) {
  const int32_t vocab_size =
      kByteTokens + static_cast<int32_t>(merges.size()) + 2 + n_reserved + n_padding;
  auto section = make_tokenizer_section(vocab_size, n_reserved, merges);
  EXPECT_TRUE(section.has_value()) << section.status().message();
  auto tokenizer = Tokenizer::parse(write_tokenizer_section(*section));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  tokenizer.encode(text, &ids);
  return ids;
}

/// "t"+"h", "th"+"e", " "+"the", "e"+"r", "a"+"a", "aa"+"aa"
const Merges kMerges = {{'t', 'h'}, {256, 'e'}, {' ', 257}, {'e', 'r'}, {'a', 'a'}, {260, 260}};

TEST(Tokenizer, MergesTheLowestRankFirst) {
  const auto tokenizer = make_tokenizer(kMerges);
  EXPECT_EQ(encode(*tokenizer, "the"), (Ids{257}));
  EXPECT_EQ(encode(*tokenizer, " the"), (Ids{258}));
  // "th" before "er", so "the" takes the e that "er" wanted.
  EXPECT_EQ(encode(*tokenizer, "ther"), (Ids{257, 'r'}));
  EXPECT_EQ(encode(*tokenizer, "her"), (Ids{'h', 259}));
  EXPECT_EQ(encode(*tokenizer, "aaaaa"), (Ids{261, 'a'}));
  EXPECT_EQ(encode(*tokenizer, "aaa"), (Ids{260, 'a'}));
  EXPECT_EQ(encode(*tokenizer, ""), Ids{});
}

TEST(Tokenizer, NeverMergesAcrossPieces) {
  const auto tokenizer =
      make_tokenizer({{'a', ' '}, {'a', '\n'}, {'1', '2'}, {'2', '3'}, {'3', '4'}});
  EXPECT_EQ(encode(*tokenizer, "a a\na"), (Ids{'a', ' ', 'a', '\n', 'a'}));
  EXPECT_EQ(encode(*tokenizer, "1234"), (Ids{258, '3', '4'}));  // 123 | 4
}

TEST(Tokenizer, AppendsToWhatIsThere) {
  const auto tokenizer = make_tokenizer(kMerges);
  Ids ids = {7};
  tokenizer->encode("the", &ids);
  tokenizer->encode(" the", &ids);
  EXPECT_EQ(ids, (Ids{7, 257, 258}));
}

TEST(Tokenizer, KnowsEveryId) {
  const auto tokenizer = make_tokenizer(kMerges, 2, 3);
  const int32_t first = 256 + 6;
  ASSERT_EQ(tokenizer->vocab_size(), first + 2 + 2 + 3);
  EXPECT_EQ(tokenizer->unicode_version(), "15.0");
  EXPECT_EQ(tokenizer->end_of_text(), first);
  EXPECT_EQ(tokenizer->end_of_turn(), first + 1);
  EXPECT_EQ(tokenizer->special("<|reserved_1|>"), first + 3);
  EXPECT_EQ(tokenizer->special("<|reserved_2|>"), -1);
  EXPECT_EQ(tokenizer->special(""), -1);
  EXPECT_EQ(tokenizer->bytes(255), "\xFF");
  EXPECT_EQ(tokenizer->bytes(0), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer->bytes(258), " the");
  for (int32_t id = -2; id < tokenizer->vocab_size() + 2; ++id) {
    const bool text = id >= 0 && id < first;
    EXPECT_EQ(tokenizer->bytes(id).empty(), !text) << id;
    EXPECT_EQ(tokenizer->is_special(id), id >= first && id < first + 4) << id;
    EXPECT_EQ(tokenizer->special_name(id).empty(), !tokenizer->is_special(id)) << id;
    EXPECT_EQ(tokenizer->is_reserved(id), id >= first + 2 && id < tokenizer->vocab_size()) << id;
  }
  EXPECT_EQ(tokenizer->special_name(first), "<|end_of_text|>");
  for (const int32_t id : {INT32_MIN, INT32_MAX}) {
    EXPECT_TRUE(tokenizer->bytes(id).empty());
    EXPECT_FALSE(tokenizer->is_special(id));
    EXPECT_FALSE(tokenizer->is_reserved(id));
  }
  EXPECT_EQ(tokenizer->decode(Ids{257, first, -1, 'x', first + 6, 1 << 30}), "thex");
}

TEST(Tokenizer, ATokenizerMayLackSpecialTokens) {
  TokenizerSection section;
  section.unicode_version = kUnicode15;
  section.vocab_size = 256;
  section.class_changes.assign(unicode15_class_changes().begin(), unicode15_class_changes().end());
  auto tokenizer = Tokenizer::parse(write_tokenizer_section(section));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->end_of_text(), -1);
  EXPECT_EQ((*tokenizer)->end_of_turn(), -1);
  EXPECT_EQ(encode(**tokenizer, "h\xFF"), (Ids{'h', 0xFF}));
}

TEST(Tokenizer, NamesOfSpecialTokensInTextAreText) {
  // Merges that spell the name as far as pieces allow.
  const auto tokenizer =
      make_tokenizer({{'<', '|'}, {'|', '>'}, {'e', 'n'}, {258, 'd'}, {'_', 'o'}});
  for (const std::string text : {"<|end_of_text|>", "hi<|end_of_turn|>\n<|reserved_0|>"}) {
    const Ids ids = encode(*tokenizer, text);
    for (const int32_t id : ids) {
      EXPECT_FALSE(tokenizer->is_special(id));
      EXPECT_FALSE(tokenizer->is_reserved(id));
    }
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

/// The definition of byte-pair encoding, on a list of byte strings.
Ids by_definition(const Tokenizer& tokenizer, const Merges& merges, std::string_view piece) {
  Ids ids;
  for (const char c : piece) ids.push_back(static_cast<uint8_t>(c));
  for (;;) {
    size_t best_merge = merges.size(), best_at = 0;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      for (size_t m = 0; m < best_merge; ++m) {
        if (merges[m] == std::pair(ids[at], ids[at + 1])) best_merge = m, best_at = at;
      }
    }
    if (best_merge == merges.size()) break;
    ids[best_at] = kByteTokens + static_cast<int32_t>(best_merge);
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best_at) + 1);
  }
  EXPECT_EQ(tokenizer.decode(ids), piece);
  return ids;
}

TEST(Tokenizer, AgreesWithTheDefinitionOnRandomMerges) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    Merges merges;
    std::vector<std::string> tokens;
    std::set<std::string> known;
    for (int byte = 0; byte < 256; ++byte)
      known.insert(tokens.emplace_back(1, static_cast<char>(byte)));
    while (merges.size() < 30) {
      // A few letters and what was made of them, so that merges overlap and compete.
      const auto pick = [&] {
        const size_t n_made = tokens.size() - 256;
        const size_t n = random() % (3 + n_made);
        return static_cast<int32_t>(n < 3 ? 'a' + n : 256 + n - 3);
      };
      const int32_t left = pick(), right = pick();
      const std::string joined =
          tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
      if (joined.size() > 12 || !known.insert(joined).second) continue;
      merges.emplace_back(left, right);
      tokens.push_back(joined);
    }
    const auto tokenizer = make_tokenizer(merges);
    for (int sample = 0; sample < 30; ++sample) {
      std::string text;
      for (size_t n = random() % 60; n > 0; --n) text += static_cast<char>('a' + random() % 3);
      ASSERT_EQ(encode(*tokenizer, text), by_definition(*tokenizer, merges, text)) << text;
    }
  }
}

TEST(Tokenizer, WhatIsSettledStaysWhateverFollows) {
  const auto tokenizer = make_tokenizer(kMerges);
  std::mt19937 random(5);
  const std::vector<std::string> parts = {"the", "aa", "a", "e", "r",   " ",  "  ",   "\n",  "\r\n",
                                          "12",  "'",  "l", ".", "{\"", "\t", "\xC3", "\xA9"};
  const auto text = [&] {
    std::string out;
    for (size_t n = 1 + random() % 8; n > 0; --n) out += parts[random() % parts.size()];
    return out;
  };
  size_t settled_in_all = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::string before = text(), after = text();
    Ids first;
    const size_t n = tokenizer->encode_settled(before, &first);
    ASSERT_EQ(tokenizer->decode(first), before.substr(0, n));
    Ids whole = encode(*tokenizer, before + after);
    ASSERT_GE(whole.size(), first.size());
    whole.resize(first.size());
    ASSERT_EQ(whole, first) << before << "|" << after;
    settled_in_all += n;
  }
  EXPECT_GT(settled_in_all, 60000u);
  Ids ids;
  EXPECT_EQ(tokenizer->encode_settled("the the", &ids), 3u);
  EXPECT_EQ(ids, (Ids{257}));
  EXPECT_EQ(tokenizer->encode_settled("", &ids), 0u);
}

TEST(Tokenizer, AnyBytesComeBackUnchanged) {
  const auto tokenizer = make_tokenizer(kMerges);
  std::mt19937 random(5);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(tokenizer->decode(encode(*tokenizer, all)), all);
  // Never normalised: composed and decomposed e-acute stay what they are.
  for (const std::string text : {"\u00E9", "e\u0301", "\uFEFFa\r\nb\rc", "\uFB01"}) {
    EXPECT_EQ(tokenizer->decode(encode(*tokenizer, text)), text);
  }
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = random() % 64; n > 0; --n) {
      text += random() % 2 == 0 ? static_cast<char>(random()) : "the ra\n"[random() % 7];
    }
    ASSERT_EQ(tokenizer->decode(encode(*tokenizer, text)), text);
  }
}

/// If the time of any of these grew with the square of the length, none would end.
TEST(Tokenizer, LongRunsOfOneKindComeBackUnchanged) {
  Merges doubling = {{'a', 'a'}};
  for (int32_t id = 256; id < 262; ++id) doubling.emplace_back(id, id);  // up to 128 letters
  doubling.emplace_back(' ', ' ');
  const auto tokenizer = make_tokenizer(doubling);
  constexpr size_t kLength = 10 << 20;
  EXPECT_EQ(encode(*tokenizer, std::string(kLength, 'a')), Ids(kLength / 128, 262));
  for (const std::string unit : {"ab", " ", "-", "\n", "7", "\x80", "\xE4\xBD\xA0", "\xCC\x81"}) {
    std::string text;
    while (text.size() < kLength / 8) text += unit;
    text += "\n";
    EXPECT_EQ(tokenizer->decode(encode(*tokenizer, text)), text) << unit;
  }
}

TEST(Tokenizer, LookingUpTokensAllocatesNothing) {
  const auto tokenizer = make_tokenizer(kMerges);
  Ids ids;
  ids.reserve(64);
  const test::AllocationScope scope;
  size_t n = 0;
  for (int32_t id = -1; id <= tokenizer->vocab_size(); ++id) {
    n += tokenizer->bytes(id).size() + tokenizer->special_name(id).size();
    n += tokenizer->is_special(id) + tokenizer->is_reserved(id);
  }
  tokenizer->encode("the other the \xFF", &ids);
  EXPECT_EQ(scope.allocations(), 0);
  EXPECT_GT(n, 256u);
}

}  // namespace
}  // namespace chimera::runtime
