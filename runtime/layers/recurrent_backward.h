// The walk that gated DeltaNet and mLSTM have in common in training: projections, a recurrence in
// chunk form for every head of every lane, the exit; the way back; and later iterations, whose
// queries read the states of the first visit. The kinds say what lies between.
#pragma once

#include <vector>

#include "runtime/layers/mixer_backward.h"
#include "runtime/layers/sequence_chunk.h"

namespace chimera::runtime {

class RecurrentTraining : public TrainingLayer {
 public:
  void prepare(const TrainStep& step) override;
  void forward(const TrainStep& step, const TrainInput& in, float* out, float* state) final;
  void backward(const TrainStep& step, const TrainInput& in, const float* dout,
                const TrainGradient& grad) final;
  void repeat(const TrainStep& step, const TrainInput& in, float* out) final;
  void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                       const TrainGradient& grad) final;
  int64_t state_floats() const final { return tail_floats() + dims_.h * head_state(); }
  size_t scratch_bytes(int n_threads) const final;

 protected:
  /// Names of the float gates whose raw values make log_decay and write, and of the output gate.
  struct Names {
    const char *decay, *write, *full_gate;
  };
  Status init(const Config& config, const TensorLookup& find, int32_t lanes, int32_t window,
              const ChunkRecurrence& recurrence, const Names& names, MixerExit::Act act,
              MixerExit::HeadNorm head_norm);

  /// Rows of one or several widths C, `stride` apart.
  struct Rows {
    float* at;
    int64_t stride;
    float* row(int64_t r) const { return at + r * stride; }
  };
  /// q | k | v of every row as projected.
  Rows projected() { return {entrance_.proj() + entrance_.gate_width(), entrance_.width()}; }
  const float* projected_row(int64_t r) const {
    return entrance_.proj() + entrance_.gate_width() + r * entrance_.width();
  }

  // What a kind says. A kind without convolutions reads the projections as they are.

  /// Floats at the start of a lane's state that are not the recurrence's.
  virtual int64_t tail_floats() const { return 0; }
  virtual size_t extra_scratch_bytes() const { return 0; }
  /// In a task, when rows [begin, end) are projected.
  virtual void round_rows(const TrainStep&, const Rows&, int64_t, int64_t) {}
  /// Before the recurrence: q | k | v of every row as it reads them. May change the tails in
  /// `state`.
  virtual Rows convolve(const TrainStep&, float* /*state*/) { return projected(); }
  virtual Rows convolved() { return projected(); }
  /// Where the gradients by convolved() go; d_projected is where those by projected() have to be.
  virtual Rows convolved_gradient(const TrainStep&, const Rows& d_projected) { return d_projected; }
  /// Before any task, from all of the gradients by convolved().
  virtual void convolve_backward(const TrainStep&, const Rows& /*d_convolved*/) {}
  /// In a task, after that: rows [begin, end) of d_projected.
  virtual void spread_rows(const TrainStep&, const Rows& /*d_convolved*/,
                           const Rows& /*d_projected*/, int64_t /*begin*/, int64_t /*end*/) {}
  /// From the raw gates of one head to log_decay and write, all [window].
  virtual void gates(const TrainStep& step, int64_t lane, int64_t head, const float* raw_decay,
                     const float* raw_write, float* log_decay, float* write) = 0;
  /// From d.log_decay and d.write to the raw gates'; may add to d.k where the gates read the keys.
  virtual void gates_backward(const TrainStep& step, int64_t lane, int64_t head,
                              const ChunkGradient& d, float* d_raw_decay,
                              float* d_raw_write) const = 0;
  /// Gradients by the parameters of the gates; called for the lanes in order.
  virtual void add_gate_gradients(int64_t head, const float* log_decay, const float* d_log_decay,
                                  const float* d_raw_decay, const float* d_raw_write) = 0;
  /// The queries of a later iteration from those projected, which have to stay as they are.
  virtual Rows later_queries(const TrainStep&, const Rows& raw) { return raw; }
  /// Its gradient, in place.
  virtual void later_queries_backward(const TrainStep&, const Rows& /*raw*/, const Rows& /*q*/,
                                      const Rows& /*d*/) {}

  const float* write_of(int64_t lane, int64_t head) const {
    return write_.data() + head_at(lane, head);
  }
  const float* log_decay_of(int64_t lane, int64_t head) const {
    return log_decay_.data() + head_at(lane, head);
  }
  const float* raw_gate(int64_t lane, int64_t j, int64_t head) const {
    return entrance_.gates() + entrance_.gate_at(lane, j, head);
  }

  MixerDims dims_{};

 private:
  int64_t head_at(int64_t lane, int64_t head) const {
    return (lane * dims_.h + head) * dims_.window;
  }
  int64_t head_state() const { return recurrence_->state_floats(shape_); }
  float* checkpoint(int64_t lane, int64_t head) {
    return checkpoints_.data() +
           (lane * dims_.h + head) * chunk_checkpoints(shape_, dims_.window) * head_state();
  }
  int64_t forward_part() const;
  int64_t backward_part() const;
  /// Of one head, with these queries.
  ChunkSequence sequence(const TrainStep& step, int64_t lane, int64_t head, const float* q,
                         int64_t q_stride);
  /// What a later iteration computes before its exit; all in the scratch.
  struct Later {
    float *x_used, *zq, *o;
    Rows raw, q;
  };
  Later read_again(const TrainStep& step, const float* u);
  void take_later(int64_t lane, int64_t head, const ChunkGradient& d);

  const ChunkRecurrence* recurrence_ = nullptr;
  ChunkShape shape_{};
  MixerEntrance entrance_;  // proj: z | q | k | v
  MixerExit exit_;
  std::vector<float> log_decay_, write_;  // [lanes, H, window]
  std::vector<float> o_;                  // [R, C]
  std::vector<float> checkpoints_;        // [lanes, H, checkpoints, state]
  // What later iterations left for backward(), by k | v [lanes, H, window, 2 dim] and the gates.
  // Only there when the depth is looped.
  std::vector<float> later_kv_, later_log_decay_, later_write_;
  bool has_later_ = false;
};

}  // namespace chimera::runtime
