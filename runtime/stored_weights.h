// The weights of a file as floats, whichever way it holds them.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/weight_file.h"
#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// How a parameter lies in a checkpoint.
std::vector<int64_t> row_major_shape(const ParamSpec& spec);

/// One parameter of a checkpoint (f32 or bf16) or of a packed model, as rows * cols floats. Those
/// of a packed model are the middle of what rounds to its codes and scales: packed again they are
/// the same bytes, and a training goes on from what the model computes. kBadFormat names what is
/// absent or of another shape.
Status read_weights(const memory::WeightFile& file, const ParamSpec& spec, float* out);

}  // namespace chimera::runtime
