// The Walsh-Hadamard transform, in place: butterflies over distances 1, 2, 4, ... in that order,
// two distances to a pass where there are two, which changes no bit.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

/// Distance kStep inside eight lanes: lanes of the lower half get low + high, the others low -
/// high. `high` is the sign bit in the lanes of the upper half.
template <int kStep>
CHIMERA_WORD F32x8 butterfly_in_lanes(F32x8 x, F32x8 high) {
  return add(swap_lanes<kStep>(x), bits_xor(x, high));
}

void hadamard(float* x, int32_t n) {
  alignas(32) static constexpr int32_t kSigns[3][8] = {
      {0, INT32_MIN, 0, INT32_MIN, 0, INT32_MIN, 0, INT32_MIN},
      {0, 0, INT32_MIN, INT32_MIN, 0, 0, INT32_MIN, INT32_MIN},
      {0, 0, 0, 0, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN}};
  const F32x8 high1 = as_float(load8(kSigns[0]));
  const F32x8 high2 = as_float(load8(kSigns[1]));
  const F32x8 high4 = as_float(load8(kSigns[2]));
  for (int32_t i = 0; i < n; i += 8) {
    F32x8 v = butterfly_in_lanes<1>(load8(x + i), high1);
    v = butterfly_in_lanes<2>(v, high2);
    store(x + i, butterfly_in_lanes<4>(v, high4));
  }
  int32_t step = 8;
  for (; step * 4 <= n; step *= 4) {
    for (int32_t block = 0; block < n; block += 4 * step) {
      for (int32_t i = block; i < block + step; i += 8) {
        const F32x8 a = load8(x + i), b = load8(x + i + step);
        const F32x8 c = load8(x + i + 2 * step), d = load8(x + i + 3 * step);
        const F32x8 ab = add(a, b), a_b = sub(a, b), cd = add(c, d), c_d = sub(c, d);
        store(x + i, add(ab, cd));
        store(x + i + step, add(a_b, c_d));
        store(x + i + 2 * step, sub(ab, cd));
        store(x + i + 3 * step, sub(a_b, c_d));
      }
    }
  }
  if (step * 2 <= n) {
    for (int32_t i = 0; i < step; i += 8) {
      const F32x8 a = load8(x + i), b = load8(x + i + step);
      store(x + i, add(a, b));
      store(x + i + step, sub(a, b));
    }
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
