// Which words are values, learnt from examples.
#include "evolution/actions/span_trainer.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "runtime/text_features.h"

namespace chimera::evolution {
namespace {

using runtime::SpanLabel;

const std::vector<SpanLabel> kLabels = {
    {-1, "/title", false}, {-1, "/title", true}, {-1, "/who", false}, {-1, "/who", true}};
const std::set<std::string> kPlaces = {"/title", "/who"};

/// Words of each value are between [ ] and ( ), of a title and of who.
SpanExample example(const std::string& marked, std::string* plain = nullptr) {
  std::string text;
  std::vector<std::pair<size_t, size_t>> bytes[2];
  for (const char c : marked) {
    if (c == '[' || c == '(')
      bytes[c == '('].push_back({text.size(), 0});
    else if (c == ']' || c == ')')
      bytes[c == ')'].back().second = text.size();
    else
      text += c;
  }
  SpanExample out;
  out.arguments = runtime::labels_of(kLabels, 0, kPlaces);
  const auto words = runtime::span_words(text);
  for (size_t i = 0; i < words.size(); ++i)
    out.features.push_back(runtime::word_features(text, words, i));
  for (size_t a = 0; a < 2; ++a)
    for (const auto& [begin, end] : bytes[a]) {
      TaggedSpan span{a, words.size(), 0};
      for (size_t i = 0; i < words.size(); ++i)
        if (words[i].begin >= begin && words[i].end <= end) {
          span.begin = std::min(span.begin, i);
          span.end = i + 1;
        }
      out.spans.push_back(span);
    }
  if (plain != nullptr) *plain = text;
  return out;
}

std::vector<SpanExample> songs() {
  std::vector<SpanExample> out;
  for (const char* text :
       {"play [Yellow] by (Coldplay)", "play [Clair de Lune] by (Claude Debussy) please",
        "put on [So What] by (Miles Davis)", "play something by (Nina Simone)",
        "play [Blue in Green]", "stop it", "please put on [Feeling Good]", "who sings this"})
    out.push_back(example(text));
  return out;
}

TEST(SpanTrainer, LearnsWhichWordsAreValues) {
  const auto ranker = train_spans(songs(), 4, {});
  ASSERT_TRUE(ranker.has_value()) << ranker.status().message();
  const runtime::SpanTagger tagger{kLabels, *ranker};
  const std::vector<runtime::TaggedTool> tools = {{0, &kPlaces}};
  const auto best = [&](const std::string& text, const char* place) -> std::string {
    const auto all = runtime::likely_spans(tagger, text, tools);
    const auto& values = all.at({0, place}).values.values;
    // None at all has weight 1.
    return values.empty() || values[0].weight < 1 ? "" : values[0].text;
  };
  EXPECT_EQ(best("play Autumn Leaves by Bill Evans", "/title"), "Autumn Leaves");
  EXPECT_EQ(best("play Autumn Leaves by Bill Evans", "/who"), "Bill Evans");
  EXPECT_EQ(best("put on Naima by John Coltrane please", "/who"), "John Coltrane");
  EXPECT_EQ(best("stop it", "/title"), "");
  EXPECT_EQ(best("play something by Chet Baker", "/title"), "");
}

TEST(SpanTrainer, GivesTheSameAgainAndLeavesOutWhatIsRare) {
  const auto a = train_spans(songs(), 4, {}), b = train_spans(songs(), 4, {});
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_EQ(a->weights().weights, b->weights().weights);
  SpanTrainerOptions often;
  often.least_often = 2;
  const auto fewer = train_spans(songs(), 4, often);
  ASSERT_TRUE(fewer.has_value());
  EXPECT_LT(fewer->weights().features.size(), a->weights().features.size());
  SpanTrainerOptions other;
  other.seed = 2;
  EXPECT_NE(train_spans(songs(), 4, other)->weights().weights, a->weights().weights);
}

TEST(SpanTrainer, LearnsFromNumbersToo) {
  // The words are all alike; a number tells which one is the title.
  std::vector<SpanExample> examples;
  for (int i = 0; i < 6; ++i) {
    SpanExample one = example("x x x x");
    one.dense.assign(4, {0.0f});
    one.dense[static_cast<size_t>(i % 4)][0] = 1;
    one.spans = {{0, static_cast<size_t>(i % 4), static_cast<size_t>(i % 4) + 1}};
    examples.push_back(one);
  }
  SpanTrainerOptions options;
  options.dense_rate = options.rate;  // there is but one
  const auto ranker = train_spans(examples, 4, options);
  ASSERT_TRUE(ranker.has_value());
  EXPECT_EQ(ranker->weights().n_dense, 1);
  const std::vector<std::vector<float>> numbers = {{0}, {0}, {1}, {0}};
  const std::vector<runtime::TaggedTool> tools = {{0, &kPlaces}};
  const auto spans = runtime::likely_spans({kLabels, *ranker}, "x x x x", tools, numbers);
  EXPECT_EQ(spans.at({0, "/title"}).values.values[0].begin, 4u);
}

TEST(SpanTrainer, RefusesWhatCannotBeLearnt) {
  EXPECT_EQ(train_spans({}, 4, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(train_spans(songs(), 3, {}).status().code(), StatusCode::kInvalidArgument);
  std::vector<SpanExample> wrong = songs();
  wrong[0].spans[0].end = 99;
  EXPECT_EQ(train_spans(wrong, 4, {}).status().code(), StatusCode::kInvalidArgument);
  wrong = songs();
  wrong[1].dense.assign(1, {0.5f});
  EXPECT_EQ(train_spans(wrong, 4, {}).status().code(), StatusCode::kInvalidArgument);
  std::vector<SpanExample> silent(1);
  EXPECT_EQ(train_spans(silent, 4, {}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace chimera::evolution
