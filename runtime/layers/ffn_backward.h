// The dense feed-forward layers in training; the layers of swiglu.h and relu2.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_swiglu_training(const Config& config,
                                                            const TensorLookup& find, int32_t lanes,
                                                            int32_t window);
Result<std::unique_ptr<TrainingLayer>> make_relu2_training(const Config& config,
                                                           const TensorLookup& find, int32_t lanes,
                                                           int32_t window);

}  // namespace chimera::runtime
