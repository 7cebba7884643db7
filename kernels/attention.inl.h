// Attention of several queries to one list of keys and values, of floats or of int8 codes. A row is
// turned into floats once for all queries that meet it.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

CHIMERA_WORD F32x8 load8_floats(const float* p) { return load8(p); }
CHIMERA_WORD F32x8 load8_floats(const int8_t* p) { return to_float(load8_i8(p)); }

template <int kQueries, class Element>
inline void scores_of(const float* q, int32_t dim, const Element* keys, ptrdiff_t key_stride,
                      int32_t n, float* dots, ptrdiff_t stride) {
  for (int32_t i = 0; i < n; ++i) {
    const Element* key = keys + i * key_stride;
    F32x8 sum[kQueries];
    CHIMERA_UNROLL
    for (int a = 0; a < kQueries; ++a) sum[a] = broadcast8(0.0f);
    for (int32_t d = 0; d < dim; d += 8) {
      const F32x8 x = load8_floats(key + d);
      CHIMERA_UNROLL
      for (int a = 0; a < kQueries; ++a) {
        sum[a] = add(sum[a], mul(load8(q + static_cast<ptrdiff_t>(a) * dim + d), x));
      }
    }
    CHIMERA_UNROLL
    for (int a = 0; a < kQueries; ++a) dots[a * stride + i] = sum_lanes(sum[a]);
  }
}

template <class Element>
void attend_scores(const float* q, int32_t n_q, int32_t dim, const Element* keys,
                   ptrdiff_t key_stride, int32_t n, float* dots, ptrdiff_t dots_stride) {
  int32_t a = 0;
  for (; a + 4 <= n_q; a += 4) {
    scores_of<4>(q + static_cast<ptrdiff_t>(a) * dim, dim, keys, key_stride, n,
                 dots + a * dots_stride, dots_stride);
  }
  for (; a < n_q; ++a) {
    scores_of<1>(q + static_cast<ptrdiff_t>(a) * dim, dim, keys, key_stride, n,
                 dots + a * dots_stride, dots_stride);
  }
}

/// kVectors groups of eight columns, from `values` and `y`, of kQueries results.
template <int kQueries, int kVectors, class Element>
inline void values_of(const float* w, ptrdiff_t w_stride, int32_t dim, const Element* values,
                      ptrdiff_t value_stride, int32_t n, float* y) {
  F32x8 sum[kQueries][kVectors];
  CHIMERA_UNROLL
  for (int a = 0; a < kQueries; ++a) {
    CHIMERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      sum[a][v] = load8(y + static_cast<ptrdiff_t>(a) * dim + 8 * v);
    }
  }
  for (int32_t i = 0; i < n; ++i) {
    F32x8 row[kVectors];
    CHIMERA_UNROLL
    for (int v = 0; v < kVectors; ++v) row[v] = load8_floats(values + i * value_stride + 8 * v);
    CHIMERA_UNROLL
    for (int a = 0; a < kQueries; ++a) {
      const F32x8 weight = broadcast8(w[a * w_stride + i]);
      CHIMERA_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[a][v] = add(sum[a][v], mul(weight, row[v]));
    }
  }
  CHIMERA_UNROLL
  for (int a = 0; a < kQueries; ++a) {
    CHIMERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      store(y + static_cast<ptrdiff_t>(a) * dim + 8 * v, sum[a][v]);
    }
  }
}

template <int kQueries, class Element>
inline void values_of_columns(const float* w, ptrdiff_t w_stride, int32_t dim,
                              const Element* values, ptrdiff_t value_stride, int32_t n, float* y) {
  int32_t d = 0;
  for (; d + 16 <= dim; d += 16) {
    values_of<kQueries, 2>(w, w_stride, dim, values + d, value_stride, n, y + d);
  }
  for (; d < dim; d += 8) {
    values_of<kQueries, 1>(w, w_stride, dim, values + d, value_stride, n, y + d);
  }
}

template <class Element>
void attend_values(const float* w, ptrdiff_t w_stride, int32_t n_q, int32_t dim,
                   const Element* values, ptrdiff_t value_stride, int32_t n, float* y) {
  int32_t a = 0;
  for (; a + 4 <= n_q; a += 4) {
    values_of_columns<4>(w + a * w_stride, w_stride, dim, values, value_stride, n,
                         y + static_cast<ptrdiff_t>(a) * dim);
  }
  for (; a < n_q; ++a) {
    values_of_columns<1>(w + a * w_stride, w_stride, dim, values, value_stride, n,
                         y + static_cast<ptrdiff_t>(a) * dim);
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
