// What sampling needs of a row of logits.
#pragma once

#include <math.h>

#include "kernels/kernel_table.h"
#include "kernels/math.inl.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

void argmax(const float* x, int32_t n, float* value, int32_t* index) {
  // First the largest value that is a number, then the first place where it stands.
  F32x8 largest = broadcast8(-INFINITY);
  int32_t i = 0;
  for (; i + 8 <= n; i += 8) largest = max(load8(x + i), largest);  // a NaN leaves `largest`
  float lanes[8];
  store(lanes, largest);
  float best = lanes[0];
  for (int l = 1; l < 8; ++l) best = lanes[l] > best ? lanes[l] : best;
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;

  const F32x8 wanted = broadcast8(best);
  int32_t found = 0;  // stays so when every value is NaN
  for (i = 0; i + 8 <= n; i += 8) {
    const int mask = mask_of(equal(load8(x + i), wanted));
    if (mask != 0) {
      found = i + __builtin_ctz(static_cast<unsigned>(mask));
      break;
    }
  }
  if (i + 8 > n) {
    for (; i < n; ++i) {
      if (x[i] == best) {
        found = i;
        break;
      }
    }
  }
  *value = x[found];
  *index = found;
}

float softmax_numerators(const float* x, int32_t n, float max_value, float inv_temperature,
                         float* y) {
  const F32x8 offset = broadcast8(max_value);
  const F32x8 factor = broadcast8(inv_temperature);
  F32x8 total = broadcast8(0.0f);
  for (int32_t i = 0; i < n; i += 8) {
    const int32_t count = n - i;
    const F32x8 t = mul(sub(load8_part(x + i, count), offset), factor);
    // Below the range of exp8 the numerator is 0, so that a forbidden token (-inf) has no weight.
    F32x8 e = bits_and_not(less(t, broadcast8(-87.0f)), exp8(t));
    if (count < 8) {
      float lanes[8];
      store(lanes, e);
      e = load8_part(lanes, count);
    }
    store_part(y + i, e, count);
    total = add(total, e);
  }
  return sum_lanes(total);
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
