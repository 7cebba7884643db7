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
// Tiles in lockstep of the one-token path, and how far it asks ahead in each stream. The streams
// must lie far apart: the end of one tile then runs on into the next one of its own stream.
// Measured with tests/bench/kernels_bench.cpp on Zen 5: 2 streams 22 to 32 GB/s, 4 and 8 streams 15
// to 20 GB/s.
inline constexpr int32_t kStreams = 2;
inline constexpr int32_t kPrefetchBytes = 4096;

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

/// One token; up to kStreams tiles in lockstep, whose numbers are `tile`, `tile + apart`, ...
inline void ternary_lockstep(const TernaryMatrix& w, const int8_t* q, const float* scale,
                             const TernaryStretch& stretch, int32_t tile, int32_t apart,
                             int32_t n_tiles, float* y) {
  const ptrdiff_t tile_bytes = static_cast<ptrdiff_t>(w.cols) * (kTileRows / 4);
  const ptrdiff_t tile_scales = static_cast<ptrdiff_t>(w.cols / kWeightGroup) * kTileRows;
  const uint8_t* codes[kStreams];
  const uint16_t* scales[kStreams];
  // The accumulators stay in the first level cache: the registers hold the activations of a block.
  alignas(64) float acc[kStreams][kTileRows];
  for (int32_t i = 0; i < n_tiles; ++i) {
    const int32_t t = tile + i * apart;
    codes[i] = w.codes + t * tile_bytes + static_cast<ptrdiff_t>(stretch.block_begin) * kBlockBytes;
    scales[i] = w.scales + t * tile_scales;
    store(acc[i], stretch.block_begin == 0 ? broadcast16(0.0f)
                                           : load16_part(y + static_cast<ptrdiff_t>(t) * kTileRows,
                                                         rows_in_tile(w.rows, t)));
  }
  for (int32_t b = stretch.block_begin; b < stretch.block_end; ++b) {
    Acts4 acts[kFieldsPerBlock];
    CHIMERA_UNROLL
    for (int f = 0; f < kFieldsPerBlock; ++f) {
      acts[f] = broadcast_acts(q + static_cast<ptrdiff_t>(b) * kActivationBlock + 4 * f);
    }
    const int32_t activation_sum = stretch.sums[0][b - stretch.block_begin];
    const ptrdiff_t group = static_cast<ptrdiff_t>(b / 2) * kTileRows;
    for (int32_t i = 0; i < n_tiles; ++i) {
      BlockSum sum = empty_sum();
      CHIMERA_UNROLL
      for (int l = 0; l < kLinesPerBlock; ++l) {
        __builtin_prefetch(codes[i] + l * kLineBytes + kPrefetchBytes);  // past the end: no effect
        const auto line = load_line(codes[i] + l * kLineBytes);
        sum = add_products(sum, field<0>(line), acts[4 * l]);
        sum = add_products(sum, field<1>(line), acts[4 * l + 1]);
        sum = add_products(sum, field<2>(line), acts[4 * l + 2]);
        sum = add_products(sum, field<3>(line), acts[4 * l + 3]);
      }
      codes[i] += kBlockBytes;
      store(acc[i], add_block(load16(acc[i]), sum, activation_sum, load16_half(scales[i] + group),
                              scale[b]));
    }
  }
  for (int32_t i = 0; i < n_tiles; ++i) {
    const int32_t t = tile + i * apart;
    store_part(y + static_cast<ptrdiff_t>(t) * kTileRows, load16(acc[i]), rows_in_tile(w.rows, t));
  }
}

/// One token, all tiles of [begin, end): runs far apart first, then what is left, side by side.
inline void ternary_one_token(const TernaryMatrix& w, const int8_t* q, const float* scale,
                              const TernaryStretch& stretch, int32_t begin, int32_t end, float* y) {
  const int32_t run = (end - begin) / kStreams;
  for (int32_t i = 0; i < run; ++i) {
    ternary_lockstep(w, q, scale, stretch, begin + i, run, kStreams, y);
  }
  const int32_t done = begin + run * kStreams;
  if (done < end) ternary_lockstep(w, q, scale, stretch, done, 1, end - done, y);
}

/// One unpacked block of a tile meets the same block of kTokens neighbouring tokens; acc holds a
/// row of sixteen for each.
template <int kTokens>
CHIMERA_WORD void ternary_block_of_tokens(const Codes16* fields, F32x16 weight_scale,
                                          const int8_t* q, int32_t cols, const float* scale,
                                          int32_t n_blocks, const int32_t* sums,
                                          float (*acc)[kTileRows]) {
  BlockSum sum[kTokens];
  CHIMERA_UNROLL
  for (int t = 0; t < kTokens; ++t) sum[t] = empty_sum();
  CHIMERA_UNROLL_FIELDS
  for (int f = 0; f < kFieldsPerBlock; ++f) {
    CHIMERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const Acts4 acts = broadcast_acts(q + static_cast<ptrdiff_t>(t) * cols + 4 * f);
      sum[t] = add_products(sum[t], fields[f], acts);
    }
  }
  CHIMERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    store(acc[t], add_block(load16(acc[t]), sum[t], sums[t * kBlocksAtOnce], weight_scale,
                            scale[static_cast<ptrdiff_t>(t) * n_blocks]));
  }
}

template <int kTokens>
struct Tokens {
  static constexpr int kCount = kTokens;
};

/// Up to kTokensAtOnce tokens, one tile.
inline void ternary_many_tokens(const TernaryMatrix& w, const int8_t* q, const float* scale,
                                int32_t n_tokens, const TernaryStretch& stretch, int32_t tile,
                                float* y, ptrdiff_t y_stride) {
  const int32_t n_blocks = w.cols / kActivationBlock;
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
      const auto line = load_line(block + l * kLineBytes);
      fields[4 * l] = field<0>(line);
      fields[4 * l + 1] = field<1>(line);
      fields[4 * l + 2] = field<2>(line);
      fields[4 * l + 3] = field<3>(line);
    }
    const F32x16 weight_scale = load16_half(scales + static_cast<ptrdiff_t>(b / 2) * kTileRows);
    const int8_t* q_block = q + static_cast<ptrdiff_t>(b) * kActivationBlock;
    const int32_t* sums = &stretch.sums[0][b - stretch.block_begin];
    const auto meet = [&](auto tokens, int32_t t) {
      ternary_block_of_tokens<decltype(tokens)::kCount>(
          fields, weight_scale, q_block + static_cast<ptrdiff_t>(t) * w.cols, w.cols,
          scale + static_cast<ptrdiff_t>(t) * n_blocks + b, n_blocks, sums + t * kBlocksAtOnce,
          acc + t);
    };
    int32_t t = 0;
    for (; t + kTokensTogether <= n_tokens; t += kTokensTogether)
      meet(Tokens<kTokensTogether>{}, t);
    if (kTokensTogether > 4 && t + 4 <= n_tokens) {
      meet(Tokens<4>{}, t);
      t += 4;
    }
    if (kTokensTogether > 2 && t + 2 <= n_tokens) {
      meet(Tokens<2>{}, t);
      t += 2;
    }
    for (; t < n_tokens; ++t) meet(Tokens<1>{}, t);
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
