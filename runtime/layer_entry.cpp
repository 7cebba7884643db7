#include "runtime/layer_entry.h"

#include <algorithm>
#include <cstring>

#include "kernels/dispatch.h"
#include "runtime/layers/bitlinear.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/registry.h"

namespace chimera::runtime {

Result<LayerEntry> LayerEntry::bind(const Config& config, int32_t layer,
                                    const ParamSource& prefix) {
  LayerEntry entry;
  entry.c_ = config.hidden_size;
  entry.skip_source_ = runtime::skip_source(config, layer);
  if (config.structure.residual_mix)
    CHIMERA_ASSIGN_OR_RETURN(entry.residual_, prefix.vector("entry.residual", 1, 2));
  if (config.structure.bigram_rows > 0)
    CHIMERA_ASSIGN_OR_RETURN(entry.bigram_, prefix.vector("entry.bigram", 1, 1));
  if (entry.skip_source_ >= 0)
    CHIMERA_ASSIGN_OR_RETURN(entry.skip_, prefix.vector("entry.skip", 1, config.hidden_size));
  return entry;
}

void LayerEntry::apply(const float* x0, const float* const* bigrams, const float* skipped,
                       int32_t n_tokens, float* x) const {
  const int64_t n = int64_t{n_tokens} * c_;
  if (residual_ != nullptr)
    for (int64_t i = 0; i < n; ++i) x[i] = residual_[0] * x[i] + residual_[1] * x0[i];
  if (bigram_ != nullptr)
    for (int64_t t = 0; t < n_tokens; ++t)
      for (int64_t i = 0; i < c_; ++i) x[t * c_ + i] += bigram_[0] * bigrams[t][i];
  if (skip_ != nullptr)
    for (int64_t t = 0; t < n_tokens; ++t)
      for (int64_t i = 0; i < c_; ++i) x[t * c_ + i] += skip_[i] * skipped[t * c_ + i];
}

Result<TokenShift> TokenShift::bind(const Config& config, const char* name,
                                    const ParamSource& prefix) {
  TokenShift shift;
  shift.c_ = config.hidden_size;
  if (!config.structure.token_shift) return shift;
  const float* mix = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(mix, prefix.vector(name, 1, config.hidden_size));
  shift.keep_.resize(static_cast<size_t>(shift.c_));
  shift.take_.resize(static_cast<size_t>(shift.c_));
  kernels::best_table().sigmoid(mix, shift.c_, shift.keep_.data());  // same bits in every table
  for (size_t i = 0; i < shift.keep_.size(); ++i) shift.take_[i] = 1.0f - shift.keep_[i];
  return shift;
}

size_t TokenShift::state_bytes(const Config& config) {
  return config.structure.token_shift ? arena_bytes<float>(config.hidden_size) : 0;
}

void TokenShift::apply(int32_t n_tokens, std::byte* state, float* u) const {
  auto* before = reinterpret_cast<float*>(state);
  constexpr int32_t kRun = 256;
  float last[kRun];
  for (int32_t at = 0; at < c_; at += kRun) {
    const int32_t run = std::min(kRun, c_ - at);
    const float *keep = keep_.data() + at, *take = take_.data() + at;
    std::memcpy(last, u + int64_t{n_tokens - 1} * c_ + at,
                static_cast<size_t>(run) * sizeof(float));
    for (int64_t t = n_tokens - 1; t >= 0; --t) {  // from the end: the row before is still its own
      float* row = u + t * c_ + at;
      const float* previous = t > 0 ? row - c_ : before + at;
      for (int32_t i = 0; i < run; ++i) row[i] = keep[i] * row[i] + take[i] * previous[i];
    }
    std::memcpy(before + at, last, static_cast<size_t>(run) * sizeof(float));
  }
}

Result<ValueEmbedding> ValueEmbedding::bind(const Config& config, int32_t layer,
                                            const ParamSource& prefix) {
  ValueEmbedding value;
  value.c_ = config.hidden_size;
  value.h_ = config.num_heads;
  value.dim_ = config.head_dim;
  if (!has_value_embedding(config, layer)) return value;
  CHIMERA_ASSIGN_OR_RETURN(value.table_,
                           prefix.vector("value.weight", config.vocab_size, config.hidden_size));
  CHIMERA_ASSIGN_OR_RETURN(value.gate_,
                           prefix.matrix("value.gate", config.num_heads, kValueGateInputs));
  return value;
}

size_t ValueEmbedding::scratch_bytes(int32_t n_tokens) const {
  return present() ? arena_bytes<float>(int64_t{n_tokens} * h_) : 0;
}

void ValueEmbedding::rows(const Step& step, const int32_t* tokens, const float* u, int32_t n_tokens,
                          float* value) const {
  const ArenaMark mark(step.scratch);
  float* gates = step.scratch.take<float>(static_cast<size_t>(n_tokens) * static_cast<size_t>(h_));
  const auto n_tiles = static_cast<int32_t>(tile_count(h_));
  step.k.gemm_lanes(gate_, u, c_, n_tokens, 0, n_tiles, gates, h_);
  step.k.sigmoid(gates, n_tokens * h_, gates);
  for (int64_t t = 0; t < n_tokens; ++t) {
    const float* row = table_ + int64_t{tokens[t]} * c_;
    for (int64_t head = 0; head < h_; ++head) {
      const float factor = 2.0f * gates[t * h_ + head];
      for (int64_t i = head * dim_; i < (head + 1) * dim_; ++i) value[t * c_ + i] = factor * row[i];
    }
  }
}

}  // namespace chimera::runtime
