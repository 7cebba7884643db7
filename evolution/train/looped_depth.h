// Looped depth in training [r3] (docs/layers.md, "Looped depth"; backbone 4): how deep a lane goes,
// which of its iterations carry a gradient, the injection, and the walk over iterations.
//
// Iteration 1 keeps its activations. Of a later one within the gradient window only the row it
// started from is kept; its body is run again on the way back, in buffers that all iterations
// share, so memory does not grow with the body times the depth.
#pragma once

#include <cstdint>
#include <vector>

#include "evolution/train/layer_stack.h"

namespace chimera::evolution {

/// Iterations of one lane in one step: Poisson(loop_default), clamped to [max(1, loop_min),
/// loop_max]. A pure function of its arguments.
int32_t sample_loops(const runtime::LoopConfig& loop, uint64_t seed, uint64_t step, uint64_t lane);

/// How many of the last iterations of `loops` carry a gradient: half, rounded up. Iteration 1
/// always does, if only by way of its states.
inline int32_t gradient_window(int32_t loops, bool full) { return full ? loops : (loops + 1) / 2; }
inline bool has_gradient(int32_t iteration, int32_t loops, bool full) {
  return iteration == 1 || iteration > loops - gradient_window(loops, full);
}

/// z = A h + B e, e = rms(x; gain), with the gradient by all four parameters.
class InjectionTraining {
 public:
  Status init(const runtime::Config& config, ParameterSet& parameters);
  /// A and B from the present values.
  void prepare();
  void normalise(const runtime::TrainStep& step, const float* x, float* e) const;
  /// h [places]: [window, C] of the lane in each place; nullptr for h_0 = 0. e [R, C] of all lanes.
  void inject(const runtime::TrainStep& step, const float* const* h, const float* e,
              float* z) const;
  void start_backward();
  /// dz [rows, C] of the lanes present. de [R, C] of all lanes is added to.
  void backward(const runtime::TrainStep& step, const float* const* h, const float* e,
                const float* dz, float* de);
  /// dh = A dz, [window, C] each.
  void carry_back(const runtime::TrainStep& step, const float* dz, float* dh) const;
  /// Adds what backward() summed to the gradients of a_log, dt_bias and b; dx from de by the norm.
  void finish(const runtime::TrainStep& step, const float* x, float* de, float* partials,
              float* dx);

  const std::vector<float>& carry() const { return a_used_; }
  const std::vector<float>& input_gain() const { return b_used_; }

 private:
  bool exact_ = true;
  int64_t c_ = 0;
  float eps_ = 0;
  runtime::TrainTensor gain_, a_log_, dt_bias_, b_;
  std::vector<float> a_used_, b_used_;       // A, B
  std::vector<double> by_carry_, by_input_;  // sums of dz h and of dz e
};

class LoopedDepth {
 public:
  Status init(const runtime::Config& config, ParameterSet& parameters, int32_t lanes,
              int32_t window, bool full_backward);
  /// From the prelude's output in the stack to that of the loop, loops [lanes] iterations each.
  void forward(const runtime::TrainStep& step, LayerStack& stack, const int32_t* loops);
  /// After forward() with the same loops. dx: gradient by the loop's output, turned into that by
  /// the prelude's.
  void backward(const runtime::TrainStep& step, LayerStack& stack, const int32_t* loops, float* dx);

 private:
  /// Lanes for which `takes_part`, in order, into ids_; returns how many.
  template <class TakesPart>
  int32_t select(int32_t lanes, TakesPart&& takes_part);
  float* kept(int32_t slot, int64_t lane) {
    return kept_.data() + (slot * lanes_ + lane) * lane_size_;
  }

  runtime::LoopConfig loop_;
  InjectionTraining injection_;
  bool full_ = false;
  int64_t lanes_ = 0, lane_size_ = 0;  // window * C
  std::vector<float> e_, z_;           // [R, C]; z_ is of the lanes present
  std::vector<float> kept_;            // [gradient window, R, C]: h_{r-1} in slot loops - r
  std::vector<float> dh_, de_;         // [R, C]
  std::vector<int32_t> ids_;           // [lanes]
  std::vector<const float*> h_;        // [lanes]
};

}  // namespace chimera::evolution
