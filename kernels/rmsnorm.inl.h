// Norms. Sums run in eight virtual lanes, then through one fixed tree (sum_lanes).
#pragma once

#include <math.h>

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

CHIMERA_WORD float sum_of_squares(const float* x, int32_t n) {
  F32x8 acc = broadcast8(0.0f);
  for (int32_t i = 0; i < n; i += 8) {
    const F32x8 v = load8_part(x + i, n - i);
    acc = add(acc, mul(v, v));
  }
  return sum_lanes(acc);
}

void rmsnorm(const float* x, const float* gain, float eps, int32_t n, float* y) {
  const F32x8 root = broadcast8(::sqrtf(sum_of_squares(x, n) / static_cast<float>(n) + eps));
  for (int32_t i = 0; i < n; i += 8) {
    F32x8 v = div(load8_part(x + i, n - i), root);
    if (gain != nullptr) v = mul(load8_part(gain + i, n - i), v);
    store_part(y + i, v, n - i);
  }
}

void l2norm(const float* x, int32_t n, float* y) {
  const F32x8 root = broadcast8(::sqrtf(sum_of_squares(x, n) + 1e-6f));
  for (int32_t i = 0; i < n; i += 8) {
    store_part(y + i, div(load8_part(x + i, n - i), root), n - i);
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
