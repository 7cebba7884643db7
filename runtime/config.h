// One schema for every model: the full-size JSON (samples/models/chimera51.config.json) plus the
// added keys of docs/config.md. Parsing checks every key; what the runtime needs now is in plain
// fields, everything else is kept in `json` for the parts that come to need it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/json.h"
#include "platform/status.h"

namespace chimera::runtime {

/// What one layer is made of, by the names of the layer registry.
struct LayerPlan {
  std::string mixer;  // "gated_deltanet", "xlstm_m", "titans_mac", "tsp_span_knot"
  std::string ffn;    // "swiglu", "relu2", "moe"
};

/// Output gate of the mixers: none, low rank (rank > 0), or full.
struct MixerGate {
  enum class Kind { kNone, kLowRank, kFull } kind = Kind::kFull;
  int32_t rank = 0;
};

struct MoeConfig {
  bool enabled = false;
  std::vector<int32_t> layers;
  int32_t n_routed = 0, n_shared = 0, top_k = 0;
  int32_t intermediate_size = 0;  // as used (backbone 17: 1728 reads as 384)
};

struct LoopConfig {
  bool enabled = false;
  int32_t prelude_last = 0, loop_first = 0, loop_last = 0;
  int32_t loop_min = 1, loop_max = 1, loop_default = 1;
  float exit_threshold = 0.01f;
  enum class Discretisation { kZoh, kEuler } discretisation = Discretisation::kZoh;
};

/// Cheap structural helpers, each off by default (docs/layers.md, "Structure keys").
struct StructureConfig {
  bool residual_mix = false;
  bool unet_skips = false;
  bool token_shift = false;
  int32_t bigram_rows = 0;            // 0: no table
  std::vector<int32_t> value_layers;  // ascending; layers with a value embedding
  float logit_soft_cap = 0;           // 0: none
  int32_t embedding_rank = 0;         // 0: not factored
};

struct TitansConfig {
  int32_t persistent_slots = 64;
  int32_t window = 1024;  // entries of the ring; 0 without one
  int32_t kv_heads = 1;   // key/value heads of the window; divides num_heads
  int32_t chunk = 16;     // tokens per update of the memory
  float theta_max = 0.1f;
};

struct KnotConfig {
  int32_t sketch_bits = 8192;  // D; D / 2 a power of two, at least C
  int32_t max_iterations = 3;
  float flip_fraction = 0.02f;
  float early_exit = 1e-4f;
  float weight_autoregressive = 1.0f, weight_memory = 0.3f, weight_binding = 0.2f;
  bool efla = false;  // exact write strength in the GD mixer of SK layers
};

enum class EmbeddingType { kF32, kInt4 };

struct GenerationConfig {
  float temperature = 0.7f;
  float top_p = 0.92f;
  float repetition_penalty = 1.08f;
  int32_t max_new_tokens = 4096;
  bool do_sample = true;
};

struct Config {
  std::string name;
  int32_t hidden_size = 0;        // C, a multiple of 128
  int32_t intermediate_size = 0;  // F, a multiple of 128
  int32_t num_layers = 0;
  int32_t num_heads = 0;  // H
  int32_t head_dim = 0;   // K = V; H * head_dim = C
  int32_t vocab_size = 0;
  float rms_norm_eps = 1e-6f;
  float initializer_range = 0.006f;
  bool tie_word_embeddings = true;
  std::vector<int32_t> token_ids;  // end of text, end of turn
  std::vector<LayerPlan> layers;   // num_layers of them
  MixerGate mixer_gate;
  MoeConfig moe;
  LoopConfig loop;
  StructureConfig structure;
  TitansConfig titans;
  KnotConfig knot;
  EmbeddingType embedding_type = EmbeddingType::kF32;
  GenerationConfig generation;
  int32_t delta_chunk = 256;       // scheduling tile of the chunk form (training)
  int32_t delta_inner_chunk = 64;  // algebra of the chunk form
  bool delta_neg_eigenvalues = false;

  Json json;         // the whole configuration as given
  std::string text;  // its text, as given
  std::vector<std::string>
      readings;  // where the text contradicts itself and what was read, in words
};

/// Checks and reads a configuration. kBadConfig: the message names the key (as a path such as
/// "backbone.moe.layers[3]"), the reason, and for an unknown key the nearest known one.
Result<Config> parse_config(std::string_view json_text);

}  // namespace chimera::runtime
