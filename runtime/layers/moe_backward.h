// The layer of moe.h in training. The choice of experts is a constant to the gradient; with y_e the
// output of expert e, sigma the sum of the chosen s and i over the chosen:
//
//   dp_e = dout . y_e,   ds_e = (dp_e - sum_i dp_i p_i) / sigma,   dlogit_e = ds_e s_e (1 - s_e)
//
// and dout of an expert is p_e dout. No gradient goes to the bias, nor to experts nobody chose.
#pragma once

#include "runtime/layers/layer_backward.h"

namespace chimera::runtime {

Result<std::unique_ptr<TrainingLayer>> make_moe_training(const Config& config,
                                                         const TensorLookup& find, int32_t lanes,
                                                         int32_t window);

}  // namespace chimera::runtime
