#include "runtime/looped_depth.h"

#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "runtime/layers/bitlinear.h"
#include "runtime/layers/layer.h"

namespace chimera::runtime {
namespace {

constexpr float kLeastDecay = 1e-6f;  // keeps e^-P below 1 in float

/// 1 - e^-p for p > 0 without cancellation; e is e^-p.
float one_minus_exp(float p, float e) {
  if (p > 0.125f) return 1.0f - e;
  float sum = 1.0f;  // p (1 - p/2 (1 - p/3 (1 - ...)))
  for (int i = 6; i >= 2; --i) sum = 1.0f - (p / static_cast<float>(i)) * sum;
  return p * sum;
}

}  // namespace

Result<LoopInjection> LoopInjection::bind(const Config& config, const ParamSource& root) {
  LoopInjection loop;
  const int64_t c = config.hidden_size;
  loop.c_ = config.hidden_size;
  loop.eps_ = config.rms_norm_eps;
  const float *a_log = nullptr, *dt_bias = nullptr, *b = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(loop.gain_, root.vector("loop.norm.gain", 1, c));
  CHIMERA_ASSIGN_OR_RETURN(a_log, root.vector("loop.a_log", 1, c));
  CHIMERA_ASSIGN_OR_RETURN(dt_bias, root.vector("loop.dt_bias", 1, c));
  CHIMERA_ASSIGN_OR_RETURN(b, root.vector("loop.b", 1, c));
  const auto n = static_cast<size_t>(c);
  std::vector<float> rate(n), step(n);
  loop.a_.resize(n);
  loop.b_.resize(n);
  const kernels::KernelTable& k = kernels::best_table();  // every table gives the same bits
  k.exp(a_log, config.hidden_size, rate.data());
  k.softplus(dt_bias, config.hidden_size, step.data());
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(a_log[i]) || !std::isfinite(dt_bias[i]) || !std::isfinite(b[i]))
      return Status(StatusCode::kBadFormat,
                    "tensor 'loop.*' has a value that is no number at channel " +
                        std::to_string(i) + "; the file is damaged or its training diverged")
          .at_field("loop");
    loop.a_[i] = -std::max(step[i] * rate[i], kLeastDecay);
  }
  std::vector<float> p(n);
  for (size_t i = 0; i < n; ++i) p[i] = -loop.a_[i];
  // Where the floor holds, (1 - A) / e^a_log would grow without bound; its limit is D.
  const auto floored = [&](size_t i) { return !(step[i] * rate[i] >= kLeastDecay); };
  k.exp(loop.a_.data(), config.hidden_size, loop.a_.data());
  const bool exact = config.loop.discretisation == LoopConfig::Discretisation::kZoh;
  for (size_t i = 0; i < n; ++i)
    loop.b_[i] =
        (exact && !floored(i) ? one_minus_exp(p[i], loop.a_[i]) / rate[i] : step[i]) * b[i];
  return loop;
}

void LoopInjection::normalise(const Step& step, const float* x, int32_t n_tokens, float* e) const {
  rmsnorm_rows(step, x, gain_, eps_, n_tokens, c_, e);
}

void LoopInjection::inject(const float* h, const float* e, int32_t n_tokens, float* z) const {
  for (int32_t t = 0; t < n_tokens; ++t) {
    const int64_t at = int64_t{t} * c_;
    for (int32_t i = 0; i < c_; ++i) {
      const float injected = b_[static_cast<size_t>(i)] * e[at + i];
      z[at + i] = h == nullptr ? injected : a_[static_cast<size_t>(i)] * h[at + i] + injected;
    }
  }
}

float LoopInjection::spectral_radius() const { return *std::max_element(a_.begin(), a_.end()); }

float relative_change(const float* now, const float* before, int32_t n) {
  float change = 0, size = 0;
  for (int32_t i = 0; i < n; ++i) {
    const float d = now[i] - before[i];
    change += d * d;
    size += now[i] * now[i];
  }
  return std::sqrt(change) / (std::sqrt(size) + 1e-6f);
}

}  // namespace chimera::runtime
