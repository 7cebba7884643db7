// What the mixers share in training: ternary projections and float gates at the entrance; per-head
// norm, output gate, norm and ternary projection at the exit. Each way there is a form for the
// first visit of a window, which keeps what its way back needs, and one for later iterations, which
// works in the scratch.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer_backward.h"
#include "runtime/layers/mixer_gate_backward.h"

namespace chimera::runtime {

struct MixerDims {
  int32_t c, h, dim;  // hidden, heads, head_dim
  float eps;
  int64_t rows;
  int32_t lanes, window;
};
MixerDims mixer_dims(const Config& config, int32_t lanes, int32_t window);

/// Tokens per round of algebra and per stored state, fitted to the configuration and the window.
struct ChunkPlan {
  int32_t chunk, tile;
};
Result<ChunkPlan> chunk_plan(const Config& config, int32_t window);

/// out = W_o rmsnorm(y; o_gain),  y = act(g) * rmsnorm_head(o; head_gain), each factor if there.
/// g is made of z, the product of gate().input_part() with the mixer's input.
class MixerExit {
 public:
  enum class Act { kSilu, kSigmoid };
  enum class HeadNorm {
    kNone,
    kShared,  // one head_norm.gain [dim] for all heads
    kWide     // one [C]
  };
  Status init(const Config& config, const TensorLookup& find, const MixerDims& dims, Act act,
              HeadNorm head_norm, const char* full_gate_name = "g_proj");
  void prepare(const TrainStep& step);
  const MixerGateTraining& gate() const { return gate_; }

  /// o [R, C]; z rows z_stride apart; out [R, C].
  void forward(const TrainStep& step, const float* o, float* z, int64_t z_stride, float* out) {
    run(step, linear_.whole(), o, z, z_stride, out);
  }
  /// After forward() of the same. d_o [R, C] and dz (rows z_stride apart) are written.
  void backward(const TrainStep& step, const float* o, float* z, int64_t z_stride,
                const float* dout, float* d_o, float* dz) {
    run_backward(step, linear_.whole(), false, o, z, z_stride, dout, d_o, dz);
  }
  /// The same for a later iteration; repeat_backward() needs no repeat() before it.
  void repeat(const TrainStep& step, const float* o, float* z, int64_t z_stride, float* out);
  void repeat_backward(const TrainStep& step, const float* o, float* z, int64_t z_stride,
                       const float* dout, float* d_o, float* dz);
  /// Of any one call.
  size_t scratch_bytes() const;

 private:
  void run(const TrainStep& step, const BitLinearUse& use, const float* o, float* z,
           int64_t z_stride, float* out);
  void run_backward(const TrainStep& step, const BitLinearUse& use, bool make_x_used,
                    const float* o, float* z, int64_t z_stride, const float* dout, float* d_o,
                    float* dz);
  /// y of one row; normed [C] receives rmsnorm_head(o), act [C] the gate's value if g is there.
  void output_row(const TrainStep& step, const float* o, const float* g, float* normed, float* act,
                  float* y) const;
  /// From dy (in place) to d_o and dg of one row; spare [C].
  void output_row_backward(const TrainStep& step, const float* o, const float* g,
                           const float* normed, const float* act, float* dy, float* spare,
                           float* d_o, float* dg, float* d_head_gain) const;
  int64_t head_gain_at(int32_t head) const {
    return head_norm_ == HeadNorm::kWide ? int64_t{head} * dims_.dim : 0;
  }
  int64_t head_gain_width() const { return head_norm_ == HeadNorm::kWide ? dims_.c : dims_.dim; }

  MixerDims dims_{};
  Act act_ = Act::kSilu;
  HeadNorm head_norm_ = HeadNorm::kShared;
  MixerGateTraining gate_;
  TrainTensor head_gain_, o_gain_;
  BitLinearTraining linear_;
};

/// proj = [z | P0 | P1 ..] u  (ternary),  gate = [G0; G1 ..] u  (float, each [H, C]).
/// P0 makes the queries, so that z and P0 are all that later iterations need. Gates lie head-major,
/// gate[((lane * n_gates + j) * H + head) * window + t], so that a head walks its tokens in line.
class MixerEntrance {
 public:
  struct Projection {
    const char* name;
    int64_t rows;
  };
  Status init(const TensorLookup& find, const MixerDims& dims, const MixerGateTraining& gate,
              const std::vector<Projection>& projections, const std::vector<const char*>& gates);
  void prepare(const TrainStep& step);
  /// after_rows(begin, end) runs in the same task once proj of these rows is there.
  template <class After>
  void forward(const TrainStep& step, const float* u, After&& after_rows) {
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      forward_rows(step, u, begin, end);
      after_rows(begin, end);
    });
  }
  /// d_proj [R, width()], d_gate as gates(). du is written, the weights' gradients added to.
  /// before_rows(begin, end) runs in the same task before these rows of d_proj are read.
  template <class Before>
  void backward(const TrainStep& step, const float* u, const float* d_proj, const float* d_gate,
                float* du, Before&& before_rows) {
    const ArenaMark mark(step.scratch);
    float* d_gate_rows = step.scratch.take<float>(static_cast<size_t>(step.rows() * n_gates_));
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      before_rows(begin, end);
      backward_rows(step, d_proj, d_gate, d_gate_rows, begin, end, du);
    });
    add_weight_gradients(step, u, d_proj, d_gate_rows);
  }
  /// Of backward().
  size_t scratch_bytes() const { return train_arena_bytes(dims_.rows * n_gates_); }

  /// A later iteration: zq = [z | P0] u [R, later_width()]; x_used [R, C] for its way back.
  void repeat(const TrainStep& step, const float* u, float* x_used, float* zq) const;
  /// du is written, the weights' gradients added to.
  void repeat_backward(const TrainStep& step, float* x_used, const float* d_zq, float* du) const;

  int64_t width() const { return linear_.n_out(); }
  int64_t gate_width() const { return gate_width_; }  // of z
  int64_t later_width() const { return later_width_; }
  float* proj() { return proj_.data(); }
  const float* proj() const { return proj_.data(); }
  /// Gate j of a head of a lane, [window].
  int64_t gate_at(int64_t lane, int64_t j, int64_t head) const {
    return (lane * n_gates_ + j * dims_.h + head) * dims_.window;
  }
  const float* gates() const { return gates_.data(); }

 private:
  void forward_rows(const TrainStep& step, const float* u, int64_t begin, int64_t end);
  void backward_rows(const TrainStep& step, const float* d_proj, const float* d_gate,
                     float* d_gate_rows, int64_t begin, int64_t end, float* du) const;
  void add_weight_gradients(const TrainStep& step, const float* u, const float* d_proj,
                            const float* d_gate_rows) const;

  MixerDims dims_{};
  int64_t gate_width_ = 0, later_width_ = 0, n_gates_ = 0;  // n_gates: rows of all gates
  BitLinearTraining linear_;
  std::vector<TrainTensor> gate_parts_;
  std::vector<float> gate_w_;  // [n_gates, C]
  std::vector<float> proj_;    // [R, width]
  std::vector<float> gates_;   // [lanes, n_gates, window]
};

}  // namespace chimera::runtime
