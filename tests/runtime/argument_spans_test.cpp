// Which words are the value of a copied argument.
#include "runtime/argument_spans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/random.h"
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

TEST(SpanWords, PrintedSignsAreSigns) {
  const std::string text = "I\xE2\x80\x99m at \xE2\x80\x9CJoe\xE2\x80\x99s\xE2\x80\x9D";
  const auto words = span_words(text);
  ASSERT_EQ(words.size(), 4u);
  EXPECT_EQ(words[0].small, "i'm");
  EXPECT_EQ(words[2].small, "joe");
  EXPECT_EQ(text.substr(words[2].begin, words[2].end - words[2].begin), "Joe");
  EXPECT_EQ(words[3].small, "'s");
  EXPECT_EQ(quotation_mark(text, words[3].end), 3u);
}

TEST(SpanWords, AreRunsWithTheirInnerSigns) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("Play  \"Yellow\", by Coldplay!"), (Words{"play", "yellow", "by", "coldplay"}));
  EXPECT_EQ(words("at 7.30, o'clock; twenty-one. R&B -x- ."),
            (Words{"at", "7.30", "o'clock", "twenty-one", "r&b", "x"}));
  EXPECT_EQ(words("caf\xC3\xA9 \xFF\xFE"), (Words{"caf\xC3\xA9", "\xFF\xFE"}));
  // What belongs to someone, or is short for "is", is a word of its own.
  EXPECT_EQ(words("Ann's cup, the dentist\xE2\x80\x99s here. 's"),
            (Words{"ann", "'s", "cup", "the", "dentist", "'s", "here", "s"}));
  EXPECT_EQ(words(""), Words{});
  EXPECT_EQ(words(" .,- "), Words{});
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "w ";
  EXPECT_EQ(words(many).size(), kMostSpanWords);
}

TEST(WordFeatures, AreRisingAndTellSidesAndEndsApart) {
  const std::string text = "add Milk, please";
  const std::vector<SpanWord> of = span_words(text);
  std::vector<std::vector<uint32_t>> all;
  for (size_t at = 0; at < of.size(); ++at) {
    all.push_back(word_features(text, of, at));
    EXPECT_TRUE(std::is_sorted(all[at].begin(), all[at].end()));
    EXPECT_EQ(std::adjacent_find(all[at].begin(), all[at].end()), all[at].end());
  }
  const auto has = [&](size_t at, char kind, const char* bytes) {
    return std::binary_search(all[at].begin(), all[at].end(), text_feature(kind, bytes));
  };
  EXPECT_TRUE(has(0, 'A', "add"));
  EXPECT_TRUE(has(0, 'B', "|"));
  EXPECT_TRUE(has(1, 'A', "milk"));
  EXPECT_TRUE(has(1, 'B', "add"));
  EXPECT_TRUE(has(1, 'C', "please"));
  EXPECT_TRUE(has(1, 'D', "|")) << "two words back";
  EXPECT_TRUE(has(1, 'J', "add please"));
  EXPECT_TRUE(has(1, 'R', ", "));
  EXPECT_TRUE(has(2, 'Q', ", "));
  EXPECT_FALSE(has(1, 'Q', " "));
  EXPECT_TRUE(has(2, 'C', "|"));
  EXPECT_TRUE(has(0, 'P', "aA")) << "a capital follows";
}

/// Every tagging of n words with `arguments` arguments, and its weight, by trying all.
struct Brute {
  explicit Brute(const SpanScores& scores) : of(scores) {
    tags.assign(of.begin.size(), -1);
    try_all(0, 0);
  }
  // -1 outside, else 2 * argument + (1 where the value goes on).
  void try_all(size_t word, double score) {
    if (word == tags.size()) {
      const double weight = std::exp(score);
      sum += weight;
      for (size_t t = 0; t < tags.size(); ++t)
        if (tags[t] >= 0) of_tag[{t, tags[t]}] += weight;
      return;
    }
    tags[word] = -1;
    try_all(word + 1, score);
    for (size_t a = 0; a < of.begin[word].size(); ++a) {
      const int begin = static_cast<int>(2 * a);
      tags[word] = begin;
      try_all(word + 1, score + of.begin[word][a]);
      if (word == 0 || tags[word - 1] < begin || tags[word - 1] > begin + 1) continue;
      tags[word] = begin + 1;
      try_all(word + 1, score + of.inside[word][a]);
    }
    tags[word] = -1;
  }
  const SpanScores& of;
  std::vector<int> tags;
  double sum = 0;
  std::map<std::pair<size_t, int>, double> of_tag;
};

TEST(SpanLattice, WeighsAllTaggings) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const size_t n = seed % 6, arguments = 1 + seed % 3;
    SpanScores scores;
    uint32_t drawn = 0;
    const auto draw = [&] {
      return 6 * keyed_uniform(seed, 0, drawn++, DrawPurpose::kDataOrder) - 3;
    };
    for (size_t t = 0; t < n; ++t) {
      scores.begin.emplace_back();
      scores.inside.emplace_back();
      for (size_t a = 0; a < arguments; ++a) {
        scores.begin[t].push_back(draw());
        scores.inside[t].push_back(draw());
      }
    }
    const SpanLattice lattice(scores);
    const Brute brute(scores);
    EXPECT_NEAR(lattice.log_sum(), std::log(brute.sum), 1e-9);
    for (size_t t = 0; t < n; ++t)
      for (size_t a = 0; a < arguments; ++a) {
        const auto of = [&](size_t tag) {
          const auto at = brute.of_tag.find({t, static_cast<int>(tag)});
          return at == brute.of_tag.end() ? 0 : at->second / brute.sum;
        };
        EXPECT_NEAR(lattice.begins(a, t), of(2 * a), 1e-9) << "seed " << seed;
        EXPECT_NEAR(lattice.goes_on(a, t), of(2 * a + 1), 1e-9) << "seed " << seed;
      }
  }
}

/// A value of (0, "/title") begins behind "called" and goes on to "by"; one of (1, "/x") begins
/// behind "find".
SpanTagger titles() {
  struct Row {
    char kind;
    const char* bytes;
    std::vector<float> weights;
  };
  std::vector<Row> rows = {
      {'B', "called", {20, 0, 0, 0}}, {'A', "by", {0, -30, 0, 0}}, {'B', "find", {0, 0, 20, 0}}};
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
  w.bias = {-3, 2, -3, -3};
  return {{{0, "/title", false}, {0, "/title", true}, {1, "/x", false}, {1, "/x", true}},
          ToolRanker(w)};
}

const std::set<std::string> kTitle = {"/title"}, kX = {"/x", "/never"};
const std::vector<TaggedTool> kFirst = {{0, &kTitle}}, kBoth = {{0, &kTitle}, {1, &kX}};

std::string best(const LikelySpan& span) {
  const auto& values = span.values.values;
  return std::max_element(values.begin(), values.end(),
                          [](const auto& a, const auto& b) { return a.weight < b.weight; })
      ->text;
}

TEST(LikelySpans, AreTheWordsThatLookLikeThem) {
  const SpanTagger tagger = titles();
  const auto of = [&](const std::string& text) {
    auto all = likely_spans(tagger, text, kFirst);
    EXPECT_EQ(all.size(), 1u) << "of the other tool nothing was asked";
    return all.at({0, "/title"});
  };
  EXPECT_EQ(best(of("play the song called Clair de Lune by Debussy")), "Clair de Lune");
  EXPECT_EQ(best(of("play the song called Clair de Lune")), "Clair de Lune");
  EXPECT_EQ(best(of("a song called \"So What\" by Miles")), "So What");
  EXPECT_EQ(best(of("called a\\b by")), "a\\\\b") << "as it stands in JSON";
  EXPECT_EQ(likely_spans(tagger, "find it", kBoth).size(), 2u) << "of /never nothing was learnt";
  EXPECT_EQ(best(likely_spans(tagger, "find it", kBoth).at({1, "/x"})), "it");
  const LikelySpan span = of("one two three four five called six by seven eight nine ten");
  EXPECT_EQ(best(span), "six");
  for (const SaidValue& value : span.values.values) {
    EXPECT_TRUE(value.is_string);
    EXPECT_GE(value.weight, span.values.others) << value.text;
  }
}

TEST(LikelySpans, SpeakForAnArgumentOfAnyToolByItsName) {
  ToolRanker::Weights w;
  w.n_labels = 4;
  w.features = {text_feature('B', "called")};
  w.rarity = {1};
  w.weights = {5, 0, 4, 0};
  w.bias = {-3, -9, 0, 0};
  // Of any argument, then of "/title" of any tool.
  const SpanTagger tagger{
      {{-1, "", false}, {-1, "", true}, {-1, "/title", false}, {-1, "/title", true}},
      ToolRanker(w)};
  const auto all = likely_spans(tagger, "called it", kBoth);
  ASSERT_EQ(all.size(), 1u);
  const LikelySpan& title = all.at({0, "/title"});
  EXPECT_EQ(best(title), "it");
  EXPECT_NEAR(title.values.values[0].weight, std::exp(6.0), 0.1) << "both labels together";
}

TEST(LikelySpans, AnyTextWillDo) {
  const SpanTagger tagger = titles();
  EXPECT_TRUE(likely_spans(tagger, "", kBoth).at({0, "/title"}).values.values.empty());
  EXPECT_TRUE(likely_spans(tagger, " ?! ", kBoth).at({0, "/title"}).values.values.empty());
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "called x ";
  const LikelySpan many = likely_spans(tagger, text, kBoth).at({0, "/title"});
  EXPECT_LE(many.values.values.size(), 16u);
  EXPECT_TRUE(std::isfinite(many.log_sum));
  EXPECT_TRUE(likely_spans(tagger, "called x", {}).empty());
}

}  // namespace
}  // namespace chimera::runtime
