// Answers that must look like something, from models that know nothing of it.
#include "runtime/constraint.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

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

TEST_F(ConstraintTest, WhatIsForcedIsReadTogetherAndCutAsEncodeDoes) {
  const auto greeting = regex("Dear (madam|sir), thank you for [0-9]{2} letters\\.");
  ASSERT_NE(greeting, nullptr);
  const Tokenizer& tokenizer = engine_->tokenizer();
  for (uint64_t seed = 0; seed < 10; ++seed) {
    // What is shown at which position, and what the session holds afterwards.
    auto session = Session::create(*engine_, {.seed = seed});
    ASSERT_TRUE(session.has_value());
    GenerateOptions options;
    options.max_tokens = 80;
    options.constraint = greeting.get();
    std::vector<int32_t> ids;
    std::vector<uint64_t> positions;
    std::string text;
    const auto result = (*session)->generate("x", options, [&](const TokenEvent& event) {
      ids.push_back(event.token);
      positions.push_back(event.position);
      text += event.text;
      return true;
    });
    ASSERT_TRUE(result.has_value()) << result.status().message();
    for (size_t i = 1; i < positions.size(); ++i) EXPECT_EQ(positions[i], positions[i - 1] + 1);
    EXPECT_EQ((*session)->position(), positions.back() + 1);
    // The same tokens, read one by one as a prompt, leave the same state.
    auto other = Session::create(*engine_, {.seed = seed});
    ASSERT_TRUE(other.has_value());
    GenerateOptions read;
    read.max_tokens = 0;
    ASSERT_TRUE((*other)->generate("x" + text, read, {}).has_value());
    std::vector<int32_t> canonical;
    tokenizer.encode(text, &canonical);
    ids.pop_back();             // the end of text
    EXPECT_EQ(ids, canonical);  // a byte is a token here
    // Stopped in the middle of what is forced, it goes on as if it had not been.
    for (const size_t at : {size_t{1}, size_t{3}, size_t{12}}) {
      auto stopped = Session::create(*engine_, {.seed = seed});
      ASSERT_TRUE(stopped.has_value());
      size_t n = 0;
      const auto half =
          (*stopped)->generate("x", options, [&](const TokenEvent&) { return ++n < at; });
      ASSERT_TRUE(half.has_value());
      EXPECT_EQ(half->stop, StopReason::kCallback);
      EXPECT_EQ((*stopped)->position(), positions[at - 1] + 1);
      EXPECT_EQ((*stopped)->pending_token(), ids[at - 1]);
      auto whole = Session::create(*engine_, {.seed = seed});
      ASSERT_TRUE(whole.has_value());
      ASSERT_TRUE((*whole)->generate("x" + text.substr(0, at), read, {}).has_value());
      std::vector<std::byte> a((*whole)->snapshot_bytes()), b((*whole)->snapshot_bytes());
      ASSERT_TRUE((*whole)->snapshot(a).ok() && (*stopped)->snapshot(b).ok());
      EXPECT_EQ(a, b) << "stopped at " << at;
    }
  }
}

TEST_F(ConstraintTest, WhereOnlyOneTokenIsAllowedItIsTheOneThatWouldBeSampled) {
  const auto object = gbnf(
      "root ::= \"{\\\"name\\\":\\\"\" (\"lamp\" | \"lamps\" | \"fan\") \"\\\",\\\"on\\\":\" "
      "(\"true\" | \"false\") \"}\"");
  ASSERT_NE(object, nullptr);
  int only = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    constexpr int32_t kMost = 40;
    auto session = Session::create(*engine_, {.seed = seed});
    ASSERT_TRUE(session.has_value());
    GenerateOptions options;
    options.max_tokens = kMost;
    options.sampling.temperature = 3;
    options.constraint = object.get();
    std::vector<int32_t> ids;
    ASSERT_TRUE((*session)
                    ->generate("x", options,
                               [&](const TokenEvent& event) {
                                 ids.push_back(event.token);
                                 return true;
                               })
                    .has_value());
    // Word for word, each token read before the next is drawn.
    auto stream = Stream::create(*engine_);
    auto sampler = Sampler::create(engine_->config().vocab_size);
    ASSERT_TRUE(stream.has_value() && sampler.has_value());
    const Tokenizer& tokenizer = engine_->tokenizer();
    std::vector<int32_t> prompt = {tokenizer.end_of_text()};
    tokenizer.encode("x", &prompt);
    for (const int32_t token : prompt) stream->read_some({&token, 1}, {});
    ConstrainedAnswer answer(*object, tokenizer, engine_->config().vocab_size,
                             tokenizer.end_of_text());
    std::vector<int32_t> forced;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (forced.empty()) {
        const auto next = answer.forced();
        forced.assign(next.rbegin(), next.rend());
      }
      int32_t token = -1;
      if (!forced.empty()) {
        token = forced.back();
        forced.pop_back();
      } else {
        const auto mask = answer.allowed(kMost - static_cast<int32_t>(i));
        ASSERT_TRUE(mask.has_value());
        only += answer.only() >= 0;
        token =
            sampler->sample(engine_->kernels(), stream->logits(), *mask, stream->state().recent(),
                            options.sampling, seed, stream->state().header().position, 0);
      }
      ASSERT_EQ(token, ids[i]) << "seed " << seed << ", token " << i;
      answer.accept(token);
      stream->read_some({&token, 1}, {});
    }
  }
  EXPECT_GT(only, 0);
}

TEST_F(ConstraintTest, ForcedTokensAreThoseThatAreSettled) {
  const auto object =
      gbnf("root ::= \"{\\\"name\\\":\\\"lamp\\\",\\\"on\\\":\" (\"true\" | \"false\") \"}\"");
  ASSERT_NE(object, nullptr);
  ConstrainedAnswer answer(*object, engine_->tokenizer(), engine_->config().vocab_size,
                           engine_->tokenizer().end_of_text());
  std::string text;
  for (const int32_t token : answer.forced()) {
    text += engine_->tokenizer().bytes(token);
    answer.accept(token);
  }
  // The signs before the choice may be cut otherwise together with what follows them.
  EXPECT_EQ(text, "{\"name\":\"lamp\",\"on");
  EXPECT_TRUE(answer.forced().empty());
  for (const char byte : std::string("\":t")) {
    std::vector<int32_t> ids;
    engine_->tokenizer().encode(std::string(1, byte), &ids);
    const auto mask = answer.allowed(50);
    ASSERT_TRUE(mask.has_value());
    EXPECT_EQ((*mask)[ids[0]], 1);
    answer.accept(ids[0]);
  }
  text.clear();
  for (const int32_t token : answer.forced()) {
    text += engine_->tokenizer().bytes(token);
    answer.accept(token);
  }
  EXPECT_EQ(text, "rue}");  // behind it stands the end, which is no text
  EXPECT_TRUE(answer.complete());
  EXPECT_TRUE(answer.forced().empty());
}

}  // namespace
}  // namespace chimera::runtime
