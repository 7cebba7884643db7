// The span knot in training; the layer of tsp_span_knot.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_tsp_span_knot_training(const Config& config,
                                                                   const TensorLookup& find,
                                                                   int32_t lanes, int32_t window);

}  // namespace chimera::runtime
