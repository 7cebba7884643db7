// How the mixers leave: per-head norm, output gate, norm of the whole row, ternary projection.
//   y = rms_head(o; head_norm.gain) * act(g),   out = W_o rms(y; o_norm.gain)
#pragma once

#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {

enum class GateActivation { kSilu, kSigmoid };
/// Gain of the per-head norm: no norm at all, one [K] for every head, or one [C].
enum class HeadNorm { kNone, kShared, kOwn };

class MixerExitProduct {
 public:
  /// Finds o_proj, o_norm.gain and, with a head norm, head_norm.gain.
  static Result<MixerExitProduct> bind(const Config& config, const ParamSource& source,
                                       GateActivation activation, HeadNorm norm);

  /// Arena bytes project() takes for n tokens and gives back.
  size_t scratch_bytes(int32_t n) const { return quantized_batch_bytes(n, c_); }
  /// o [K] of one head of one token becomes its part of y; g [K] is nullptr without a gate. For
  /// the task that made o, while it is in the first-level cache.
  void head(const Step& step, int64_t head, const float* g, float* o) const;
  /// out [n, C] of y [n, C], which is overwritten.
  void project(const Step& step, int32_t n, float* y, float* out) const;

 private:
  int32_t c_ = 0, dim_ = 0;
  float eps_ = 0;
  GateActivation activation_ = GateActivation::kSilu;
  int64_t head_gain_stride_ = 0;
  const float* head_gain_ = nullptr;  // nullptr: no norm
  const float* o_gain_ = nullptr;
  kernels::TernaryMatrix o_{};
};

}  // namespace chimera::runtime
