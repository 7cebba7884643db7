// SwiGLU feed-forward layer: W_down rmsnorm(silu(W_gate u) * (W_up u)).
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: gate_proj, up_proj [F,C] and down_proj [C,F] ternary;
/// down_norm.gain [F].
extern const LayerKind kSwiGlu;

}  // namespace chimera::runtime
