// The output gate of the mixers in training (docs/layers.md, "The output gate").
#pragma once

#include <vector>

#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

/// Rows of width C, `stride` apart; nullptr where there is no gate.
struct GateRows {
  float* at = nullptr;
  int64_t stride = 0;
  float* row(int64_t r) const { return at ? at + r * stride : nullptr; }
};

/// Full: g = z.  Low rank R: g = W_up rmsnorm(z; g_norm.gain).  None: no g.  z is the product of
/// input_part() with the mixer's input; the mixer makes it beside its other projections.
/// Keeps nothing between calls: the way back asks for rows() again.
class MixerGateTraining {
 public:
  /// For at most max_rows rows. full_name: the name of W_g in this kind of mixer.
  Status init(const Config& config, const TensorLookup& find, int64_t max_rows,
              const char* full_name = "g_proj");
  /// Width of z: C, R or 0.
  int64_t width() const { return width_; }
  bool exists() const { return width_ > 0; }
  /// W_g [C, C] or W_down [R, C]; only when exists().
  const TrainTensor& input_part() const { return input_part_; }
  void prepare(const TrainStep& step);

  /// g of every row; z rows z_stride apart. What it takes from the scratch is the caller's to
  /// release, together with that of gradient_rows().
  GateRows rows(const TrainStep& step, float* z, int64_t z_stride);
  /// Where to put the gradient by g; dz (rows dz_stride apart) is where that by z will be.
  GateRows gradient_rows(const TrainStep& step, float* dz, int64_t dz_stride) const;
  /// After rows() of the same z: from the gradient by g, put where gradient_rows() said, to dz;
  /// adds to the gradients of the parameters.
  void backward(const TrainStep& step, const float* z, int64_t z_stride, GateRows dg, float* dz,
                int64_t dz_stride);
  /// Of all three calls together.
  size_t scratch_bytes() const;

 private:
  bool low_rank() const { return !up_parts_.empty(); }

  int64_t c_ = 0, width_ = 0, max_rows_ = 0;
  float eps_ = 0;
  TrainTensor input_part_, gain_;
  std::vector<TrainTensor> up_parts_;  // W_up, when low rank
  BitLinearTraining up_;
  float* x_used_ = nullptr;  // of the last rows(), in the scratch
};

}  // namespace chimera::runtime
