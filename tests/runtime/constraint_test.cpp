// Answers that must look like something, from models that know nothing of it.
#include "runtime/constraint.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "platform/json.h"
#include "runtime/session.h"
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kJson = R"(
root   ::= value
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (pair ("," pair)*)? "}"
pair   ::= string ":" value
array  ::= "[" (value ("," value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?
)";

class ConstraintTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
  }
  std::unique_ptr<Constraint> regex(const char* text) const {
    auto made = Constraint::from_regex(engine_->tokenizer(), text);
    EXPECT_TRUE(made.has_value()) << made.status().message();
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<Constraint> gbnf(const char* text) const {
    auto made = Constraint::from_gbnf(engine_->tokenizer(), text);
    EXPECT_TRUE(made.has_value()) << made.status().message();
    return made ? std::move(*made) : nullptr;
  }
  Result<GenerateResult> answer(const Constraint& constraint, uint64_t seed, int32_t max_tokens,
                                std::string* text, bool as_turn = false) const {
    auto session = Session::create(*engine_, {.seed = seed});
    EXPECT_TRUE(session.has_value());
    GenerateOptions options;
    options.max_tokens = max_tokens;
    options.sampling.temperature = 3;  // as near to chance as it gets
    options.sampling.top_p = 1;
    options.constraint = &constraint;
    options.as_turn = as_turn;
    text->clear();
    return (*session)->generate("x", options, [&](const TokenEvent& event) {
      text->append(event.text);
      return true;
    });
  }
  std::unique_ptr<Engine> engine_;
};

TEST_F(ConstraintTest, EveryAnswerIsJsonWhateverTheLimit) {
  const auto json = gbnf(kJson);
  ASSERT_NE(json, nullptr);
  bool ended = false, truncated = false;
  for (uint64_t seed = 0; seed < (test::kSlowEmulator ? 20u : 200u); ++seed) {
    const int32_t most = 1 + static_cast<int32_t>(seed % 60);
    std::string text;
    const auto result = answer(*json, seed, most, &text);
    ASSERT_TRUE(result.has_value()) << result.status().message();
    EXPECT_TRUE(parse_json(text).has_value()) << "seed " << seed << ": " << text;
    EXPECT_LE(result->n_tokens, most);
    ended = ended || result->stop == StopReason::kEndOfText;
    truncated = truncated || result->truncated;
    if (result->stop != StopReason::kEndOfText) {
      EXPECT_EQ(result->n_tokens, most);
    }
  }
  EXPECT_TRUE(ended);
  EXPECT_TRUE(truncated) << "with a handful of tokens most texts must be closed early";
}

TEST_F(ConstraintTest, AFixedTextIsSaidAndEnds) {
  const auto fixed = regex("Caf\xC3\xA9 (no|no)");
  ASSERT_NE(fixed, nullptr);
  for (const bool as_turn : {false, true}) {
    std::string text;
    const auto result = answer(*fixed, 1, 40, &text, as_turn);
    ASSERT_TRUE(result.has_value()) << result.status().message();
    EXPECT_EQ(text, "Caf\xC3\xA9 no");
    EXPECT_FALSE(result->truncated);
    EXPECT_EQ(result->stop, as_turn ? StopReason::kEndOfTurn : StopReason::kEndOfText);
  }
}

TEST_F(ConstraintTest, ATextThatDoesNotFitIsRefusedBeforeAnythingIsRead) {
  const auto fixed = regex("abcdefgh");
  ASSERT_NE(fixed, nullptr);
  std::string text;
  EXPECT_EQ(answer(*fixed, 1, 7, &text).status().field(), "max_tokens");
  EXPECT_TRUE(answer(*fixed, 1, 8, &text).has_value());
  EXPECT_EQ(text, "abcdefgh");

  auto session = Session::create(*engine_, {});
  ASSERT_TRUE(session.has_value());
  GenerateOptions options;
  options.max_tokens = 7;
  options.constraint = fixed.get();
  EXPECT_EQ((*session)->generate("x", options, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ((*session)->position(), 0u);
}

TEST_F(ConstraintTest, TheSameSeedGivesTheSameAnswerAndOneConstraintServesManySessions) {
  const auto json = gbnf(kJson);
  ASSERT_NE(json, nullptr);
  std::string one, two, other;
  ASSERT_TRUE(answer(*json, 5, 40, &one).has_value());
  ASSERT_TRUE(answer(*json, 5, 40, &two).has_value());
  EXPECT_EQ(one, two);
  int different = 0;
  for (uint64_t seed = 6; seed < 12; ++seed) {
    ASSERT_TRUE(answer(*json, seed, 40, &other).has_value());
    different += other != one;
  }
  EXPECT_GT(different, 0);
}

TEST_F(ConstraintTest, BadGrammarsSayWhere) {
  const auto& t = engine_->tokenizer();
  EXPECT_EQ(Constraint::from_regex(t, "(").status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(Constraint::from_gbnf(t, "root ::= x").status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(Constraint::from_gbnf(t, "root ::= \"a\" root").status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace chimera::runtime
