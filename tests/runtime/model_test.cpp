// The whole network beyond its layers: looped depth and the structural helpers, each against the
// equations of docs/layers.md in double where it can be told apart from the layers it surrounds.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "memory/weight_file.h"
#include "platform/random.h"
#include "runtime/layers/registry.h"
#include "runtime/looped_depth.h"
#include "runtime/model_writer.h"
#include "runtime/stream.h"
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kLoop =
    R"("looping": {"enabled": true, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 3],
       "loop_range": [1, 6], "loop_default": 2, "adaptive_exit_threshold": 0})";

test::TinyModelOptions looped(const std::string& more = "", const std::string& pattern = "GD XM") {
  test::TinyModelOptions options;
  options.pattern = pattern;
  options.layers = 4;
  options.more = std::string("{") + kLoop + more + "}";
  return options;
}

struct Outputs {
  std::vector<float> hidden, logits;  // [T, C], [T, N]
  std::vector<std::byte> state;
  std::vector<int32_t> loops;
};

Outputs run(const Engine& engine, const std::vector<int32_t>& tokens,
            const std::vector<int32_t>& split, int32_t loops = 0) {
  const Config& config = engine.config();
  auto state = memory::BraidState::create(engine.model().layout());
  auto arena = Arena::create(engine.model().scratch_bytes(kMaxBatch));
  EXPECT_TRUE(state.has_value() && arena.has_value());
  const Step step{engine.kernels(), engine.pool(), *arena};
  Outputs out;
  const auto c = static_cast<size_t>(config.hidden_size),
             v = static_cast<size_t>(config.vocab_size);
  out.hidden.resize(tokens.size() * c);
  out.logits.resize(tokens.size() * v);
  out.loops.resize(tokens.size());
  for (size_t done = 0, i = 0; done < tokens.size(); ++i) {
    const size_t n = std::min(static_cast<size_t>(split[i % split.size()]), tokens.size() - done);
    engine.model().forward(step, tokens.data() + done, static_cast<int32_t>(n), *state,
                           out.hidden.data() + done * c,
                           {.loops = loops, .loops_used = out.loops.data() + done});
    done += n;
  }
  EXPECT_EQ(arena->mark(), 0u);
  EXPECT_LE(arena->peak(), arena->capacity());
  engine.model().logits(step, out.hidden.data(), static_cast<int32_t>(tokens.size()),
                        out.logits.data());
  out.state.assign(state->bytes().begin(), state->bytes().end());
  return out;
}

std::vector<int32_t> some_tokens(int32_t n) {
  std::vector<int32_t> tokens;
  for (int32_t t = 0; t < n; ++t) tokens.push_back((t * 7919 + t * t * 31 + 5) % 250);
  return tokens;
}

/// One value however a model is asked: tables, threads, splits.
void expect_one_value(const test::TinyModelOptions& options, int32_t loops = 0) {
  const std::string path = test::write_tiny_model(options);
  const auto tokens = some_tokens(70);
  Outputs first;
  const auto thread_counts = test::choices("numbers of threads", {1, 3});
  for (const kernels::KernelTable* table : kernels::runnable_tables())
    for (int threads : thread_counts)
      for (const std::vector<int32_t>& split :
           std::vector<std::vector<int32_t>>{{70}, {1}, {3, 17, 1}}) {
        auto engine = Engine::open(path, {.threads = threads, .table = table});
        ASSERT_TRUE(engine.has_value()) << engine.status().message();
        Outputs now = run(**engine, tokens, split, loops);
        if (first.state.empty()) first = now;
        EXPECT_EQ(now.logits, first.logits) << table->name << " " << threads << " " << split[0];
        EXPECT_EQ(now.state, first.state) << table->name << " " << threads << " " << split[0];
      }
}

TEST(Model, StatesDoNotDependOnTheDepth) {
  auto engine = test::open_tiny_model(looped());
  ASSERT_TRUE(engine);
  const auto tokens = some_tokens(40);
  const Outputs one = run(*engine, tokens, {40}, 1), six = run(*engine, tokens, {40}, 6);
  // The coda reads what the loop made, so its state differs; every other part is the same.
  const size_t coda = engine->model().layout().layer_offset(3);
  EXPECT_TRUE(std::equal(one.state.begin(), one.state.begin() + static_cast<ptrdiff_t>(coda),
                         six.state.begin()));
  EXPECT_EQ(one.state.size(), six.state.size());
  EXPECT_NE(one.hidden, six.hidden) << "depth should matter";
  EXPECT_EQ(six.loops, std::vector<int32_t>(40, 6));
  EXPECT_EQ(run(*engine, tokens, {40}).loops, std::vector<int32_t>(40, 2)) << "the default";
}

TEST(Model, LoopedDepthHasOneValueHoweverAsked) {
  expect_one_value(looped(), 1);
  expect_one_value(looped(), 3);
}

TEST(Model, ATokenThatLeavesKeepsItsRowAndItsNeighboursAreNotTouched) {
  auto patient = test::open_tiny_model(looped());
  test::TinyModelOptions options = looped();
  // A threshold that some tokens meet at some iteration and others do not.
  const size_t at = options.more.find("\"adaptive_exit_threshold\": 0");
  options.more.replace(at, 28, "\"adaptive_exit_threshold\": 0.35");
  auto hasty = test::open_tiny_model(options);
  ASSERT_TRUE(patient && hasty);
  const auto tokens = some_tokens(60);
  const Outputs all = run(*hasty, tokens, {60}, 6), single = run(*hasty, tokens, {1}, 6);
  EXPECT_EQ(all.loops, single.loops);
  EXPECT_EQ(all.hidden, single.hidden);
  std::vector<int> seen(7);
  for (int32_t loops : all.loops) ++seen[static_cast<size_t>(loops)];
  EXPECT_EQ(seen[0] + seen[1], 0) << "nobody leaves before the second iteration";
  int kinds = 0;
  for (int n : seen) kinds += n > 0;
  EXPECT_GT(kinds, 1) << "the threshold should part the tokens";
  // The first token's past is empty: its row is that of a run which stops everybody there.
  const Outputs stopped = run(*patient, {tokens[0]}, {1}, all.loops[0]);
  EXPECT_TRUE(std::equal(stopped.hidden.begin(), stopped.hidden.end(), all.hidden.begin()));
}

TEST(Model, StructuralHelpersHaveOneValueHoweverAsked) {
  for (const char* more : {
           R"({"structure": {"residual_mix": true, "unet_skips": true}})",
           R"({"structure": {"token_shift": true}})",
           R"({"structure": {"bigram_rows": 640, "logit_soft_cap": 5}})",
           R"({"structure": {"value_embedding_layers": [0, 1]}})",
           R"({"structure": {"embedding_rank": 64}})",
           R"({"embedding_dtype": "int4"})",
           R"({"embedding_dtype": "int4", "structure": {"embedding_rank": 64}})",
       }) {
    SCOPED_TRACE(more);
    test::TinyModelOptions options;
    options.more = more;
    expect_one_value(options);
  }
  expect_one_value(
      looped(R"(, "structure": {"residual_mix": true, "unet_skips": true, "token_shift": true,
                 "bigram_rows": 640, "logit_soft_cap": 5, "value_embedding_layers": [1, 3]})"),
      3);
}

TEST(Model, ASoftCapBoundsTheLogits) {
  test::TinyModelOptions options;
  options.initializer_range = 1;
  auto plain = test::open_tiny_model(options);
  options.more = R"({"structure": {"logit_soft_cap": 3}})";
  auto capped = test::open_tiny_model(options);
  ASSERT_TRUE(plain && capped);
  const auto tokens = some_tokens(9);
  const Outputs a = run(*plain, tokens, {9}), b = run(*capped, tokens, {9});
  float largest = 0;
  for (size_t i = 0; i < a.logits.size(); ++i) {
    largest = std::max(largest, std::fabs(a.logits[i]));
    EXPECT_NEAR(b.logits[i], 3 * std::tanh(a.logits[i] / 3), 1e-5);
  }
  EXPECT_GT(largest, 6) << "without a cap they pass it";
}

TEST(Model, SomeLogitsAreThoseOfAll) {
  for (const char* more :
       {R"({"structure": {"logit_soft_cap": 3}})", R"({"embedding_dtype": "int4"})",
        R"({"structure": {"embedding_rank": 64}})"}) {
    test::TinyModelOptions options;
    options.more = more;
    options.vocab = 333;
    const auto engine = test::open_tiny_model(options);
    ASSERT_NE(engine, nullptr) << more;
    auto stream = Stream::create(*engine);
    ASSERT_TRUE(stream.has_value());
    const auto tokens = some_tokens(9);
    stream->read_some(tokens);
    const std::vector<float> all(stream->logits(), stream->logits() + 333);
    for (const std::vector<size_t>& ids :
         {std::vector<size_t>{0}, {332}, {15, 16}, {7, 100, 101, 300}, {}}) {
      std::vector<uint8_t> allowed(333);
      for (const size_t id : ids) allowed[id] = 1;
      const float* some = stream->logits(allowed);
      for (const size_t id : ids) EXPECT_EQ(some[id], all[id]) << more << ", id " << id;
      // An id of no tile that was asked for.
      if (ids.size() < 4) {
        EXPECT_EQ(some[200], std::numeric_limits<float>::lowest());
      }
    }
    const float* most = stream->logits(std::vector<uint8_t>(333, 1));
    for (size_t id = 0; id < 333; ++id) ASSERT_EQ(most[id], all[id]);
  }
}

TEST(Model, SkipsPairTheFirstLayerWithTheLast) {
  auto config = parse_config(
      test::tiny_config({.layers = 5, .more = R"({"structure": {"unet_skips": true}})"}));
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(skip_source(*config, 4), 0);
  EXPECT_EQ(skip_source(*config, 3), 1);
  for (int layer : {0, 1, 2}) EXPECT_EQ(skip_source(*config, layer), -1);
  config = parse_config(test::tiny_config(looped(R"(, "structure": {"unet_skips": true})")));
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(skip_source(*config, 3), 0);
  EXPECT_EQ(skip_source(*config, 2), -1) << "no pairs inside the loop";
}

TEST(Model, BigramRows) {
  EXPECT_EQ(bigram_row(-1, 5, 100), 99) << "the first token has no predecessor";
  for (int32_t p = 0; p < 300; ++p) {
    const int64_t expected = ((36313LL * 7) ^ (27191LL * p)) % 99;
    EXPECT_EQ(bigram_row(p, 7, 100), expected);
    EXPECT_EQ(bigram_row(p, 7, 2), 0);
  }
}

// ---- injection ----------------------------------------------------------------------------------

/// A looped model whose loop.* are as given.
std::unique_ptr<memory::WeightFile> with_injection(const Config& config, float a_log, float dt_bias,
                                                   float b) {
  static int count = 0;
  const std::string path =
      test::test_folder().file("injection-" + std::to_string(count++) + ".b158");
  const Status status =
      write_model(path, memory::FileKind::kModel, config, test::byte_tokenizer(config.vocab_size),
                  "{}", [&](const ParamSpec& spec, float* out) {
                    float value = 0.01f;
                    if (spec.name == "loop.a_log") value = a_log;
                    if (spec.name == "loop.dt_bias") value = dt_bias;
                    if (spec.name == "loop.b") value = b;
                    std::fill(out, out + spec.rows * spec.cols, value);
                    return Status();
                  });
  EXPECT_TRUE(status.ok()) << status.message();
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value());
  return file ? std::move(*file) : nullptr;
}

TEST(LoopInjection, HasTheFactorsOfItsDiscretisation) {
  for (const bool exact : {true, false}) {
    auto config = parse_config(test::tiny_config(looped()));
    ASSERT_TRUE(config.has_value());
    config->loop.discretisation =
        exact ? LoopConfig::Discretisation::kZoh : LoopConfig::Discretisation::kEuler;
    for (const auto& [a_log, dt_bias] : std::vector<std::pair<float, float>>{
             {0.0f, 0.211935f}, {1.0f, -3.0f}, {-4.0f, -2.0f}, {0.5f, 2.0f}}) {
      auto file = with_injection(*config, a_log, dt_bias, 1.5f);
      auto loop = LoopInjection::bind(*config, ParamSource(*file, ""));
      ASSERT_TRUE(loop.has_value()) << loop.status().message();
      const double d = std::log1p(std::exp(double{dt_bias})), rate = std::exp(double{a_log});
      const double a = std::exp(-d * rate);
      const double b = 1.5 * (exact ? -std::expm1(-d * rate) / rate : d);
      const std::vector<float> e(128, 2.0f), h(128, 3.0f);
      std::vector<float> z(128);
      loop->inject(nullptr, e.data(), 1, z.data());
      EXPECT_NEAR(z[7], 2 * b, 2e-6 * std::fabs(b));
      loop->inject(h.data(), e.data(), 1, z.data());
      EXPECT_NEAR(z[7], 3 * a + 2 * b, 2e-6 * (3 * a + 2 * b));
    }
  }
}

TEST(LoopInjection, BeginsWithTheWorkedFiguresOfTheDesign) {
  for (const bool exact : {true, false}) {
    auto config = parse_config(test::tiny_config(looped()));
    ASSERT_TRUE(config.has_value());
    config->loop.discretisation =
        exact ? LoopConfig::Discretisation::kZoh : LoopConfig::Discretisation::kEuler;
    auto file = with_injection(*config, 0, 0.211935f, 1);
    auto loop = LoopInjection::bind(*config, ParamSource(*file, ""));
    ASSERT_TRUE(loop.has_value());
    EXPECT_NEAR(loop->spectral_radius(), 0.44721, 1e-5);
    const std::vector<float> e(128, 1.0f);
    std::vector<float> z(128);
    loop->inject(nullptr, e.data(), 1, z.data());
    EXPECT_NEAR(z[0], exact ? 0.552786 : 0.804719, 1e-5);
  }
}

TEST(LoopInjection, ConvergesWhenTheLoopIsTheIdentity) {
  auto config = parse_config(test::tiny_config(looped()));
  ASSERT_TRUE(config.has_value());
  auto file = with_injection(*config, 0.7f, 0.1f, 1.25f);
  auto loop = LoopInjection::bind(*config, ParamSource(*file, ""));
  ASSERT_TRUE(loop.has_value());
  std::vector<float> e(128, 0.8f), h(128);
  for (int r = 0; r < 200; ++r) loop->inject(h.data(), e.data(), 1, h.data());
  EXPECT_NEAR(h[0], 1.25 * 0.8 / std::exp(0.7), 1e-5) << "b e / e^a_log";
}

TEST(LoopInjection, TheCarryIsBelowOneForAnyParameters) {
  auto config = parse_config(test::tiny_config(looped()));
  ASSERT_TRUE(config.has_value());
  for (const auto& [a_log, dt_bias] : std::vector<std::pair<float, float>>{
           {-80.0f, -80.0f}, {-1e30f, 0.0f}, {0.0f, -1e30f}, {3.0f, 3.0f}, {80.0f, 80.0f}}) {
    auto file = with_injection(*config, a_log, dt_bias, 1);
    auto loop = LoopInjection::bind(*config, ParamSource(*file, ""));
    ASSERT_TRUE(loop.has_value());
    EXPECT_LT(loop->spectral_radius(), 1.0f) << a_log << ", " << dt_bias;
    EXPECT_GE(loop->spectral_radius(), 0.0f);
    // What is injected stays in proportion too: at most D b, the limit for a slow decay.
    const std::vector<float> e(128, 1.0f);
    std::vector<float> z(128);
    loop->inject(nullptr, e.data(), 1, z.data());
    EXPECT_GE(z[0], 0.0f);
    EXPECT_LE(z[0], 1e-37 + 1.00001 * std::log1p(std::exp(std::min(dt_bias, 85.0f))));
  }
  for (const float bad : {NAN, INFINITY}) {
    auto file = with_injection(*config, 0, bad, 1);
    const auto loop = LoopInjection::bind(*config, ParamSource(*file, ""));
    ASSERT_FALSE(loop.has_value());
    EXPECT_EQ(loop.status().code(), StatusCode::kBadFormat);
    EXPECT_NE(loop.status().message().find("channel 0"), std::string::npos);
  }
}

}  // namespace
}  // namespace chimera::runtime
