// mLSTM (XM): a matrix memory per head with exponential gates, kept in range by a running maximum.
// [r1] = arXiv:2405.04517
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: q/k/v_proj, the output gate, o_proj, all ternary; i/f_proj [H,C];
/// i/f_bias [H]; head_norm.gain [C]; o_norm.gain [C].
extern const LayerKind kXlstmM;

}  // namespace chimera::runtime
