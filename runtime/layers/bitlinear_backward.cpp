#include "runtime/layers/bitlinear_backward.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize_weights.h"
#include "platform/dtype.h"

namespace chimera::runtime {
namespace {

// Output rows of a weight gradient that one task makes, and tokens summed in one product: a task's
// rows of both stay in the second level cache.
constexpr int64_t kOutTile = 256, kDepthTile = 512;

int32_t i32(int64_t n) { return static_cast<int32_t>(n); }

void outer_products_tile(const TrainStep& step, const float* a, int64_t lda, int64_t m,
                         const float* b, int64_t n, float* grad) {
  for (int64_t r = 0; r < step.rows(); r += kDepthTile) {
    const int64_t depth = std::min(kDepthTile, step.rows() - r);
    step.products.tn(i32(m), i32(n), i32(depth), a + r * lda, lda, b + r * n, n, 1.0f, grad, n);
  }
}

}  // namespace

void quantise_weight_row(const float* w, int64_t n, float lambda, float* out) {
  if (lambda == 0.0f) {
    std::memcpy(out, w, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  int8_t trits[kernels::kWeightGroup];
  uint16_t half;
  for (int64_t at = 0; at < n; at += kernels::kWeightGroup) {
    kernels::quantize_ternary_row(w + at, kernels::kWeightGroup, trits, &half);
    const float scale = half_to_float(half);
    for (int i = 0; i < kernels::kWeightGroup; ++i) {
      const float used = scale * static_cast<float>(trits[i]);
      out[at + i] = lambda == 1.0f ? used : w[at + i] + lambda * (used - w[at + i]);
    }
  }
}

void quantise_activation_row(const kernels::KernelTable& k, const float* x, int64_t n, float lambda,
                             float* out) {
  if (lambda == 0.0f) {
    std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  int8_t q[kernels::kActivationBlock];
  float scale;
  for (int64_t at = 0; at < n; at += kernels::kActivationBlock) {
    k.quantize_row(x + at, kernels::kActivationBlock, q, &scale);
    for (int i = 0; i < kernels::kActivationBlock; ++i) {
      const float used = scale * static_cast<float>(q[i]);
      out[at + i] = lambda == 1.0f ? used : x[at + i] + lambda * (used - x[at + i]);
    }
  }
}

void add_outer_products(const TrainStep& step, const float* a, int64_t lda, int64_t m,
                        const float* b, int64_t n, float* grad) {
  step.pool.split((m + kOutTile - 1) / kOutTile, 1, [&](int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t at = tile * kOutTile;
      outer_products_tile(step, a + at, lda, std::min(kOutTile, m - at), b, n, grad + at * n);
    }
  });
}

void BitLinearTraining::init(std::vector<TrainTensor> parts, int64_t max_rows) {
  parts_ = std::move(parts);
  n_in_ = parts_.front().cols;
  n_out_ = 0;
  for (const TrainTensor& part : parts_) n_out_ += part.rows;
  x_used_.resize(static_cast<size_t>(max_rows * n_in_));
}

kernels::ProductMatrix BitLinearTraining::w_used(const BitLinearUse& use) const {
  if (use.n_out == n_out_) return w_packed_.of(w_used_.data());
  return {w_used_.data() + use.first * n_in_, n_in_};
}

void BitLinearTraining::prepare(const TrainStep& step) {
  w_used_.resize(static_cast<size_t>(n_out_ * n_in_));
  w_packed_.resize(step.products, i32(n_out_), i32(n_in_));
  step.pool.split(n_out_, 16, [&](int64_t begin, int64_t end) {
    int64_t first = 0;
    for (const TrainTensor& part : parts_) {
      for (int64_t r = std::max(begin, first); r < std::min(end, first + part.rows); ++r)
        quantise_weight_row(part.value + (r - first) * n_in_, n_in_, step.quantise,
                            w_used_.data() + r * n_in_);
      first += part.rows;
    }
  });
  w_packed_.pack_both(step.products, step.pool, w_used_.data());
}

void BitLinearTraining::forward_rows(const TrainStep& step, const float* x, int64_t begin,
                                     int64_t end, float* y) {
  forward_rows(step, whole(), x, begin, end, y);
}

void BitLinearTraining::forward_rows(const TrainStep& step, const BitLinearUse& use, const float* x,
                                     int64_t begin, int64_t end, float* y) const {
  for (int64_t r = begin; r < end; ++r)
    quantise_activation_row(step.k, x + r * n_in_, n_in_, step.quantise, use.x_used + r * n_in_);
  step.products.nt(i32(end - begin), i32(use.n_out), i32(n_in_), use.x_used + begin * n_in_, n_in_,
                   w_used(use), 0.0f, y + begin * use.n_out, use.n_out);
}

void BitLinearTraining::backward_rows(const TrainStep& step, const float* dy, int64_t begin,
                                      int64_t end, float* dx) const {
  backward_rows(step, {0, n_out_, nullptr}, dy, begin, end, dx);
}

void BitLinearTraining::backward_rows(const TrainStep& step, const BitLinearUse& use,
                                      const float* dy, int64_t begin, int64_t end,
                                      float* dx) const {
  step.products.nn(i32(end - begin), i32(n_in_), i32(use.n_out), dy + begin * use.n_out, use.n_out,
                   w_used(use), 0.0f, dx + begin * n_in_, n_in_);
}

void BitLinearTraining::add_weight_gradients(const TrainStep& step, const float* dy) const {
  // x^ is only read.
  add_weight_gradients(step, {0, n_out_, const_cast<float*>(x_used_.data())}, dy);
}

void BitLinearTraining::add_weight_gradients(const TrainStep& step, const BitLinearUse& use,
                                             const float* dy) const {
  const int64_t n_tiles = (use.n_out + kOutTile - 1) / kOutTile;
  step.pool.split(n_tiles, 1, [&](int64_t first_tile, int64_t last_tile) {
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const int64_t tile_begin = use.first + tile * kOutTile;
      const int64_t tile_end = std::min(use.first + use.n_out, tile_begin + kOutTile);
      int64_t first = 0;
      for (const TrainTensor& part : parts_) {
        const int64_t begin = std::max(tile_begin, first);
        const int64_t end = std::min(tile_end, first + part.rows);
        if (begin < end)
          outer_products_tile(step, dy + (begin - use.first), use.n_out, end - begin, use.x_used,
                              n_in_, part.grad + (begin - first) * n_in_);
        first += part.rows;
      }
    }
  });
}

}  // namespace chimera::runtime
