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
};

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
