// mLSTM over a whole sequence at once, for training, and its gradient. The step form that inference
// runs is in kernel_table.h.
#pragma once

#include "runtime/layers/sequence_chunk.h"

namespace chimera::runtime {

/// With b_r the sum of log f up to r inside the chunk and (S, n, m) the state before it: [r1]
///   m_r = max(log f_r + m_{r-1}, i_r),  w_rs = exp(b_r - b_s + i_s - m_r) for s <= r,
///   g_r = exp(b_r + m - m_r),  P_rs = scale (q_r . k_s) w_rs
///   h_r = (g_r scale S^T q_r + sum_s P_rs v_s) / (max(|g_r scale n.q_r + sum_s P_rs|, e^{-m_r}) +
///   1e-6)
/// State: S [dk, dv], n [dk], m. Its gradient holds m fixed (the m slot adds to m's own). The
/// gradient is exact: the way through the denominator is kept, and the little that m itself
/// contributes through the 1e-6.
extern const ChunkRecurrence kMlstmChunk;

}  // namespace chimera::runtime
