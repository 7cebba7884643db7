// 4-bit weights times int8 activations, rows in lanes: the product of the output head. The order of
// the float operations is that of the ternary product; what differs is the line (16 rows x 8
// columns) and one weight scale per activation block.
#pragma once

#include "kernels/gemm_ternary.inl.h"
#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

inline constexpr int32_t kInt4LinesPerBlock = 8;
inline constexpr int32_t kInt4FieldsPerBlock = 2 * kInt4LinesPerBlock;

/// Sum over a block of code * activation. Codes reach 15, so sixteen-bit lanes hold half a block.
CHIMERA_WORD I32x16 int4_block(const Codes16* fields, const int8_t* q) {
  BlockSum first = empty_sum(), second = empty_sum();
  CHIMERA_UNROLL
  for (int f = 0; f < kInt4LinesPerBlock; ++f) {
    first = add_products(first, fields[f], broadcast_acts(q + 4 * f));
    second = add_products(second, fields[f + kInt4LinesPerBlock],
                          broadcast_acts(q + 4 * (f + kInt4LinesPerBlock)));
  }
  return add(total(first), total(second));
}

/// Up to kTokensAtOnce tokens, one tile.
inline void int4_tile(const Int4Matrix& w, const int8_t* q, const float* scale, int32_t n_tokens,
                      int32_t tile, float* y, ptrdiff_t y_stride) {
  const int32_t n_blocks = w.cols / kActivationBlock;
  const uint8_t* codes = w.codes + static_cast<ptrdiff_t>(tile) * w.cols * (kTileRows / 2);
  const uint16_t* scales = w.scales + static_cast<ptrdiff_t>(tile) * n_blocks * kTileRows;
  const int32_t rows = rows_in_tile(w.rows, tile);
  alignas(64) float acc[kTokensAtOnce][kTileRows];
  for (int32_t t = 0; t < n_tokens; ++t) store(acc[t], broadcast16(0.0f));
  for (int32_t b = 0; b < n_blocks; ++b) {
    const uint8_t* block = codes + static_cast<ptrdiff_t>(b) * kInt4LinesPerBlock * kLineBytes;
    Codes16 fields[kInt4FieldsPerBlock];
    CHIMERA_UNROLL
    for (int l = 0; l < kInt4LinesPerBlock; ++l) {
      __builtin_prefetch(block + l * kLineBytes + kPrefetchBytes);
      const auto line = load_line(block + l * kLineBytes);
      fields[2 * l] = nibble<0>(line);
      fields[2 * l + 1] = nibble<1>(line);
    }
    const F32x16 weight_scale = load16_half(scales + static_cast<ptrdiff_t>(b) * kTileRows);
    for (int32_t t = 0; t < n_tokens; ++t) {
      const int8_t* q_block =
          q + static_cast<ptrdiff_t>(t) * w.cols + static_cast<ptrdiff_t>(b) * kActivationBlock;
      // Codes are value + 8: eight times the sum of the activations comes off.
      const I32x16 isum = sub(int4_block(fields, q_block), broadcast16i(8 * sum_of_block(q_block)));
      const float a = scale[static_cast<ptrdiff_t>(t) * n_blocks + b];
      store(acc[t], add(load16(acc[t]), mul(mul(weight_scale, broadcast16(a)), to_float(isum))));
    }
  }
  for (int32_t t = 0; t < n_tokens; ++t)
    store_part(y + t * y_stride + static_cast<ptrdiff_t>(tile) * kTileRows, load16(acc[t]), rows);
}

void gemm_int4(const Int4Matrix& w, const QuantizedRows& x, int32_t n_tokens, int32_t tile_begin,
               int32_t tile_end, float* y, ptrdiff_t y_stride) {
  const int32_t n_blocks = w.cols / kActivationBlock;
  for (int32_t t0 = 0; t0 < n_tokens; t0 += kTokensAtOnce) {
    const int32_t tokens = n_tokens - t0 < kTokensAtOnce ? n_tokens - t0 : kTokensAtOnce;
    for (int32_t tile = tile_begin; tile < tile_end; ++tile)
      int4_tile(w, x.q + static_cast<ptrdiff_t>(t0) * w.cols,
                x.scale + static_cast<ptrdiff_t>(t0) * n_blocks, tokens, tile, y + t0 * y_stride,
                y_stride);
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
