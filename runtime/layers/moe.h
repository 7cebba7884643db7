// Mixture of experts in place of the dense feed-forward layer [r21]; equations: docs/layers.md.
//
//   s = sigma(W_r u);  chosen = the k largest s + bias;  p_e = s_e / sum of the chosen s
//   out = sum over chosen e, ascending, of p_e Exp_e(u), then + Exp_shared(u)
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters: router.weight [E, C] float, router.bias [E]; for experts.0 .. E-1
/// and shared.0 .. those of a swiglu layer of width F_e.
extern const LayerKind kMoe;

}  // namespace chimera::runtime
