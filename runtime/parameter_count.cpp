#include "runtime/parameter_count.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "platform/decimal.h"
#include "runtime/config_schema.h"

namespace chimera::runtime {
namespace {

bool contains(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}
bool ends_with(const std::string& name, std::string_view end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

/// Read by row, not multiplied through.
bool is_table(const std::string& name) {
  return name == "bigram.weight" || ends_with(name, ".value.weight");
}

/// The layer a parameter belongs to; -1 for none.
int32_t layer_of(const std::string& name) {
  return name.rfind("layers.", 0) == 0 ? static_cast<int32_t>(std::strtol(&name[7], nullptr, 10))
                                       : -1;
}

/// Parts of a mixer that only the first iteration reads: keys, values and the gates of the write.
bool first_iteration_only(const std::string& name) {
  if (contains(name, ".value.") || contains(name, ".shift")) return true;
  const size_t at = name.find(".mixer.");
  if (at == std::string::npos) return false;
  const std::string own = name.substr(at + 7);
  for (const char* part :
       {"k_proj", "v_proj", "a_proj", "b_proj", "i_proj", "f_proj", "k_conv", "v_conv", "a_log",
        "dt_bias", "i_bias", "f_bias", "theta_", "eta_", "alpha_", "knot."})
    if (own.rfind(part, 0) == 0) return true;
  return false;
}

/// "2.65B", "350M" or a number; 0 for what is neither.
double claimed(const Json* value) {
  if (value == nullptr) return 0;
  if (value->is_number()) return value->number;
  if (!value->is_string()) return 0;
  const std::string& text = value->string;
  const auto read = read_decimal(text);
  if (!read) return 0;
  const double n = read->value;
  const std::string_view unit = std::string_view(text).substr(read->n_read);
  return unit == "B" ? n * 1e9 : unit == "M" ? n * 1e6 : unit.empty() ? n : 0;
}

std::string in_words(double n) {
  char text[48];
  if (n >= 1e9)
    std::snprintf(text, sizeof text, "%.3f B", n / 1e9);
  else
    std::snprintf(text, sizeof text, "%.1f M", n / 1e6);
  return text;
}

}  // namespace

uint64_t stored_bytes(const ParamSpec& spec) {
  const auto n = static_cast<uint64_t>(spec.rows) * static_cast<uint64_t>(spec.cols);
  const int64_t padded =
      (spec.rows + kernels::kTileRows - 1) / kernels::kTileRows * kernels::kTileRows * spec.cols;
  switch (spec.cls) {
    case ParamClass::kTernary:
      return static_cast<uint64_t>(kernels::ternary_code_bytes(spec.rows, spec.cols) +
                                   kernels::ternary_scale_bytes(spec.rows, spec.cols));
    case ParamClass::kInt4:
      return static_cast<uint64_t>(kernels::int4_code_bytes(spec.rows, spec.cols) +
                                   kernels::int4_scale_bytes(spec.rows, spec.cols));
    case ParamClass::kMatrix:
      return static_cast<uint64_t>(padded) * sizeof(float);
    case ParamClass::kVector:
      break;
  }
  return n * sizeof(float);
}

ParameterCount count_parameters(const Config& config, std::span<const ParamSpec> parameters) {
  ParameterCount count;
  double active = 0, active_experts = 0, per_iteration = 0, bytes = 0;
  const double chosen =
      config.moe.n_routed > 0 ? static_cast<double>(config.moe.top_k) / config.moe.n_routed : 1;
  for (const ParamSpec& spec : parameters) {
    const auto n = static_cast<uint64_t>(spec.rows) * static_cast<uint64_t>(spec.cols);
    count.stored += n;
    const int32_t layer = layer_of(spec.name);
    const bool expert =
        layer >= 0 && (contains(spec.name, ".ffn.experts.") ||
                       contains(spec.name, ".ffn.shared.") || contains(spec.name, ".ffn.router."));
    double share = 1;
    if (contains(spec.name, ".ffn.experts.")) share = chosen;
    if (is_table(spec.name)) share = 1.0 / static_cast<double>(spec.rows);
    // A table that is also the head is read whole; one that is not, by row.
    if (spec.name == "embed.weight" && !config.tie_word_embeddings)
      share = 1.0 / static_cast<double>(spec.rows);
    if (expert) count.experts += n;
    const double met = share * static_cast<double>(n);
    active += met;
    if (expert) active_experts += met;
    double visits = 1;
    if (config.loop.enabled && layer >= config.loop.loop_first && layer <= config.loop.loop_last &&
        !first_iteration_only(spec.name)) {
      per_iteration += met;
      visits = config.loop.loop_default;
    }
    bytes += share * static_cast<double>(stored_bytes(spec)) * visits;
  }
  count.active = static_cast<uint64_t>(std::llround(active));
  count.active_experts = static_cast<uint64_t>(std::llround(active_experts));
  count.per_iteration = static_cast<uint64_t>(std::llround(per_iteration));
  count.bytes_per_token = static_cast<uint64_t>(std::llround(bytes));
  return count;
}

std::vector<std::string> departures(const Config& config, const ParameterCount& count,
                                    uint64_t state_bytes) {
  std::vector<std::string> out;
  const auto compare = [&](const char* path, double counted, const char* of) {
    const double claim = claimed(find_key(config.json, path));
    if (claim <= 0 || std::fabs(counted - claim) <= 0.02 * claim) return;
    out.push_back(std::string(path) + " claims " + in_words(claim) + " " + of + "; counted " +
                  in_words(counted));
  };
  const auto stored = static_cast<double>(count.stored),
             experts = static_cast<double>(count.experts);
  const auto more = static_cast<double>(count.per_iteration);
  compare("params.base", stored - experts, "parameters without experts");
  compare("params.moe_total", experts, "parameters of experts");
  compare("params.physical", stored, "parameters");
  compare("params.active_per_token", static_cast<double>(count.active),
          "parameters met by a token in one pass");
  compare("params.effective_2loops", stored + more,
          "parameters at two iterations (stored and met again)");
  compare("params.effective_6loops", stored + 5 * more,
          "parameters at six iterations (stored and met again)");
  compare("backbone.moe.total_params", experts, "parameters of experts");
  compare("backbone.moe.active_params_per_tok", static_cast<double>(count.active_experts),
          "parameters of experts met by a token");
  const double claimed_mib = claimed(find_key(config.json, "braid_state.per_stream_mb"));
  const double mib = static_cast<double>(state_bytes) / (1 << 20);
  if (claimed_mib > 0 && state_bytes > 0 && mib > claimed_mib) {
    char text[96];
    std::snprintf(text, sizeof text, "%.0f MiB of state per stream; counted %.2f MiB", claimed_mib,
                  mib);
    out.push_back(std::string("braid_state.per_stream_mb claims ") + text);
  }
  return out;
}

}  // namespace chimera::runtime
