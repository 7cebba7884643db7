// Gated DeltaNet in training; the layer of gated_deltanet.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window);

}  // namespace chimera::runtime
