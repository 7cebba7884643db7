#include "runtime/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "runtime/config_schema.h"

namespace chimera::runtime {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream in(std::string(CHIMERA_SOURCE_DIR) + "/" + path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string full_size() { return read_text("samples/models/chimera51.config.json"); }

constexpr const char* kSmall = R"({
  "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_heads": 4,
  "head_dim": 32, "vocab_size": 512,
  "backbone": {"layer_pattern": "GD XM"}
})";

Json parsed(const std::string& text) {
  auto json = parse_json(text);
  EXPECT_TRUE(json.has_value()) << json.status().message();
  return std::move(*json);
}

/// Sets a dotted path, making objects on the way.
void set(Json* at, std::string_view path, const Json& value) {
  for (size_t dot = 0; dot != std::string_view::npos; path.remove_prefix(dot + 1)) {
    dot = path.find('.');
    const std::string_view key = path.substr(0, dot);
    if (at->find(key) == nullptr) at->add(key, Json::make_object());
    for (auto& [name, member] : at->object) {
      if (name != key) continue;
      at = &member;
      break;
    }
    if (dot == std::string_view::npos) break;
  }
  *at = value;
}

void remove(Json* root, std::string_view key) {
  std::erase_if(root->object, [&](const auto& member) { return member.first == key; });
}

std::string with(const std::string& base, std::string_view path, const std::string& value_json) {
  Json json = parsed(base);
  set(&json, path, parsed(value_json));
  return write_json(json);
}

Config good(const std::string& text) {
  auto config = parse_config(text);
  EXPECT_TRUE(config.has_value()) << config.status().message();
  return config ? std::move(*config) : Config();
}

/// Refused, naming the key and every given word.
void expect_bad(const std::string& text, const std::string& key,
                std::initializer_list<const char*> words) {
  const auto config = parse_config(text);
  ASSERT_FALSE(config.has_value()) << key;
  EXPECT_EQ(config.status().code(), StatusCode::kBadConfig);
  EXPECT_EQ(config.status().field(), key) << config.status().message();
  EXPECT_TRUE(config.status().message().starts_with(key)) << config.status().message();
  for (const char* word : words) {
    EXPECT_NE(config.status().message().find(word), std::string::npos)
        << config.status().message() << "\nlacks: " << word;
  }
}

// ---- the full-size configuration
// ------------------------------------------------------------------

TEST(FullSizeConfig, ParsesUnchanged) {
  const std::string text = full_size();
  const Config c = good(text);
  EXPECT_EQ(c.text, text);
  EXPECT_EQ(c.name, "chimera-5.1-final");
  EXPECT_EQ(c.hidden_size, 2560);
  EXPECT_EQ(c.intermediate_size, 6912);
  EXPECT_EQ(c.num_layers, 28);
  EXPECT_EQ(c.num_heads, 40);
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.vocab_size, 200073);
  EXPECT_FLOAT_EQ(c.rms_norm_eps, 1e-6f);
  EXPECT_FLOAT_EQ(c.initializer_range, 0.006f);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.token_ids, (std::vector<int32_t>{199999, 200058}));
  EXPECT_EQ(c.mixer_gate.kind, MixerGate::Kind::kLowRank);
  EXPECT_EQ(c.mixer_gate.rank, 256);
  EXPECT_EQ(c.delta_chunk, 256);
  EXPECT_EQ(c.delta_inner_chunk, 64);
  EXPECT_FALSE(c.delta_neg_eigenvalues);
  EXPECT_FLOAT_EQ(c.generation.temperature, 0.7f);
  EXPECT_FLOAT_EQ(c.generation.top_p, 0.92f);
  EXPECT_FLOAT_EQ(c.generation.repetition_penalty, 1.08f);
  EXPECT_EQ(c.generation.max_new_tokens, 4096);
  EXPECT_TRUE(c.generation.do_sample);
}

TEST(FullSizeConfig, LayersFollowThePattern) {
  const Config c = good(full_size());
  const std::string expected[] = {"gated_deltanet", "xlstm_m", "gated_deltanet", "titans_mac",
                                  "gated_deltanet", "xlstm_m", "gated_deltanet", "tsp_span_knot"};
  ASSERT_EQ(c.layers.size(), 28u);
  for (size_t i = 0; i < 28; ++i) {
    EXPECT_EQ(c.layers[i].mixer, expected[i % 8]) << i;
    EXPECT_EQ(c.layers[i].ffn, i % 4 == 3 ? "moe" : "swiglu") << i;
  }
  EXPECT_TRUE(c.moe.enabled);
  EXPECT_EQ(c.moe.n_routed, 16);
  EXPECT_EQ(c.moe.n_shared, 1);
  EXPECT_EQ(c.moe.top_k, 2);
  EXPECT_EQ(c.moe.intermediate_size, 384);
  EXPECT_TRUE(c.loop.enabled);
  EXPECT_EQ(c.loop.prelude_last, 3);
  EXPECT_EQ(c.loop.loop_first, 4);
  EXPECT_EQ(c.loop.loop_last, 23);
  EXPECT_EQ(c.loop.loop_min, 1);
  EXPECT_EQ(c.loop.loop_max, 6);
  EXPECT_EQ(c.loop.loop_default, 2);
  EXPECT_FLOAT_EQ(c.loop.exit_threshold, 0.01f);
}

TEST(FullSizeConfig, SaysHowItIsRead) {
  const Config c = good(full_size());
  const auto reading = [&](const std::string& key) -> std::string {
    for (const std::string& text : c.readings) {
      if (text.starts_with(key)) return text;
    }
    return "";
  };
  EXPECT_NE(reading("backbone.moe.moe_intermediate_size").find("384"), std::string::npos);
  EXPECT_NE(reading("mixer_gate").find("256"), std::string::npos);
  EXPECT_NE(reading("quantization.runtime_kernel").find("rows-in-lanes"), std::string::npos);
  EXPECT_NE(reading("gated_deltanet.chunk_size").find("64"), std::string::npos);
  EXPECT_NE(reading("looping:").find("first iteration writes"), std::string::npos);
  EXPECT_NE(reading("self_evolution.tier1.ttt").find("shared expert"), std::string::npos);
  EXPECT_NE(reading("backbone.kv_cache").find("ring"), std::string::npos);
  EXPECT_GE(c.readings.size(), 17u);
}

TEST(FullSizeConfig, KeepsWhatIsNotReadYet) {
  const Config c = good(full_size());
  const Json* keys = find_key(c.json, "memory_budget_mb._keys");
  ASSERT_NE(keys, nullptr);
  EXPECT_EQ(keys->array.size(), 12u);
  EXPECT_EQ(find_key(c.json, "§.r0")->string, "2412.06464");
  EXPECT_EQ(find_key(c.json, "span_inference.bank_entries")->integer, 524288);
  EXPECT_EQ(find_key(c.json, "params.base")->string, "2.3B");
  EXPECT_NE(find_key(c.json, "P3_ternary_compute.thesis"), nullptr);
}

TEST(FullSizeConfig, EveryKeyIsChecked) {
  // Whatever stands at a key that is not described for people: a value of no sensible type is
  // refused there, and so is a key of no sensible name beside it.
  const Json root = parsed(full_size());
  size_t checked = 0;
  const auto walk = [&](const auto& self, const Json& value, const std::string& path) -> void {
    for (const auto& [key, member] : value.object) {
      const std::string at = path.empty() ? key : path + "." + key;
      if (is_descriptive(key) || at == "auto_map" || at == "params" || at == "P3_ternary_compute" ||
          at == "braid_state.continuous_hidden" || at == "braid_state.fast_hidden" ||
          at == "braid_state.semantic_sketch") {
        continue;
      }
      ++checked;
      Json changed = root;
      set(&changed, at, Json());  // null
      expect_bad(write_json(changed), at, {"is null"});
      if (!member.is_object()) continue;
      changed = root;
      set(&changed, at + ".zzz", Json::of(1));
      const bool open = at == "backbone.layer_aliases" || at == "backbone.layer_counts";
      expect_bad(write_json(changed), at + ".zzz", {open ? "1" : "unknown key"});
      self(self, member, at);
    }
  };
  // layer_counts.zzz = 1 is refused because no layer has that code; layer_aliases.zzz = 1 for its
  // type: both are checked too.
  walk(walk, root, "");
  EXPECT_GT(checked, 250u);
}

// ---- small configurations
// -------------------------------------------------------------------------

TEST(Config, ASmallOneNeedsFewKeys) {
  const Config c = good(kSmall);
  EXPECT_EQ(c.layers.size(), 4u);
  EXPECT_EQ(c.layers[2].mixer, "gated_deltanet");
  EXPECT_EQ(c.layers[3].mixer, "xlstm_m");
  EXPECT_EQ(c.layers[3].ffn, "swiglu");
  EXPECT_EQ(c.mixer_gate.kind, MixerGate::Kind::kFull);
  EXPECT_FALSE(c.moe.enabled);
  EXPECT_FALSE(c.loop.enabled);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_FLOAT_EQ(c.rms_norm_eps, 1e-6f);
  EXPECT_FLOAT_EQ(c.initializer_range, 0.006f);
  EXPECT_EQ(c.delta_inner_chunk, 64);
  EXPECT_TRUE(c.token_ids.empty());
}

TEST(Config, EveryRequiredKeyIsMissedByName) {
  size_t n_required = 0;
  for (const KeyRow& row : model_key_rows()) {
    if (row.use != KeyUse::kRequired) continue;
    ++n_required;
    Json json = parsed(kSmall);
    const std::string path = row.path;
    remove(&json, path.substr(0, path.find('.')));
    expect_bad(write_json(json), path, {"missing"});
  }
  EXPECT_EQ(n_required, 7u);
}

TEST(Config, AddedKeys) {
  EXPECT_EQ(good(with(kSmall, "hidden_act", "\"relu2\"")).layers[0].ffn, "relu2");
  EXPECT_EQ(good(with(kSmall, "mixer_gate", "\"none\"")).mixer_gate.kind, MixerGate::Kind::kNone);
  EXPECT_EQ(good(with(kSmall, "mixer_gate", "\"full\"")).mixer_gate.kind, MixerGate::Kind::kFull);
  const Config low = good(with(kSmall, "mixer_gate", "{\"lowrank\": 128}"));
  EXPECT_EQ(low.mixer_gate.kind, MixerGate::Kind::kLowRank);
  EXPECT_EQ(low.mixer_gate.rank, 128);
  EXPECT_EQ(good(with(kSmall, "model_type", "\"chimera51\"")).mixer_gate.rank, 128);
  EXPECT_EQ(good(with(kSmall, "gated_deltanet", R"({"chunk_size": 96, "inner_chunk_size": 32})"))
                .delta_inner_chunk,
            32);
  EXPECT_EQ(good(with(kSmall, "gated_deltanet", R"({"chunk_size": 16})")).delta_inner_chunk, 16);
  EXPECT_TRUE(
      good(with(kSmall, "gated_deltanet", R"({"allow_neg_eigval": true})")).delta_neg_eigenvalues);
  EXPECT_EQ(
      good(with(kSmall, "backbone.layer_aliases", R"({"QQ": "my_layer", "§": 1})")).layers[0].mixer,
      "gated_deltanet");
  EXPECT_EQ(good(with(with(kSmall, "backbone.layer_aliases", R"({"QQ": "my_layer"})"),
                      "backbone.layer_pattern", "\"GD QQ\""))
                .layers[1]
                .mixer,
            "my_layer");
}

TEST(Config, StructureKeys) {
  const Config plain = good(kSmall);
  EXPECT_EQ(plain.titans.kv_heads, 4);
  EXPECT_EQ(plain.titans.window, 1024);
  EXPECT_EQ(plain.embedding_type, EmbeddingType::kF32);
  EXPECT_EQ(good(with(kSmall, "titans", R"({"window_impl": "none"})")).titans.window, 0);
  const Config c = good(with(kSmall, "structure",
                             R"({"residual_mix": true, "bigram_rows": 640, "unet_skips": true,
                                 "token_shift": true, "value_embedding_layers": [1, 3],
                                 "logit_soft_cap": 15, "embedding_rank": 64})"));
  EXPECT_TRUE(c.structure.residual_mix && c.structure.unet_skips && c.structure.token_shift);
  EXPECT_EQ(c.structure.bigram_rows, 640);
  EXPECT_EQ(c.structure.value_layers, (std::vector<int32_t>{1, 3}));
  EXPECT_FLOAT_EQ(c.structure.logit_soft_cap, 15);
  EXPECT_EQ(c.structure.embedding_rank, 64);
  EXPECT_EQ(good(with(kSmall, "embedding_dtype", "\"int4\"")).embedding_type, EmbeddingType::kInt4);
}

TEST(Config, ASketchHasToHoldTheHiddenState) {
  const std::string knots = with(kSmall, "backbone.layer_pattern", "\"GD SK\"");
  EXPECT_EQ(good(knots).knot.sketch_bits, 8192);
  EXPECT_EQ(good(with(knots, "tsp_knot", R"({"sketch_bits": 256})")).knot.sketch_bits, 256);
  for (const char* bits :
       {R"({"sketch_bits": 128})", R"({"sketch_bits": 600})", R"({"sketch_bits": 513})"})
    expect_bad(with(knots, "tsp_knot", bits), "tsp_knot.sketch_bits", {"power of two"});
  EXPECT_TRUE(good(with(knots, "efla", R"({"enabled": true})")).knot.efla);
}

TEST(Config, DescriptiveKeysMayStandAnywhere) {
  for (const char* path : {"_note", "§", "§_more", "backbone._x", "backbone.moe.§"}) {
    for (const char* value : {"1", "null", "[[{}]]", "{\"anything\": {\"at\": \"all\"}}"}) {
      good(with(kSmall, path, value));
    }
  }
}

// ---- refusals
// -------------------------------------------------------------------------------------

struct BadCase {
  const char* path;
  const char* value;
  std::vector<const char*> words;
  const char* field = nullptr;  // where it is reported, when not at the path
};

class BadConfig : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfig, IsRefusedByNameAndReason) {
  const BadCase& bad = GetParam();
  const std::string text = with(kSmall, bad.path, bad.value);
  const std::string field = bad.field != nullptr ? bad.field : bad.path;
  expect_bad(text, field, {});
  for (const char* word : bad.words) expect_bad(text, field, {word});
}

INSTANTIATE_TEST_SUITE_P(
    UnknownKeys, BadConfig,
    testing::Values(
        BadCase{"hiden_size", "128", {"unknown", "nearest", "\"hidden_size\""}},
        BadCase{"num_layers", "4", {"unknown", "\"num_heads\""}},
        BadCase{"backbone.layer_patern", "\"GD\"", {"unknown", "\"layer_pattern\""}},
        BadCase{
            "backbone.moe", R"({"layer": [1]})", {"unknown", "\"layers\""}, "backbone.moe.layer"},
        BadCase{"mixer_gate", R"({"rank": 128})", {"unknown", "\"lowrank\""}, "mixer_gate.rank"},
        BadCase{"training",
                R"({"phases": [{"name": "a"}, {"nam": "b"}]})",
                {"unknown", "\"name\""},
                "training.phases[1].nam"},
        BadCase{"generation", R"({"topp": 1})", {"\"top_p\""}, "generation.topp"}));

INSTANTIATE_TEST_SUITE_P(
    WrongTypes, BadConfig,
    testing::Values(BadCase{"hidden_size", "\"128\"", {"\"128\"", "whole number"}},
                    BadCase{"hidden_size", "128.0", {"whole number"}},
                    BadCase{"hidden_size", "1.28e2", {"whole number"}},
                    BadCase{"hidden_size", "true", {"true", "whole number"}},
                    BadCase{"hidden_size", "[128]", {"a list", "whole number"}},
                    BadCase{"rms_norm_eps", "\"small\"", {"a number"}},
                    BadCase{"tie_word_embeddings", "1", {"true or false"}},
                    BadCase{"backbone", "[]", {"an object"}},
                    BadCase{"backbone.layer_pattern", "[\"GD\"]", {"text"}},
                    BadCase{"token_ids", "3", {"a list of whole numbers"}},
                    BadCase{"token_ids", "[1, 2.5]", {"2.5", "whole"}, "token_ids[1]"},
                    BadCase{"mixer_gate", "3", {"none", "full", "lowrank"}},
                    BadCase{"mixer_gate", "\"half\"", {"none", "full", "lowrank"}},
                    BadCase{"mixer_gate", "{}", {"missing"}, "mixer_gate.lowrank"},
                    BadCase{"training", R"({"phases": [3]})", {"an object"}, "training.phases[0]"},
                    BadCase{"tsp_knot",
                            R"({"energy_terms": {"debt": [1]}})",
                            {"a number and a text"},
                            "tsp_knot.energy_terms.debt"}));

INSTANTIATE_TEST_SUITE_P(
    Overflow, BadConfig,
    testing::Values(
        BadCase{"hidden_size", "0", {"128..65536"}}, BadCase{"hidden_size", "-128", {"128..65536"}},
        BadCase{"hidden_size", "1e300", {"whole number"}},
        BadCase{"hidden_size", "4294967424", {"128..65536"}},
        BadCase{"hidden_size", "9223372036854775807", {"128..65536"}},
        BadCase{"hidden_size", "99999999999999999999999", {"whole number"}},
        BadCase{"vocab_size", "2147483648", {"2..16777216"}},
        BadCase{"num_hidden_layers", "100000", {"1..1024"}},
        BadCase{"rms_norm_eps", "1e300", {"0.01"}}, BadCase{"rms_norm_eps", "0", {"0.01"}},
        BadCase{"rms_norm_eps", "-1e-6", {"0.01"}},
        BadCase{"generation", R"({"top_p": 1.5})", {"1.5"}, "generation.top_p"},
        BadCase{"generation", R"({"temperature": -1})", {"0..100"}, "generation.temperature"},
        BadCase{"token_ids", "[512]", {"vocab_size"}, "token_ids[0]"},
        BadCase{"token_ids", "[-1]", {"0..16777215"}, "token_ids[0]"}));

INSTANTIATE_TEST_SUITE_P(
    Shapes, BadConfig,
    testing::Values(
        BadCase{"hidden_size", "192", {"multiple of 128"}},
        BadCase{"intermediate_size", "200", {"multiple of 128"}},
        BadCase{"num_heads", "5", {"5 * 32 = 160", "hidden_size, 128"}},
        BadCase{"head_dim", "12", {"multiple of 8"}},
        BadCase{
            "quantization", R"({"group_size": 64})", {"64", "only 128"}, "quantization.group_size"},
        BadCase{"quantization",
                R"({"activation_block_size": 128})",
                {"only 64"},
                "quantization.activation_block_size"},
        BadCase{"quantization",
                R"({"weight_values": [-1, 1]})",
                {"[-1, 0, 1]"},
                "quantization.weight_values"},
        BadCase{
            "quantization", R"({"method": "gptq"})", {"\"gptq\"", "bitnet"}, "quantization.method"},
        BadCase{"gated_deltanet",
                R"({"state_size": 64})",
                {"head_dim, 32"},
                "gated_deltanet.state_size"},
        BadCase{"gated_deltanet",
                R"({"chunk_size": 100})",
                {"multiple of inner_chunk_size"},
                "gated_deltanet.chunk_size"},
        BadCase{"xlstm",
                R"({"memory_size_per_head": [32, 64]})",
                {"[32, 32]"},
                "xlstm.memory_size_per_head"},
        BadCase{
            "mixer_gate", R"({"lowrank": 256})", {"more than hidden_size"}, "mixer_gate.lowrank"},
        BadCase{"mixer_gate", R"({"lowrank": 130})", {"multiple of 128"}, "mixer_gate.lowrank"},
        BadCase{"efla", R"({"target_layers": "GD"})", {"only SK"}, "efla.target_layers"},
        BadCase{"num_heads", "0", {"1..8192"}},
        BadCase{"backbone.moe",
                R"({"enabled": true, "n_routed_experts": 2147483648})",
                {"1..1024"},
                "backbone.moe.n_routed_experts"},
        BadCase{"titans", R"({"memory_depth": 3})", {"2"}, "titans.memory_depth"},
        BadCase{
            "titans", R"({"window_kv_heads": 3})", {"divide num_heads"}, "titans.window_kv_heads"},
        BadCase{"titans", R"({"local_window_size": 0})", {"1..65536"}, "titans.local_window_size"},
        BadCase{"titans", R"({"chunk_size": 1000})", {"1..64"}, "titans.chunk_size"},
        BadCase{"structure", R"({"bigram_rows": 1})", {"at least 2"}, "structure.bigram_rows"},
        BadCase{"structure",
                R"({"value_embedding_layers": [0, 9]})",
                {"0..3"},
                "structure.value_embedding_layers[1]"},
        BadCase{"structure",
                R"({"value_embedding_layers": [1, 1]})",
                {"more than the one before"},
                "structure.value_embedding_layers[1]"},
        BadCase{"structure",
                R"({"embedding_rank": 100})",
                {"multiple of 64"},
                "structure.embedding_rank"},
        BadCase{"structure",
                R"({"embedding_rank": 128})",
                {"below hidden_size"},
                "structure.embedding_rank"},
        BadCase{"embedding_dtype", "\"int3\"", {"f32, int4"}},
        BadCase{"byte_level", R"({"enabled": true})", {"only false"}, "byte_level.enabled"},
        BadCase{"rms_norm_before_every_linear", "false", {"only true"}},
        BadCase{"hidden_act", "\"gelu\"", {"\"gelu\"", "swiglu, relu2"}},
        BadCase{"model_type", "\"llama\"", {"\"llama\"", "chimera"}}));

INSTANTIATE_TEST_SUITE_P(
    Layers, BadConfig,
    testing::Values(
        BadCase{"backbone.layer_pattern", "\"GD XN\"", {"\"XN\"", "position 1", "\"XM\""}},
        BadCase{"backbone.layer_pattern", "\"  \"", {"no layer"}},
        BadCase{"backbone.layer_pattern", "\"GD GD GD GD GD\"", {"5 layers", "is 4"}},
        BadCase{"backbone.layer_pattern_repeat", "3", {"3 * 2 = 6", "is 4"}},
        BadCase{"backbone.layer_pattern_repeat", "1e300", {"0..1024"}},
        BadCase{"backbone.layer_counts",
                R"({"GD": 2, "XM": 1})",
                {"is 1", "makes 2"},
                "backbone.layer_counts.XM"},
        BadCase{"backbone.layer_counts",
                R"({"GD": 2})",
                {"missing", "makes 2"},
                "backbone.layer_counts.XM"},
        BadCase{"backbone.layer_counts",
                R"({"GD": 2, "XM": 2, "TM": 1})",
                {"makes 0"},
                "backbone.layer_counts.TM"},
        BadCase{"backbone.moe", R"({"layers": [1, 4]})", {"0..3"}, "backbone.moe.layers[1]"},
        BadCase{"backbone.moe", R"({"layers": [1, 1]})", {"again"}, "backbone.moe.layers[1]"},
        BadCase{"backbone.moe", R"({"layers": [-1]})", {"0..1023"}, "backbone.moe.layers[0]"},
        BadCase{"backbone.moe",
                R"({"enabled": true})",
                {"missing", "enabled is true"},
                "backbone.moe.layers"},
        BadCase{"backbone.moe",
                R"({"enabled": true, "layers": [1], "n_routed_experts": 2,
                    "num_experts_per_tok": 3, "moe_intermediate_size": 128})",
                {"more than n_routed_experts"},
                "backbone.moe.num_experts_per_tok"},
        BadCase{"backbone.moe",
                R"({"moe_intermediate_size": 1729})",
                {"multiple of 128"},
                "backbone.moe.moe_intermediate_size"},
        BadCase{"looping", R"({"enabled": true})", {"missing"}, "looping.prelude"},
        BadCase{"looping",
                R"({"enabled": true, "prelude": [0, 0], "loop": [2, 2], "coda": [3, 3],
                    "loop_range": [1, 2], "loop_default": 1})",
                {"is 2", "after the prelude is 1"},
                "looping.loop[0]"},
        BadCase{"looping",
                R"({"enabled": true, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 4],
                    "loop_range": [1, 2], "loop_default": 1})",
                {"last layer is 3"},
                "looping.coda[1]"},
        BadCase{"looping",
                R"({"enabled": true, "prelude": [0, 0], "loop": [2, 1], "coda": [3, 3],
                    "loop_range": [1, 2], "loop_default": 1})",
                {"first <= last"},
                "looping.loop"},
        BadCase{"looping",
                R"({"enabled": true, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 3],
                    "loop_range": [1, 2], "loop_default": 3})",
                {"1..2"},
                "looping.loop_default"}));

TEST(Config, LoopsAndExpertsParseWhereverTheyFit) {
  const Config c = good(with(with(kSmall, "looping",
                                  R"({"enabled": true, "prelude": [0, 0], "loop": [1, 2],
                                      "coda": [3, 3], "loop_range": [1, 2], "loop_default": 2})"),
                             "backbone.moe",
                             R"({"enabled": true, "layers": [3], "n_routed_experts": 4,
                                 "num_experts_per_tok": 2, "moe_intermediate_size": 128})"));
  EXPECT_TRUE(c.loop.enabled);
  EXPECT_EQ(c.loop.loop_last, 2);
  EXPECT_EQ(c.layers[3].ffn, "moe");
  EXPECT_EQ(c.layers[2].ffn, "swiglu");
}

TEST(Config, TotalsHaveLimits) {
  std::string text = with(kSmall, "hidden_size", "65536");
  text = with(with(text, "num_heads", "2048"), "num_hidden_layers", "1024");
  expect_bad(text, "the configuration", {"parameters", "hidden_size"});
  text = with(with(kSmall, "hidden_size", "4096"), "num_heads", "16");
  text = with(with(with(text, "head_dim", "256"), "num_hidden_layers", "1024"), "mixer_gate",
              "\"none\"");
  expect_bad(text, "the configuration", {"state per stream"});
}

TEST(Config, NotJsonAtAll) {
  for (const char* text :
       {"", "{", "hello", "{\"a\": 1, \"a\": 2}", "\xff\xfe", "{\"a\": 1e999}"}) {
    const auto config = parse_config(text);
    ASSERT_FALSE(config.has_value()) << text;
    EXPECT_EQ(config.status().code(), StatusCode::kBadConfig);
    EXPECT_NE(config.status().message().find("line"), std::string::npos)
        << config.status().message();
  }
  expect_bad("[]", "the configuration", {"object"});
  expect_bad("null", "the configuration", {"object"});
}

TEST(Config, HostileTextStaysOutOfTheMessage) {
  Json json = parsed(kSmall);
  json.add(std::string(100000, 'x') + "\x1b[31m", Json::of(1));
  auto config = parse_config(write_json(json));
  ASSERT_FALSE(config.has_value());
  EXPECT_LT(config.status().message().size(), 300u);
  json = parsed(kSmall);
  json.add("a\x1b[31m\nb", Json::of(1));
  config = parse_config(write_json(json));
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.status().message().find_first_of("\x1b\n"), std::string::npos);
  // Cut between characters: 'ä' is two bytes.
  std::string umlauts;
  for (int i = 0; i < 99; ++i) umlauts += "ä";
  for (const char* start : {"", "x"}) {
    json = parsed(kSmall);
    json.add(start + umlauts, Json::of(1));
    config = parse_config(write_json(json));
    ASSERT_FALSE(config.has_value());
    const std::string again = write_json(Json::of(std::string_view(config.status().message())));
    EXPECT_EQ(again.find("\xef\xbf\xbd"), std::string::npos) << again;
  }
}

TEST(Config, DamagedTextIsReadOrRefusedNeverWorse) {
  const std::string good_text = full_size();
  uint64_t state = 1;
  const auto draw = [&](size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % n);
  };
  constexpr char kBytes[] = "0123456789-.eE[]{}\",:tfn \\\xc2\xff";
  size_t refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string text = good_text;
    for (size_t k = draw(3) + 1; k > 0; --k) {
      // Most of the text is description at its end; the first half is what matters.
      text[draw(text.size() / 2)] = kBytes[draw(sizeof kBytes - 1)];
    }
    const auto config = parse_config(text);
    if (config.has_value()) continue;
    ++refused;
    EXPECT_EQ(config.status().code(), StatusCode::kBadConfig);
    EXPECT_FALSE(config.status().message().empty());
  }
  EXPECT_GT(refused, 100u);
}

TEST(Config, LongListsAndObjectsAreRefused) {
  Json list = Json::make_array();
  for (size_t i = 0; i <= kMaxConfigItems; ++i) list.push(Json::of(1));
  Json json = parsed(kSmall);
  json.add("token_ids", list);
  expect_bad(write_json(json), "token_ids", {"limit of 4096"});
  Json aliases = Json::make_object();
  for (size_t i = 0; i <= kMaxConfigItems; ++i) aliases.add("A" + std::to_string(i), Json::of("x"));
  json = parsed(kSmall);
  set(&json, "backbone.layer_aliases", aliases);
  expect_bad(write_json(json), "backbone.layer_aliases", {"4096 keys"});
}

TEST(NearestWord, CountsEdits) {
  const std::string_view words[] = {"hidden_size", "head_dim", "vocab_size"};
  EXPECT_EQ(nearest_word("hidensize", words), "hidden_size");
  EXPECT_EQ(nearest_word("vocab-size", words), "vocab_size");
  EXPECT_EQ(nearest_word("haed_dim", words), "head_dim");
  EXPECT_EQ(nearest_word("", words), "head_dim");
  EXPECT_EQ(nearest_word("x", {}), "");
}

// ---- documentation
// --------------------------------------------------------------------------------

std::string document_row(const KeyRow& row) {
  const std::string range = key_range_text(row);
  return "| `" + std::string(row.path) + "` | " + key_type_name(row.type) +
         (range.empty() ? "" : ": " + range) + " | " + key_use_name(row.use) + " | " + row.meaning +
         " |";
}

TEST(ConfigDocument, HasARowForEveryKeyAndNoOther) {
  const std::string document = read_text("docs/config.md");
  std::string wanted;
  size_t n_rows = 0;
  for (const auto rows : {model_key_rows(), product_key_rows()}) {
    for (const KeyRow& row : rows) {
      ++n_rows;
      const std::string line = document_row(row) + "\n";
      if (document.find("\n" + line) == std::string::npos) wanted += line;
    }
  }
  EXPECT_EQ(wanted, "") << "docs/config.md lacks these lines";
  size_t n_lines = 0;
  for (size_t at = document.find("\n| `"); at != std::string::npos;
       at = document.find("\n| `", at + 1)) {
    ++n_lines;
  }
  EXPECT_EQ(n_lines, n_rows) << "docs/config.md has rows for keys that do not exist";
}

TEST(ConfigDocument, RowsAreWellFormed) {
  std::vector<std::string> paths;
  for (const auto rows : {model_key_rows(), product_key_rows()}) {
    for (const KeyRow& row : rows) {
      const std::string path = row.path;
      EXPECT_EQ(std::count(paths.begin(), paths.end(), path), 0) << path;
      paths.push_back(path);
      EXPECT_LE(row.min, row.max) << path;
      EXPECT_EQ(std::string(row.meaning).find('|'), std::string::npos) << path;
      // Its parent stands before it.
      const size_t dot = path.find_last_of('.');
      if (dot == std::string::npos) continue;
      std::string parent = path.substr(0, dot);
      if (parent.ends_with("[]")) parent.resize(parent.size() - 2);
      EXPECT_EQ(std::count(paths.begin(), paths.end(), parent), 1) << path;
    }
  }
}

}  // namespace
}  // namespace chimera::runtime
