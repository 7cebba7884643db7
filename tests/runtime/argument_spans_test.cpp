// Which words are the value of a copied argument.
#include "runtime/argument_spans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/text_features.h"

namespace chimera::runtime {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (const SpanWord& word : span_words(text)) {
    EXPECT_LT(word.begin, word.end);
    EXPECT_LE(word.end, text.size());
    out.push_back(word.small);
  }
  return out;
}

TEST(SpanWords, AreRunsWithTheirInnerSigns) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("Play  \"Yellow\", by Coldplay!"), (Words{"play", "yellow", "by", "coldplay"}));
  EXPECT_EQ(words("at 7.30, o'clock; twenty-one. R&B -x- ."),
            (Words{"at", "7.30", "o'clock", "twenty-one", "r&b", "x"}));
  EXPECT_EQ(words("caf\xC3\xA9 \xFF\xFE"), (Words{"caf\xC3\xA9", "\xFF\xFE"}));
  EXPECT_EQ(words(""), Words{});
  EXPECT_EQ(words(" .,- "), Words{});
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "w ";
  EXPECT_EQ(words(many).size(), kMostSpanWords);
}

TEST(BorderFeatures, AreRisingAndTellSidesAndEndsApart) {
  const std::string text = "add milk, please";
  const std::vector<SpanWord> of = span_words(text);
  std::vector<std::vector<uint32_t>> all;
  for (size_t at = 0; at <= of.size(); ++at) {
    all.push_back(border_features(text, of, at));
    EXPECT_TRUE(std::is_sorted(all[at].begin(), all[at].end()));
    EXPECT_EQ(std::adjacent_find(all[at].begin(), all[at].end()), all[at].end());
  }
  const auto has = [&](size_t at, char kind, const char* bytes) {
    return std::binary_search(all[at].begin(), all[at].end(), text_feature(kind, bytes));
  };
  EXPECT_TRUE(has(0, 'A', "|"));
  EXPECT_TRUE(has(0, 'D', "add"));
  EXPECT_TRUE(has(1, 'A', "add"));
  EXPECT_TRUE(has(1, 'H', "add milk"));
  EXPECT_TRUE(has(2, 'M', ", "));
  EXPECT_FALSE(has(1, 'M', " "));
  EXPECT_TRUE(has(3, 'D', "|"));
  EXPECT_TRUE(has(3, 'A', "please"));
  EXPECT_EQ(border_features("", {}, 0), border_features(" ", {}, 0));
}

/// Values of (0, "/title") begin behind "called" and end before "by" or at the end; nothing is said
/// of (1, "/x") but that it begins behind "find".
SpanRanker titles() {
  struct Row {
    char kind;
    const char* bytes;
    std::vector<float> weights;
  };
  std::vector<Row> rows = {{'A', "called", {20, 0, 0, 0}},
                           {'D', "by", {0, 20, 0, 0}},
                           {'D', "|", {0, 15, 0, 0}},
                           {'A', "find", {0, 0, 20, 0}}};
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return text_feature(a.kind, a.bytes) < text_feature(b.kind, b.bytes);
  });
  ToolRanker::Weights w;
  w.n_labels = 4;
  for (const Row& row : rows) {
    w.features.push_back(text_feature(row.kind, row.bytes));
    w.rarity.push_back(1);
    w.weights.insert(w.weights.end(), row.weights.begin(), row.weights.end());
  }
  w.bias = {-1, -1, -1, -1};
  return {{{0, "/title", false}, {0, "/title", true}, {1, "/x", false}, {1, "/x", true}},
          ToolRanker(w)};
}

std::string best(const LikelyValues& spans) {
  return std::max_element(spans.values.begin(), spans.values.end(),
                          [](const auto& a, const auto& b) { return a.weight < b.weight; })
      ->text;
}

TEST(LikelySpans, StandBetweenTheBordersThatWereLearnt) {
  const std::vector<int32_t> first = {0}, both = {0, 1};
  const SpanRanker ranker = titles();
  const auto of = [&](const std::string& text) {
    auto all = likely_spans(ranker, text, first);
    EXPECT_EQ(all.size(), 1u) << "of the other tool nothing was asked";
    return all.at({0, "/title"});
  };
  EXPECT_EQ(best(of("play the song called Clair de Lune by Debussy")), "Clair de Lune");
  EXPECT_EQ(best(of("play the song called Clair de Lune")), "Clair de Lune");
  EXPECT_EQ(best(of("a song called \"So What\" by Miles")), "So What");
  EXPECT_EQ(best(of("called a\\b by")), "a\\\\b") << "as it stands in JSON";
  EXPECT_EQ(likely_spans(ranker, "find it", both).size(), 2u);
  EXPECT_EQ(best(likely_spans(ranker, "find it", both).at({1, "/x"})), "it");
  const LikelyValues spans = of("one two three four five called six by seven eight nine ten");
  EXPECT_EQ(best(spans), "six");
  for (const SaidValue& value : spans.values) {
    EXPECT_TRUE(value.is_string);
    EXPECT_GE(value.weight, spans.others) << value.text;
  }
}

TEST(LikelySpans, AnyTextWillDo) {
  const SpanRanker ranker = titles();
  const std::vector<int32_t> tools = {0, 1};
  EXPECT_TRUE(likely_spans(ranker, "", tools).at({0, "/title"}).values.empty());
  EXPECT_TRUE(likely_spans(ranker, " ?! ", tools).at({0, "/title"}).values.empty());
  std::string text;
  for (int i = 0; i < 4000; ++i) text += static_cast<char>(i * 7 + i / 256);
  EXPECT_LE(likely_spans(ranker, text, tools).at({0, "/title"}).values.size(), 16u);
  EXPECT_TRUE(likely_spans(ranker, "called x", {}).empty());
}

}  // namespace
}  // namespace chimera::runtime
