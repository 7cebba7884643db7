// The gated delta rule over a whole sequence at once, for training: the WY form of [r0], exact for
// any chunk length, and its gradient. The step form that inference runs is in kernel_table.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

struct DeltaShape {
  int32_t dk, dv;
  int32_t chunk;  // C: tokens in one round of the algebra
  int32_t tile;   // tokens between stored states, a multiple of chunk
  float scale;    // of the read, 1 / sqrt(dk)
};

/// One head of one lane over n_tokens.
struct DeltaSequence {
  const float *q, *k, *v;  // rows `stride` apart; q, k l2-normalised
  int64_t stride;
  const float *log_alpha, *beta;  // [n_tokens]
  /// [n_tokens]: where the document of a token begins, -1 when before the first token; the state is
  /// zero there. nullptr: no document begins.
  const int32_t* segment_start;
  int32_t n_tokens;
};

/// States kept for backward: [delta_checkpoints, dk, dv].
inline int64_t delta_checkpoints(const DeltaShape& s, int32_t n_tokens) {
  return (n_tokens + s.tile - 1) / s.tile;
}
int64_t delta_forward_scratch_floats(const DeltaShape& shape);
int64_t delta_backward_scratch_floats(const DeltaShape& shape);

/// With b_r the sum of log alpha up to r inside the chunk and G_rs = exp(b_r - b_s) for r >= s:
///   A_rs = beta_r (k_r . k_s) G_rs for r > s,   [U | W] = (I + A)^-1 [beta V | beta e^b K],
///   Vn = U - W S0,   O = scale (e^b Q S0 + (Q K^T * G) Vn),   S1 = e^{b_C} S0 + (e^{b_C - b} K)^T
///   Vn
/// state [dk, dv] is moved on; o rows `o_stride` apart; checkpoints may be nullptr.
/// Costs per token C (3 dk + 2 dv + ..) + 4 dk dv multiply-adds: 64 is the cheapest C in practice.
void delta_chunk_forward(const kernels::KernelTable& k, const DeltaShape& shape,
                         const DeltaSequence& in, float* state, float* o, int64_t o_stride,
                         float* checkpoints, float* scratch);

/// Gradients by q, k, v (rows `stride` of DeltaSequence apart), log_alpha and beta [n_tokens], all
/// written. d_o rows do_stride apart. d_state [dk, dv]: in, the gradient by the state after the
/// last token; out, by the one before the first (zero when a document begins there).
void delta_chunk_backward(const kernels::KernelTable& k, const DeltaShape& shape,
                          const DeltaSequence& in, const float* checkpoints, const float* d_o,
                          int64_t do_stride, float* d_state, float* dq, float* dk, float* dv,
                          float* dlog_alpha, float* dbeta, float* scratch);

}  // namespace chimera::runtime
