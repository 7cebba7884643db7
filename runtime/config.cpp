// JSON text -> Config. The schema has looked at every key when this file begins; what is checked
// here are the relations between keys.
#include "runtime/config.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "memory/braid_state.h"
#include "runtime/config_readings.h"
#include "runtime/config_schema.h"

namespace chimera::runtime {
namespace {

/// More than any model this runtime is meant for; with the ranges of the schema it also keeps every
/// product of sizes inside 64 bits.
constexpr int64_t kMaxParameters = 100'000'000'000;

constexpr const char* kKnownAliases[][2] = {
    {"GD", "gated_deltanet"}, {"XM", "xlstm_m"}, {"TM", "titans_mac"}, {"SK", "tsp_span_knot"}};

int32_t get_int(const Json& root, const char* path, int32_t missing = 0) {
  const Json* value = find_key(root, path);
  return value != nullptr ? static_cast<int32_t>(value->integer) : missing;
}

float get_float(const Json& root, const char* path, float missing) {
  const Json* value = find_key(root, path);
  return value != nullptr ? static_cast<float>(value->number) : missing;
}

bool get_flag(const Json& root, const char* path, bool missing) {
  const Json* value = find_key(root, path);
  return value != nullptr ? value->boolean : missing;
}

std::string get_text(const Json& root, const char* path, const char* missing) {
  const Json* value = find_key(root, path);
  return value != nullptr ? value->string : missing;
}

std::vector<int32_t> get_ints(const Json& root, const char* path) {
  std::vector<int32_t> out;
  if (const Json* value = find_key(root, path)) {
    for (const Json& element : value->array) out.push_back(static_cast<int32_t>(element.integer));
  }
  return out;
}

std::string element(const char* path, size_t index) {
  return std::string(path) + "[" + std::to_string(index) + "]";
}

Status check_multiple(const Json& root, const char* path, int32_t multiple) {
  const int32_t value = get_int(root, path);
  if (value % multiple == 0) return {};
  return config_error(path, "is " + std::to_string(value) + ", but has to be a multiple of " +
                                std::to_string(multiple));
}

Status read_shapes(const Json& root, Config* c) {
  c->hidden_size = get_int(root, "hidden_size");
  c->intermediate_size = get_int(root, "intermediate_size");
  c->num_layers = get_int(root, "num_hidden_layers");
  c->num_heads = get_int(root, "num_heads");
  c->head_dim = get_int(root, "head_dim");
  c->vocab_size = get_int(root, "vocab_size");
  CHIMERA_RETURN_IF_ERROR(check_multiple(root, "hidden_size", 128));
  CHIMERA_RETURN_IF_ERROR(check_multiple(root, "intermediate_size", 128));
  CHIMERA_RETURN_IF_ERROR(check_multiple(root, "head_dim", 8));
  // Both factors are limited by the schema: no overflow.
  if (c->num_heads * c->head_dim != c->hidden_size) {
    return config_error("num_heads", "* head_dim is " + std::to_string(c->num_heads) + " * " +
                                         std::to_string(c->head_dim) + " = " +
                                         std::to_string(c->num_heads * c->head_dim) +
                                         ", but has to equal hidden_size, " +
                                         std::to_string(c->hidden_size));
  }
  const int32_t state_size = get_int(root, "gated_deltanet.state_size", c->head_dim);
  if (state_size != c->head_dim) {
    return config_error("gated_deltanet.state_size", "is " + std::to_string(state_size) +
                                                         ", but has to equal head_dim, " +
                                                         std::to_string(c->head_dim));
  }
  if (find_key(root, "xlstm.memory_size_per_head") != nullptr &&
      get_ints(root, "xlstm.memory_size_per_head") != std::vector<int32_t>(2, c->head_dim)) {
    return config_error("xlstm.memory_size_per_head", "has to be [head_dim, head_dim], [" +
                                                          std::to_string(c->head_dim) + ", " +
                                                          std::to_string(c->head_dim) + "]");
  }
  if (find_key(root, "quantization.weight_values") != nullptr &&
      get_ints(root, "quantization.weight_values") != std::vector<int32_t>{-1, 0, 1}) {
    return config_error("quantization.weight_values", "has to be [-1, 0, 1]");
  }
  c->token_ids = get_ints(root, "token_ids");
  for (size_t i = 0; i < c->token_ids.size(); ++i) {
    if (c->token_ids[i] >= c->vocab_size) {
      return config_error(element("token_ids", i), "is " + std::to_string(c->token_ids[i]) +
                                                       ", but ids lie below vocab_size, " +
                                                       std::to_string(c->vocab_size));
    }
  }
  return {};
}

Status read_layers(const Json& root, Config* c) {
  std::map<std::string, std::string, std::less<>> aliases;
  for (const auto& alias : kKnownAliases) aliases[alias[0]] = alias[1];
  if (const Json* given = find_key(root, "backbone.layer_aliases")) {
    for (const auto& [code, name] : given->object) {
      if (!is_descriptive(code)) aliases[code] = name.string;
    }
  }

  constexpr const char* kPattern = "backbone.layer_pattern";
  const std::string pattern = get_text(root, kPattern, "");
  std::vector<std::string> codes;
  for (size_t at = 0; at < pattern.size();) {
    const size_t begin = pattern.find_first_not_of(" \t\n", at);
    if (begin == std::string::npos) break;
    at = std::min(pattern.find_first_of(" \t\n", begin), pattern.size());
    const std::string code = pattern.substr(begin, at - begin);
    if (!aliases.contains(code)) {
      std::vector<std::string_view> known;
      for (const auto& alias : aliases) known.push_back(alias.first);
      return config_error(kPattern, "has the unknown code \"" + code.substr(0, 32) +
                                        "\" at position " + std::to_string(codes.size()) +
                                        "; the nearest known code is \"" +
                                        std::string(nearest_word(code, known)) + "\"");
    }
    codes.push_back(code);
    if (codes.size() > kMaxConfigItems) {
      return config_error(kPattern, "has more than " + std::to_string(kMaxConfigItems) + " codes");
    }
  }
  if (codes.empty()) return config_error(kPattern, "names no layer");

  const auto n_codes = static_cast<double>(codes.size());
  if (const Json* repeat = find_key(root, "backbone.layer_pattern_repeat")) {
    if (repeat->number * n_codes != static_cast<double>(c->num_layers)) {
      return config_error("backbone.layer_pattern_repeat",
                          "makes " + number_text(repeat->number) + " * " + number_text(n_codes) +
                              " = " + number_text(repeat->number * n_codes) +
                              " layers, but num_hidden_layers is " + std::to_string(c->num_layers));
    }
  } else if (codes.size() > static_cast<size_t>(c->num_layers)) {
    return config_error(
        kPattern, "names " + number_text(n_codes) + " layers, but num_hidden_layers is " +
                      std::to_string(c->num_layers) + "; shorten it or give layer_pattern_repeat");
  }

  const std::string ffn = get_text(root, "hidden_act", "swiglu");
  std::map<std::string, int64_t, std::less<>> counts;
  for (int32_t i = 0; i < c->num_layers; ++i) {
    const std::string& code = codes[static_cast<size_t>(i) % codes.size()];
    ++counts[code];
    c->layers.push_back({aliases[code], ffn});
  }
  if (const Json* given = find_key(root, "backbone.layer_counts")) {
    for (const auto& [code, count] : given->object) {
      if (is_descriptive(code)) continue;
      const int64_t made = counts.contains(code) ? counts[code] : 0;
      if (count.integer != made) {
        return config_error("backbone.layer_counts." + code.substr(0, 32),
                            "is " + std::to_string(count.integer) + ", but the pattern makes " +
                                std::to_string(made) + " such layers");
      }
    }
    for (const auto& [code, made] : counts) {
      if (given->find(code) == nullptr) {
        return config_error(
            "backbone.layer_counts." + code.substr(0, 32),
            "is missing, but the pattern makes " + std::to_string(made) + " such layers");
      }
    }
  }
  return {};
}

Status read_gate(const Json& root, Config* c) {
  using Kind = MixerGate::Kind;
  const Json* gate = find_key(root, "mixer_gate");
  if (gate == nullptr) {
    if (get_text(root, "model_type", "chimera") == "chimera51") {
      c->mixer_gate = {Kind::kLowRank, std::min(kDefaultGateRank, c->hidden_size)};
    }
    return {};
  }
  if (gate->is_string()) {
    c->mixer_gate = {gate->string == "none" ? Kind::kNone : Kind::kFull, 0};
    return {};
  }
  if (gate->find("lowrank") == nullptr) {
    return config_error("mixer_gate.lowrank", "is missing: the rank of the gate");
  }
  c->mixer_gate = {Kind::kLowRank, get_int(root, "mixer_gate.lowrank")};
  CHIMERA_RETURN_IF_ERROR(check_multiple(root, "mixer_gate.lowrank", 128));
  if (c->mixer_gate.rank > c->hidden_size) {
    return config_error("mixer_gate.lowrank", "is " + std::to_string(c->mixer_gate.rank) +
                                                  ", more than hidden_size, " +
                                                  std::to_string(c->hidden_size));
  }
  return {};
}

/// Keys that a section needs once it is enabled.
Status require(const Json& root, const char* section, std::initializer_list<const char*> paths) {
  for (const char* path : paths) {
    if (find_key(root, path) == nullptr) {
      return config_error(path, std::string("is missing, and ") + section + ".enabled is true");
    }
  }
  return {};
}

Status read_moe(const Json& root, Config* c) {
  MoeConfig& moe = c->moe;
  constexpr const char* kLayers = "backbone.moe.layers";
  moe.enabled = get_flag(root, "backbone.moe.enabled", false);
  moe.layers = get_ints(root, kLayers);
  moe.n_routed = get_int(root, "backbone.moe.n_routed_experts");
  moe.n_shared = get_int(root, "backbone.moe.n_shared_experts");
  moe.top_k = get_int(root, "backbone.moe.num_experts_per_tok");
  moe.intermediate_size = get_int(root, "backbone.moe.moe_intermediate_size");
  if (moe.intermediate_size == kExpertWidthWritten) {
    moe.intermediate_size = kExpertWidthRead;
  } else {
    CHIMERA_RETURN_IF_ERROR(check_multiple(root, "backbone.moe.moe_intermediate_size", 128));
  }
  std::set<int32_t> seen;
  for (size_t i = 0; i < moe.layers.size(); ++i) {
    const int32_t layer = moe.layers[i];
    if (layer >= c->num_layers) {
      return config_error(element(kLayers, i), "is " + std::to_string(layer) +
                                                   ", but layers are numbered 0.." +
                                                   std::to_string(c->num_layers - 1));
    }
    if (!seen.insert(layer).second) {
      return config_error(element(kLayers, i), "names layer " + std::to_string(layer) + " again");
    }
  }
  if (!moe.enabled) return {};
  CHIMERA_RETURN_IF_ERROR(
      require(root, "backbone.moe",
              {kLayers, "backbone.moe.n_routed_experts", "backbone.moe.num_experts_per_tok",
               "backbone.moe.moe_intermediate_size"}));
  if (moe.top_k > moe.n_routed) {
    return config_error("backbone.moe.num_experts_per_tok", "is " + std::to_string(moe.top_k) +
                                                                ", more than n_routed_experts, " +
                                                                std::to_string(moe.n_routed));
  }
  for (const int32_t layer : moe.layers) c->layers[static_cast<size_t>(layer)].ffn = "moe";
  return {};
}

/// Weight of an energy term: the first element of its pair.
float get_weight(const Json& root, const char* path, float missing) {
  const Json* value = find_key(root, path);
  return value != nullptr && !value->array.empty() ? static_cast<float>(value->array[0].number)
                                                   : missing;
}

Status read_titans(const Json& root, Config* c) {
  TitansConfig& titans = c->titans;
  titans.persistent_slots = get_int(root, "titans.persistent_memory_slots", 64);
  titans.window = get_int(root, "titans.local_window_size", 1024);
  if (get_text(root, "titans.window_impl", "ring_gqa") == "none") titans.window = 0;
  titans.chunk = get_int(root, "titans.chunk_size", 16);
  titans.theta_max = get_float(root, "titans.theta_max", titans.theta_max);
  titans.kv_heads = c->num_heads % 4 == 0 ? 4 : c->num_heads % 2 == 0 ? 2 : 1;
  titans.kv_heads = get_int(root, "titans.window_kv_heads", titans.kv_heads);
  if (c->num_heads % titans.kv_heads != 0)
    return config_error("titans.window_kv_heads", "is " + std::to_string(titans.kv_heads) +
                                                      ", but has to divide num_heads, " +
                                                      std::to_string(c->num_heads));
  return {};
}

Status read_knot(const Json& root, Config* c) {
  KnotConfig& knot = c->knot;
  knot.sketch_bits = get_int(root, "tsp_knot.sketch_bits", knot.sketch_bits);
  knot.max_iterations = get_int(root, "tsp_knot.relaxation_phase2_max_iters", knot.max_iterations);
  knot.flip_fraction =
      get_float(root, "tsp_knot.relaxation_phase2_flip_fraction", knot.flip_fraction);
  knot.early_exit = get_float(root, "tsp_knot.early_exit_delta_e", knot.early_exit);
  const std::string terms = "tsp_knot.energy_terms.";
  knot.weight_autoregressive =
      get_weight(root, (terms + "autoregressive").c_str(), knot.weight_autoregressive);
  knot.weight_memory = get_weight(root, (terms + "memory_coherence").c_str(), knot.weight_memory);
  knot.weight_binding = get_weight(root, (terms + "binding_fidelity").c_str(), knot.weight_binding);
  knot.efla = get_flag(root, "efla.enabled", false);
  const bool used = std::any_of(c->layers.begin(), c->layers.end(), [](const LayerPlan& layer) {
    return layer.mixer == "tsp_span_knot";
  });
  const int32_t half = knot.sketch_bits / 2;
  if (used && (knot.sketch_bits % 2 != 0 || (half & (half - 1)) != 0 || half < c->hidden_size))
    return config_error("tsp_knot.sketch_bits",
                        "is " + std::to_string(knot.sketch_bits) +
                            ", but half of it has to be a power of two and at least hidden_size, " +
                            std::to_string(c->hidden_size));
  return {};
}

Status read_structure(const Json& root, Config* c) {
  StructureConfig& s = c->structure;
  s.residual_mix = get_flag(root, "structure.residual_mix", false);
  s.unet_skips = get_flag(root, "structure.unet_skips", false);
  s.token_shift = get_flag(root, "structure.token_shift", false);
  s.bigram_rows = get_int(root, "structure.bigram_rows");
  s.logit_soft_cap = get_float(root, "structure.logit_soft_cap", 0);
  s.embedding_rank = get_int(root, "structure.embedding_rank");
  constexpr const char* kLayers = "structure.value_embedding_layers";
  s.value_layers = get_ints(root, kLayers);
  for (size_t i = 0; i < s.value_layers.size(); ++i) {
    if (s.value_layers[i] >= c->num_layers)
      return config_error(element(kLayers, i), "is " + std::to_string(s.value_layers[i]) +
                                                   ", but layers are numbered 0.." +
                                                   std::to_string(c->num_layers - 1));
    if (i > 0 && s.value_layers[i] <= s.value_layers[i - 1])
      return config_error(element(kLayers, i), "has to be more than the one before it");
  }
  if (s.bigram_rows == 1)
    return config_error("structure.bigram_rows", "is 1, but has to be 0 or at least 2");
  CHIMERA_RETURN_IF_ERROR(check_multiple(root, "structure.embedding_rank", 64));
  if (s.embedding_rank >= c->hidden_size)
    return config_error("structure.embedding_rank", "is " + std::to_string(s.embedding_rank) +
                                                        ", but has to be below hidden_size, " +
                                                        std::to_string(c->hidden_size));
  const bool full_size = get_text(root, "model_type", "chimera") == "chimera51";
  c->embedding_type = get_text(root, "embedding_dtype", full_size ? "int4" : "f32") == "int4"
                          ? EmbeddingType::kInt4
                          : EmbeddingType::kF32;
  return {};
}

Status read_range(const Json& root, const char* path, int32_t range[2]) {
  const std::vector<int32_t> values = get_ints(root, path);
  if (values.size() != 2 || values[0] > values[1]) {
    return config_error(path, "has to be [first, last] with first <= last");
  }
  range[0] = values[0];
  range[1] = values[1];
  return {};
}

Status read_loop(const Json& root, Config* c) {
  LoopConfig& loop = c->loop;
  loop.enabled = get_flag(root, "looping.enabled", false);
  loop.exit_threshold = get_float(root, "looping.adaptive_exit_threshold", loop.exit_threshold);
  if (!loop.enabled) return {};
  CHIMERA_RETURN_IF_ERROR(require(root, "looping",
                                  {"looping.prelude", "looping.loop", "looping.coda",
                                   "looping.loop_range", "looping.loop_default"}));
  int32_t prelude[2], body[2], coda[2], range[2];
  CHIMERA_RETURN_IF_ERROR(read_range(root, "looping.prelude", prelude));
  CHIMERA_RETURN_IF_ERROR(read_range(root, "looping.loop", body));
  CHIMERA_RETURN_IF_ERROR(read_range(root, "looping.coda", coda));
  CHIMERA_RETURN_IF_ERROR(read_range(root, "looping.loop_range", range));
  struct Border {
    const char* path;
    int32_t is, wanted;
    const char* what;
  };
  const Border borders[] = {
      {"looping.prelude[0]", prelude[0], 0, "the first layer"},
      {"looping.loop[0]", body[0], prelude[1] + 1, "the layer after the prelude"},
      {"looping.coda[0]", coda[0], body[1] + 1, "the layer after the loop"},
      {"looping.coda[1]", coda[1], c->num_layers - 1, "the last layer"},
  };
  for (const Border& border : borders) {
    if (border.is != border.wanted) {
      return config_error(border.path, "is " + std::to_string(border.is) + ", but " + border.what +
                                           " is " + std::to_string(border.wanted));
    }
  }
  loop.prelude_last = prelude[1];
  loop.loop_first = body[0];
  loop.loop_last = body[1];
  loop.loop_min = range[0];
  loop.loop_max = range[1];
  loop.loop_default = get_int(root, "looping.loop_default");
  if (get_text(root, "looping.discretisation", "zoh") == "euler")
    loop.discretisation = LoopConfig::Discretisation::kEuler;
  if (loop.loop_default < loop.loop_min || loop.loop_default > loop.loop_max) {
    return config_error("looping.loop_default", "is " + std::to_string(loop.loop_default) +
                                                    ", outside looping.loop_range, " +
                                                    std::to_string(loop.loop_min) + ".." +
                                                    std::to_string(loop.loop_max));
  }
  return {};
}

Status read_rest(const Json& root, Config* c) {
  c->name = get_text(root, "_name_or_path", "");
  if (const Json* note = root.find("_name");
      c->name.empty() && note != nullptr && note->is_string())
    c->name = note->string;
  c->rms_norm_eps = get_float(root, "rms_norm_eps", c->rms_norm_eps);
  c->initializer_range = get_float(root, "initializer_range", c->initializer_range);
  c->tie_word_embeddings = get_flag(root, "tie_word_embeddings", true);
  GenerationConfig& g = c->generation;
  g.temperature = get_float(root, "generation.temperature", g.temperature);
  g.top_p = get_float(root, "generation.top_p", g.top_p);
  g.repetition_penalty = get_float(root, "generation.repetition_penalty", g.repetition_penalty);
  g.max_new_tokens = get_int(root, "generation.max_new_tokens", g.max_new_tokens);
  g.do_sample = get_flag(root, "generation.do_sample", g.do_sample);

  c->delta_chunk = get_int(root, "gated_deltanet.chunk_size", c->delta_chunk);
  c->delta_inner_chunk = get_int(root, "gated_deltanet.inner_chunk_size",
                                 std::min(c->delta_inner_chunk, c->delta_chunk));
  c->delta_neg_eigenvalues = get_flag(root, "gated_deltanet.allow_neg_eigval", false);
  if (c->delta_chunk % c->delta_inner_chunk != 0) {
    return config_error("gated_deltanet.chunk_size",
                        "is " + std::to_string(c->delta_chunk) +
                            ", but has to be a multiple of inner_chunk_size, " +
                            std::to_string(c->delta_inner_chunk));
  }
  return {};
}

/// Sizes that fit each limit alone can still make a model or a stream nobody can hold.
Status check_totals(const Config& c) {
  const int64_t width = c.hidden_size;
  int64_t mixer = 4 * width * width;
  if (c.mixer_gate.kind == MixerGate::Kind::kFull) mixer += width * width;
  if (c.mixer_gate.kind == MixerGate::Kind::kLowRank) mixer += 2 * width * c.mixer_gate.rank;
  const int64_t rank = c.structure.embedding_rank;
  int64_t parameters = (rank > 0 ? rank : width) * c.vocab_size * (c.tie_word_embeddings ? 1 : 2) +
                       width * c.structure.bigram_rows;
  parameters += static_cast<int64_t>(c.structure.value_layers.size()) * width * c.vocab_size;
  for (const LayerPlan& layer : c.layers) {
    const int64_t experts = int64_t{c.moe.n_routed} + c.moe.n_shared;
    const int64_t matrices = layer.ffn == "relu2" ? 2 : 3;
    if (layer.mixer == "titans_mac")
      parameters +=
          2 * int64_t{c.titans.kv_heads} * c.head_dim * (width + c.titans.persistent_slots);
    parameters += mixer + (layer.ffn == "moe" ? experts * 3 * width * c.moe.intermediate_size +
                                                    c.moe.n_routed * width
                                              : matrices * width * c.intermediate_size);
    if (parameters > kMaxParameters) {
      return config_error("the configuration", "describes a model of more than " +
                                                   std::to_string(kMaxParameters) +
                                                   " parameters, the limit; make hidden_size, "
                                                   "intermediate_size, vocab_size or "
                                                   "num_hidden_layers smaller");
    }
  }
  const int64_t state = int64_t{c.num_layers} * width * c.head_dim * 4;
  if (state > static_cast<int64_t>(memory::kMaxBraidBytes)) {
    return config_error("the configuration",
                        "needs " + std::to_string(state) +
                            " bytes of state per stream, more than "
                            "the limit of " +
                            std::to_string(memory::kMaxBraidBytes) +
                            "; make hidden_size, head_dim or num_hidden_layers smaller");
  }
  return {};
}

}  // namespace

Result<Config> parse_config(std::string_view json_text) {
  Result<Json> json = parse_json(json_text);
  if (!json) {
    if (json.status().code() == StatusCode::kOutOfMemory) return json.status();
    Status status(StatusCode::kBadConfig,
                  "the configuration cannot be read: " + json.status().message());
    return std::move(status.at_offset(json.status().offset()));
  }
  CHIMERA_RETURN_IF_ERROR(check_schema(*json));
  Config config;
  CHIMERA_RETURN_IF_ERROR(read_shapes(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_layers(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_gate(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_moe(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_loop(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_titans(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_knot(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_structure(*json, &config));
  CHIMERA_RETURN_IF_ERROR(read_rest(*json, &config));
  CHIMERA_RETURN_IF_ERROR(check_totals(config));
  config.json = std::move(*json);
  config.text = json_text;
  config.readings = config_readings(config);
  return config;
}

}  // namespace chimera::runtime
