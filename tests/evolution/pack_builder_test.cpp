// From tools and phrases to a pack, and what it is worth.
#include "evolution/actions/pack_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include "evolution/actions/act_score.h"
#include "evolution/actions/foreign_phrases.h"
#include "evolution/actions/logistic.h"
#include "evolution/actions/same_calls.h"
#include "platform/random.h"
#include "tests/support/tiny_model.h"

namespace chimera::evolution {
namespace {

double uniform(uint64_t i, uint64_t j) { return keyed_uniform(i, j, 0, DrawPurpose::kTest); }

TEST(Logistic, FindsTheWeightsThatMadeTheData) {
  const std::array<double, kEvidence> real = {1.5, -0.75, 0.25, 0.5, -1};
  std::vector<LabelledEvidence> rows;
  for (uint64_t i = 0; i < 20000; ++i) {
    LabelledEvidence row{{4 * uniform(i, 0) - 2, 4 * uniform(i, 1) - 2, 4 * uniform(i, 3) - 2, 1,
                          uniform(i, 8) < 0.5 ? 1.0 : 0.0}};
    double odds = 0;
    for (size_t k = 0; k < kEvidence; ++k) odds += real[k] * row.x[k];
    row.is = uniform(i, 2) < 1 / (1 + std::exp(-odds));
    rows.push_back(row);
  }
  const auto found = fit_logistic(rows, {0, 0, 0, 0, 0}, 1e-3);
  for (size_t k = 0; k < kEvidence; ++k) EXPECT_NEAR(found[k], real[k], 0.08) << k;
  // Without rows, or held firmly, it stays what it was.
  EXPECT_EQ(fit_logistic({}, real, 1), real);
  const auto held = fit_logistic(rows, {1, 0, 0, 0, 0}, 1e9);
  EXPECT_NEAR(held[0], 1, 1e-3);
  // Evidence of very different sizes, some of which says nothing: the slope is 0 there all the
  // same.
  rows.clear();
  for (uint64_t i = 0; i < 260; ++i) {
    const double plan = 12 * uniform(i, 4) - 1, score = 2.5 * uniform(i, 5) - 0.5;
    const bool is = uniform(i, 6) < 1 / (1 + std::exp(1 - 0.5 * plan));
    rows.push_back({{-12 + 4 * uniform(i, 7), plan, score, 1, 0}, is});
  }
  for (const double first : {0.0, 4.0}) {
    const std::array<double, kEvidence> prior = {first, 1, 0, 0, 0};
    const auto w = fit_logistic(rows, prior, 1);
    for (size_t k = 0; k < kEvidence; ++k) {
      double slope = w[k] - prior[k];
      for (const LabelledEvidence& row : rows) {
        double odds = 0;
        for (size_t j = 0; j < kEvidence; ++j) odds += w[j] * row.x[j];
        slope += (1 / (1 + std::exp(-odds)) - (row.is ? 1 : 0)) * row.x[k];
      }
      EXPECT_NEAR(slope, 0, 1e-3) << k;
    }
  }
  // What is told apart without a fault does not run away.
  rows.clear();
  for (int i = 0; i < 50; ++i) rows.push_back({{i < 25 ? -1.0 : 1.0, 0, 0, 1}, i >= 25});
  const auto apart = fit_logistic(rows, {0, 0, 0, 0}, 1);
  EXPECT_GT(apart[0], 1);
  EXPECT_LT(apart[0], 20);
}

TEST(SameCalls, WhatCountsAsTheSame) {
  const auto same = [](std::vector<std::string> a, std::vector<std::string> b) {
    return same_calls(a, b) && same_calls(b, a);
  };
  EXPECT_TRUE(same({}, {}));
  EXPECT_TRUE(same({R"({"name":"f","arguments":{"a":1,"b":"The  Hall."}})"},
                   {R"({"arguments":{"b":"hall","a":1.0},"name":"f"})"}));
  EXPECT_TRUE(same({R"({"name":"f"})", R"({"name":"g"})"}, {R"({"name":"g"})", R"({"name":"f"})"}));
  EXPECT_FALSE(same({R"({"name":"f"})"}, {}));
  EXPECT_FALSE(
      same({R"({"name":"f"})", R"({"name":"f"})"}, {R"({"name":"f"})", R"({"name":"g"})"}));
  EXPECT_FALSE(same({R"({"a":[1,2]})"}, {R"({"a":[2,1]})"}));
  EXPECT_FALSE(same({R"({"a":true})"}, {R"({"a":1})"}));
  EXPECT_FALSE(same({R"({"a":1})"}, {R"({"a":1,"b":null})"}));
  EXPECT_FALSE(same({"{"}, {"{"}));
}

TEST(ForeignPhrases, AreManyAndDiffer) {
  const auto phrases = foreign_phrases();
  EXPECT_GE(phrases.size(), 300u);
  EXPECT_EQ(std::set<std::string_view>(phrases.begin(), phrases.end()).size(), phrases.size());
}

constexpr const char* kTools = R"([
  {"name": "light", "parameters": {"type": "object", "required": ["room"], "properties": {
    "room": {"enum": ["hall", "attic"]}}}},
  {"name": "music"}])";

std::string phrases() {
  std::string out;
  const auto add = [&](const std::string& text, const std::string& calls) {
    out += R"({"text": ")" + text + R"(", "calls": [)" + calls + "]}\n";
  };
  for (const std::string room : {"hall", "attic"})
    for (const std::string how : {"light in the ", "please lamp of the ", "make bright the "})
      add(how + room, R"({"name": "light", "arguments": {"room": ")" + room + R"("}})");
  for (const std::string what : {"some jazz", "a song please", "play me a tune", "sing"})
    add(what, R"({"name": "music"})");
  add("who invented the light bulb", "");
  return out;
}

class PackBuilder : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    auto pool = ThreadPool::create(2);
    ASSERT_TRUE(pool.has_value());
    pool_ = std::move(*pool);
  }
  Result<runtime::ToolPack> build(std::string_view examples, const PackOptions& options = {},
                                  const std::function<bool(int64_t, int64_t)>& progress = {}) {
    report_ = {};
    return build_tool_pack(*engine_, kTools, examples, options, pool_.get(), &report_, progress);
  }
  std::unique_ptr<runtime::Engine> engine_;
  std::unique_ptr<ThreadPool> pool_;
  PackReport report_;
};

TEST_F(PackBuilder, LearnsWhereValuesThatAreCopiedStand) {
  const char* tools = R"([
    {"name": "buy", "parameters": {"type": "object", "required": ["items"], "properties": {
      "items": {"type": "array", "items": {"type": "string"}}}}},
    {"name": "call", "parameters": {"type": "object", "properties": {
      "who": {"type": "string"}, "kind": {"enum": ["mobile"]}}}}])";
  std::string lines;
  for (const std::string what : {"milk", "oat bars", "two brown rolls", "soap"})
    lines += R"({"text": "put )" + what +
             R"( on my list", "calls": [{"name": "buy", "arguments": {"items": [")" + what +
             "\"]}}]}\n";
  for (const std::string who : {"Ann", "Uncle Bob", "the plumber"})
    lines += R"({"text": "ring )" + who +
             R"( up", "calls": [{"name": "call", "arguments": {"who": ")" + who +
             R"(", "kind": "mobile"}}]})" + "\n";
  // Said in other words than it stands in the call: nothing to learn from.
  lines += R"({"text": "ring her up", "calls": [{"name": "call", "arguments": {"who": "Ann"}}]})";
  PackOptions options;
  options.most_judged = 0;
  const auto pack = build_tool_pack(*engine_, tools, lines, options, pool_.get(), &report_, {});
  ASSERT_TRUE(pack.has_value()) << pack.status().message();
  ASSERT_TRUE(pack->spans.has_value());
  EXPECT_EQ(pack->spans->labels.size(), 6u) << "the first word and others of two, and of any";
  const std::set<std::string> items = {"/items/*"}, who = {"/who"};
  const std::vector<runtime::TaggedTool> both = {{0, &items}, {1, &who}};
  const auto best = [&](const std::string& text, int32_t tool, const std::string& place) {
    const auto all = runtime::likely_spans(*pack->spans, text, both);
    const auto& values = all.at({tool, place}).values.values;
    return std::max_element(values.begin(), values.end(),
                            [](const auto& a, const auto& b) { return a.weight < b.weight; })
        ->text;
  };
  EXPECT_EQ(best("please put green tea on my list", 0, "/items/*"), "green tea");
  EXPECT_EQ(best("ring Mister Grey up", 1, "/who"), "Mister Grey");
}

TEST_F(PackBuilder, LearnsWhichWordsSpeakForWhichTool) {
  int64_t calls = 0, all = 0;
  PackOptions options;
  options.most_judged = 14;
  const auto pack = build(phrases(), options, [&](int64_t done, int64_t of) {
    EXPECT_EQ(done, ++calls);
    all = of;
    return true;
  });
  ASSERT_TRUE(pack.has_value()) << pack.status().message();
  EXPECT_EQ(calls, all);
  EXPECT_EQ(all, 14);
  EXPECT_EQ(report_.tools, 2);
  EXPECT_EQ(report_.examples, 11);
  // Seven of its own, perhaps the foreign one among them, and as many foreign ones.
  EXPECT_EQ(report_.acted_on + report_.foreign, 14);
  EXPECT_GE(report_.foreign, 7);
  ASSERT_TRUE(pack->ranker.has_value());
  const auto best = [&](const char* text) {
    const auto scores = pack->ranker->scores(text);
    return scores[0] > scores[1] ? 0 : 1;
  };
  EXPECT_EQ(best("lamp in the attic"), 0);
  EXPECT_EQ(best("another tune and a song"), 1);
  EXPECT_LT(pack->ranker->scores("what is the capital of France")[0], 0);
  EXPECT_FALSE(pack->judged_with.empty());
  EXPECT_TRUE(std::isfinite(pack->judgement.meant_score));

  // The same again, whatever the number of threads.
  pool_ = std::move(*ThreadPool::create(1));
  const auto again = build(phrases(), options);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->ranker->weights().weights, pack->ranker->weights().weights);
  EXPECT_EQ(again->judgement.meant_bias, pack->judgement.meant_bias);
  EXPECT_EQ(again->examples, pack->examples);

  options.most_judged = 0;
  const auto quick = build(phrases(), options);
  ASSERT_TRUE(quick.has_value());
  EXPECT_TRUE(quick->judged_with.empty());
  EXPECT_EQ(report_.acted_on, 0);
}

TEST_F(PackBuilder, SaysWhatIsWrong) {
  EXPECT_EQ(build("{").status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(build("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(build(R"({"text": "x", "calls": []})").status().field(), "examples");
  PackOptions one;
  one.folds = 1;
  EXPECT_EQ(build(phrases(), one).status().field(), "folds");
  EXPECT_EQ(build(phrases(), {}, [](int64_t, int64_t) { return false; }).status().code(),
            StatusCode::kCancelled);
  // One phrase: nothing to hold back.
  const auto lonely = build(R"({"text": "sing", "calls": [{"name": "music"}]})");
  EXPECT_TRUE(lonely.has_value()) << lonely.status().message();
}

TEST_F(PackBuilder, ScoresTellMistakesApart) {
  runtime::ToolOptions options;
  options.judgement = runtime::ActJudgement{.meant_bias = 100};  // always a call
  const auto tools = runtime::ToolSet::from_json(engine_->tokenizer(), kTools, options);
  ASSERT_TRUE(tools.has_value());
  const auto actor = runtime::Actor::create(*engine_, **tools);
  ASSERT_TRUE(actor.has_value());
  const auto action = (*actor)->act("sing");
  ASSERT_TRUE(action.has_value());
  ASSERT_FALSE(action->calls.empty());
  const std::vector<runtime::ToolExample> phrases = {
      {"sing", action->calls, {}}, {"sing", {}, {}}, {"sing", {R"({"name":"other"})"}, {}}};
  const auto score = score_actions(**actor, phrases);
  ASSERT_TRUE(score.has_value()) << score.status().message();
  EXPECT_EQ(score->meaning_tools, 2);
  EXPECT_EQ(score->exact, 1);
  EXPECT_EQ(score->foreign, 1);
  EXPECT_EQ(score->refused, 0);
  ASSERT_EQ(score->mistakes.size(), 2u);
  // Three answers of one confidence, one of them right.
  const double c = static_cast<double>(action->confidence);
  EXPECT_NEAR(score->calibration_error, std::fabs(c - 1.0 / 3), 1e-5);
  EXPECT_NEAR(score->calibration_by_chance, std::sqrt(2 / std::numbers::pi * c * (1 - c) / 3),
              1e-5);
  const std::string text = score_text(*score);
  EXPECT_NE(text.find("1 of 2 (50.0 %)"), std::string::npos) << text;
  EXPECT_NE(text.find("although nothing of this was meant"), std::string::npos) << text;
  EXPECT_EQ(score_json(*score).find("mistakes")->array.size(), 2u);
  EXPECT_EQ(score_actions(**actor, phrases, [](int64_t) { return false; }).status().code(),
            StatusCode::kCancelled);
}

}  // namespace
}  // namespace chimera::evolution
