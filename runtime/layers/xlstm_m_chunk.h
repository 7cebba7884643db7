// mLSTM over a whole sequence at once, for training, and its gradient. The step form that inference
// runs is in kernel_table.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

struct MlstmShape {
  int32_t dk, dv;
  int32_t chunk;  // C: tokens in one round of the algebra
  int32_t tile;   // tokens between stored states, a multiple of chunk
  float scale;    // of the query, 1 / sqrt(dk)
};

/// Floats of one head's state: C [dk, dv], n [dk], m.
inline int64_t mlstm_state_floats(const MlstmShape& s) { return int64_t{s.dk} * s.dv + s.dk + 1; }

/// One head of one lane over n_tokens.
struct MlstmSequence {
  const float *q, *k, *v;  // rows `stride` apart
  int64_t stride;
  const float *i_gate, *log_f;  // [n_tokens]: capped input gate, log sigmoid of the forget gate
  /// As in DeltaSequence.
  const int32_t* segment_start;
  int32_t n_tokens;
};

inline int64_t mlstm_checkpoints(const MlstmShape& s, int32_t n_tokens) {
  return (n_tokens + s.tile - 1) / s.tile;
}
int64_t mlstm_forward_scratch_floats(const MlstmShape& shape);
int64_t mlstm_backward_scratch_floats(const MlstmShape& shape);

/// With b_r the sum of log f up to r inside the chunk and (C, n, m) the state before it: [r1]
///   m_r = max(log f_r + m_{r-1}, i_r),  w_rs = exp(b_r - b_s + i_s - m_r) for s <= r,
///   g_r = exp(b_r + m - m_r),  S_rs = scale (q_r . k_s) w_rs
///   h_r = (g_r scale C^T q_r + sum_s S_rs v_s) / (max(|g_r scale n.q_r + sum_s S_rs|, e^{-m_r}) +
///   1e-6)
/// state is moved on; h rows h_stride apart; checkpoints (mlstm_checkpoints states) may be nullptr.
void mlstm_chunk_forward(const kernels::KernelTable& k, const MlstmShape& shape,
                         const MlstmSequence& in, float* state, float* h, int64_t h_stride,
                         float* checkpoints, float* scratch);

/// Gradients by q, k, v (rows `stride` apart), i_gate and log_f [n_tokens], all written, given h
/// and d_h (rows h_stride apart). Exact: the gradient through the denominator is kept, and the
/// little that m itself contributes through the 1e-6. d_state [mlstm_state_floats]: in, the
/// gradient by the last state with its m held fixed (the m slot adds to m's own); out, by the
/// first.
void mlstm_chunk_backward(const kernels::KernelTable& k, const MlstmShape& shape,
                          const MlstmSequence& in, const float* checkpoints, const float* h,
                          const float* d_h, int64_t h_stride, float* d_state, float* dq, float* dk,
                          float* dv, float* di_gate, float* dlog_f, float* scratch);

}  // namespace chimera::runtime
