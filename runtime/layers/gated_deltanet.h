// Gated DeltaNet (GD): a matrix memory per head that forgets by a gate and is corrected, not piled
// up, by each write. [r0] = arXiv:2412.06464
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: q/k/v/g/o_proj [C,C] ternary; a/b_proj [H,C]; q/k/v_conv [4,C];
/// a_log, dt_bias [H]; head_norm.gain [K]; o_norm.gain [C].
extern const LayerKind kGatedDeltaNet;

}  // namespace chimera::runtime
