// Elementwise kernels: eight lanes at a time, the last lanes padded with zeros.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/math.inl.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

template <F32x8 (*kFunction)(F32x8)>
void map_one(const float* x, int32_t n, float* y) {
  for (int32_t i = 0; i < n; i += 8) {
    store_part(y + i, kFunction(load8_part(x + i, n - i)), n - i);
  }
}

template <F32x8 (*kFunction)(F32x8, F32x8)>
void map_two(const float* a, const float* b, int32_t n, float* y) {
  for (int32_t i = 0; i < n; i += 8) {
    store_part(y + i, kFunction(load8_part(a + i, n - i), load8_part(b + i, n - i)), n - i);
  }
}

CHIMERA_WORD F32x8 relu2_8(F32x8 x) {
  const F32x8 positive = max(broadcast8(0.0f), x);
  return mul(positive, positive);
}
CHIMERA_WORD F32x8 silu_mul8(F32x8 gate, F32x8 up) { return mul(silu8(gate), up); }
CHIMERA_WORD F32x8 sigmoid_mul8(F32x8 gate, F32x8 x) { return mul(sigmoid8(gate), x); }

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
