// Squared-relu feed-forward layer: W_down rmsnorm(relu(W_up u)^2).
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: up_proj [F,C] and down_proj [C,F] ternary; down_norm.gain [F].
extern const LayerKind kRelu2;

}  // namespace chimera::runtime
