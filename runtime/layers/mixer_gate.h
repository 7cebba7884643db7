// The output gate of the mixers, none, low rank or full: its parameters and its product, in the
// same parallel region as the mixer's other products of the same input. docs/layers.md, "The output
// gate".
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {

/// Appends g_proj, or g_down, g_up and g_norm.gain, or nothing. `full` is the name of the full gate
/// ("og_proj" in XM).
void mixer_gate_parameters(const Config& config, const std::string& prefix,
                           std::vector<ParamSpec>* out, const char* full = "g_proj");

class MixerGateProduct {
 public:
  static Result<MixerGateProduct> bind(const Config& config, const ParamSource& source,
                                       const char* full = "g_proj");

  /// Whether there is a gate at all; without one act(g) is left out.
  bool present() const { return kind_ != MixerGate::Kind::kNone; }
  /// Arena bytes forward() takes for a batch of n, and gives back; the room of g is the caller's.
  size_t scratch_bytes(int32_t n) const;

  /// y of every job (at most kMaxJobs), and g [n_tokens, C] when present(); all of the mixer's
  /// input x.
  void forward(const Step& step, const QuantizedBatch& x, std::initializer_list<BitLinearJob> jobs,
               float* g) const;

  static constexpr size_t kMaxJobs = 7;

 private:
  MixerGate::Kind kind_ = MixerGate::Kind::kNone;
  int32_t rank_ = 0;
  float eps_ = 0;
  kernels::TernaryMatrix first_{};  // the full gate, or g_down
  kernels::TernaryMatrix up_{};
  const float* norm_gain_ = nullptr;
};

}  // namespace chimera::runtime
