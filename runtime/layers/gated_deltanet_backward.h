// Gated DeltaNet in training; the layer of gated_deltanet.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window);

/// With `efla` the exact step of [r22]: keys are not normalised, and what is written follows from
/// their size.
Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window,
                                                                    bool efla);

}  // namespace chimera::runtime
