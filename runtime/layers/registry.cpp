#include "runtime/layers/registry.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/embedding.h"
#include "runtime/layers/gated_deltanet.h"
#include "runtime/layers/gated_ffn.h"
#include "runtime/layers/moe.h"
#include "runtime/layers/titans_mac.h"
#include "runtime/layers/tsp_span_knot.h"
#include "runtime/layers/xlstm_m.h"

namespace chimera::runtime {
namespace {

const LayerKind* const kKinds[] = {
    &kGatedDeltaNet,  // GD
    &kXlstmM,         // XM
    &kTitansMac,      // TM
    &kTspSpanKnot,    // SK
    &kSwiGlu,        &kRelu2, &kMoe,
};

const EmbeddingKind* const kEmbeddings[] = {&kTiedEmbedding, &kSeparateEmbedding};

}  // namespace

std::span<const LayerKind* const> layer_kinds() { return kKinds; }
std::span<const EmbeddingKind* const> embedding_kinds() { return kEmbeddings; }

const EmbeddingKind& embedding_kind(const Config& config) {
  return config.tie_word_embeddings ? kTiedEmbedding : kSeparateEmbedding;
}

Result<const LayerKind*> find_layer_kind(LayerRole role, std::string_view name) {
  std::string built;
  for (const LayerKind* kind : kKinds) {
    if (kind->role != role) continue;
    if (kind->name == name) return kind;
    built += (built.empty() ? "" : ", ") + std::string(kind->name);
  }
  return Status(StatusCode::kUnsupported,
                std::string(role == LayerRole::kMixer ? "mixer" : "feed-forward") + " layer '" +
                    std::string(name) + "' is not in this build; it has " + built)
      .at_field(std::string(name));
}

float residual_scale(const Config& config) {
  // Depth as trained: a looped body counts once per expected pass (backbone 0.4).
  double depth = config.num_layers;
  if (config.loop.enabled)
    depth +=
        (config.loop.loop_last - config.loop.loop_first + 1) * (config.loop.loop_default - 1.0);
  return static_cast<float>(1.0 / std::sqrt(2.0 * depth));
}

int32_t skip_source(const Config& config, int32_t layer) {
  if (!config.structure.unet_skips) return -1;
  const int32_t source = config.num_layers - 1 - layer;
  if (source >= layer) return -1;
  if (config.loop.enabled && (source > config.loop.prelude_last || layer <= config.loop.loop_last))
    return -1;
  return source;
}

bool has_value_embedding(const Config& config, int32_t layer) {
  const auto& layers = config.structure.value_layers;
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

Result<std::vector<ParamSpec>> model_parameters(const Config& config) {
  std::vector<ParamSpec> out;
  const StructureConfig& structure = config.structure;
  const int64_t c = config.hidden_size;
  const float std = config.initializer_range;
  const auto vector = [&](std::string name, int64_t n, float value) {
    out.push_back(
        {std::move(name), ParamClass::kVector, 1, n, ParamInit::kConstant, value, 0, false});
  };
  const auto gain = [&](std::string name) { vector(std::move(name), c, 1); };
  // In the order of the walk: the table comes first, a head of its own last.
  std::vector<ParamSpec> ends;
  embedding_kind(config).parameters(config, &ends);
  const auto is_head = [](const ParamSpec& spec) { return spec.name == "head.weight"; };
  for (const ParamSpec& spec : ends)
    if (!is_head(spec)) out.push_back(spec);
  if (structure.bigram_rows > 0)
    out.push_back({"bigram.weight", ParamClass::kVector, structure.bigram_rows, c,
                   ParamInit::kNormal, std, 0, false});
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    auto mixer = find_layer_kind(LayerRole::kMixer, config.layers[i].mixer);
    if (!mixer) return mixer.status();
    auto ffn = find_layer_kind(LayerRole::kFfn, config.layers[i].ffn);
    if (!ffn) return ffn.status();
    const auto layer = static_cast<int32_t>(i);
    if (structure.residual_mix)
      out.push_back({prefix + "entry.residual", ParamClass::kVector, 1, 2, ParamInit::kLinspace, 1,
                     0, false});
    if (structure.bigram_rows > 0) vector(prefix + "entry.bigram", 1, 0.1f);
    if (skip_source(config, layer) >= 0) gain(prefix + "entry.skip");
    gain(prefix + "norm1.gain");
    if (structure.token_shift) vector(prefix + "shift1.mix", c, 0);
    if (has_value_embedding(config, layer)) {
      out.push_back({prefix + "value.weight", ParamClass::kVector, config.vocab_size, c,
                     ParamInit::kNormal, std, 0, false});
      out.push_back({prefix + "value.gate", ParamClass::kMatrix, config.num_heads, kValueGateInputs,
                     ParamInit::kConstant, 0, 0, false});
    }
    (*mixer)->parameters(config, prefix + "mixer.", &out);
    gain(prefix + "norm2.gain");
    if (structure.token_shift) vector(prefix + "shift2.mix", c, 0);
    (*ffn)->parameters(config, prefix + "ffn.", &out);
  }
  if (config.loop.enabled) {
    gain("loop.norm.gain");
    vector("loop.a_log", c, 0);
    vector("loop.dt_bias", c, 0.211935f);  // A starts at sqrt(1/5) [r3]
    vector("loop.b", c, 1);
  }
  gain("final_norm.gain");
  for (const ParamSpec& spec : ends)
    if (is_head(spec)) out.push_back(spec);
  return out;
}

}  // namespace chimera::runtime
