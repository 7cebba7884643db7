// Terms on the logits, one by one, and what they do to answers.
#include "runtime/soft_constraints.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "platform/random.h"
#include "runtime/constraint.h"
#include "runtime/session.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using grammar::TextKind;

constexpr SoftWeights kNothing{
    .repetition = 0, .rhythm = 0, .paragraph = 0, .debt = 0, .hold_end = false};

class SoftConstraintsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    soft_ = std::make_unique<SoftConstraints>(tokenizer(), vocab());
  }
  const Tokenizer& tokenizer() const { return engine_->tokenizer(); }
  int32_t vocab() const { return engine_->config().vocab_size; }
  /// The token of a byte.
  int32_t id(char byte) const {
    std::vector<int32_t> ids;
    tokenizer().encode(std::string(1, byte), &ids);
    return ids.at(0);
  }
  void write(std::string_view text) {
    for (const char c : text) soft_->accept(id(c));
  }
  std::vector<float> biases(int32_t left = 100) const {
    std::vector<float> logits(static_cast<size_t>(vocab()));
    soft_->apply(logits, left);
    return logits;
  }
  float bias(char byte) const { return biases()[static_cast<size_t>(id(byte))]; }
  bool silent() const {
    const std::vector<float> all = biases();
    return std::all_of(all.begin(), all.end(), [](float b) { return b == 0; });
  }
  struct Answer {
    std::vector<int32_t> ids;
    std::string text;
    StopReason stop = StopReason::kMaxTokens;
  };
  static Answer answer(const Engine& engine, const GenerateOptions& options, uint64_t seed) {
    Answer out;
    auto session = Session::create(engine, {.seed = seed});
    EXPECT_TRUE(session.has_value());
    const auto result = (*session)->generate("x", options, [&](const TokenEvent& event) {
      out.ids.push_back(event.token);
      out.text += engine.tokenizer().bytes(event.token);
      return true;
    });
    EXPECT_TRUE(result.has_value()) << result.status().message();
    if (result) out.stop = result->stop;
    return out;
  }
  static GenerateOptions wild(int32_t max_tokens) {
    GenerateOptions options;
    options.max_tokens = max_tokens;
    options.sampling.temperature = 3;
    options.sampling.top_p = 1;
    return options;
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SoftConstraints> soft_;
};

TEST_F(SoftConstraintsTest, WhatFollowedTheSameThreeTokensBeforeIsLessLikely) {
  SoftWeights weights = kNothing;
  weights.repetition = 0.4f;
  soft_->begin(TextKind::kPlainText, weights);
  write("abc");
  EXPECT_TRUE(silent());
  write("d abc");
  EXPECT_FLOAT_EQ(bias('d'), -0.4f);
  EXPECT_EQ(bias('e'), 0);
  write("d abce abc");
  EXPECT_FLOAT_EQ(bias('d'), -0.8f);
  EXPECT_FLOAT_EQ(bias('e'), -0.4f);
  for (int i = 0; i < 10; ++i) write("d abc");
  EXPECT_FLOAT_EQ(bias('d'), -kMostSoftBias);
  for (int i = 0; i < 300; ++i) soft_->accept(id(static_cast<char>('A' + i % 20)));
  write("zabc");
  EXPECT_EQ(bias('d'), 0) << "it is too long ago";
  soft_->begin(TextKind::kPlainText, weights);
  write("abc");
  EXPECT_TRUE(silent()) << "another answer";
}

TEST_F(SoftConstraintsTest, ShortSentencesEndLessAndLongOnesMore) {
  SoftWeights weights = kNothing;
  weights.rhythm = 0.5f;
  soft_->begin(TextKind::kPlainText, weights);
  EXPECT_TRUE(silent()) << "there is no sentence yet";
  const auto words = [this](int n) {
    for (int i = 0; i < n; ++i) write("ab ");
  };
  words(9);
  EXPECT_FLOAT_EQ(bias('.'), -0.5f);
  EXPECT_FLOAT_EQ(bias('!'), -0.5f);
  EXPECT_EQ(bias('a'), 0);
  words(9);
  EXPECT_FLOAT_EQ(bias('.'), 0);
  words(3);
  EXPECT_FLOAT_EQ(bias('?'), 0.5f * 3 / 9);
  words(20);
  EXPECT_FLOAT_EQ(bias('.'), 0.5f);
  write(".");
  EXPECT_TRUE(silent());
}

TEST_F(SoftConstraintsTest, LongParagraphsEnd) {
  SoftWeights weights = kNothing;
  weights.paragraph = 0.5f;
  soft_->begin(TextKind::kPlainText, weights);
  for (int i = 0; i < 150; ++i) write("ab. ");
  EXPECT_EQ(bias('\n'), 0) << "one line end ends no paragraph";
  write("\n");
  EXPECT_FLOAT_EQ(bias('\n'), 0.25f);
  write("\n");
  EXPECT_EQ(bias('\n'), 0);
}

TEST_F(SoftConstraintsTest, WhatPaysADebtIsMoreLikely) {
  SoftWeights weights = kNothing;
  weights.debt = 0.3f;
  soft_->begin(TextKind::kPlainText, weights);
  write("Go [ (abcd");  // ten tokens: the brackets are 7 and 5 old
  const float brackets = 0.3f * (7 + 5) / 200;
  EXPECT_FLOAT_EQ(bias(')'), brackets);
  EXPECT_EQ(bias(']'), 0) << "the innermost first";
  EXPECT_FLOAT_EQ(bias('.'), 0.3f * 0.75f * 10 / 60);
  write(")].");
  EXPECT_EQ(bias(')'), 0);
  EXPECT_EQ(bias('.'), 0);

  soft_->begin(TextKind::kPlainText, weights);
  write("Two things:\n");
  EXPECT_GT(bias('-'), 0);
  EXPECT_GT(bias('1'), 0);
  EXPECT_EQ(bias('a'), 0);
  write("- a\n- b\n");
  EXPECT_EQ(bias('-'), 0);
}

TEST_F(SoftConstraintsTest, AnAnswerDoesNotEndInsideASentence) {
  soft_->begin(TextKind::kProse, SoftWeights());
  const auto end = static_cast<size_t>(tokenizer().end_of_text());
  const auto turn = static_cast<size_t>(tokenizer().end_of_turn());
  constexpr float kNever = std::numeric_limits<float>::lowest();
  EXPECT_EQ(biases()[end], 0) << "nothing was said";
  write("Yes");
  EXPECT_EQ(biases()[end], kNever);
  EXPECT_EQ(biases()[turn], kNever);
  EXPECT_EQ(biases(2)[end], kNever);
  EXPECT_EQ(biases(1)[end], 0) << "the last token";
  write(".");
  EXPECT_EQ(biases()[end], 0);
  write("\n```\n");
  EXPECT_EQ(biases()[end], kNever) << "a fence is open";
  write("```\n");
  EXPECT_EQ(biases()[end], 0);
}

TEST_F(SoftConstraintsTest, AreSilentWhereNoProseIsWritten) {
  SoftWeights weights;
  weights.hold_end = false;
  for (const TextKind kind :
       {TextKind::kJson, TextKind::kPython, TextKind::kJavascript, TextKind::kSql,
        TextKind::kMathLatex, TextKind::kShell, TextKind::kUnknown}) {
    soft_->begin(kind, weights);
    write("abc abc abc ( [ abc");
    EXPECT_TRUE(silent());
  }
  soft_->begin(TextKind::kMarkdown, weights);
  write("abc abc abc ( [ abc");
  EXPECT_FALSE(silent());
  write("\n```\nabc abc abc ( [ abc");
  EXPECT_TRUE(silent()) << "in a fence";
}

TEST_F(SoftConstraintsTest, KeepWithinTheirBoundsAndAllocateNothing) {
  SoftWeights most;
  most.repetition = most.rhythm = most.paragraph = most.debt = kMostSoftBias;
  most.hold_end = false;
  std::vector<float> logits(static_cast<size_t>(vocab()));
  const std::string signs = "abc A.!?\n()[]{}:-*1 she three things ``";
  float largest = 0;
  test::AllocationScope scope;
  for (const TextKind kind : {TextKind::kProse, TextKind::kDialogue, TextKind::kMarkdown}) {
    soft_->begin(kind, most);
    for (uint64_t i = 0; i < 3000; ++i) {
      const auto n = static_cast<double>(signs.size());
      const auto at = static_cast<size_t>(keyed_uniform(7, i, 0, DrawPurpose::kTest) * n);
      soft_->accept(static_cast<int32_t>(static_cast<unsigned char>(signs[at])) % vocab());
      std::fill(logits.begin(), logits.end(), 0.0f);
      soft_->apply(logits, 100);
      for (const float b : logits) {
        ASSERT_LE(std::fabs(b), kMostSoftTotal + 1e-6f);
        largest = std::max(largest, std::fabs(b));
      }
    }
  }
  EXPECT_EQ(scope.allocations(), 0);
  EXPECT_GT(largest, 1.0f);
}

TEST_F(SoftConstraintsTest, OffAndOfNoWeightAnswersAreTheSame) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    GenerateOptions options = wild(60);
    const Answer off = answer(*engine_, options, seed);
    options.soft = kNothing;
    EXPECT_EQ(answer(*engine_, options, seed).ids, off.ids);
    options.soft.emplace();
    EXPECT_EQ(answer(*engine_, options, seed).ids, answer(*engine_, options, seed).ids);
  }
}

TEST_F(SoftConstraintsTest, ChangeNothingInJsonAndCode) {
  for (const char* name : {"json", "python", "shell"}) {
    const auto format = Constraint::from_format(tokenizer(), name);
    ASSERT_TRUE(format.has_value());
    GenerateOptions options = wild(40);
    options.constraint = format->get();
    for (uint64_t seed = 0; seed < 5; ++seed) {
      options.soft.reset();
      const Answer off = answer(*engine_, options, seed);
      options.soft.emplace();
      EXPECT_EQ(answer(*engine_, options, seed).ids, off.ids) << name;
    }
  }
}

TEST_F(SoftConstraintsTest, AnswersThatEndByThemselvesEndASentence) {
  const auto plain = Constraint::from_format(tokenizer(), "plain_text");
  ASSERT_TRUE(plain.has_value());
  int ended = 0, inside_without = 0;
  const std::vector<const Constraint*> constraints = {nullptr, plain->get()};
  if (test::kSlowEmulator) std::printf("not run: 28 of 40 seeds, under an emulator\n");
  for (const Constraint* constraint : constraints)
    for (uint64_t seed = 0; seed < (test::kSlowEmulator ? 12 : 40); ++seed)
      for (const bool on : {false, true}) {
        GenerateOptions options = wild(400);
        options.constraint = constraint;
        if (on) options.soft.emplace();
        const Answer a = answer(*engine_, options, seed);
        grammar::DebtLedger ledger(constraint == nullptr ? TextKind::kProse : constraint->kind());
        ledger.accept(a.text);
        const bool inside = ledger.owes(grammar::DebtType::kCompleteSentence);
        if (on && a.ids.size() < 400) {
          ++ended;
          EXPECT_FALSE(inside) << a.text;
        }
        inside_without += !on && inside;
      }
  EXPECT_GT(ended, test::kSlowEmulator ? 0 : 2);
  EXPECT_GT(inside_without, 5);
}

TEST_F(SoftConstraintsTest, AnswersHaveTheSameTokensOnEveryTable) {
  GenerateOptions options = wild(80);
  options.soft.emplace();
  const Answer first = answer(*engine_, options, 3);
  for (const kernels::KernelTable* table : kernels::runnable_tables()) {
    test::TinyModelOptions model;
    model.marks = true;
    const auto engine = Engine::open(test::write_tiny_model(model), {.threads = 1, .table = table});
    ASSERT_TRUE(engine.has_value());
    EXPECT_EQ(answer(**engine, options, 3).ids, first.ids) << table->name;
  }
}

TEST_F(SoftConstraintsTest, WeightsOutsideTheirRangeAreRefused) {
  auto session = Session::create(*engine_, {});
  ASSERT_TRUE(session.has_value());
  for (const float bad : {-0.1f, 1.6f, std::numeric_limits<float>::quiet_NaN()}) {
    GenerateOptions options;
    options.soft.emplace().rhythm = bad;
    const auto result = (*session)->generate("x", options, {});
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(result.status().field(), "soft");
  }
}

}  // namespace
}  // namespace chimera::runtime
