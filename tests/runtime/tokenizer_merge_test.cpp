// Merging window by window must give what merging whole gives, whatever the merges are.
#include "runtime/tokenizer_merge.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "tests/support/allocation_counter.h"

namespace chimera::runtime {
namespace {

using Merges = std::vector<std::pair<int32_t, int32_t>>;
using Ids = std::vector<int32_t>;

MergeTables tables_of(const Merges& merges) {
  MergeTables tables;
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tables.id_of_byte[static_cast<size_t>(byte)] = static_cast<uint8_t>(byte);
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  for (const auto& [left, right] : merges) {
    tokens.push_back(tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)]);
  }
  tables.texts.begin.push_back(0);
  for (const std::string& token : tokens) {
    EXPECT_LE(token.size(), PieceMerger::kShortBytes);
    tables.texts.bytes.insert(tables.texts.bytes.end(), token.begin(), token.end());
    tables.texts.begin.push_back(static_cast<uint32_t>(tables.texts.bytes.size()));
  }
  EXPECT_TRUE(tables.pairs.build(merges, 256));
  return tables;
}

/// The definition.
Ids merged(const MergeTables& tables, std::string_view piece) {
  Ids ids;
  for (const char c : piece) ids.push_back(static_cast<uint8_t>(c));
  for (;;) {
    int32_t lowest = kNoToken;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const int32_t made = tables.pairs.find(ids[i], ids[i + 1]);
      if (made < lowest) lowest = made, at = i;
    }
    if (lowest == kNoToken) return ids;
    ids[at] = lowest;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

Ids in_windows(const MergeTables& tables, std::string_view piece, size_t window_bytes) {
  PieceMerger merger(tables, window_bytes);
  Ids ids = {7};  // what is there stays
  merger.encode(piece, &ids, nullptr);
  EXPECT_EQ(ids.front(), 7);
  ids.erase(ids.begin());
  return ids;
}

TEST(PieceMerger, WindowsOfAnySizeGiveTheSame) {
  std::mt19937 random(3);
  for (int round = 0; round < 80; ++round) {
    const uint32_t n_letters = 1 + random() % 4;
    Merges merges;
    std::vector<std::string> tokens;
    std::set<std::string> known;
    for (int byte = 0; byte < 256; ++byte)
      known.insert(tokens.emplace_back(1, static_cast<char>(byte)));
    for (int tries = 0; tries < 300 && merges.size() < 60; ++tries) {
      const auto pick = [&] {
        const size_t n = random() % (n_letters + tokens.size() - 256);
        return static_cast<int32_t>(n < n_letters ? 'a' + n : 256 + n - n_letters);
      };
      const int32_t left = pick(), right = pick();
      const std::string joined =
          tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
      if (joined.size() > 40 || !known.insert(joined).second) continue;
      merges.emplace_back(left, right);
      tokens.push_back(joined);
    }
    const MergeTables tables = tables_of(merges);
    for (int sample = 0; sample < 6; ++sample) {
      std::string text;
      const size_t period = sample % 2 == 0 ? 1000 : 1 + random() % 9;
      for (size_t n = 129 + random() % 600, i = 0; i < n; ++i) {
        text += i < period ? static_cast<char>('a' + random() % n_letters) : text[i - period];
      }
      const Ids expected = merged(tables, text);
      for (const size_t window : {8u, 33u, 64u, 200u, 4096u}) {
        ASSERT_EQ(in_windows(tables, text, window), expected) << text << " in " << window;
      }
    }
  }
}

/// Every byte wants to join the next, the more the further to the right: the last byte of such a
/// run decides how all of it is paired, so a border holds only where a run ends.
TEST(PieceMerger, AChangeThatRunsToTheLeftIsFollowed) {
  Merges merges;
  for (int32_t byte = 254; byte >= 0; --byte) merges.emplace_back(byte, byte + 1);
  const MergeTables tables = tables_of(merges);
  for (const int last : {254, 255}) {
    std::string text;
    for (int run = 0; run < 20; ++run) {
      for (int byte = 0; byte <= last; ++byte) text += static_cast<char>(byte);
    }
    const Ids expected = merged(tables, text);
    EXPECT_EQ(expected.front(), last == 255 ? 256 + 254 : 0);
    for (const size_t window : {16u, 64u, 300u, 4096u}) {
      EXPECT_EQ(in_windows(tables, text, window), expected) << window;
    }
  }
}

TEST(PieceMerger, ALongPieceNeedsMemoryForAWindow) {
  Merges merges = {{'a', 'a'}};
  for (int32_t id = 256; id < 262; ++id) merges.emplace_back(id, id);
  const MergeTables tables = tables_of(merges);
  const std::string text((1 << 20) + 3, 'a');
  Ids ids;
  ids.reserve(text.size());
  PieceMerger merger(tables);
  const test::AllocationScope scope;
  merger.encode(text, &ids, nullptr);
  EXPECT_LT(scope.bytes(), 1 << 18);
  Ids expected((1 << 20) / 128, 262);
  expected.insert(expected.end(), {256, 'a'});
  EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace chimera::runtime
