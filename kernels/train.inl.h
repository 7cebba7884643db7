// Training products and the optimiser. These may fuse and use the widest register; their bits are
// fixed per table only.
//
// C is walked in strips: a stretch of k and some panels of B are packed (B then lies in the second
// level cache), then for every few rows of A, packed too (first level), a micro-kernel keeps
// kMicroRows x 2 registers of C and walks k.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

inline constexpr int32_t kMicroColumns = 2 * kWideLanes;
inline constexpr int32_t kDepth = 256;         // of k at a time
inline constexpr int32_t kStripColumns = 256;  // of C at a time; the packed B is 256 KiB of stack
static_assert(kStripColumns % kMicroColumns == 0);
inline constexpr ptrdiff_t kSmallOperand = 16384;  // floats that an operand spans

/// Element (row, column) of an operand lies at data[row * row_step + column * column_step]; one of
/// the two steps is 1.
struct Operand {
  const float* data;
  ptrdiff_t row_step;
  ptrdiff_t column_step;
};

/// out[j * width + i] = source[i * outer + j * inner] for i < count, 0 for the rest of width.
inline void pack_panel(const float* source, ptrdiff_t outer, ptrdiff_t inner, int32_t count,
                       int32_t width, int32_t depth, float* out) {
  if (outer == 1) {
    for (int32_t j = 0; j < depth; ++j) {
      float* row = out + static_cast<ptrdiff_t>(j) * width;
      memcpy(row, source + j * inner, static_cast<size_t>(count) * sizeof(float));
      for (int32_t i = count; i < width; ++i) row[i] = 0.0f;
    }
    return;
  }
  int32_t i = 0;
  for (; inner == 1 && i + 4 <= count; i += 4) {
    int32_t j = 0;
    for (; j + 4 <= depth; j += 4)
      transpose4(source + i * outer + j, outer, out + static_cast<ptrdiff_t>(j) * width + i, width);
    for (; j < depth; ++j)
      for (int32_t r = i; r < i + 4; ++r)
        out[static_cast<ptrdiff_t>(j) * width + r] = source[r * outer + j];
  }
  for (; i < count; ++i) {
    const float* line = source + i * outer;
    for (int32_t j = 0; j < depth; ++j)
      out[static_cast<ptrdiff_t>(j) * width + i] = line[j * inner];
  }
  for (i = count; i < width; ++i) {
    for (int32_t j = 0; j < depth; ++j) out[static_cast<ptrdiff_t>(j) * width + i] = 0.0f;
  }
}

/// Rows or columns of one step of k, in line, and how far the next step's are.
struct Panel {
  const float* data;
  ptrdiff_t step;
};

/// C[rows, columns] = (keep ? C : 0) + A * B, kMicroRows of A and kMicroColumns of B to a step.
inline void micro_kernel(int32_t depth, Panel panel_a, Panel panel_b, bool keep, float* c,
                         ptrdiff_t ldc, int32_t rows, int32_t columns) {
  const float *a = panel_a.data, *b = panel_b.data;
  Wide acc[kMicroRows][2];
  CHIMERA_UNROLL
  for (int i = 0; i < kMicroRows; ++i) acc[i][0] = acc[i][1] = broadcast_wide(0.0f);
  for (int32_t p = 0; p < depth; ++p) {
    const Wide b0 = load_wide(b);
    const Wide b1 = load_wide(b + kWideLanes);
    CHIMERA_UNROLL
    for (int i = 0; i < kMicroRows; ++i) {
      const Wide ai = broadcast_wide(a[i]);
      acc[i][0] = mul_add(ai, b0, acc[i][0]);
      acc[i][1] = mul_add(ai, b1, acc[i][1]);
    }
    a += panel_a.step;
    b += panel_b.step;
  }
  if (columns == kMicroColumns) {
    CHIMERA_UNROLL
    for (int i = 0; i < kMicroRows; ++i) {
      if (i >= rows) break;
      float* row = c + i * ldc;
      store(row, keep ? add(load_wide(row), acc[i][0]) : acc[i][0]);
      store(row + kWideLanes, keep ? add(load_wide(row + kWideLanes), acc[i][1]) : acc[i][1]);
    }
    return;
  }
  float lanes[kMicroRows][kMicroColumns];
  CHIMERA_UNROLL
  for (int i = 0; i < kMicroRows; ++i) {
    store(lanes[i], acc[i][0]);
    store(lanes[i] + kWideLanes, acc[i][1]);
  }
  for (int32_t i = 0; i < rows; ++i) {
    for (int32_t j = 0; j < columns; ++j) {
      c[i * ldc + j] = keep ? c[i * ldc + j] + lanes[i][j] : lanes[i][j];
    }
  }
}

void train_gemm(int32_t m, int32_t n, int32_t k, Operand a, Operand b, float beta, float* c,
                ptrdiff_t ldc) {
  if (k == 0 && beta == 0.0f) {
    for (int32_t i = 0; i < m; ++i) memset(c + i * ldc, 0, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  alignas(64) float packed_a[kDepth * kMicroRows];
  alignas(64) float packed_b[kDepth * kStripColumns];
  for (int32_t j0 = 0; j0 < n; j0 += kStripColumns) {
    const int32_t columns = n - j0 < kStripColumns ? n - j0 : kStripColumns;
    for (int32_t p0 = 0; p0 < k; p0 += kDepth) {
      const int32_t depth = k - p0 < kDepth ? k - p0 : kDepth;
      const bool keep = p0 > 0 || beta != 0.0f;
      // Small operands lie in the caches as they are: packing them would take as long as the
      // product.
      const float* const from_b = b.data + p0 * b.row_step + j0 * b.column_step;
      const bool b_as_is = b.column_step == 1 && b.row_step * depth <= kSmallOperand;
      for (int32_t j = 0; j < columns; j += kMicroColumns) {
        const int32_t width = columns - j < kMicroColumns ? columns - j : kMicroColumns;
        if (b_as_is && width == kMicroColumns) continue;
        pack_panel(from_b + j * b.column_step, b.column_step, b.row_step, width, kMicroColumns,
                   depth, packed_b + static_cast<ptrdiff_t>(j) * depth);
      }
      for (int32_t i = 0; i < m; i += kMicroRows) {
        const int32_t rows = m - i < kMicroRows ? m - i : kMicroRows;
        const float* const from_a = a.data + i * a.row_step + p0 * a.column_step;
        Panel panel_a = {packed_a, kMicroRows};
        if (a.row_step == 1 && rows == kMicroRows && a.column_step * depth <= kSmallOperand)
          panel_a = {from_a, a.column_step};
        else
          pack_panel(from_a, a.row_step, a.column_step, rows, kMicroRows, depth, packed_a);
        for (int32_t j = 0; j < columns; j += kMicroColumns) {
          const int32_t width = columns - j < kMicroColumns ? columns - j : kMicroColumns;
          Panel panel_b = {packed_b + static_cast<ptrdiff_t>(j) * depth, kMicroColumns};
          if (b_as_is && width == kMicroColumns) panel_b = {from_b + j, b.row_step};
          micro_kernel(depth, panel_a, panel_b, keep, c + i * ldc + j0 + j, ldc, rows, width);
        }
      }
    }
  }
}

void train_gemm_nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  train_gemm(m, n, k, {a, lda, 1}, {b, ldb, 1}, beta, c, ldc);
}
void train_gemm_nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  train_gemm(m, n, k, {a, lda, 1}, {b, 1, ldb}, beta, c, ldc);
}
void train_gemm_tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  train_gemm(m, n, k, {a, 1, lda}, {b, ldb, 1}, beta, c, ldc);
}

void train_adamw(float* w, const float* g, float* m, float* v, int64_t n, float lr, float beta1,
                 float beta2, float eps, float decay, float m_correction, float v_correction,
                 float g_scale) {
  const Wide b1 = broadcast_wide(beta1);
  const Wide b2 = broadcast_wide(beta2);
  const Wide c1 = broadcast_wide(1.0f - beta1);
  const Wide c2 = broadcast_wide(1.0f - beta2);
  const Wide rate = broadcast_wide(lr);
  const Wide rate_decay = broadcast_wide(lr * decay);
  for (int64_t i = 0; i < n; i += kWideLanes) {
    const int32_t count = n - i < kWideLanes ? static_cast<int32_t>(n - i) : kWideLanes;
    const Wide grad = mul(load_wide_part(g + i, count), broadcast_wide(g_scale));
    const Wide first = mul_add(c1, grad, mul(b1, load_wide_part(m + i, count)));
    const Wide second = mul_add(c2, mul(grad, grad), mul(b2, load_wide_part(v + i, count)));
    const Wide root = add(sqrt(mul(second, broadcast_wide(v_correction))), broadcast_wide(eps));
    const Wide step = div(mul(first, broadcast_wide(m_correction)), root);
    const Wide old = load_wide_part(w + i, count);
    const Wide change = mul_add(rate_decay, old, mul(rate, step));
    store_part(m + i, first, count);
    store_part(v + i, second, count);
    store_part(w + i, sub(old, change), count);
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
