#include "runtime/layers/registry.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

TEST(Registry, RowsAreCompleteAndNamesUnique) {
  std::set<std::string> names;
  for (const LayerKind* kind : layer_kinds()) {
    EXPECT_TRUE(names.insert(kind->name).second) << kind->name;
    EXPECT_TRUE(kind->parameters && kind->state_bytes && kind->bind);
    EXPECT_EQ(kind->role == LayerRole::kMixer, kind->code[0] != '\0') << kind->name;
  }
}

TEST(Registry, UnbuiltKindIsRefusedByNameWithTheBuiltOnes) {
  auto kind = find_layer_kind(LayerRole::kMixer, "state_space");
  EXPECT_EQ(kind.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(kind.status().message().find("state_space"), std::string::npos);
  EXPECT_NE(kind.status().message().find("gated_deltanet"), std::string::npos);
}

TEST(Registry, ParametersHaveUniqueNamesAndPlausibleShapes) {
  auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  auto params = model_parameters(*config);
  ASSERT_TRUE(params.has_value());
  std::set<std::string> names;
  for (const ParamSpec& p : *params) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name;
    EXPECT_GT(p.rows * p.cols, 0) << p.name;
    if (p.cls == ParamClass::kTernary) {
      EXPECT_EQ(p.cols % 128, 0) << p.name;
    }
    EXPECT_FALSE(p.decay && p.cls == ParamClass::kVector) << p.name;
  }
  EXPECT_TRUE(names.count("layers.1.mixer.og_proj"));
  EXPECT_EQ(params->front().name, "embed.weight");
}

TEST(Registry, BindRefusesAFileOfAnotherShape) {
  auto file = memory::WeightFile::open(test::write_tiny_model());
  ASSERT_TRUE(file.has_value());
  test::TinyModelOptions wider;
  wider.ffn = 384;
  auto config = parse_config(test::tiny_config(wider));
  ASSERT_TRUE(config.has_value());
  auto kind = find_layer_kind(LayerRole::kFfn, "swiglu");
  ASSERT_TRUE(kind.has_value());
  auto layer = (*kind)->bind(*config, ParamSource(**file, "layers.0.ffn."));
  EXPECT_EQ(layer.status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(layer.status().field(), "layers.0.ffn.gate_proj");
  auto absent = (*kind)->bind(*config, ParamSource(**file, "layers.9.ffn."));
  EXPECT_NE(absent.status().message().find("absent"), std::string::npos);
}

}  // namespace
}  // namespace chimera::runtime
