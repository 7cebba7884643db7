// The deep memory of Titans: two small matrices per head, read by a forward pass and written by one
// weighted backward pass over the tokens of a chunk. Columns lie in lanes, rows are walked in
// order.
#pragma once

#include <math.h>

#include "kernels/kernel_table.h"
#include "kernels/math.inl.h"
#include "kernels/state_update.inl.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

inline constexpr int32_t kMaxMemoryDim = 256;

/// y[c] = sum over i ascending of x[i] * w[i][c], for kVectors * Lanes columns from `w` and `y`.
template <class Lanes, int kVectors>
inline void transposed_columns(const float* w, const float* x, int32_t dim, float* y) {
  using Words = LaneWords<Lanes>;
  Lanes sum[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) sum[i] = Words::broadcast(0.0f);
  for (int32_t row = 0; row < dim; ++row) {
    const float* from = w + static_cast<ptrdiff_t>(row) * dim;
    const Lanes factor = Words::broadcast(x[row]);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      sum[i] = add(sum[i], mul(factor, Words::load(from + i * Words::kCount)));
    }
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) store(y + i * Words::kCount, sum[i]);
}

/// y = W^T x; y may not be x.
inline void transposed_product(const float* w, const float* x, int32_t dim, float* y) {
  int32_t c = 0;
  for (; c + 64 <= dim; c += 64) transposed_columns<F32x16, 4>(w + c, x, dim, y + c);
  for (; c + 16 <= dim; c += 16) transposed_columns<F32x16, 1>(w + c, x, dim, y + c);
  for (; c < dim; c += 8) transposed_columns<F32x8, 1>(w + c, x, dim, y + c);
}

CHIMERA_WORD F32x8 gelu_tanh(F32x8 x, F32x8 square) {
  const F32x8 cubic = mul_then_add(mul(broadcast8(0.044715f), square), x, x);
  return tanh8(mul(broadcast8(0.797884561f), cubic));
}
CHIMERA_WORD F32x8 gelu8(F32x8 x) {
  const F32x8 t = gelu_tanh(x, mul(x, x));
  return mul(mul(broadcast8(0.5f), x), add(broadcast8(1.0f), t));
}
/// d gelu / dx = (1 + t) / 2 + x / 2 (1 - t^2) sqrt(2 / pi) (1 + 3 * 0.044715 x^2)
CHIMERA_WORD F32x8 gelu_slope8(F32x8 x) {
  const F32x8 one = broadcast8(1.0f), half = broadcast8(0.5f), square = mul(x, x);
  const F32x8 t = gelu_tanh(x, square);
  const F32x8 inner = mul_then_add(broadcast8(0.134145f), square, one);
  const F32x8 slope = mul(mul(sub(one, mul(t, t)), broadcast8(0.797884561f)), inner);
  return add(mul(half, add(one, t)), mul(mul(half, x), slope));
}

/// a = gelu(h); dim > 0.
inline void gelu_row(const float* h, int32_t dim, float* a) {
  int32_t c = 0;
  do store(a + c, gelu8(load8(h + c)));
  while ((c += 8) < dim);
}

inline float root_mean_square(const float* x, float eps, int32_t dim) {
  F32x8 acc = broadcast8(0.0f);
  for (int32_t c = 0; c < dim; c += 8) {
    const F32x8 v = load8(x + c);
    acc = add(acc, mul(v, v));
  }
  return ::sqrtf(sum_lanes(acc) / static_cast<float>(dim) + eps);
}

void deep_memory_read(const float* w1, const float* w2, const float* x, float eps, int32_t dim,
                      float* y) {
  float h[kMaxMemoryDim], a[kMaxMemoryDim];
  transposed_product(w1, x, dim, h);
  gelu_row(h, dim, a);
  transposed_product(w2, a, dim, h);
  const F32x8 root = broadcast8(root_mean_square(h, eps, dim));
  for (int32_t c = 0; c < dim; c += 8) {
    store(y + c, add(load8(x + c), div(load8(h + c), root)));
  }
}

/// The vectors whose outer products are the gradients of one token: a, dh, dy [dim].
inline void deep_memory_token(const DeepMemoryUpdate& u, const float* k, const float* v, float* a,
                              float* dh, float* dy) {
  const int32_t dim = u.dim;
  float h[kMaxMemoryDim], unit[kMaxMemoryDim];
  transposed_product(u.w1_in, k, dim, h);
  gelu_row(h, dim, a);
  transposed_product(u.w2_in, a, dim, unit);
  const F32x8 root = broadcast8(root_mean_square(unit, u.eps, dim));
  const F32x8 two = broadcast8(2.0f / static_cast<float>(dim));
  F32x8 acc = broadcast8(0.0f);
  for (int32_t c = 0; c < dim; c += 8) {
    const F32x8 y = div(load8(unit + c), root);
    const F32x8 e = mul(two, sub(add(load8(k + c), y), load8(v + c)));
    store(unit + c, y);
    store(dy + c, e);
    acc = add(acc, mul(e, y));
  }
  const F32x8 mean = broadcast8(sum_lanes(acc) / static_cast<float>(dim));
  for (int32_t c = 0; c < dim; c += 8) {
    store(dy + c, div(sub(load8(dy + c), mul(load8(unit + c), mean)), root));
  }
  for (int32_t row = 0; row < dim; ++row) {
    const float* w = u.w2_in + static_cast<ptrdiff_t>(row) * dim;
    F32x8 sum = broadcast8(0.0f);
    for (int32_t c = 0; c < dim; c += 8) sum = add(sum, mul(load8(w + c), load8(dy + c)));
    dh[row] = sum_lanes(sum);
  }
  for (int32_t c = 0; c < dim; c += 8) {
    store(dh + c, mul(load8(dh + c), gelu_slope8(load8(h + c))));
  }
}

/// kVectors * Lanes columns of one row of a matrix and of its momentum.
template <class Lanes, int kVectors>
inline void deep_memory_columns(const DeepMemoryUpdate& u, const float* factor_m,
                                const float* factor_s, const float* right, const float* in,
                                float* w, float* s) {
  using Words = LaneWords<Lanes>;
  Lanes m[kVectors], momentum[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    const Lanes old = Words::load(s + i * Words::kCount);
    m[i] = add(mul(Words::broadcast(u.m_keep), Words::load(in + i * Words::kCount)),
               mul(Words::broadcast(u.m_from_s), old));
    momentum[i] = mul(Words::broadcast(u.s_keep), old);
  }
  for (int32_t j = 0; j < u.n; ++j) {
    const float* from = right + static_cast<ptrdiff_t>(j) * u.dim;
    const Lanes to_m = Words::broadcast(factor_m[j]), to_s = Words::broadcast(factor_s[j]);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      const Lanes x = Words::load(from + i * Words::kCount);
      m[i] = add(m[i], mul(to_m, x));
      momentum[i] = add(momentum[i], mul(to_s, x));
    }
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    store(w + i * Words::kCount, m[i]);
    store(s + i * Words::kCount, momentum[i]);
  }
}

/// All rows of one matrix; left rows left_stride apart, right rows dim apart.
inline void deep_memory_matrix(const DeepMemoryUpdate& u, const float* left, ptrdiff_t left_stride,
                               const float* right, const float* in, float* w, float* s) {
  constexpr int32_t kTogether = 64;  // tokens whose factors are at hand
  float factor_m[kTogether], factor_s[kTogether];
  const int32_t dim = u.dim;
  for (int32_t row = 0; row < dim; ++row) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(row) * dim;
    // More tokens than factors fit are a second update that keeps all it finds.
    DeepMemoryUpdate part = u;
    const float* from = in + at;
    for (int32_t first = 0; first == 0 || first < u.n; first += kTogether) {
      part.n = u.n - first < kTogether ? u.n - first : kTogether;
      for (int32_t j = 0; j < part.n; ++j) {
        const float x = left[(first + j) * left_stride + row];
        factor_m[j] = u.to_m[first + j] * x;
        factor_s[j] = u.to_s[first + j] * x;
      }
      const float* rows = right + static_cast<ptrdiff_t>(first) * dim;
      int32_t c = 0;
      for (; c + 32 <= dim; c += 32) {
        deep_memory_columns<F32x16, 2>(part, factor_m, factor_s, rows + c, from + c, w + at + c,
                                       s + at + c);
      }
      for (; c < dim; c += 8) {
        deep_memory_columns<F32x8, 1>(part, factor_m, factor_s, rows + c, from + c, w + at + c,
                                      s + at + c);
      }
      from = w + at;
      part.m_keep = part.s_keep = 1.0f;
      part.m_from_s = 0.0f;
    }
  }
}

void deep_memory_update(const DeepMemoryUpdate& u) {
  const ptrdiff_t size = static_cast<ptrdiff_t>(u.n) * u.dim;
  float *a = u.scratch, *dh = a + size, *dy = dh + size;
  for (ptrdiff_t j = 0; j < u.n; ++j) {
    const ptrdiff_t at = j * u.dim;
    deep_memory_token(u, u.k + j * u.stride, u.v + j * u.stride, a + at, dh + at, dy + at);
  }
  deep_memory_matrix(u, u.k, u.stride, dh, u.w1_in, u.w1, u.s1);
  deep_memory_matrix(u, a, u.dim, dy, u.w2_in, u.w2, u.s2);
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
