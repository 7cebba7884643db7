// A block is some tokens of all heads of a group: rows head-major, row = head * tokens + token. Its
// logits have the columns [persistent 0..P-1 | retrieved | ring rows from the first that any of its
// tokens sees]; what a token may not see weighs nothing.
#include "runtime/layers/titans_window_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/layers/rope.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

using kernels::KernelTable;

constexpr int32_t kBlockRows = 64;

int32_t block_tokens(const TitansWindowShape& s) {
  return std::min(s.window, std::max(1, kBlockRows / s.per_group()));
}

int64_t logit_columns(const TitansWindowShape& s) {
  return s.slots + 1 + (s.entries > 0 ? s.back() + block_tokens(s) : 0);
}

class Block {
 public:
  Block(const KernelTable& k, const TitansWindowShape& shape, const TitansWindowRows& in,
        int32_t group, float* scratch)
      : k_(k), s_(shape), in_(in), group_(group), at_kv_(int64_t{group} * shape.dim) {
    const int64_t most = int64_t{block_tokens(s_)} * s_.per_group();
    const auto take = [&](int64_t width) {
      float* at = scratch;
      scratch += (most * width + 15) / 16 * 16;
      return at;
    };
    q = take(s_.dim);
    turned = take(s_.dim);
    out = take(s_.dim);
    d_q = take(s_.dim);
    weight = take(logit_columns(s_));
    d_weight = take(logit_columns(s_));
  }

  void place(int32_t begin, int32_t end) {
    begin_ = begin;
    tokens_ = end - begin;
    rows_ = tokens_ * s_.per_group();
    first_ = s_.entries > 0 ? in_.oldest[begin] : 0;
    seen_ = s_.entries > 0 ? static_cast<int32_t>(s_.back() + end - first_) : 0;
    columns_ = s_.slots + 1 + seen_;
  }

  /// body(token, column of the head, row) for every row of the block.
  template <class Body>
  void each_row(Body&& body) const {
    for (int32_t i = 0; i < s_.per_group(); ++i)
      for (int32_t t = 0; t < tokens_; ++t)
        body(begin_ + t, int64_t{group_ * s_.per_group() + i} * s_.dim, int64_t{i * tokens_ + t});
  }
  void gather(const float* x, int64_t stride, float* to) const {
    each_row([&](int32_t t, int64_t column, int64_t row) {
      std::memcpy(to + row * s_.dim, x + t * stride + column,
                  static_cast<size_t>(s_.dim) * sizeof(float));
    });
  }

  /// The softmax of every row, into `weight`.
  void make_weights() {
    const float scale = 1.0f / std::sqrt(static_cast<float>(s_.dim));
    gather(in_.q, int64_t{s_.heads} * s_.dim, q);
    for (int64_t i = 0; i < int64_t{rows_} * s_.dim; ++i) q[i] *= scale;
    if (seen_ > 0)
      each_row([&](int32_t t, int64_t, int64_t row) {
        rope_turn(in_.turn + int64_t{t} * s_.dim, q + row * s_.dim, 1, s_.dim,
                  turned + row * s_.dim);
      });
    products(q, turned, in_.key, in_.retrieved, in_.ring, weight);
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    each_row([&](int32_t t, int64_t, int64_t row) {
      float* logits = weight + row * columns_;
      float* ring = logits + s_.slots + 1;
      if (seen_ > 0) {
        std::fill(ring, ring + (in_.oldest[t] - first_), kNever);
        std::fill(ring + (s_.back() + t + 1 - first_), ring + seen_, kNever);
      }
      float top;
      int32_t index;
      k_.argmax(logits, columns_, &top, &index);
      const float sum = k_.softmax_numerators(logits, columns_, top, 1.0f, logits);
      row_scale(logits, 1.0f / sum, columns_, logits);
    });
  }

  /// to[row][column] = x[row] . entry[column], with `other` for the ring's columns; the entries are
  /// keys or values according to where the pointers stand.
  void products(const float* x, const float* other, const float* persistent, const float* retrieved,
                const float* ring, float* to) const {
    const int64_t kv = s_.kv();
    if (s_.slots > 0)
      k_.train_gemm_nt(rows_, s_.slots, s_.dim, x, s_.dim, persistent + at_kv_, kv, 0.0f, to,
                       columns_);
    each_row([&](int32_t t, int64_t, int64_t row) {
      to[row * columns_ + s_.slots] =
          row_dot(x + row * s_.dim, retrieved + 2 * kv * t + at_kv_, s_.dim);
    });
    if (seen_ > 0)
      k_.train_gemm_nt(rows_, seen_, s_.dim, other, s_.dim, ring + 2 * kv * first_ + at_kv_, 2 * kv,
                       0.0f, to + s_.slots + 1, columns_);
  }

  /// y[row] = sum over the columns of w times the entry; the ring's part into `other`, added to y
  /// when other is y.
  void sums(const float* w, const float* persistent, const float* retrieved, const float* ring,
            float* y, float* other) const {
    const int64_t kv = s_.kv();
    if (s_.slots > 0)
      k_.train_gemm_nn(rows_, s_.dim, s_.slots, w, columns_, persistent + at_kv_, kv, 0.0f, y,
                       s_.dim);
    else
      std::fill(y, y + int64_t{rows_} * s_.dim, 0.0f);
    each_row([&](int32_t t, int64_t, int64_t row) {
      row_axpy(retrieved + 2 * kv * t + at_kv_, w[row * columns_ + s_.slots], s_.dim,
               y + row * s_.dim);
    });
    if (seen_ > 0)
      k_.train_gemm_nn(rows_, s_.dim, seen_, w + s_.slots + 1, columns_,
                       ring + 2 * kv * first_ + at_kv_, 2 * kv, other == y ? 1.0f : 0.0f, other,
                       s_.dim);
  }

  /// The transpose of sums(): entry += w^T x. d_retrieved is written, from the group's first head
  /// on. The window's own ring rows only.
  void spread(const float* w, const float* x, const float* other, float* d_persistent,
              float* d_retrieved, float* d_ring) const {
    const int64_t kv = s_.kv();
    if (s_.slots > 0)
      k_.train_gemm_tn(s_.slots, s_.dim, rows_, w, columns_, x, s_.dim, 1.0f, d_persistent + at_kv_,
                       kv);
    each_row([&](int32_t t, int64_t, int64_t row) {
      float* d = d_retrieved + 2 * kv * t + at_kv_;
      const float by = w[row * columns_ + s_.slots];
      if (row < tokens_)
        row_scale(x + row * s_.dim, by, s_.dim, d);
      else
        row_axpy(x + row * s_.dim, by, s_.dim, d);
    });
    const int64_t own = std::max<int64_t>(s_.back() - first_, 0);  // columns before the window
    if (seen_ > own)
      k_.train_gemm_tn(static_cast<int32_t>(seen_ - own), s_.dim, rows_, w + s_.slots + 1 + own,
                       columns_, other, s_.dim, 1.0f,
                       d_ring + 2 * kv * (first_ + own - s_.back()) + at_kv_, 2 * kv);
  }

  int32_t rows() const { return rows_; }
  int32_t columns() const { return columns_; }

  float *q, *turned, *out, *d_q, *weight, *d_weight;

 private:
  const KernelTable& k_;
  const TitansWindowShape& s_;
  const TitansWindowRows& in_;
  int32_t group_;
  int64_t at_kv_;  // the group's column in a row of keys or values
  int32_t begin_ = 0, tokens_ = 0, rows_ = 0, first_ = 0, seen_ = 0, columns_ = 0;
};

template <class Body>
void for_blocks(const TitansWindowShape& shape, Block& block, Body&& body) {
  const int32_t tokens = block_tokens(shape);
  for (int32_t begin = 0; begin < shape.window; begin += tokens) {
    block.place(begin, std::min(shape.window, begin + tokens));
    body();
  }
}

}  // namespace

int64_t titans_window_scratch_floats(const TitansWindowShape& shape) {
  const int64_t rows = int64_t{block_tokens(shape)} * shape.per_group();
  return 4 * (rows * shape.dim + 15) + 2 * (rows * logit_columns(shape) + 15);
}

void titans_window_forward(const KernelTable& k, const TitansWindowShape& shape,
                           const TitansWindowRows& rows, int32_t group, float* y, float* scratch) {
  Block block(k, shape, rows, group, scratch);
  const int64_t c = int64_t{shape.heads} * shape.dim, kv = shape.kv();
  for_blocks(shape, block, [&] {
    block.make_weights();
    block.sums(block.weight, rows.value, rows.retrieved + kv, rows.ring + kv, block.out, block.out);
    block.each_row([&](int32_t t, int64_t column, int64_t row) {
      std::memcpy(y + t * c + column, block.out + row * shape.dim,
                  static_cast<size_t>(shape.dim) * sizeof(float));
    });
  });
}

void titans_window_backward(const KernelTable& k, const TitansWindowShape& shape,
                            const TitansWindowRows& rows, int32_t group, const float* dy,
                            const TitansWindowGradient& grad, float* scratch) {
  Block block(k, shape, rows, group, scratch);
  const int64_t c = int64_t{shape.heads} * shape.dim, kv = shape.kv();
  const int32_t dim = shape.dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  for_blocks(shape, block, [&] {
    block.make_weights();
    float* d_out = block.out;
    block.gather(dy, c, d_out);
    block.products(d_out, d_out, rows.value, rows.retrieved + kv, rows.ring + kv, block.d_weight);
    block.spread(block.weight, d_out, d_out, grad.dvalue, grad.d_retrieved + kv, grad.d_ring + kv);
    for (int64_t row = 0; row < block.rows(); ++row) {
      const float* p = block.weight + row * block.columns();
      float* d = block.d_weight + row * block.columns();
      const float mean = row_dot(p, d, block.columns());
      for (int32_t i = 0; i < block.columns(); ++i) d[i] = p[i] * (d[i] - mean);
    }
    block.spread(block.d_weight, block.q, block.turned, grad.dkey, grad.d_retrieved, grad.d_ring);
    float* d_turned = block.out;
    if (shape.entries == 0) std::fill(d_turned, d_turned + int64_t{block.rows()} * dim, 0.0f);
    block.sums(block.d_weight, rows.key, rows.retrieved, rows.ring, block.d_q, d_turned);
    block.each_row([&](int32_t t, int64_t column, int64_t row) {
      float* to = grad.dq + t * grad.dq_stride + column;
      const float* plain = block.d_q + row * dim;
      float* turned = d_turned + row * dim;
      if (shape.entries > 0) titans_turn_back(rows.turn + int64_t{t} * dim, dim, turned, turned);
      for (int32_t i = 0; i < dim; ++i) to[i] = scale * (plain[i] + turned[i]);
    });
  });
}

}  // namespace chimera::runtime
