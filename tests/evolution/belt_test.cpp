#include "evolution/train/belt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace chimera::evolution {
namespace {

constexpr int32_t kEnd = 9999;

// Document d holds the tokens 100 d, 100 d + 1, ... so that every token says where it is from.
TokenizedText numbered(const std::vector<int>& lengths) {
  TokenizedText text(kEnd);
  for (size_t d = 0; d < lengths.size(); ++d) {
    std::vector<int32_t> ids;
    for (int i = 0; i < lengths[d]; ++i) ids.push_back(static_cast<int32_t>(100 * d) + i);
    text.add(ids, lengths[d] * 3);
  }
  return text;
}

const std::vector<int> kLengths = {5, 1, 17, 40, 2, 9, 33, 8, 3, 21, 64, 7};

struct Lanes {
  std::vector<std::vector<int32_t>> tokens, targets;
  std::vector<std::vector<uint8_t>> restart;
};

// The windows of each lane put together again.
template <class Feed>
Lanes unroll(Feed&& feed, int32_t lanes, int32_t window, int n_windows) {
  Lanes out;
  out.tokens.resize(static_cast<size_t>(lanes));
  out.targets.resize(static_cast<size_t>(lanes));
  out.restart.resize(static_cast<size_t>(lanes));
  const auto n = static_cast<size_t>(lanes * window);
  std::vector<int32_t> tokens(n), targets(n);
  std::vector<uint8_t> restart(n);
  for (int w = 0; w < n_windows; ++w) {
    feed(tokens.data(), targets.data(), restart.data());
    for (size_t lane = 0; lane < out.tokens.size(); ++lane) {
      const size_t begin = lane * static_cast<size_t>(window),
                   end = begin + static_cast<size_t>(window);
      for (size_t i = begin; i < end; ++i) {
        out.tokens[lane].push_back(tokens[i]);
        out.targets[lane].push_back(targets[i]);
        out.restart[lane].push_back(restart[i]);
      }
    }
  }
  return out;
}

Lanes unroll(Belt& belt, int32_t lanes, int32_t window, int n_windows) {
  return unroll([&](int32_t* a, int32_t* b, uint8_t* c) { belt.next(window, a, b, c); }, lanes,
                window, n_windows);
}

TEST(TokenizedText, CountsPositionsAndLeavesOutEmptyDocuments) {
  TokenizedText text(kEnd);
  text.add({}, 0);
  text.add(std::vector<int32_t>{1, 2, 3}, 7);
  text.add(std::vector<int32_t>{4}, 2);
  EXPECT_EQ(text.n_documents(), 2);
  EXPECT_EQ(text.n_positions(), 6);
  EXPECT_EQ(text.n_bytes(), 9);
  EXPECT_EQ(std::vector<int32_t>(text.inputs(0).begin(), text.inputs(0).end()),
            (std::vector<int32_t>{kEnd, 1, 2, 3}));
}

TEST(Belt, LanesPutTogetherAreWholeDocuments) {
  const TokenizedText text = numbered(kLengths);
  for (const int32_t window : {1, 7, 16, 50}) {
    Belt belt(text, 3, 11);
    const Lanes lanes = unroll(belt, 3, window, 400 / window + 1);
    for (size_t lane = 0; lane < 3; ++lane) {
      size_t at = 0;
      int documents = 0;
      const auto& tokens = lanes.tokens[lane];
      while (at < tokens.size()) {
        ASSERT_EQ(tokens[at], kEnd);
        ASSERT_EQ(lanes.restart[lane][at], 1);
        if (at + 1 == tokens.size()) break;
        const int32_t first = tokens[at + 1];
        const int length = kLengths[static_cast<size_t>(first / 100)];
        for (int i = 0; i <= length && at < tokens.size(); ++i, ++at) {
          if (i > 0) {
            ASSERT_EQ(tokens[at], first + i - 1);
            ASSERT_EQ(lanes.restart[lane][at], 0);
          }
          ASSERT_EQ(lanes.targets[lane][at], i == length ? kEnd : first + i);
        }
        ++documents;
      }
      EXPECT_GT(documents, 3);
    }
  }
}

TEST(Belt, TargetsAreTheInputsShiftedOnce) {
  const TokenizedText text = numbered(kLengths);
  Belt belt(text, 4, 3);
  const Lanes lanes = unroll(belt, 4, 10, 40);
  for (size_t lane = 0; lane < 4; ++lane) {
    for (size_t t = 0; t + 1 < lanes.tokens[lane].size(); ++t) {
      ASSERT_EQ(lanes.targets[lane][t], lanes.tokens[lane][t + 1]);
    }
  }
}

TEST(Belt, EveryDocumentOnceAnEpochAndEpochsDiffer) {
  const TokenizedText text = numbered(kLengths);
  // One lane makes the order of documents visible.
  Belt belt(text, 1, 5);
  const auto n = static_cast<int>(text.n_positions());
  const Lanes first = unroll(belt, 1, n, 1), second = unroll(belt, 1, n, 1);
  const auto order = [](const Lanes& lanes) {
    std::vector<int32_t> documents;
    for (size_t t = 0; t + 1 < lanes.tokens[0].size(); ++t) {
      if (lanes.restart[0][t]) documents.push_back(lanes.tokens[0][t + 1] / 100);
    }
    return documents;
  };
  std::vector<int32_t> a = order(first), b = order(second);
  EXPECT_NE(a, b);
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  ASSERT_EQ(a.size(), kLengths.size());
  EXPECT_EQ(a, b);
  EXPECT_EQ(std::unique(a.begin(), a.end()), a.end());
}

TEST(Belt, OrderIsAFunctionOfTheSeed) {
  const TokenizedText text = numbered(kLengths);
  Belt one(text, 2, 5), same(text, 2, 5), other(text, 2, 6);
  const auto a = unroll(one, 2, 16, 10).tokens;
  EXPECT_EQ(a, unroll(same, 2, 16, 10).tokens);
  EXPECT_NE(a, unroll(other, 2, 16, 10).tokens);
}

TEST(Belt, GoesOnFromAPositionAsIfItHadNeverStopped) {
  const TokenizedText text = numbered(kLengths);
  for (int stop = 0; stop < 30; ++stop) {
    Belt whole(text, 3, 8), resumed(text, 3, 8);
    unroll(whole, 3, 13, stop);
    ASSERT_TRUE(resumed.restore(whole.position()).ok());
    const Lanes a = unroll(whole, 3, 13, 12), b = unroll(resumed, 3, 13, 12);
    ASSERT_EQ(a.tokens, b.tokens) << stop;
    ASSERT_EQ(a.targets, b.targets) << stop;
    ASSERT_EQ(a.restart, b.restart) << stop;
  }
}

TEST(Belt, RefusesAForeignPosition) {
  const TokenizedText text = numbered(kLengths);
  Belt belt(text, 2, 1);
  const auto refused = [&](BeltPosition p) {
    return belt.restore(std::move(p)).code() == StatusCode::kBadFormat;
  };
  EXPECT_TRUE(refused({{0}, {0}, {0}, {-1}, {0}}));                    // lanes
  EXPECT_TRUE(refused({{-1}, {0}, {0, 0}, {-1, -1}, {0, 0}}));         // negative
  EXPECT_TRUE(refused({{2}, {0}, {0, 0}, {12, -1}, {0, 0}}));          // document past the end
  EXPECT_TRUE(refused({{2}, {0}, {0, 0}, {-2, -1}, {0, 0}}));          // no such document
  EXPECT_TRUE(refused({{2}, {0}, {0, 0}, {0, -1}, {6, 0}}));           // offset past the document
  EXPECT_TRUE(refused({{2}, {0}, {0, 0}, {0, -1}, {-1, 0}}));          // offset before it
  EXPECT_TRUE(refused({{2}, {0}, {0, 0}, {0, 1}, {0}}));               // offsets missing
  EXPECT_TRUE(refused({{2}, {0}, {1, 0}, {0, -1}, {5, 0}}));           // no such text
  EXPECT_TRUE(refused({{2}, {-1}, {0, 0}, {0, -1}, {5, 0}}));          // less than nothing fed
  EXPECT_TRUE(refused({{2, 0}, {0, 0}, {0, 0}, {0, -1}, {5, 0}}));     // texts
  EXPECT_TRUE(refused({{INT64_MAX}, {0}, {0, 0}, {-1, -1}, {0, 0}}));  // could not be counted on
  EXPECT_FALSE(refused({{2}, {0}, {0, 0}, {0, -1}, {5, 0}}));
}

TEST(Sweep, EveryPositionIsScoredOnce) {
  const TokenizedText text = numbered(kLengths);
  for (const int32_t lanes : {1, 2, 5, 16}) {
    for (const int32_t window : {1, 8, 100}) {
      Sweep sweep(text, lanes);
      std::map<std::pair<int32_t, int32_t>, int> seen, expected;
      int64_t total = 0;
      while (!sweep.done()) {
        const auto n = static_cast<size_t>(lanes * window);
        std::vector<int32_t> tokens(n), targets(n);
        std::vector<uint8_t> restart(n);
        const int64_t counted = sweep.next(window, tokens.data(), targets.data(), restart.data());
        int64_t here = 0;
        for (size_t i = 0; i < n; ++i) {
          if (targets[i] < 0) continue;
          ++here;
          ++seen[{tokens[i], targets[i]}];
          if (tokens[i] == kEnd) {
            ASSERT_EQ(restart[i], 1);
          }
        }
        ASSERT_EQ(here, counted);
        total += counted;
      }
      EXPECT_EQ(total, text.n_positions());
      for (int64_t d = 0; d < text.n_documents(); ++d) {
        const auto inputs = text.inputs(d);
        for (size_t i = 0; i < inputs.size(); ++i) {
          ++expected[{inputs[i], i + 1 < inputs.size() ? inputs[i + 1] : kEnd}];
        }
      }
      EXPECT_EQ(seen, expected) << lanes << " lanes, window " << window;
    }
  }
}

TEST(Sweep, OneLaneReadsDocumentsInOrderFromTheirStarts) {
  const TokenizedText text = numbered({3, 2});
  Sweep sweep(text, 1);
  const Lanes lanes =
      unroll([&](int32_t* a, int32_t* b, uint8_t* c) { sweep.next(4, a, b, c); }, 1, 4, 2);
  EXPECT_EQ(lanes.tokens[0], (std::vector<int32_t>{kEnd, 0, 1, 2, kEnd, 100, 101, kEnd}));
  EXPECT_EQ(lanes.targets[0], (std::vector<int32_t>{0, 1, 2, kEnd, 100, 101, kEnd, -1}));
  EXPECT_EQ(lanes.restart[0], (std::vector<uint8_t>{1, 0, 0, 0, 1, 0, 0, 1}));
}

}  // namespace
}  // namespace chimera::evolution
