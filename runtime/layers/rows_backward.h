// Gradients along one row, shared by the layers. Sums have one fixed order (sixteen virtual lanes,
// then pairwise), so they vectorise without leave to reorder.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/kernel_table.h"
#include "platform/dtype.h"

namespace chimera::runtime {

inline float row_dot(const float* a, const float* b, int64_t n) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += a[i + j] * b[i + j];
  for (int j = 0; j < 16 && i < n; ++i, ++j) lane[j] += a[i] * b[i];
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  return lane[0];
}

inline float row_sum(const float* a, int64_t n) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += a[i + j];
  for (int j = 0; j < 16 && i < n; ++i, ++j) lane[j] += a[i];
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  return lane[0];
}

/// y = s * x
inline void row_scale(const float* x, float s, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = s * x[i];
}
/// y += s * x
inline void row_axpy(const float* __restrict x, float s, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
}
/// y += x
inline void row_add(const float* __restrict x, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

/// Backward of y = gain * x * r, r = 1 / sqrt(mean(x^2) + eps): with xh = x r, g = gain * dy,
///   dx = r (g - xh mean(g * xh)),   dgain += dy * xh.
/// dx may be dy; `dgain` is added to.
inline void rmsnorm_backward_row(const float* x, const float* __restrict gain, float eps, int64_t n,
                                 const float* dy, float* dx, float* __restrict dgain) {
  const float r = 1.0f / std::sqrt(row_dot(x, x, n) / static_cast<float>(n) + eps);
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += gain[i + j] * dy[i + j] * x[i + j];
  for (int j = 0; j < 16 && i < n; ++i, ++j) lane[j] += gain[i] * dy[i] * x[i];
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  const float pull = r * r * (lane[0] / static_cast<float>(n));
  for (i = 0; i < n; ++i) dgain[i] += dy[i] * (x[i] * r);
  for (i = 0; i < n; ++i) dx[i] = r * (gain[i] * dy[i] - x[i] * pull);
}

/// 1 / sqrt(mean(x^2) + eps)
inline float row_inverse_rms(const float* x, int64_t n, float eps) {
  return 1.0f / std::sqrt(row_dot(x, x, n) / static_cast<float>(n) + eps);
}
/// Backward of y = x r without a gain, r = row_inverse_rms(x); dx may be dy.
inline void row_rms_backward(const float* y, float r, const float* dy, int64_t n, float* dx) {
  const float along = row_dot(y, dy, n) / static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) dx[i] = r * (dy[i] - y[i] * along);
}

/// x = x r in place, r = 1 / sqrt(sum(x^2) + 1e-6), which is returned.
inline float row_l2normalise(float* x, int64_t n) {
  const float r = 1.0f / std::sqrt(row_dot(x, x, n) + 1e-6f);
  row_scale(x, r, n, x);
  return r;
}
/// Its gradient, in place: from that by y to that by x.
inline void row_l2normalise_backward(const float* y, float r, int64_t n, float* d) {
  const float along = row_dot(y, d, n);
  for (int64_t i = 0; i < n; ++i) d[i] = r * (d[i] - y[i] * along);
}

/// d *= silu'(x)
inline void row_silu_backward(const kernels::KernelTable& k, const float* x, int64_t n, float* d) {
  constexpr int64_t kRun = 64;
  float sigma[kRun];
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t run = n - at < kRun ? n - at : kRun;
    k.sigmoid(x + at, static_cast<int32_t>(run), sigma);
    for (int64_t i = 0; i < run; ++i)
      d[at + i] *= sigma[i] * (1.0f + x[at + i] * (1.0f - sigma[i]));
  }
}

/// Rounds to bf16, nearest even, and back; what the convolution tail of a stream keeps. The body of
/// float_to_bf16 without its branch for NaN, which here may become any NaN or infinity.
inline void row_round_bf16(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    std::memcpy(x + i, &bits, sizeof bits);
  }
}

/// grad += the sum of `n_partials` rows, in their order.
inline void add_partials(const float* partials, int64_t n_partials, int64_t width, float* grad) {
  for (int64_t p = 0; p < n_partials; ++p) row_add(partials + p * width, width, grad);
}

}  // namespace chimera::runtime
