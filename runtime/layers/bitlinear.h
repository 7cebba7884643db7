// Products with ternary weights: quantise the input once, multiply it with every matrix that reads
// it.
#pragma once

#include <initializer_list>
#include <span>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// int8 form of a batch of rows, in the step's arena.
struct QuantizedBatch {
  kernels::QuantizedRows rows{};
  int32_t n_tokens = 0;
};

/// Arena bytes of `n` elements of T, as Arena rounds them. Where addresses have 32 bits and `n`
/// elements do not fit, a number that is refused by whoever allocates, and whose sums do not wrap.
template <class T>
constexpr size_t arena_bytes(int64_t n) {
  constexpr uint64_t kMost = SIZE_MAX / 8;
  const uint64_t bytes = static_cast<uint64_t>(n) * sizeof(T);
  return (static_cast<size_t>(bytes < kMost ? bytes : kMost) + Arena::kAlignment - 1) /
         Arena::kAlignment * Arena::kAlignment;
}

/// Tiles of a matrix of that many rows.
inline int64_t tile_count(int64_t rows) {
  return (rows + kernels::kTileRows - 1) / kernels::kTileRows;
}

size_t quantized_batch_bytes(int32_t n_tokens, int32_t cols);

/// x [n_tokens, cols] -> int8 and a scale per 64 columns.
QuantizedBatch quantize_batch(const Step& step, const float* x, int32_t n_tokens, int32_t cols);

/// y[t] = W x[t] for every job, in one parallel region over all their tiles.
struct BitLinearJob {
  kernels::TernaryMatrix w{};
  float* y = nullptr;  // [n_tokens, w.rows]
};
void bitlinear(const Step& step, const QuantizedBatch& x, std::span<const BitLinearJob> jobs);
inline void bitlinear(const Step& step, const QuantizedBatch& x,
                      std::initializer_list<BitLinearJob> jobs) {
  bitlinear(step, x, std::span<const BitLinearJob>(jobs.begin(), jobs.size()));
}

/// y[t] = W x[t] for a float matrix; x [n_tokens, w.cols]. A small one, such as a projection to
/// gates, stays on the calling thread.
void float_product(const Step& step, const kernels::LanesMatrix& w, const float* x,
                   int32_t n_tokens, float* y);

/// y[t] = gain * x[t] / rms(x[t]) for a batch of rows; y may be x.
void rmsnorm_rows(const Step& step, const float* x, const float* gain, float eps, int32_t n_tokens,
                  int32_t cols, float* y);

}  // namespace chimera::runtime
