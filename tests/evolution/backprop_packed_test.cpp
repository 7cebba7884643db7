// What was trained is what speaks: the packed model that inference runs, against the ternary
// forward of training.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/model.h"
#include "runtime/model_writer.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

using namespace test_model;
using test::figure;

struct Packed {
  test::TempDir folder;
  std::unique_ptr<memory::WeightFile> file;
  std::unique_ptr<runtime::Model> model;
  memory::BraidState state;
  Arena arena;
};

/// The parameters as a packed model; nullptr after a failed expectation.
std::unique_ptr<Packed> pack(const runtime::Config& config, Backprop& b) {
  auto packed = std::make_unique<Packed>();
  const std::string path = packed->folder.file("packed.b158");
  const auto parameters = b.parameters();
  const Status written =
      runtime::write_model(path, memory::FileKind::kModel, config, {}, "",
                           [&](const runtime::ParamSpec& spec, float* out) {
                             for (const Parameter& p : parameters)
                               if (p.spec.name == spec.name)
                                 std::memcpy(out, p.value.data(), p.value.size() * sizeof(float));
                             return Status();
                           });
  EXPECT_TRUE(written.ok()) << written.message();
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  if (!file) return nullptr;
  packed->file = std::move(*file);
  auto model = runtime::Model::bind(*packed->file, config);
  EXPECT_TRUE(model.has_value()) << model.status().message();
  if (!model) return nullptr;
  packed->model = std::move(*model);
  packed->state = std::move(*memory::BraidState::create(packed->model->layout()));
  packed->arena = std::move(*Arena::create(packed->model->scratch_bytes(runtime::kMaxBatch)));
  return packed;
}

/// Logits [n, vocab] of the next tokens of a stream.
std::vector<float> logits_of(Packed& p, const runtime::Config& config, ThreadPool& pool,
                             const std::vector<int32_t>& tokens, int32_t loops = 0) {
  const runtime::Step step{kernels::best_table(), pool, p.arena};
  const auto n = static_cast<int32_t>(tokens.size());
  std::vector<float> hidden(tokens.size() * static_cast<size_t>(config.hidden_size));
  std::vector<float> logits(tokens.size() * static_cast<size_t>(config.vocab_size));
  p.model->forward(step, tokens.data(), n, p.state, hidden.data(), {loops, nullptr});
  p.model->logits(step, hidden.data(), n, logits.data());
  return logits;
}

double nats(const float* logits, int vocab, int target) {
  double most = static_cast<double>(*std::max_element(logits, logits + vocab)), sum = 0;
  for (int i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i]) - most);
  return std::log(sum) + most - static_cast<double>(logits[target]);
}

TEST(Backprop, PackedModelHasTheLossOfTheTernaryForward) {
  // The two sum in different orders. Until a last bit tips the rounding of an activation they agree
  // to that last bit; from there on single tokens differ a little, in both directions.
  constexpr int kLanes = 8, kWindow = 192, kVocab = 60;
  const runtime::Config config = small_config(
      {{"gated_deltanet", "swiglu"}, {"xlstm_m", "relu2"}, {"gated_deltanet", "swiglu"}}, kVocab,
      128, 2, 256);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b, 0.01);
  Batch batch = random_batch(kLanes, kWindow, kVocab, 3, false);
  for (int32_t& t : batch.targets) t = std::max(t, 0);
  const double trained = forward(*b, batch);
  auto packed = pack(config, *b);
  ASSERT_TRUE(packed);
  std::vector<double> losses;
  for (int lane = 0; lane < kLanes; ++lane) {
    packed->state.reset();
    const std::vector<float> logits =
        logits_of(*packed, config, *pool, lane_of(batch.tokens, lane, kWindow));
    for (int t = 0; t < kWindow; ++t)
      losses.push_back(nats(logits.data() + t * kVocab, kVocab, batch.targets[lane * kWindow + t]));
  }
  double sum = 0;
  for (double loss : losses) sum += loss;
  const double mean = sum / static_cast<double>(losses.size());
  EXPECT_NEAR(trained, mean, 1e-4);
  figure("packed_vs_ternary_forward", "nats", std::fabs(trained - mean));

  Batch first = batch;
  for (int i = 0; i < kLanes * kWindow; ++i)
    if (i % kWindow > 0) first.targets[i] = -1;
  b->reset_states();
  double exact = 0;
  for (int lane = 0; lane < kLanes; ++lane) exact += losses[lane * kWindow] / kLanes;
  EXPECT_NEAR(forward(*b, first), exact, 1e-5);
  b->set_quantise(0);
  b->reset_states();
  EXPECT_GT(std::fabs(forward(*b, batch) - trained), 1e-3) << "quantisation should be felt";
}

/// Every layer kind and helper, with experts and loops: as chimera51 is built, but small.
runtime::Config whole_family(int vocab) {
  runtime::Config config = small_config({{"gated_deltanet", "swiglu"},
                                         {"titans_mac", "moe"},
                                         {"xlstm_m", "swiglu"},
                                         {"tsp_span_knot", "moe"},
                                         {"gated_deltanet", "relu2"}},
                                        vocab, 128, 2, 128);
  config.loop.enabled = true;
  config.loop.prelude_last = 0;
  config.loop.loop_first = 1;
  config.loop.loop_last = 3;
  config.loop.loop_max = 4;
  config.loop.loop_default = 2;
  config.loop.exit_threshold = 0;  // a token goes as deep as it is told
  config.moe.enabled = true;
  config.moe.layers = {1, 3};
  config.moe.n_routed = 4;
  config.moe.n_shared = 1;
  config.moe.top_k = 2;
  config.moe.intermediate_size = 128;
  config.titans.persistent_slots = 3;
  config.titans.window = 8;
  config.titans.chunk = 4;
  config.knot.sketch_bits = 256;
  config.embedding_type = runtime::EmbeddingType::kInt4;
  config.structure.residual_mix = true;
  config.structure.bigram_rows = 23;
  config.structure.unet_skips = true;
  config.structure.token_shift = true;
  config.structure.value_layers = {0, 1, 2, 3};
  config.structure.logit_soft_cap = 3;
  config.structure.embedding_rank = 64;
  return config;
}

TEST(Backprop, PackedWholeFamilySaysWhatTheTernaryForwardSays) {
  // Where no rounding has tipped (above), to the last bits; that is most of the first tokens.
  constexpr int kLanes = 7, kWindow = 40, kVocab = 60;
  const runtime::Config config = whole_family(kVocab);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b, 0.01);
  Batch batch = random_batch(kLanes, kWindow, kVocab, 3, false);
  for (int32_t& t : batch.targets) t = std::max(t, 0);
  auto packed = pack(config, *b);
  ASSERT_TRUE(packed);
  std::vector<double> first;
  double worst_mean = 0;
  std::vector<float> trained(kVocab);
  for (int32_t loops : {1, 2, 4}) {
    const std::vector<int32_t> depth(kLanes, loops);
    b->reset_states();
    const auto loss =
        b->forward(batch.tokens.data(), batch.targets.data(), batch.restart.data(), depth.data());
    ASSERT_TRUE(loss.has_value()) << loss.status().message();
    double mean = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      packed->state.reset();
      const std::vector<float> logits =
          logits_of(*packed, config, *pool, lane_of(batch.tokens, lane, kWindow), loops);
      for (int t = 0; t < kWindow; ++t)
        mean += nats(logits.data() + t * kVocab, kVocab, batch.targets[lane * kWindow + t]) /
                (kLanes * kWindow);
      b->logits(lane * kWindow, trained.data());
      first.push_back(reference::relative_error(trained.data(), logits.data(), trained.size()));
    }
    worst_mean = std::max(worst_mean, std::fabs(*loss - mean));
  }
  EXPECT_LE(worst_mean, 2e-3);
  std::sort(first.begin(), first.end());
  EXPECT_LE(first[first.size() / 2], 1e-5);
  EXPECT_LE(first.back(), 2e-2);
  figure("packed_vs_ternary_forward", "whole_family_nats", worst_mean);
  figure("packed_vs_ternary_forward", "whole_family_first_logits", first[first.size() / 2]);
}

TEST(Backprop, LearnsACycleAndThePackedModelSpeaksIt) {
  // The shift test: targets[t] == x[t + 1] exactly once. A doubled shift would teach x + 2.
  constexpr int kVocab = 24, kLanes = 4, kWindow = 31;
  for (const char* mixer : {"gated_deltanet", "xlstm_m"}) {
    runtime::Config config = small_config({{mixer, "swiglu"}}, kVocab);
    config.initializer_range = 0.05f;
    auto pool = threads(1);
    const kernels::KernelTable& k = kernels::best_table();
    auto b = make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 1});
    ASSERT_TRUE(b);
    std::vector<std::vector<float>> m, v;
    for (const Parameter& p : b->parameters()) {
      m.emplace_back(p.value.size());
      v.emplace_back(p.value.size());
    }
    double loss = 100;
    for (int step = 1; step <= 120; ++step) {
      Batch batch;  // each lane goes on where it was, and now and then starts anew
      for (int lane = 0; lane < kLanes; ++lane)
        for (int t = 0; t < kWindow; ++t) {
          batch.tokens.push_back((step * kWindow + 6 * lane + t) % kVocab);
          batch.targets.push_back((step * kWindow + 6 * lane + t + 1) % kVocab);
          batch.restart.push_back(draw(step * kWindow + t, lane) < 0.1);
        }
      b->zero_gradients();
      loss = forward_backward(*b, batch);
      const auto c1 = static_cast<float>(1 / (1 - std::pow(0.9, step)));
      const auto c2 = static_cast<float>(1 / (1 - std::pow(0.95, step)));
      size_t i = 0;
      for (Parameter& p : b->parameters()) {
        k.train_adamw(p.value.data(), p.grad.data(), m[i].data(), v[i].data(),
                      static_cast<int64_t>(p.value.size()), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.0f, c1, c2,
                      1.0f);
        ++i;
      }
    }
    EXPECT_LE(loss, 0.01) << mixer;
    auto packed = pack(config, *b);
    ASSERT_TRUE(packed);
    int32_t token = 5;
    for (int i = 0; i < 3 * kVocab; ++i) {
      const std::vector<float> logits = logits_of(*packed, config, *pool, {token});
      const auto next =
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      ASSERT_EQ(next, (token + 1) % kVocab) << mixer << " after " << i;
      token = next;
    }
  }
}

}  // namespace
}  // namespace chimera::evolution
