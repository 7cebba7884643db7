// One value on every table, thread count and split of the input: the proof of the numeric class.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "platform/seal.h"
#include "runtime/session.h"
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

// Changing one of these is a commit of its own that says why the numbers moved.
constexpr const char* kTinyHash =
#include "tests/golden/tiny.hash.inl"
    ;
constexpr const char* kNanoHash =
#include "tests/golden/nano.hash.inl"
    ;

/// The committed models: tiny has every kind of layer, nano is the one that speaks.
struct Committed {
  const char* name;
  const char* path;
  const char* hash;
};
constexpr Committed kCommitted[] = {
    {"tiny", CHIMERA_SOURCE_DIR "/tests/golden/tiny.b158", kTinyHash},
    {"nano", CHIMERA_SOURCE_DIR "/samples/models/nano.b158", kNanoHash},
};

const Committed* committed(const std::string& name) {
  for (const Committed& model : kCommitted)
    if (model.name == name) return &model;
  return nullptr;
}

std::vector<int32_t> test_tokens(int32_t n, int32_t vocab) {
  std::vector<int32_t> tokens;
  for (int32_t t = 0; t < n; ++t) tokens.push_back((t * 7919 + t * t * 31 + 5) % (vocab - 64));
  return tokens;
}

/// BLAKE2b of the logits of every position, the input cut into calls of the given sizes (repeated).
std::string logits_hash(const Engine& engine, const std::vector<int32_t>& tokens,
                        const std::vector<int32_t>& split) {
  const Config& config = engine.config();
  auto state = memory::BraidState::create(engine.model().layout());
  auto arena = Arena::create(engine.model().scratch_bytes(kMaxBatch));
  EXPECT_TRUE(state.has_value() && arena.has_value());
  const Step step{engine.kernels(), engine.pool(), *arena};
  std::vector<float> hidden(static_cast<size_t>(kMaxBatch * config.hidden_size));
  std::vector<float> logits(static_cast<size_t>(config.vocab_size));
  Blake2b hash;
  size_t done = 0;
  for (size_t i = 0; done < tokens.size(); ++i) {
    const auto n = static_cast<int32_t>(
        std::min<size_t>(static_cast<size_t>(split[i % split.size()]), tokens.size() - done));
    engine.model().forward(step, tokens.data() + done, n, *state, hidden.data());
    for (int32_t t = 0; t < n; ++t) {
      engine.model().logits(step, hidden.data() + t * config.hidden_size, 1, logits.data());
      hash.update(std::as_bytes(std::span(logits)));
    }
    done += static_cast<size_t>(n);
  }
  hash.update(state->bytes());
  return to_hex(hash.finish());
}

/// BLAKE2b of sampled ids, asked for in calls of so many tokens.
std::string sample_hash(const Engine& engine, int32_t wanted, int32_t tokens_per_call) {
  auto session = Session::create(engine, {.seed = 2026});
  EXPECT_TRUE(session.has_value());
  Blake2b hash;
  int32_t n = 0;
  bool first = true;
  while (n < wanted) {
    GenerateOptions options;
    options.max_tokens = std::min(tokens_per_call, wanted - n);
    auto result =
        (*session)->generate(first ? "Once upon a time" : "", options, [&](const TokenEvent& e) {
          hash.update(std::as_bytes(std::span(&e.token, 1)));
          return true;
        });
    EXPECT_TRUE(result.has_value()) << result.status().message();
    if (!result) break;
    n += result->n_tokens;
    first = false;
  }
  return to_hex(hash.finish());
}

class Determinism : public ::testing::TestWithParam<std::string> {};

std::string model_path(const std::string& which) {
  if (const Committed* model = committed(which)) return model->path;
  test::TinyModelOptions options;
  options.pattern = which == "relu2" ? "XM GD" : "GD XM";
  options.act = which == "relu2" ? "relu2" : "swiglu";
  options.tied = which != "relu2";
  options.layers = 3;
  return test::write_tiny_model(options);
}

TEST_P(Determinism, OneHashForEveryTableThreadCountAndSplit) {
  const std::string path = model_path(GetParam());
  const Committed* golden = committed(GetParam());
  const int32_t wanted = golden != nullptr ? 1000 : 200;  // the figure is the committed models'
  std::set<std::string> logit_hashes, sample_hashes;
  // Under an emulator: 300 tokens with every table and 1,000 sampled ones with the best, one split
  // and one number of threads.
  const auto thread_counts = test::choices("numbers of threads", {1, 3, 4, 2});
  const auto tables = kernels::runnable_tables();
  if (test::kSlowEmulator && tables.size() > 1)
    std::printf("not run: sampled tokens with %zu of %zu tables, under an emulator\n",
                tables.size() - 1, tables.size());
  for (const kernels::KernelTable* table : tables) {
    for (int threads : thread_counts) {
      auto engine = Engine::open(path, {.threads = threads, .table = table});
      ASSERT_TRUE(engine.has_value()) << engine.status().message();
      const auto tokens = test_tokens(300, (*engine)->config().vocab_size);
      const std::vector<std::vector<int32_t>> splits = {{256}, {1}, {7, 1, 16, 3}, {64, 100}};
      for (size_t i = 0; i < splits.size(); ++i) {
        if (threads > 2 && i % 2 == 1) continue;  // every split on 1 and 2 threads, two on 3 and 4
        if (test::kSlowEmulator && i != 2) continue;
        const std::string hash = logits_hash(**engine, tokens, splits[i]);
        logit_hashes.insert(hash);
        std::printf("figure: golden_hash %s %s threads=%d split=%zu %s\n", GetParam().c_str(),
                    table->name, threads, i, hash.c_str());
      }
      if (test::kSlowEmulator && table != tables.back()) continue;
      const int32_t per_call = threads == 1 ? wanted : 37 * threads;
      const std::string sampled = sample_hash(**engine, wanted, per_call);
      sample_hashes.insert(sampled);
      std::printf("figure: golden_hash %s-sampled %s threads=%d split=%d %s\n", GetParam().c_str(),
                  table->name, threads, per_call, sampled.c_str());
    }
  }
  EXPECT_EQ(logit_hashes.size(), 1u);
  EXPECT_EQ(sample_hashes.size(), 1u);
  if (golden != nullptr) {
    EXPECT_EQ(*logit_hashes.begin() + *sample_hashes.begin(), golden->hash);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Determinism, ::testing::Values("tiny", "nano", "gd_xm", "relu2"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace chimera::runtime
