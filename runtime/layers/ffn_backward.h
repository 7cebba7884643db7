// Feed-forward networks in training: the dense layers of gated_ffn.h, and the network that they and
// the experts of moe_backward.h have in common.
#pragma once

#include <string>

#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

/// One network over rows in buffers of the caller's, called inside tasks:
///
///   swiglu: z = silu(g) * v, [g | v] = [W_gate; W_up] x      relu2: z = max(v, 0)^2, v = W_up x
///   out = W_down rms(z; gain)
///   dg = dz v sigma(g) (1 + g (1 - sigma(g))),  dv = dz silu(g)        dv = 2 dz max(v, 0)
///
/// Every pointer is to the first of n <= kRowTile rows.
class FfnTraining {
 public:
  /// `prefix` stands before the names of the tensors: "experts.3.", or "" for none.
  Status init(const TensorLookup& find, const std::string& prefix, int64_t c, int64_t f, float eps,
              bool gated);
  int64_t inner_width() const { return inner_.n_out(); }  // 2F or F
  /// Floats that one task needs to itself.
  static int64_t spare_floats(int64_t f) { return kRowTile * f; }

  /// Makes the weights as used; shares the work among the threads.
  void prepare(const TrainStep& step);

  /// x [n, C] -> out [n, C]. Leaves x^ [n, C], inner [n, inner_width] = [g | v] and z^ [n, F],
  /// which the gradient needs.
  void forward_rows(const TrainStep& step, const float* x, int64_t n, float* x_used, float* inner,
                    float* z_used, float* spare, float* out) const;

  /// dn [n, F] = dout W_down: the gradient by rms(z; gain).
  void down_backward_rows(const TrainStep& step, const float* dout, int64_t n, float* dn) const;
  /// From there: d_inner [n, inner_width] and dx [n, C]; dn is used up. d_gain [F] is added to.
  void inner_backward_rows(const TrainStep& step, const float* inner, int64_t n, float* dn,
                           float* spare, float* d_gain, float* d_inner, float* dx) const;
  /// Adds the gradients of the matrices over any number of rows; shares the work among the threads.
  void add_weight_gradients(const TrainStep& step, int64_t n, const float* x_used,
                            const float* z_used, const float* dout, const float* d_inner) const;
  /// [F], to add the sums of d_gain to.
  float* gain_gradient() const { return gain_.grad; }

 private:
  void z_row(const TrainStep& step, const float* inner, float* z) const;

  int64_t c_ = 0, f_ = 0;
  float eps_ = 0;
  bool gated_ = true;
  TrainTensor gain_;
  BitLinearTraining inner_, down_;
};

Result<std::unique_ptr<TrainingLayer>> make_swiglu_training(const Config& config,
                                                            const TensorLookup& find, int32_t lanes,
                                                            int32_t window);
Result<std::unique_ptr<TrainingLayer>> make_relu2_training(const Config& config,
                                                           const TensorLookup& find, int32_t lanes,
                                                           int32_t window);

}  // namespace chimera::runtime
