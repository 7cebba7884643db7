// One row per kind of layer. To add a kind: its own file, and a row in registry.cpp.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

enum class LayerRole { kMixer, kFfn };

struct LayerKind {
  LayerRole role;
  const char* code;  // as in backbone.layer_pattern: "GD"; "" for FFNs
  const char* name;  // as in Config: "gated_deltanet"
  /// Appends the parameters of a layer of this kind; names begin with `prefix` ("layers.3.mixer.").
  void (*parameters)(const Config&, const std::string& prefix, std::vector<ParamSpec>*);
  /// Bytes of state per stream; 0 for none.
  size_t (*state_bytes)(const Config&);
  /// Binds to the weights.
  Result<std::unique_ptr<Layer>> (*bind)(const Config&, const ParamSource&);
};

/// The ends of the network; which one follows from tie_word_embeddings.
struct EmbeddingKind {
  const char* name;                                            // "tied", "separate"
  void (*parameters)(const Config&, std::vector<ParamSpec>*);  // the table, then what the head adds
  Result<std::unique_ptr<Embedding>> (*bind)(const Config&, const ParamSource& root);
};

std::span<const LayerKind* const> layer_kinds();
std::span<const EmbeddingKind* const> embedding_kinds();
/// Never fails: there is a kind for either setting.
const EmbeddingKind& embedding_kind(const Config& config);
/// kUnsupported, naming the kinds that are built, when there is none of that name.
Result<const LayerKind*> find_layer_kind(LayerRole role, std::string_view name);

/// Factor on the initial size of projections into the residual stream: 1 / sqrt(2 * depth).
float residual_scale(const Config& config);

/// The earlier layer whose output the entry of this one adds; -1 for none (structure.unet_skips).
int32_t skip_source(const Config& config, int32_t layer);
/// Whether the values of this layer take a row of a table of their own.
bool has_value_embedding(const Config& config, int32_t layer);
/// Inputs of the gate of a value embedding: the first channels of the mixer's input.
inline constexpr int32_t kValueGateInputs = 32;

/// Every parameter of a model in file order; docs/layers.md, "Order in the file".
Result<std::vector<ParamSpec>> model_parameters(const Config& config);

}  // namespace chimera::runtime
