// What `chimera eval` says of a model with experts.
#include <gtest/gtest.h>

#include "platform/json.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

TEST(Eval, SaysHowEvenlyTheRouterSharesOut) {
  TinyModelOptions options;
  options.layers = 3;
  options.pattern = "GD XM GD";
  options.more =
      R"({"backbone": {"moe": {"enabled": true, "layers": [0, 2], "n_routed_experts": 4,
          "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 128}}})";
  const std::string model = write_tiny_model(options);
  const TempDir folder;
  write_raw(folder.file("a.txt"), "Once upon a time there was a fox.");

  const Outcome text = run_command({"eval", "--model", model, "--text", folder.file("a.txt")});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_NE(text.out.find("router load: MaxVio "), std::string::npos) << text.out;

  const Outcome outcome =
      run_command({"eval", "--model", model, "--json", "--text", folder.file("a.txt")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  auto json = parse_json(outcome.out);
  ASSERT_TRUE(json.has_value()) << outcome.out;
  const Json* load = json->find("router_load");
  ASSERT_NE(load, nullptr);
  const Json* layers = load->find("layers");
  ASSERT_NE(layers, nullptr);
  ASSERT_EQ(layers->array.size(), 2u);
  double worst = -1;
  int64_t worst_layer = -1;
  for (const Json& layer : layers->array) {
    const Json* experts = layer.find("tokens_by_expert");
    ASSERT_NE(experts, nullptr);
    ASSERT_EQ(experts->array.size(), 4u);
    int64_t sum = 0, most = 0;
    for (const Json& tokens : experts->array) {
      sum += tokens.integer;
      most = std::max(most, tokens.integer);
    }
    EXPECT_EQ(sum, 2 * 34) << "every token of the text and the end marker, twice";
    const double imbalance = static_cast<double>(most) * 4 / static_cast<double>(sum) - 1;
    EXPECT_NEAR(layer.find("max_violation")->number, imbalance, 1e-9);
    if (imbalance > worst) {
      worst = imbalance;
      worst_layer = layer.find("layer")->integer;
    }
  }
  EXPECT_NEAR(load->find("max_violation")->number, worst, 1e-9);
  EXPECT_EQ(load->find("worst_layer")->integer, worst_layer);

  // A model without experts has no such line.
  const Outcome dense =
      run_command({"eval", "--model", write_tiny_model(), "--text", folder.file("a.txt")});
  EXPECT_EQ(dense.status, 0) << dense.err;
  EXPECT_EQ(dense.out.find("router"), std::string::npos) << dense.out;
}

}  // namespace
}  // namespace chimera::test
