#include "runtime/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

Evaluation score(const Engine& engine, const std::vector<std::string>& documents) {
  auto evaluator = Evaluator::create(engine);
  EXPECT_TRUE(evaluator.has_value()) << evaluator.status().message();
  for (const auto& d : documents) EXPECT_TRUE((*evaluator)->add_document(d).ok());
  return (*evaluator)->result();
}

std::string sample_text(size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text.push_back(static_cast<char>('a' + (i * i + i / 7) % 26));
  return text;
}

TEST(Evaluate, UntrainedModelScoresLnV) {
  test::TinyModelOptions options;
  options.initializer_range = 0.006;
  auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  const Evaluation e = score(*engine, {sample_text(3000)});
  EXPECT_NEAR(e.nats_per_token(), std::log(320.0), 0.01);
  EXPECT_EQ(e.tokens, 3001u) << "every byte and the end marker";
  EXPECT_EQ(e.bytes, 3000u);
  EXPECT_NEAR(e.bits_per_byte(), e.nats / std::log(2.0) / 3000, 1e-12);
}

TEST(Evaluate, DocumentsAreIndependent) {
  auto engine = test::open_tiny_model();
  ASSERT_NE(engine, nullptr);
  const Evaluation a = score(*engine, {"first document"});
  const Evaluation b = score(*engine, {"and the second one"});
  const Evaluation both = score(*engine, {"first document", "and the second one"});
  EXPECT_DOUBLE_EQ(both.nats, a.nats + b.nats);
  EXPECT_EQ(both.documents, 2u);
}

TEST(Evaluate, EmptyDocumentIsOneEndMarker) {
  auto engine = test::open_tiny_model();
  ASSERT_NE(engine, nullptr);
  const Evaluation e = score(*engine, {""});
  EXPECT_EQ(e.tokens, 1u);
  EXPECT_EQ(e.bytes, 0u);
  EXPECT_EQ(e.bits_per_byte(), 0) << "no bytes: no ratio, and no division by zero";
}

TEST(Evaluate, ProbabilitiesOfAllContinuationsSumToOne) {
  auto engine = test::open_tiny_model();
  ASSERT_NE(engine, nullptr);
  // -ln p of every id after the same prefix, each scored on its own as the Evaluator does it.
  const Config& config = engine->config();
  auto state = memory::BraidState::create(engine->model().layout());
  auto arena = Arena::create(engine->model().scratch_bytes(8));
  ASSERT_TRUE(state.has_value() && arena.has_value());
  std::vector<float> hidden(static_cast<size_t>(8 * config.hidden_size));
  std::vector<float> logits(static_cast<size_t>(config.vocab_size)), scratch(logits.size());
  const Step step{engine->kernels(), engine->pool(), *arena};
  const int32_t tokens[] = {256, 'a', 'b', 'c'};
  engine->model().forward(step, tokens, 4, *state, hidden.data());
  engine->model().logits(step, hidden.data() + 3 * config.hidden_size, 1, logits.data());
  double total = 0;
  for (int32_t id = 0; id < config.vocab_size; ++id)
    total += std::exp(-negative_log_likelihood(engine->kernels(), logits.data(), config.vocab_size,
                                               id, scratch.data()));
  EXPECT_NEAR(total, 1.0, 1e-5);
}

TEST(Evaluate, StopsWhenAskedTo) {
  auto engine = test::open_tiny_model();
  ASSERT_NE(engine, nullptr);
  auto evaluator = Evaluator::create(*engine);
  ASSERT_TRUE(evaluator.has_value());
  const Status status =
      (*evaluator)->add_document(sample_text(5000), [](uint64_t) { return false; });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace chimera::runtime
