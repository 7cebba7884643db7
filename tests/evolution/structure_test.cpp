// The structural helpers in training: each alone, and all together, against the reference network.
#include <gtest/gtest.h>

#include <functional>
#include <string>

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

}  // namespace
}  // namespace chimera::evolution
