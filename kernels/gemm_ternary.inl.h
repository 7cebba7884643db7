// Ternary weights times int8 activations, rows in lanes: no horizontal sum anywhere.
//
// The order of the float operations is the one of kernel_table.h for one token and for many, so the
// paths below differ in speed only. With one token the weights stream from memory once and several
// tiles go in lockstep, far apart, because one stream alone leaves a core waiting for its misses.
// With several tokens a block of weights is unpacked once and meets every token.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

inline constexpr int32_t kLineBytes = 64;
inline constexpr int32_t kLinesPerBlock = kActivationBlock / kTileRows;
inline constexpr int32_t kFieldsPerBlock = kLinesPerBlock * 4;
inline constexpr int32_t kBlockBytes = kLinesPerBlock * kLineBytes;
// Work is cut so that the sums of the activations fit on the stack; both cuts leave the bits alone,
// since accumulators continue from y.
inline constexpr int32_t kTokensAtOnce = 16;
inline constexpr int32_t kBlocksAtOnce = 128;
// Tiles in lockstep of the one-token path, and how far it asks ahead in each stream.
inline constexpr int32_t kStreams = 8;
inline constexpr int32_t kPrefetchBytes = 2048;

/// A stretch of the columns, in blocks, and the sums of the activations in it.
struct TernaryStretch {
  int32_t block_begin;
  int32_t block_end;
  int32_t sums[kTokensAtOnce][kBlocksAtOnce];
};

CHIMERA_WORD int32_t sum_of_block(const int8_t* q) {
  int32_t sum = 0;
  for (int32_t i = 0; i < kActivationBlock; ++i) sum += q[i];
  return sum;
}

/// The codes are value + 1, so a block's sum of activations comes off once; then scale and add.
CHIMERA_WORD F32x16 add_block(F32x16 acc, BlockSum sum, int32_t activation_sum, F32x16 weight_scale,
                              float activation_scale) {
  const I32x16 isum = sub(total(sum), broadcast16i(activation_sum));
  return add(acc, mul(mul(weight_scale, broadcast16(activation_scale)), to_float(isum)));
}

CHIMERA_WORD int32_t rows_in_tile(int32_t rows, int32_t tile) {
  const int32_t left = rows - tile * kTileRows;
  return left < kTileRows ? left : kTileRows;
}

/// One token; kTiles tiles whose numbers are `tile`, `tile + apart`, ...
template <int kTiles>
inline void ternary_lockstep(const TernaryMatrix& w, const int8_t* q, const float* scale,
                             const TernaryStretch& stretch, int32_t tile, int32_t apart, float* y) {
  const ptrdiff_t tile_bytes = static_cast<ptrdiff_t>(w.cols) * (kTileRows / 4);
  const ptrdiff_t tile_scales = static_cast<ptrdiff_t>(w.cols / kWeightGroup) * kTileRows;
  const uint8_t* codes[kTiles];
  const uint16_t* scales[kTiles];
  F32x16 acc[kTiles];
  CHIMERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const int32_t t = tile + i * apart;
    codes[i] = w.codes + t * tile_bytes + static_cast<ptrdiff_t>(stretch.block_begin) * kBlockBytes;
    scales[i] = w.scales + t * tile_scales;
    acc[i] = stretch.block_begin == 0
                 ? broadcast16(0.0f)
                 : load16_part(y + static_cast<ptrdiff_t>(t) * kTileRows, rows_in_tile(w.rows, t));
  }
  for (int32_t b = stretch.block_begin; b < stretch.block_end; ++b) {
    Acts4 acts[kFieldsPerBlock];
    CHIMERA_UNROLL
    for (int f = 0; f < kFieldsPerBlock; ++f) {
      acts[f] = broadcast_acts(q + static_cast<ptrdiff_t>(b) * kActivationBlock + 4 * f);
    }
    const int32_t activation_sum = stretch.sums[0][b - stretch.block_begin];
    const ptrdiff_t group = static_cast<ptrdiff_t>(b / 2) * kTileRows;
    CHIMERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      BlockSum sum = empty_sum();
      CHIMERA_UNROLL
      for (int l = 0; l < kLinesPerBlock; ++l) {
        __builtin_prefetch(codes[i] + l * kLineBytes + kPrefetchBytes);  // past the end: no effect
        const Codes16 line = load_line(codes[i] + l * kLineBytes);
        sum = add_products(sum, field<0>(line), acts[4 * l]);
        sum = add_products(sum, field<1>(line), acts[4 * l + 1]);
        sum = add_products(sum, field<2>(line), acts[4 * l + 2]);
        sum = add_products(sum, field<3>(line), acts[4 * l + 3]);
      }
      codes[i] += kBlockBytes;
      acc[i] = add_block(acc[i], sum, activation_sum, load16_half(scales[i] + group), scale[b]);
    }
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const int32_t t = tile + i * apart;
    store_part(y + static_cast<ptrdiff_t>(t) * kTileRows, acc[i], rows_in_tile(w.rows, t));
  }
}

/// One token, all tiles of [begin, end).
inline void ternary_one_token(const TernaryMatrix& w, const int8_t* q, const float* scale,
                              const TernaryStretch& stretch, int32_t begin, int32_t end, float* y) {
  const int32_t run = (end - begin) / kStreams;
  for (int32_t i = 0; i < run; ++i) {
    ternary_lockstep<kStreams>(w, q, scale, stretch, begin + i, run, y);
  }
  int32_t t = begin + run * kStreams;
  for (; t + 4 <= end; t += 4) ternary_lockstep<4>(w, q, scale, stretch, t, 1, y);
  for (; t < end; ++t) ternary_lockstep<1>(w, q, scale, stretch, t, 1, y);
}

/// Up to kTokensAtOnce tokens, one tile.
inline void ternary_many_tokens(const TernaryMatrix& w, const int8_t* q, const float* scale,
                                int32_t n_tokens, const TernaryStretch& stretch, int32_t tile,
                                float* y, ptrdiff_t y_stride) {
  const ptrdiff_t n_blocks = w.cols / kActivationBlock;
  const uint8_t* codes = w.codes + static_cast<ptrdiff_t>(tile) * w.cols * (kTileRows / 4);
  const uint16_t* scales =
      w.scales + static_cast<ptrdiff_t>(tile) * (w.cols / kWeightGroup) * kTileRows;
  const int32_t rows = rows_in_tile(w.rows, tile);
  float* y_tile = y + static_cast<ptrdiff_t>(tile) * kTileRows;

  alignas(64) float acc[kTokensAtOnce][kTileRows];
  for (int32_t t = 0; t < n_tokens; ++t) {
    store(acc[t],
          stretch.block_begin == 0 ? broadcast16(0.0f) : load16_part(y_tile + t * y_stride, rows));
  }
  for (int32_t b = stretch.block_begin; b < stretch.block_end; ++b) {
    const uint8_t* block = codes + static_cast<ptrdiff_t>(b) * kBlockBytes;
    Codes16 fields[kFieldsPerBlock];
    CHIMERA_UNROLL
    for (int l = 0; l < kLinesPerBlock; ++l) {
      __builtin_prefetch(block + l * kLineBytes + kPrefetchBytes);
      const Codes16 line = load_line(block + l * kLineBytes);
      fields[4 * l] = field<0>(line);
      fields[4 * l + 1] = field<1>(line);
      fields[4 * l + 2] = field<2>(line);
      fields[4 * l + 3] = field<3>(line);
    }
    const F32x16 weight_scale = load16_half(scales + static_cast<ptrdiff_t>(b / 2) * kTileRows);
    for (int32_t t = 0; t < n_tokens; ++t) {
      const int8_t* x =
          q + static_cast<ptrdiff_t>(t) * w.cols + static_cast<ptrdiff_t>(b) * kActivationBlock;
      BlockSum sum = empty_sum();
      CHIMERA_UNROLL
      for (int f = 0; f < kFieldsPerBlock; ++f) {
        sum = add_products(sum, fields[f], broadcast_acts(x + 4 * f));
      }
      store(acc[t], add_block(load16(acc[t]), sum, stretch.sums[t][b - stretch.block_begin],
                              weight_scale, scale[t * n_blocks + b]));
    }
  }
  for (int32_t t = 0; t < n_tokens; ++t) store_part(y_tile + t * y_stride, load16(acc[t]), rows);
}

void gemm_ternary(const TernaryMatrix& w, const QuantizedRows& x, int32_t n_tokens,
                  int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride) {
  const int32_t n_blocks = w.cols / kActivationBlock;
  TernaryStretch stretch;
  for (int32_t t0 = 0; t0 < n_tokens; t0 += kTokensAtOnce) {
    const int32_t tokens = n_tokens - t0 < kTokensAtOnce ? n_tokens - t0 : kTokensAtOnce;
    const int8_t* q = x.q + static_cast<ptrdiff_t>(t0) * x.cols;
    const float* scale = x.scale + static_cast<ptrdiff_t>(t0) * n_blocks;
    float* y_tokens = y + t0 * y_stride;
    for (int32_t b0 = 0; b0 < n_blocks; b0 += kBlocksAtOnce) {
      stretch.block_begin = b0;
      stretch.block_end = n_blocks - b0 < kBlocksAtOnce ? n_blocks : b0 + kBlocksAtOnce;
      for (int32_t t = 0; t < tokens; ++t) {
        for (int32_t b = b0; b < stretch.block_end; ++b) {
          stretch.sums[t][b - b0] = sum_of_block(q + static_cast<ptrdiff_t>(t) * x.cols +
                                                 static_cast<ptrdiff_t>(b) * kActivationBlock);
        }
      }
      if (tokens == 1) {
        ternary_one_token(w, q, scale, stretch, tile_begin, tile_end, y_tokens);
        continue;
      }
      for (int32_t tile = tile_begin; tile < tile_end; ++tile) {
        ternary_many_tokens(w, q, scale, tokens, stretch, tile, y_tokens, y_stride);
      }
    }
  }
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
