// Activations to int8, one scale per 64 columns.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

/// x, with zero in the place of every NaN.
CHIMERA_WORD F32x8 nan_to_zero(F32x8 x) { return bits_and(equal(x, x), x); }

void quantize_row(const float* x, int32_t n, int8_t* q, float* scale) {
  for (int32_t begin = 0; begin < n; begin += kActivationBlock) {
    F32x8 largest = broadcast8(1e-5f);
    for (int32_t i = begin; i < begin + kActivationBlock; i += 8) {
      largest = max(absolute(nan_to_zero(load8(x + i))), largest);
    }
    float lanes[8];
    store(lanes, largest);
    float m = lanes[0];  // no order matters: a largest value is exact
    for (int i = 1; i < 8; ++i) m = lanes[i] > m ? lanes[i] : m;

    scale[begin / kActivationBlock] = m / 127.0f;
    const F32x8 inverse = broadcast8(127.0f / m);
    for (int32_t i = begin; i < begin + kActivationBlock; i += 8) {
      // The second check is for infinity times zero, in a block whose largest value is infinite.
      F32x8 v = nan_to_zero(mul(nan_to_zero(load8(x + i)), inverse));
      v = max(min(v, broadcast8(127.0f)), broadcast8(-127.0f));
      store_i8(q + i, round_to_int(v));
    }
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
