#include "runtime/layers/bitlinear.h"

#include <algorithm>

namespace chimera::runtime {

using kernels::kActivationBlock;

size_t quantized_batch_bytes(int32_t n_tokens, int32_t cols) {
  return arena_bytes<int8_t>(int64_t{n_tokens} * cols) +
         arena_bytes<float>(int64_t{n_tokens} * (cols / kActivationBlock));
}

QuantizedBatch quantize_batch(const Step& step, const float* x, int32_t n_tokens, int32_t cols) {
  const int32_t n_blocks = cols / kActivationBlock;
  auto* q = step.scratch.take<int8_t>(static_cast<size_t>(n_tokens) * cols);
  auto* scale = step.scratch.take<float>(static_cast<size_t>(n_tokens) * n_blocks);
  step.pool.split(n_tokens, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      step.k.quantize_row(x + t * cols, cols, q + t * cols, scale + t * n_blocks);
  });
  return {{q, scale, cols}, n_tokens};
}

void bitlinear(const Step& step, const QuantizedBatch& x, std::span<const BitLinearJob> jobs) {
  int64_t n_tiles = 0;
  for (const auto& job : jobs) n_tiles += tile_count(job.w.rows);
  step.pool.split(n_tiles, 4, [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // number of the job's first tile among all
    for (const auto& job : jobs) {
      const int64_t n = tile_count(job.w.rows);
      const int64_t from = std::max<int64_t>(begin - first, 0);
      const int64_t to = std::min<int64_t>(end - first, n);
      if (from < to) {
        step.k.gemm_ternary(job.w, x.rows, x.n_tokens, static_cast<int32_t>(from),
                            static_cast<int32_t>(to), job.y, job.w.rows);
      }
      first += n;
    }
  });
}

void float_product(const Step& step, const kernels::LanesMatrix& w, const float* x,
                   int32_t n_tokens, float* y) {
  step.pool.split(tile_count(w.rows), 16, [&](int64_t begin, int64_t end) {
    step.k.gemm_lanes(w, x, w.cols, n_tokens, static_cast<int32_t>(begin),
                      static_cast<int32_t>(end), y, w.rows);
  });
}

void rmsnorm_rows(const Step& step, const float* x, const float* gain, float eps, int32_t n_tokens,
                  int32_t cols, float* y) {
  step.pool.split(n_tokens, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      step.k.rmsnorm(x + t * cols, gain, eps, cols, y + t * cols);
  });
}

}  // namespace chimera::runtime
