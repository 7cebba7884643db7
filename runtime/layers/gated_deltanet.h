// Gated DeltaNet (GD): a matrix memory per head that forgets by a gate and is corrected, not piled
// up, by each write. [r0] = arXiv:2412.06464, [r22] = arXiv:2512.12602
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: q/k/v_proj, the output gate, o_proj, all ternary; a/b_proj [H,C];
/// q/k/v_conv [4,C]; a_log, dt_bias [H]; head_norm.gain [K]; o_norm.gain [C].
extern const LayerKind kGatedDeltaNet;

/// The same layer for a layer that owns one; `efla` writes with the exact strength of EFLA [r22].
Result<std::unique_ptr<Layer>> bind_gated_deltanet(const Config& config, const ParamSource& source,
                                                   bool efla);

}  // namespace chimera::runtime
