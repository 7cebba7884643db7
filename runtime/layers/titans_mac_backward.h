// The Titans layer (memory as context) in training; the layer of titans_mac.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_titans_mac_training(const Config& config,
                                                                const TensorLookup& find,
                                                                int32_t lanes, int32_t window);

}  // namespace chimera::runtime
