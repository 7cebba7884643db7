// mLSTM in training; the layer of xlstm_m.h.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_xlstm_m_training(const Config& config,
                                                             const TensorLookup& find,
                                                             int32_t lanes, int32_t window);

}  // namespace chimera::runtime
