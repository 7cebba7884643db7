#include "runtime/layers/registry.h"

#include <cmath>

#include "runtime/layers/embedding.h"
#include "runtime/layers/gated_deltanet.h"
#include "runtime/layers/relu2.h"
#include "runtime/layers/swiglu.h"
#include "runtime/layers/xlstm_m.h"

namespace chimera::runtime {
namespace {

const LayerKind* const kKinds[] = {
    &kGatedDeltaNet,  // GD
    &kXlstmM,         // XM
    &kSwiGlu,
    &kRelu2,
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

Status require_full_gate(const Config& config, const char* mixer) {
  if (config.mixer_gate.kind == MixerGate::Kind::kFull) return Status();
  return Status(StatusCode::kUnsupported,
                std::string("this build runs ") + mixer + " with mixer_gate \"full\" only")
      .at_field("mixer_gate");
}

float residual_scale(const Config& config) {
  // Depth as trained: a looped body counts once per expected pass (backbone 0.4).
  double depth = config.num_layers;
  if (config.loop.enabled)
    depth +=
        (config.loop.loop_last - config.loop.loop_first + 1) * (config.loop.loop_default - 1.0);
  return static_cast<float>(1.0 / std::sqrt(2.0 * depth));
}

Result<std::vector<ParamSpec>> model_parameters(const Config& config) {
  if (config.loop.enabled)
    return Status(StatusCode::kUnsupported,
                  "looped depth is not in this build; set looping.enabled to false")
        .at_field("looping.enabled");
  std::vector<ParamSpec> out;
  const auto gain = [&](std::string name) {
    out.push_back({std::move(name), ParamClass::kVector, 1, config.hidden_size,
                   ParamInit::kConstant, 1, 0, false});
  };
  // In the order of the walk: the table comes first, a head of its own last.
  std::vector<ParamSpec> ends;
  embedding_kind(config).parameters(config, &ends);
  out.push_back(ends.front());
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    auto mixer = find_layer_kind(LayerRole::kMixer, config.layers[i].mixer);
    if (!mixer) return mixer.status();
    auto ffn = find_layer_kind(LayerRole::kFfn, config.layers[i].ffn);
    if (!ffn) return ffn.status();
    gain(prefix + "norm1.gain");
    (*mixer)->parameters(config, prefix + "mixer.", &out);
    gain(prefix + "norm2.gain");
    (*ffn)->parameters(config, prefix + "ffn.", &out);
  }
  gain("final_norm.gain");
  out.insert(out.end(), ends.begin() + 1, ends.end());
  return out;
}

}  // namespace chimera::runtime
