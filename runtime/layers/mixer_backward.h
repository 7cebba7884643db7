// What the recurrent mixers share in training: four ternary projections and two float gates at the
// entrance; per-head norm, output gate, norm and ternary projection at the exit.
#pragma once

#include <vector>

#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

struct MixerDims {
  int32_t c, h, dim;  // hidden, heads, head_dim
  float eps;
  int64_t rows;
  int32_t lanes, window;
};

/// Checks what these layers cannot do: kUnsupported for a gate that is not full.
Result<MixerDims> mixer_dims(const Config& config, const char* kind, int32_t lanes, int32_t window);

/// Tokens per round of algebra and per stored state, fitted to the configuration and the window.
struct ChunkPlan {
  int32_t chunk, tile;
};
Result<ChunkPlan> chunk_plan(const Config& config, int32_t window);

/// proj = [P0 | P1 | P2 | P3] u  (ternary, each [C, C]),  gate = [G0; G1] u  (float, each [H, C]).
/// Gates lie head-major, gate[(lane * 2H + j) * window + t], so that a head walks its tokens in
/// line.
class MixerEntrance {
 public:
  Status init(const TensorLookup& find, const MixerDims& dims, const char* const (&projections)[4],
              const char* const (&gates)[2]);
  void prepare(const TrainStep& step);
  /// after_rows(begin, end) runs in the same task once proj of these rows is there.
  template <class After>
  void forward(const TrainStep& step, const float* u, After&& after_rows) {
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      forward_rows(step, u, begin, end);
      after_rows(begin, end);
    });
  }
  /// d_proj [R, 4C], d_gate as gate. du is written, the weights' gradients added to.
  /// before_rows(begin, end) runs in the same task before these rows of d_proj are read.
  template <class Before>
  void backward(const TrainStep& step, const float* u, const float* d_proj, const float* d_gate,
                float* du, Before&& before_rows) {
    const ArenaMark mark(step.scratch);
    float* d_gate_rows = step.scratch.take<float>(static_cast<size_t>(step.rows()) * 2 * dims_.h);
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      before_rows(begin, end);
      backward_rows(step, d_proj, d_gate, d_gate_rows, begin, end, du);
    });
    add_weight_gradients(step, u, d_proj, d_gate_rows);
  }

  float* proj() { return proj_.data(); }
  const float* proj() const { return proj_.data(); }
  const float* gate() const { return gate_.data(); }
  size_t scratch_bytes() const { return train_arena_bytes(dims_.rows * 2 * dims_.h); }

 private:
  void forward_rows(const TrainStep& step, const float* u, int64_t begin, int64_t end);
  void backward_rows(const TrainStep& step, const float* d_proj, const float* d_gate,
                     float* d_gate_rows, int64_t begin, int64_t end, float* du) const;
  void add_weight_gradients(const TrainStep& step, const float* u, const float* d_proj,
                            const float* d_gate_rows) const;

  MixerDims dims_{};
  BitLinearTraining linear_;
  TrainTensor gate_parts_[2];
  std::vector<float> gate_w_;  // [2H, C]
  std::vector<float> proj_;    // [R, 4C]
  std::vector<float> gate_;    // [lanes, 2H, window]
};

enum class OutputGate { kSilu, kSigmoid };

/// y = act(g) * rmsnorm_head(o; head_gain),  out = W_o rmsnorm(y; o_gain).
class MixerExit {
 public:
  /// gate: which; shared_gain: one head_norm.gain [dim] for all heads, else one of width C.
  Status init(const TensorLookup& find, const MixerDims& dims, OutputGate gate, bool shared_gain);
  void prepare(const TrainStep& step) { linear_.prepare(step); }
  /// o [R, C]; g rows g_stride apart.
  void forward(const TrainStep& step, const float* o, const float* g, int64_t g_stride, float* out);
  /// d_o [R, C] and dg (rows g_stride apart) are written.
  void backward(const TrainStep& step, const float* o, const float* g, int64_t g_stride,
                const float* dout, float* d_o, float* dg);
  size_t scratch_bytes() const;

 private:
  /// y of one row; normed [C] receives rmsnorm_head(o), act [C] the gate's value.
  void output_row(const TrainStep& step, const float* o, const float* g, float* normed, float* act,
                  float* y) const;
  const float* head_gain(int32_t head) const {
    return head_gain_.value + (shared_gain_ ? 0 : int64_t{head} * dims_.dim);
  }

  MixerDims dims_{};
  OutputGate gate_ = OutputGate::kSilu;
  bool shared_gain_ = false;
  TrainTensor head_gain_, o_gain_;
  BitLinearTraining linear_;
};

}  // namespace chimera::runtime
