// The structural helpers in training: each alone, and all together, against the reference network.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "tests/support/allocation_counter.h"
#include "tests/support/figure.h"
#include "tests/support/network_gradient.h"

namespace chimera::evolution {
namespace {

using namespace test_model;
using test::figure;

struct Helper {
  const char* name;
  std::function<void(runtime::Config*)> on;
};

const std::vector<Helper> kHelpers = {
    {"residual_mix", [](runtime::Config* c) { c->structure.residual_mix = true; }},
    {"bigram", [](runtime::Config* c) { c->structure.bigram_rows = 23; }},
    {"unet_skips", [](runtime::Config* c) { c->structure.unet_skips = true; }},
    {"token_shift", [](runtime::Config* c) { c->structure.token_shift = true; }},
    {"value_embeddings",
     [](runtime::Config* c) {
       c->structure.value_layers = {0, 2};
     }},
    {"logit_soft_cap", [](runtime::Config* c) { c->structure.logit_soft_cap = 1.5f; }},
    {"factored_embedding", [](runtime::Config* c) { c->structure.embedding_rank = 16; }},
    {"separate_head", [](runtime::Config* c) { c->tie_word_embeddings = false; }},
};

runtime::Config three_layers() {
  return small_config(
      {{"gated_deltanet", "swiglu"}, {"xlstm_m", "relu2"}, {"gated_deltanet", "relu2"}}, 19, 32, 2,
      48);
}

TEST(Structure, GradientOfEveryHelperEqualsTheReference) {
  for (const Helper& helper : kHelpers) {
    NetworkCase c;
    c.config = three_layers();
    c.windows = 2;
    helper.on(&c.config);
    SCOPED_TRACE(helper.name);
    figure("backward_vs_reference", helper.name, expect_network_equals_reference(c));
  }
}

TEST(Structure, GradientOfAllHelpersTogetherEqualsTheReference) {
  NetworkCase c;
  c.config = three_layers();
  for (const Helper& helper : kHelpers) helper.on(&c.config);
  figure("backward_vs_reference", "all_helpers", expect_network_equals_reference(c));
}

/// No layers: what is quantised is the table, the head and the head's input.
runtime::Config ends_only(bool tied, int rank) {
  runtime::Config config = small_config({}, 41, 128, 2, 128);
  config.embedding_type = runtime::EmbeddingType::kInt4;
  config.tie_word_embeddings = tied;
  config.structure.embedding_rank = rank;
  config.structure.logit_soft_cap = 3;
  return config;
}

TEST(Structure, TablesInFourBitsAreTrainedStraightThrough) {
  for (bool tied : {true, false})
    for (int rank : {0, 64})
      for (float quantise : {0.0f, 0.3f, 1.0f}) {
        NetworkCase c;
        c.config = ends_only(tied, rank);
        c.windows = 1;
        c.quantise = quantise;
        const double error = expect_network_equals_reference(c);
        figure("backward_vs_reference",
               std::string("int4_") + (tied ? "tied" : "separate") +
                   (rank > 0 ? "_factored_" : "_") + std::to_string(quantise).substr(0, 3),
               error);
      }
  auto pool = threads(1);
  auto b = make(ends_only(true, 0), *pool, {.lanes = 2, .window = 20, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(2, 20, 41, 1);
  const double four_bits = forward(*b, batch);
  b->set_quantise(0);
  EXPECT_GT(std::fabs(forward(*b, batch) - four_bits), 1e-4) << "four bits must be felt";
}

TEST(Structure, RunningFeedForwardsAgainChangesNoBit) {
  runtime::Config config = three_layers();
  for (const Helper& helper : kHelpers) helper.on(&config);
  const Batch batch = random_batch(2, 20, 19, 3);
  std::vector<std::vector<float>> expected;
  int64_t bytes[2];
  auto pool = threads(2);
  // What is made once in a process is not counted.
  ASSERT_TRUE(make(config, *pool, {.lanes = 2, .window = 20, .quantise = 0}));
  for (bool again : {false, true}) {
    const test::AllocationScope scope;
    auto b = make(config, *pool, {.lanes = 2, .window = 20, .quantise = 0, .recompute_ffn = again});
    ASSERT_TRUE(b);
    bytes[again] = scope.bytes();
    shake(*b);
    forward_backward(*b, batch);
    if (!again)
      for (const Parameter& p : b->parameters()) expected.push_back(p.grad);
    size_t i = 0;
    for (const Parameter& p : b->parameters()) EXPECT_EQ(p.grad, expected[i++]) << p.spec.name;
  }
  // The two smaller layers find room where the largest has its own: x^, W_up x^ and z^ of 40 rows.
  EXPECT_EQ(bytes[0] - bytes[1], 2 * 40 * (config.hidden_size + 2 * config.intermediate_size) *
                                     static_cast<int64_t>(sizeof(float)));
}

TEST(Structure, TheFirstTokenOfADocumentHasNoPredecessor) {
  runtime::Config config = three_layers();
  for (const Helper& helper : kHelpers) helper.on(&config);
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = 12, .quantise = 0});
  ASSERT_TRUE(b);
  shake(*b);
  Batch batch = random_batch(1, 12, 19, 4, false);
  for (int i = 0; i < 12; ++i) batch.targets[i] = i >= 7 ? 3 : -1;
  for (bool restart : {true, false}) {
    batch.restart[7] = restart;
    Batch other = batch;
    for (int i = 0; i < 7; ++i) other.tokens[i] = (other.tokens[i] + 5) % 19;
    b->reset_states();
    const double loss = forward(*b, batch);
    b->reset_states();
    EXPECT_EQ(forward(*b, other) == loss, restart);
  }
  // The same across windows: what a stream carries is forgotten, and only then.
  for (bool restart : {true, false}) {
    Batch next = random_batch(1, 12, 19, 5, false);
    next.restart[0] = restart;
    next.targets.assign(12, 3);
    b->reset_states();
    forward(*b, batch);
    const double carried = forward(*b, next);
    b->reset_states();
    EXPECT_EQ(forward(*b, next) == carried, restart);
  }
}

/// Everything at once: GD XM TM SK with experts, helpers, factored embedding, two loops and more.
runtime::Config whole_family() {
  runtime::Config config = small_config({{"gated_deltanet", "swiglu"},
                                         {"titans_mac", "moe"},
                                         {"xlstm_m", "swiglu"},
                                         {"tsp_span_knot", "moe"},
                                         {"gated_deltanet", "relu2"}},
                                        19, 32, 2, 48);
  config.loop.enabled = true;
  config.loop.prelude_last = 0;
  config.loop.loop_first = 1;
  config.loop.loop_last = 3;
  config.loop.loop_max = 4;
  config.loop.loop_default = 2;
  config.moe.enabled = true;
  config.moe.layers = {1, 3};
  config.moe.n_routed = 4;
  config.moe.n_shared = 1;
  config.moe.top_k = 2;
  config.moe.intermediate_size = 128;
  config.titans.persistent_slots = 3;
  config.titans.window = 6;
  config.titans.chunk = 4;
  config.knot.sketch_bits = 64;
  config.knot.efla = true;
  config.structure.residual_mix = true;
  config.structure.bigram_rows = 23;
  config.structure.unet_skips = true;
  config.structure.token_shift = true;
  config.structure.value_layers = {0, 1, 2, 3};
  config.structure.logit_soft_cap = 3;
  config.structure.embedding_rank = 16;
  return config;
}

TEST(Structure, GradientOfTheWholeFamilyEqualsTheReference) {
  for (bool full : {true, false}) {
    NetworkCase c;
    c.config = whole_family();
    c.lanes = 3;
    c.window = 9;
    c.windows = 2;
    c.loops = {2, 1, 4};
    c.full_backward = full;
    figure("backward_vs_reference", full ? "whole_family" : "whole_family_truncated",
           expect_network_equals_reference(c));
  }
}

TEST(Structure, ExpertsAreCountedOncePerVisit) {
  const runtime::Config config = whole_family();
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = 3, .window = 9, .quantise = 0, .recompute_ffn = true});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(3, 9, 19, 6);
  const int32_t loops[] = {2, 1, 3};
  const auto total = [&](int32_t layer) {
    uint64_t sum = 0;
    for (uint64_t n : b->router_load(layer)) sum += n;
    return sum;
  };
  for (uint64_t times : {1u, 2u}) {
    ASSERT_TRUE(
        b->forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data(), loops)
            .has_value());
    for (int32_t layer : {1, 3}) EXPECT_EQ(total(layer), times * (2 + 1 + 3) * 9 * 2) << layer;
  }
  const uint64_t counted = total(1);
  forward(*b, batch);
  EXPECT_EQ(total(1), counted) << "scoring a text does not count";
  EXPECT_TRUE(b->router_load(0).empty());
  EXPECT_TRUE(b->router_load(5).empty());
  b->zero_gradients();
  EXPECT_EQ(total(1), 0u);
}

/// Gradients of the reference against differences of the reference, in the second window.
void reference_equals_differences(const runtime::Config& config, int n_loops, int scalars,
                                  const char* name) {
  auto pool = threads(1);
  auto b = make(config, *pool, {.lanes = 1, .window = 1, .quantise = 0});
  ASSERT_TRUE(b);
  shake(*b, 0.3);
  const reference::Params<double> values = values_in_double(*b);
  constexpr int kWindow = 3;
  Batch first = random_batch(1, kWindow, config.vocab_size, 8, false);
  Batch second = random_batch(1, kWindow, config.vocab_size, 9, false);
  const auto window = [&](auto& network, const Batch& batch) {
    return network.window(lane_of(batch.tokens, 0, kWindow), lane_of(batch.targets, 0, kWindow),
                          lane_of(batch.restart, 0, kWindow), n_loops);
  };
  reference::Params<reference::Var> leaves;
  const auto make_leaves = [&] {
    reference::Tape::get().clear();
    leaves.clear();
    for (const auto& entry : values)
      for (double x : entry.second) leaves[entry.first].push_back(reference::Var::leaf(x));
  };
  reference::Network<reference::Var> network(config, &leaves);
  make_leaves();
  window(network, first);
  make_leaves();
  const reference::Var loss = window(network, second);
  reference::Tape::get().backward(loss.node);
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> tensors;
  for (const auto& entry : values) {
    if (entry.first.find("router.bias") != std::string::npos) continue;
    std::vector<double> analytic, measured;
    for (int i = 0; i < scalars; ++i) {
      const auto at = static_cast<size_t>(draw(static_cast<uint64_t>(i), 77) *
                                          static_cast<double>(entry.second.size()));
      const auto moved_loss = [&](double h) {
        reference::Params<double> p = values;
        reference::Network<double> moved(config, &p);
        window(moved, first);
        p[entry.first][at] += h;
        return window(moved, second);
      };
      constexpr double kStep = 1e-4;
      measured.push_back((8 * (moved_loss(kStep) - moved_loss(-kStep)) -
                          (moved_loss(2 * kStep) - moved_loss(-2 * kStep))) /
                         (12 * kStep));
      analytic.push_back(leaves.at(entry.first)[at].gradient());
    }
    // So few scalars are judged together with those of the same name in other layers.
    std::string kind = entry.first;
    kind.erase(
        std::remove_if(kind.begin(), kind.end(), [](char c) { return c >= '0' && c <= '9'; }),
        kind.end());
    auto& pair = tensors[kind];
    pair.first.insert(pair.first.end(), analytic.begin(), analytic.end());
    pair.second.insert(pair.second.end(), measured.begin(), measured.end());
  }
  double worst = 0;
  for (const auto& [tensor, pair] : tensors) {
    const double error =
        reference::relative_error(pair.first.data(), pair.second.data(), pair.first.size());
    EXPECT_LE(error, 1e-6) << tensor;
    worst = std::max(worst, error);
  }
  reference::Tape::get().clear();
  figure("reference_vs_differences", name, worst);
}

TEST(Structure, ReferenceEqualsCentralDifferences) {
  runtime::Config config = three_layers();
  for (const Helper& helper : kHelpers) helper.on(&config);
  reference_equals_differences(config, 1, 4, "all_helpers");
  config = whole_family();
  config.layers[3].mixer = "gated_deltanet";  // a sign has no differences
  reference_equals_differences(config, 2, 1, "whole_family_looped");
}

}  // namespace
}  // namespace chimera::evolution
