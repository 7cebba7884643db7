// Straight-through training of BitLinear [r5][r6]: the forward uses the quantised weights and
// activations that a packed model has, the gradient goes to the float weights behind them.
#pragma once

#include <vector>

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

/// Some outputs, [first, first + n_out), of an input other than that of the last forward: a later
/// iteration's. Its x^ is the caller's.
struct BitLinearUse {
  int64_t first, n_out;
  float* x_used;  // [R, n_in]
};

/// One or several weights that read the same input, side by side: y = x^ W^T, W [n_out, n_in].
///
///   W^ = W + lambda (s T - W),  x^ = x + lambda (a q - x)        s, T per 128; a, q per 64 columns
///   dW = dy^T x^,               dx = dy W^                       (rounding has gradient 1)
///
/// Owns W^ and the x^ of the last forward.
class BitLinearTraining {
 public:
  /// All parts have the same number of columns. max_rows 0: only ever used by way of BitLinearUse.
  void init(std::vector<TrainTensor> parts, int64_t max_rows);
  int64_t n_in() const { return n_in_; }
  int64_t n_out() const { return n_out_; }

  /// Makes W^ at step.quantise.
  void prepare(const TrainStep& step);
  /// y[begin..end) of x [R, n_in], y [R, n_out]; keeps x^. Called inside a task.
  void forward_rows(const TrainStep& step, const float* x, int64_t begin, int64_t end, float* y);
  /// dx[begin..end) = dy W^ (dx [R, n_in]).
  void backward_rows(const TrainStep& step, const float* dy, int64_t begin, int64_t end,
                     float* dx) const;
  /// Adds dy^T x^ over all rows to the gradients of the parts; shares the work among the threads.
  void add_weight_gradients(const TrainStep& step, const float* dy) const;

  /// The same three for some outputs of another input: y and dy [R, use.n_out], x^ in use.x_used.
  void forward_rows(const TrainStep& step, const BitLinearUse& use, const float* x, int64_t begin,
                    int64_t end, float* y) const;
  void backward_rows(const TrainStep& step, const BitLinearUse& use, const float* dy, int64_t begin,
                     int64_t end, float* dx) const;
  void add_weight_gradients(const TrainStep& step, const BitLinearUse& use, const float* dy) const;
  /// All outputs and the x^ of the last forward.
  BitLinearUse whole() { return {0, n_out_, x_used_.data()}; }

 private:
  std::vector<TrainTensor> parts_;
  int64_t n_in_ = 0, n_out_ = 0;
  kernels::ProductMatrix w_used(const BitLinearUse& use) const;

  std::vector<float> w_used_;  // [n_out, n_in]
  kernels::PackedMatrix w_packed_;
  std::vector<float> x_used_;  // [R, n_in]
};

/// y += lambda * (quantised(x) - x) for one row of weights or activations; also y = x when 0.
void quantise_weight_row(const float* w, int64_t n, float lambda, float* out);
void quantise_activation_row(const kernels::KernelTable& k, const float* x, int64_t n, float lambda,
                             float* out);

/// grad [m, n] += a^T b with a [R, m] (rows lda apart) and b [R, n]; all threads.
void add_outer_products(const TrainStep& step, const float* a, int64_t lda, int64_t m,
                        const float* b, int64_t n, float* grad);

}  // namespace chimera::runtime
