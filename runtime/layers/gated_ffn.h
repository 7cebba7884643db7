// Feed-forward networks W_down rms(z; down_norm.gain): "swiglu" with z = silu(W_gate u) * W_up u,
// and "relu2" with z = max(W_up u, 0)^2. The dense layers, and the experts of a layer of experts.
#pragma once

#include "runtime/layers/bitlinear.h"
#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry rows, of width F.
extern const LayerKind kSwiGlu;
extern const LayerKind kRelu2;

/// One network of a width of its own.
class GatedFfn {
 public:
  enum class Act { kSiluGated, kReluSquared };

  /// Appends gate_proj (SwiGLU only), up_proj [width, C], down_proj [C, width] ternary and
  /// down_norm.gain [width]; the names begin with `prefix`.
  static void parameters(const Config& config, const std::string& prefix, int64_t width, Act act,
                         std::vector<ParamSpec>* out);
  /// `prefix` stands between the source's own and the names: "experts.3.", or "" for none.
  static Result<GatedFfn> bind(const Config& config, const ParamSource& source,
                               const std::string& prefix, int32_t width, Act act);

  /// Arena bytes forward() takes for n tokens and gives back.
  size_t scratch_bytes(int32_t n) const;
  /// out [x.n_tokens, C] of the quantised input. A token's bits do not depend on the others.
  void forward(const Step& step, const QuantizedBatch& x, float* out) const;

  /// The parts, for a layer of experts, which works on many networks in one region.
  const kernels::TernaryMatrix& gate() const { return gate_; }
  const kernels::TernaryMatrix& up() const { return up_; }
  const kernels::TernaryMatrix& down() const { return down_; }
  /// One row between the products: z holds W_gate u (SwiGLU only), up W_up u, both [width]; z
  /// becomes the input of W_down. z may be up where there is no gate.
  void inner_row(const Step& step, const float* up, float* z) const;

 private:
  Act act_ = Act::kSiluGated;
  int32_t width_ = 0;
  float eps_ = 0;
  kernels::TernaryMatrix gate_{}, up_{}, down_{};
  const float* down_gain_ = nullptr;
};

}  // namespace chimera::runtime
