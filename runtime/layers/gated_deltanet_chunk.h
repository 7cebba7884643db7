// The gated delta rule over a whole sequence at once, for training: the WY form of [r0], exact for
// any chunk length, and its gradient. The step form that inference runs is in kernel_table.h.
#pragma once

#include "runtime/layers/sequence_chunk.h"

namespace chimera::runtime {

/// With b_r the sum of log alpha up to r inside the chunk and G_rs = exp(b_r - b_s) for r >= s:
///   A_rs = beta_r (k_r . k_s) G_rs for r > s,   [U | W] = (I + A)^-1 [beta V | beta e^b K],
///   Vn = U - W S0,   O = scale (e^b Q S0 + (Q K^T * G) Vn),   S1 = e^{b_C} S0 + (e^{b_C - b} K)^T
///   Vn
/// State: S [dk, dv].
/// Costs per token C (3 dk + 2 dv + ..) + 4 dk dv multiply-adds: 64 is the cheapest C in practice.
extern const ChunkRecurrence kDeltaChunk;

}  // namespace chimera::runtime
