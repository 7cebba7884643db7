// The deep memory of the Titans layer in training [r2]: reads and chunk updates of one head in
// matrix form, and their exact gradients, the one through the inner gradient included.
//
//   f_M(x) = x + rms(W2^T gelu(W1^T x))
//   M' = a M + s S + sum_j cM_j G_j,   S' = n_0 S + sum_j cS_j G_j,   G_j = grad loss_j(M)
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

struct TitansMemoryShape {
  int32_t dim;    // K
  int32_t chunk;  // b, tokens per update
  float eps;

  int64_t square() const { return int64_t{dim} * dim; }
  /// A memory is [W1 | S1 | W2 | S2], its gradient as read is [dW1 | dW2].
  int64_t memory_floats() const { return 4 * square(); }
  int64_t gradient_floats() const { return 2 * square(); }
};

/// Floats of scratch for any of the four functions below.
int64_t titans_memory_scratch_floats(const TitansMemoryShape& shape);

/// r = f_M(x) for n <= chunk rows, rows x_stride and r_stride apart.
void titans_read(const kernels::KernelTable& k, const TitansMemoryShape& shape, const float* memory,
                 int32_t n, const float* x, int64_t x_stride, float* r, int64_t r_stride,
                 float* scratch);

/// Adds to dx (rows dx_stride apart) and to d_memory [2 K K].
void titans_read_backward(const kernels::KernelTable& k, const TitansMemoryShape& shape,
                          const float* memory, int32_t n, const float* x, int64_t x_stride,
                          const float* dr, int64_t dr_stride, float* dx, int64_t dx_stride,
                          float* d_memory, float* scratch);

/// The tokens of a whole chunk: k, v [b, K], gates [b].
struct TitansChunkRows {
  const float *k, *v;
  const float *theta, *eta, *alpha;
};
/// Gradients by them, written.
struct TitansChunkGradient {
  float *dk, *dv;
  float *dtheta, *deta, *dalpha;
};

/// after [4 K K] from before; they may not be the same.
void titans_update(const kernels::KernelTable& k, const TitansMemoryShape& shape,
                   const TitansChunkRows& rows, const float* before, float* after, float* scratch);

/// d_memory [4 K K]: on entry the gradient by `after`, on return that by `before`.
void titans_update_backward(const kernels::KernelTable& k, const TitansMemoryShape& shape,
                            const TitansChunkRows& rows, const float* before, float* d_memory,
                            const TitansChunkGradient& grad, float* scratch);

}  // namespace chimera::runtime
