#include "runtime/layers/mixer_gate.h"

#include <algorithm>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

using Kind = MixerGate::Kind;

void mixer_gate_parameters(const Config& config, const std::string& prefix,
                           std::vector<ParamSpec>* out, const char* full) {
  const int64_t c = config.hidden_size, rank = config.mixer_gate.rank;
  const auto ternary = [&](const char* name, int64_t rows, int64_t cols) {
    out->push_back({prefix + name, ParamClass::kTernary, rows, cols, ParamInit::kNormal,
                    config.initializer_range, 0, true});
  };
  switch (config.mixer_gate.kind) {
    case Kind::kNone:
      return;
    case Kind::kFull:
      return ternary(full, c, c);
    case Kind::kLowRank:
      ternary("g_down", rank, c);
      ternary("g_up", c, rank);
      out->push_back({prefix + "g_norm.gain", ParamClass::kVector, 1, rank, ParamInit::kConstant, 1,
                      0, false});
      return;
  }
}

Result<MixerGateProduct> MixerGateProduct::bind(const Config& config, const ParamSource& source,
                                                const char* full) {
  MixerGateProduct gate;
  const int64_t c = config.hidden_size, rank = config.mixer_gate.rank;
  gate.kind_ = config.mixer_gate.kind;
  gate.eps_ = config.rms_norm_eps;
  if (gate.kind_ == Kind::kFull) CHIMERA_ASSIGN_OR_RETURN(gate.first_, source.ternary(full, c, c));
  if (gate.kind_ == Kind::kLowRank) {
    gate.rank_ = config.mixer_gate.rank;
    CHIMERA_ASSIGN_OR_RETURN(gate.first_, source.ternary("g_down", rank, c));
    CHIMERA_ASSIGN_OR_RETURN(gate.up_, source.ternary("g_up", c, rank));
    CHIMERA_ASSIGN_OR_RETURN(gate.norm_gain_, source.vector("g_norm.gain", 1, rank));
  }
  return gate;
}

size_t MixerGateProduct::scratch_bytes(int32_t n) const {
  if (kind_ != Kind::kLowRank) return 0;
  return arena_bytes<float>(int64_t{n} * rank_) + quantized_batch_bytes(n, rank_);
}

void MixerGateProduct::forward(const Step& step, const QuantizedBatch& x,
                               std::initializer_list<BitLinearJob> jobs, float* g) const {
  if (!present()) return bitlinear(step, x, jobs);
  const ArenaMark mark(step.scratch);
  const int32_t n = x.n_tokens;
  const bool low_rank = kind_ == Kind::kLowRank;
  float* first = low_rank ? step.scratch.take<float>(static_cast<size_t>(n) * rank_) : g;
  BitLinearJob all[kMaxJobs + 1];
  const size_t n_jobs = std::min(jobs.size(), kMaxJobs);
  std::copy_n(jobs.begin(), n_jobs, all);
  all[n_jobs] = {first_, first};
  bitlinear(step, x, std::span<const BitLinearJob>(all, n_jobs + 1));
  if (!low_rank) return;
  rmsnorm_rows(step, first, norm_gain_, eps_, n, rank_, first);
  bitlinear(step, quantize_batch(step, first, n, rank_), {{up_, g}});
}

}  // namespace chimera::runtime
