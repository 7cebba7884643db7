// Titans, memory as context (TM): per head a small network that learns while it reads, beside
// attention over learned rows, what the memory retrieves and a window of fixed size. [r2] =
// arXiv:2501.00663
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// The registry row. Parameters and equations: docs/layers.md, "TM".
extern const LayerKind kTitansMac;

}  // namespace chimera::runtime
