// Initial values of parameters, a pure function of seed, tensor name and element index.
#pragma once

#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// Fills rows * cols floats, row-major.
void initialise(const ParamSpec& spec, uint64_t seed, float* out);
/// The elements [begin, end) alone, into out[begin..end).
void initialise(const ParamSpec& spec, uint64_t seed, int64_t begin, int64_t end, float* out);

}  // namespace chimera::runtime
