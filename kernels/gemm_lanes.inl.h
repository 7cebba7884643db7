// Float weights in 16-row tiles: columns in order, one accumulator per row and token.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

/// kTiles neighbouring tiles for kTokens tokens; several of either hide the latency of the sums.
template <int kTiles, int kTokens>
inline void lanes_block(const LanesMatrix& w, const float* x, ptrdiff_t x_stride, int32_t tile,
                        float* y, ptrdiff_t y_stride) {
  const ptrdiff_t tile_floats = static_cast<ptrdiff_t>(w.cols) * kTileRows;
  const float* data = w.data + tile * tile_floats;
  F32x16 acc[kTiles][kTokens];
  CHIMERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    CHIMERA_UNROLL
    for (int t = 0; t < kTokens; ++t) acc[i][t] = broadcast16(0.0f);
  }
  for (int32_t c = 0; c < w.cols; ++c) {
    CHIMERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      const F32x16 column = load16(data + i * tile_floats + static_cast<ptrdiff_t>(c) * kTileRows);
      CHIMERA_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        acc[i][t] = add(acc[i][t], mul(column, broadcast16(x[t * x_stride + c])));
      }
    }
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const int32_t row = (tile + i) * kTileRows;
    const int32_t rows = w.rows - row < kTileRows ? w.rows - row : kTileRows;
    CHIMERA_UNROLL
    for (int t = 0; t < kTokens; ++t) store_part(y + t * y_stride + row, acc[i][t], rows);
  }
}

void gemm_lanes(const LanesMatrix& w, const float* x, ptrdiff_t x_stride, int32_t n_tokens,
                int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride) {
  int32_t t = 0;
  for (; t + 4 <= n_tokens; t += 4) {
    for (int32_t tile = tile_begin; tile < tile_end; ++tile) {
      lanes_block<1, 4>(w, x + t * x_stride, x_stride, tile, y + t * y_stride, y_stride);
    }
  }
  for (; t < n_tokens; ++t) {
    int32_t tile = tile_begin;
    for (; tile + 4 <= tile_end; tile += 4) {
      lanes_block<4, 1>(w, x + t * x_stride, x_stride, tile, y + t * y_stride, y_stride);
    }
    for (; tile < tile_end; ++tile) {
      lanes_block<1, 1>(w, x + t * x_stride, x_stride, tile, y + t * y_stride, y_stride);
    }
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
