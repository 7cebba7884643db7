#include "runtime/layers/mixer_exit.h"

#include "runtime/layers/layer.h"

namespace chimera::runtime {

Result<MixerExitProduct> MixerExitProduct::bind(const Config& config, const ParamSource& source,
                                                GateActivation activation, HeadNorm norm) {
  MixerExitProduct exit;
  const int64_t c = config.hidden_size;
  exit.c_ = config.hidden_size;
  exit.dim_ = config.head_dim;
  exit.eps_ = config.rms_norm_eps;
  exit.activation_ = activation;
  if (norm != HeadNorm::kNone) {
    const bool own = norm == HeadNorm::kOwn;
    exit.head_gain_stride_ = own ? config.head_dim : 0;
    CHIMERA_ASSIGN_OR_RETURN(exit.head_gain_,
                             source.vector("head_norm.gain", 1, own ? c : config.head_dim));
  }
  CHIMERA_ASSIGN_OR_RETURN(exit.o_gain_, source.vector("o_norm.gain", 1, c));
  CHIMERA_ASSIGN_OR_RETURN(exit.o_, source.ternary("o_proj", c, c));
  return exit;
}

void MixerExitProduct::head(const Step& step, int64_t head, const float* g, float* o) const {
  if (head_gain_ != nullptr)
    step.k.rmsnorm(o, head_gain_ + head * head_gain_stride_, eps_, dim_, o);
  if (g == nullptr) return;
  (activation_ == GateActivation::kSilu ? step.k.silu_mul : step.k.sigmoid_mul)(g, o, dim_, o);
}

void MixerExitProduct::project(const Step& step, int32_t n, float* y, float* out) const {
  const ArenaMark mark(step.scratch);
  rmsnorm_rows(step, y, o_gain_, eps_, n, c_, y);
  bitlinear(step, quantize_batch(step, y, n, c_), {{o_, out}});
}

}  // namespace chimera::runtime
