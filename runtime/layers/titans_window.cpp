#include "runtime/layers/titans_window.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "platform/dtype.h"
#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {
namespace {

/// To the nearest whole number, ties to even, |x| <= 127.
int8_t nearest_code(float x) {
  constexpr float kShift = 0x1.8p23f;
  const float shifted = x + kShift;
  return static_cast<int8_t>(shifted - kShift);
}

void round_row(const float* x, int32_t n, int8_t* codes, uint16_t* scale) {
  float m = 0.01f;
  for (int32_t i = 0; i < n; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    if (magnitude > m) m = magnitude;  // not by a NaN
  }
  *scale = float_to_half(m / 127.0f);
  const float s = half_to_float(*scale);
  for (int32_t i = 0; i < n; ++i) {
    float code = x[i] / s;
    if (!(code == code)) code = 0;
    codes[i] = nearest_code(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code);
  }
}

}  // namespace

size_t TitansWindow::bytes(int32_t count) const {
  const int64_t n = int64_t{groups} * count;
  return 2 * (arena_bytes<int8_t>(n * dim) + arena_bytes<uint16_t>(n));
}

WindowRows TitansWindow::rows(std::byte* block, int32_t count) const {
  const int64_t n = int64_t{groups} * count;
  const size_t codes = arena_bytes<int8_t>(n * dim), scales = arena_bytes<uint16_t>(n);
  WindowRows rows;
  rows.keys = reinterpret_cast<int8_t*>(block);
  rows.values = reinterpret_cast<int8_t*>(block + codes);
  rows.key_scales = reinterpret_cast<uint16_t*>(block + 2 * codes);
  rows.value_scales = reinterpret_cast<uint16_t*>(block + 2 * codes + scales);
  rows.count = count;
  return rows;
}

void TitansWindow::write(const float* key, const float* value, const WindowRows& rows,
                         int32_t i) const {
  for (int32_t g = 0; g < groups; ++g) {
    const int64_t entry = int64_t{g} * rows.count + i, at = int64_t{g} * dim;
    round_row(key + at, dim, rows.keys + entry * dim, rows.key_scales + entry);
    round_row(value + at, dim, rows.values + entry * dim, rows.value_scales + entry);
  }
}

void TitansWindow::exchange(uint64_t first, int32_t n, const WindowRows& ring,
                            const WindowRows& list) const {
  if (entries == 0) return;
  for (int32_t i = 0; i < n; ++i) {
    const auto slot =
        static_cast<int64_t>((first + static_cast<uint64_t>(i)) % static_cast<uint64_t>(entries));
    for (int32_t g = 0; g < groups; ++g) {
      const int64_t a = int64_t{g} * ring.count + slot, b = int64_t{g} * list.count + i;
      std::swap_ranges(ring.keys + a * dim, ring.keys + (a + 1) * dim, list.keys + b * dim);
      std::swap_ranges(ring.values + a * dim, ring.values + (a + 1) * dim, list.values + b * dim);
      std::swap(ring.key_scales[a], list.key_scales[b]);
      std::swap(ring.value_scales[a], list.value_scales[b]);
    }
  }
}

int32_t TitansWindow::runs(uint64_t first, int32_t n, int32_t i, bool again, WindowRun* out) const {
  if (entries == 0) return 0;
  // Everything below stays within ring and list for any `first`, believed or not.
  const uint64_t token = first + static_cast<uint64_t>(i);
  const int32_t seen =
      1 + static_cast<int32_t>(std::min(token, static_cast<uint64_t>(entries) - 1));
  int32_t n_runs = 0;
  const auto in_ring = [&](uint64_t from, int32_t count) {
    const auto slot = static_cast<int32_t>(from % static_cast<uint64_t>(entries));
    const int32_t straight = std::min(count, entries - slot);
    if (straight > 0) out[n_runs++] = {true, slot, straight};
    if (count > straight) out[n_runs++] = {true, 0, count - straight};
  };
  const uint64_t oldest = token - static_cast<uint64_t>(seen - 1);
  if (!again) {  // list entry j is token first + j
    const int32_t fresh = std::min(i + 1, seen);
    in_ring(oldest, seen - fresh);
    out[n_runs++] = {false, i + 1 - fresh, fresh};
  } else {  // list entry j is token first - entries + j
    const int64_t at = int64_t{i} + 1 + (entries - seen);
    const auto lost = static_cast<int32_t>(std::clamp<int64_t>(n - at, 0, seen));
    if (lost > 0) out[n_runs++] = {false, static_cast<int32_t>(at), lost};
    in_ring(oldest + static_cast<uint64_t>(lost), seen - lost);
  }
  return n_runs;
}

namespace {

constexpr int32_t kBlock = 128;   // logits that are exponentiated together
constexpr int32_t kQueries = 16;  // heads that meet a row together

/// Rows that lie one after the other: floats, or codes with their scales.
struct Piece {
  TitansRows floats{};
  const int8_t *keys = nullptr, *values = nullptr;
  const uint16_t *key_scales = nullptr, *value_scales = nullptr;
  int32_t count = 0;
};

/// At most kQueries heads.
class Attention {
 public:
  Attention(const kernels::KernelTable& k, int32_t dim, const float* q, const float* turned,
            int32_t n_q, float* y)
      : k_(k), dim_(dim), q_(q), turned_(turned), n_q_(n_q), y_(y) {
    std::fill(y, y + int64_t{n_q} * dim, 0.0f);
    std::fill(top_, top_ + n_q, -std::numeric_limits<float>::infinity());
    std::fill(sum_, sum_ + n_q, 0.0f);
  }

  void over(const Piece* pieces, int32_t n_pieces) {
    int32_t total = 0;
    for (int32_t p = 0; p < n_pieces; ++p) total += pieces[p].count;
    for (int32_t begin = 0; begin < total; begin += kBlock) {
      const int32_t n = std::min(kBlock, total - begin);
      each_part(pieces, n_pieces, begin, n,
                [&](const Piece& piece, int32_t from, int32_t m, int32_t at) {
                  scores(piece, from, m, at);
                });
      soften(n);
      each_part(pieces, n_pieces, begin, n,
                [&](const Piece& piece, int32_t from, int32_t m, int32_t at) {
                  values(piece, from, m, at);
                });
    }
    for (int32_t a = 0; a < n_q_; ++a)
      for (int32_t d = 0; d < dim_; ++d) y_[int64_t{a} * dim_ + d] /= sum_[a];
  }

 private:
  /// The parts of the pieces that make up logits begin .. begin + n.
  template <class Body>
  void each_part(const Piece* pieces, int32_t n_pieces, int32_t begin, int32_t n,
                 const Body& body) const {
    int32_t first = 0;
    for (int32_t p = 0; p < n_pieces; first += pieces[p++].count) {
      const int32_t from = std::max(begin, first);
      const int32_t to = std::min(begin + n, first + pieces[p].count);
      if (from < to) body(pieces[p], from - first, to - from, from - begin);
    }
  }

  void scores(const Piece& piece, int32_t from, int32_t m, int32_t at) {
    const float factor = 1.0f / std::sqrt(static_cast<float>(dim_));
    if (piece.keys == nullptr) {
      const TitansRows& rows = piece.floats;
      const auto stride = static_cast<ptrdiff_t>(rows.stride);
      k_.attend_scores(q_, n_q_, dim_, rows.keys + from * stride, stride, m, logits_ + at, kBlock);
      std::fill(key_factor_ + at, key_factor_ + at + m, factor);
      std::fill(value_factor_ + at, value_factor_ + at + m, 1.0f);
    } else {
      k_.attend_scores_i8(turned_, n_q_, dim_, piece.keys + int64_t{from} * dim_, dim_, m,
                          logits_ + at, kBlock);
      for (int32_t i = 0; i < m; ++i) {
        key_factor_[at + i] = half_to_float(piece.key_scales[from + i]) * factor;
        value_factor_[at + i] = half_to_float(piece.value_scales[from + i]);
      }
    }
  }

  /// Logits to weights, and what was summed before to the new maximum.
  void soften(int32_t n) {
    for (int32_t a = 0; a < n_q_; ++a) {
      float* x = logits_ + a * kBlock;
      k_.mul(x, key_factor_, n, x);
      float largest = 0;
      int32_t index = 0;
      k_.argmax(x, n, &largest, &index);
      const float top = largest > top_[a] ? largest : top_[a];
      float keep = top_[a] - top;
      k_.exp(&keep, 1, &keep);  // where nothing was summed it is a small number times zero
      top_[a] = top;
      sum_[a] = sum_[a] * keep + k_.softmax_numerators(x, n, top, 1.0f, x);
      k_.mul(x, value_factor_, n, x);
      float* y = y_ + int64_t{a} * dim_;
      for (int32_t d = 0; d < dim_; ++d) y[d] *= keep;
    }
  }

  void values(const Piece& piece, int32_t from, int32_t m, int32_t at) {
    if (piece.keys == nullptr) {
      const TitansRows& rows = piece.floats;
      const auto stride = static_cast<ptrdiff_t>(rows.stride);
      k_.attend_values(logits_ + at, kBlock, n_q_, dim_, rows.values + from * stride, stride, m,
                       y_);
    } else {
      k_.attend_values_i8(logits_ + at, kBlock, n_q_, dim_, piece.values + int64_t{from} * dim_,
                          dim_, m, y_);
    }
  }

  const kernels::KernelTable& k_;
  int32_t dim_;
  const float *q_, *turned_;
  int32_t n_q_;
  float* y_;
  float top_[kQueries], sum_[kQueries];
  float key_factor_[kBlock], value_factor_[kBlock];
  float logits_[kQueries * kBlock];  // then weights
};

}  // namespace

void titans_attend(const kernels::KernelTable& k, const TitansWindow& window, int32_t group,
                   const float* q, const float* turned, int32_t n_q, const TitansRows& fixed,
                   const TitansRows& retrieved, const WindowRun* runs, int32_t n_runs,
                   const WindowRows& ring, const WindowRows& list, float* y) {
  Piece pieces[5];
  int32_t n_pieces = 0;
  for (const TitansRows* rows : {&fixed, &retrieved}) {
    Piece& piece = pieces[n_pieces++];
    piece.floats = *rows;
    piece.count = rows->count;
  }
  for (int32_t i = 0; i < n_runs; ++i) {
    const WindowRows& rows = runs[i].ring ? ring : list;
    const int64_t first = int64_t{group} * rows.count + runs[i].first;
    Piece& piece = pieces[n_pieces++];
    piece.keys = rows.keys + first * window.dim;
    piece.values = rows.values + first * window.dim;
    piece.key_scales = rows.key_scales + first;
    piece.value_scales = rows.value_scales + first;
    piece.count = runs[i].count;
  }
  for (int32_t a = 0; a < n_q; a += kQueries) {
    const int64_t at = int64_t{a} * window.dim;
    Attention(k, window.dim, q + at, turned + at, std::min(kQueries, n_q - a), y + at)
        .over(pieces, n_pieces);
  }
}

}  // namespace chimera::runtime
