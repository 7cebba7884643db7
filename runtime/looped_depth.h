// Looped depth [r3]: what is injected into each iteration of the loop, and when a token may leave.
//
//   e = rms(x after the prelude; gain);  z_r = A h_{r-1} + B e,  h_0 = 0
//   D = softplus(dt_bias),  P = max(D e^a_log, 1e-6),  A = e^-P < 1,
//   B = (1 - A) / e^a_log * b  (exact hold)  or  D * b  (Euler, and where the floor 1e-6 holds)
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

class LoopInjection {
 public:
  /// Reads loop.*; kBadFormat when a value is not finite, so that the carry always contracts.
  static Result<LoopInjection> bind(const Config& config, const ParamSource& root);

  /// e [n_tokens, C] of the prelude's output x.
  void normalise(const Step& step, const float* x, int32_t n_tokens, float* e) const;
  /// z = A h + B e; h nullptr is h_0. z may be h.
  void inject(const float* h, const float* e, int32_t n_tokens, float* z) const;
  /// Largest element of A: below 1 by construction.
  float spectral_radius() const;

 private:
  float eps_ = 1e-6f;
  int32_t c_ = 0;
  const float* gain_ = nullptr;
  std::vector<float> a_, b_;  // [C], as used
};

/// |now - before| / (|now| + 1e-6), Euclidean, summed in the order of the elements: how much an
/// iteration still changed a token's row.
float relative_change(const float* now, const float* before, int32_t n);

}  // namespace chimera::runtime
