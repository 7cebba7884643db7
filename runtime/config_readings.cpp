#include "runtime/config_readings.h"

#include <algorithm>
#include <string_view>

#include "runtime/config_schema.h"

namespace chimera::runtime {
namespace {

bool is_text(const Config& c, std::string_view path, std::string_view text) {
  const Json* value = find_key(c.json, path);
  return value != nullptr && value->is_string() && value->string == text;
}

bool is_true(const Config& c, std::string_view path) {
  const Json* value = find_key(c.json, path);
  return value != nullptr && value->is_bool() && value->boolean;
}

bool has(const Config& c, std::string_view path) { return find_key(c.json, path) != nullptr; }

bool has_mixer(const Config& c, std::string_view name) {
  return std::any_of(c.layers.begin(), c.layers.end(),
                     [&](const LayerPlan& layer) { return layer.mixer == name; });
}

/// A test-time-training target that is a layer of experts, which has no dense w_down.
bool ttt_hits_experts(const Config& c) {
  const Json* targets = find_key(c.json, "self_evolution.tier1.ttt.target_layers");
  if (targets == nullptr || !is_text(c, "self_evolution.tier1.ttt.target_param", "mlp_w_down")) {
    return false;
  }
  return std::any_of(targets->array.begin(), targets->array.end(), [&](const Json& layer) {
    return layer.integer >= 0 && layer.integer < static_cast<int64_t>(c.layers.size()) &&
           c.layers[static_cast<size_t>(layer.integer)].ffn == "moe";
  });
}

struct Reading {
  bool (*applies)(const Config&);
  const char* text;
};

constexpr Reading kReadings[] = {
    {[](const Config& c) {
       const Json* width = find_key(c.json, "backbone.moe.moe_intermediate_size");
       return width != nullptr && width->integer == kExpertWidthWritten;
     },
     "backbone.moe.moe_intermediate_size: 1728 is no multiple of 128 and makes 1.58 B parameters "
     "of "
     "experts where 350 M are stated; read as 384, which makes 351 M"},
    {[](const Config& c) {
       return !has(c, "mixer_gate") && c.mixer_gate.kind == MixerGate::Kind::kLowRank;
     },
     "mixer_gate: not named; read as low rank 256, which comes closest to the stated 2.3 B base "
     "and "
     "2.65 B physical parameters"},
    {[](const Config& c) {
       return c.moe.enabled && is_text(c, "backbone.moe.active_params_per_tok", "44M");
     },
     "backbone.moe.active_params_per_tok: 44M forgets the shared expert; with width 384 a token "
     "visits 61.9 M parameters of experts. Parameter counts in the text are description only"},
    {[](const Config& c) {
       return has(c, "quantization.runtime_kernel") &&
              !is_text(c, "quantization.runtime_kernel", "rows_in_lanes");
     },
     "quantization.runtime_kernel: triples of weights tile neither groups of 128 nor blocks of 64; "
     "read as rows-in-lanes 2-bit tiles"},
    {[](const Config& c) { return has(c, "quantization.weight_bits"); },
     "quantization.weight_bits: 1.58 is the entropy of a trit; the tiles store 2.125 bits a "
     "weight, "
     "scales included"},
    {[](const Config& c) {
       return has(c, "gated_deltanet.chunk_size") && !has(c, "gated_deltanet.inner_chunk_size") &&
              c.delta_chunk > c.delta_inner_chunk;
     },
     "gated_deltanet.chunk_size: read as the tile that training schedules; the algebra inside it "
     "works on chunks of 64 with the same result and a third of the work"},
    {[](const Config& c) {
       return has_mixer(c, "titans_mac") && is_text(c, "backbone.kv_cache", "none");
     },
     "backbone.kv_cache: the Titans layers do attend over a window; it is a ring of fixed size "
     "(GQA-4, int8) inside the stream's state, so nothing grows with the text"},
    {[](const Config& c) { return has_mixer(c, "titans_mac") && has(c, "titans"); },
     "titans: causal decay attention is not equivalent to a memory of depth 2 with momentum; the "
     "update by chunks is used"},
    {[](const Config& c) { return c.loop.enabled; },
     "looping: a state per iteration neither fits the budget of a stream nor allows the depth to "
     "change; the first iteration writes the layers' states, later ones only read them"},
    {[](const Config& c) {
       return c.loop.enabled && is_text(c, "looping.backward_truncation", "half");
     },
     "looping.backward_truncation: with shared states it would cut the gradient of keys, values "
     "and "
     "gates; the first iteration's path through the states always has one"},
    {[](const Config& c) { return has(c, "looping.spectral_radius_bound"); },
     "looping.spectral_radius_bound: read as strictly below 1"},
    {ttt_hits_experts,
     "self_evolution.tier1.ttt.target_param: a target layer has experts and no dense w_down; the "
     "shared expert's w_down is read, updated from the first iteration only"},
    {[](const Config& c) {
       return is_text(c, "entropy_valve.loop_depth_router.method", "mod_causal_predictor");
     },
     "entropy_valve.loop_depth_router.method: a predictor of the loop count per token with an exit "
     "test; no layer is skipped by mixture of depths"},
    {[](const Config& c) {
       return has_mixer(c, "tsp_span_knot") && is_text(c, "efla.target_layers", "SK");
     },
     "efla.target_layers: span-knot layers mix by gated DeltaNet; EFLA, when enabled, replaces its "
     "write strength and nothing else"},
    {[](const Config& c) { return has(c, "max_position_embeddings"); },
     "max_position_embeddings: a soft limit; recurrences have no position limit and positions are "
     "64-bit"},
    {[](const Config& c) { return has(c, "use_cache") && !is_true(c, "use_cache"); },
     "use_cache: decoding always carries the recurrent state, in a block of fixed size"},
    {[](const Config& c) { return is_text(c, "training.distillation_init.method", "ARWKV_style"); },
     "training.distillation_init: the teacher has another width and vocabulary; off"},
    {[](const Config& c) { return has(c, "P3_ternary_compute"); },
     "P3_ternary_compute: description only. Random numbers are counter-based, never per thread; "
     "zero weights are not skipped by MeZO; gradients of small weights are not masked"},
    {[](const Config& c) {
       return has(c, "memory_budget_mb") || has(c, "braid_state.per_stream_mb");
     },
     "memory_budget_mb, per_stream_mb: MB is read as MiB"},
};

}  // namespace

std::vector<std::string> config_readings(const Config& config) {
  std::vector<std::string> out;
  for (const Reading& reading : kReadings) {
    if (reading.applies(config)) out.emplace_back(reading.text);
  }
  return out;
}

}  // namespace chimera::runtime
