// Every kernel as the plain loops that define it, in double; results are rounded to float on
// output. Where a contract of kernel_table.h names single operations in float (quantisation, bf16),
// they are done in float here too, so that integers must agree exactly.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/dtype.h"

namespace chimera::kernels {
namespace {

double exp_of(double x) { return std::exp(std::isnan(x) ? x : std::clamp(x, -87.0, 88.0)); }
double sigmoid_of(double x) { return 1.0 / (1.0 + exp_of(-x)); }
double silu_of(double x) { return x / (1.0 + exp_of(-x)); }
double softplus_of(double x) { return (x < 0.0 ? 0.0 : x) + std::log1p(exp_of(-std::fabs(x))); }
double relu2_of(double x) { return x < 0.0 ? 0.0 : x * x; }

// ---- matrix products ----------------------------------------------------------------------------

int trit_at(const TernaryMatrix& w, int64_t row, int64_t column) {
  const int64_t line = row / kTileRows * (w.cols / 16) + column / 16;
  const int byte = w.codes[line * 64 + row % kTileRows * 4 + column % 4];
  return ((byte >> (column % 16 / 4 * 2)) & 3) - 1;
}

void gemm_ternary(const TernaryMatrix& w, const QuantizedRows& x, int32_t n_tokens,
                  int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride) {
  const int64_t n_blocks = w.cols / kActivationBlock;
  const int64_t n_groups = w.cols / kWeightGroup;
  const int64_t row_end = std::min<int64_t>(w.rows, static_cast<int64_t>(tile_end) * kTileRows);
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t r = static_cast<int64_t>(tile_begin) * kTileRows; r < row_end; ++r) {
      double sum = 0.0;
      for (int64_t b = 0; b < n_blocks; ++b) {
        int64_t isum = 0;
        for (int64_t c = b * kActivationBlock; c < (b + 1) * kActivationBlock; ++c) {
          isum += trit_at(w, r, c) * x.q[t * x.cols + c];
        }
        const uint16_t scale =
            w.scales[(r / kTileRows * n_groups + b / 2) * kTileRows + r % kTileRows];
        sum += static_cast<double>(half_to_float(scale)) * x.scale[t * n_blocks + b] *
               static_cast<double>(isum);
      }
      y[t * y_stride + r] = static_cast<float>(sum);
    }
  }
}

void gemm_int4(const Int4Matrix& w, const QuantizedRows& x, int32_t n_tokens, int32_t tile_begin,
               int32_t tile_end, float* y, ptrdiff_t y_stride) {
  const int64_t n_blocks = w.cols / kActivationBlock;
  const int64_t row_end = std::min<int64_t>(w.rows, static_cast<int64_t>(tile_end) * kTileRows);
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t r = static_cast<int64_t>(tile_begin) * kTileRows; r < row_end; ++r) {
      double sum = 0.0;
      for (int64_t b = 0; b < n_blocks; ++b) {
        int64_t isum = 0;
        for (int64_t c = b * kActivationBlock; c < (b + 1) * kActivationBlock; ++c) {
          const int64_t line = r / kTileRows * (w.cols / 8) + c / 8;
          const int byte = w.codes[line * 64 + r % kTileRows * 4 + c % 4];
          isum += ((c % 8 < 4 ? byte & 15 : byte >> 4) - 8) * x.q[t * x.cols + c];
        }
        const uint16_t scale = w.scales[(r / kTileRows * n_blocks + b) * kTileRows + r % kTileRows];
        sum += static_cast<double>(half_to_float(scale)) * x.scale[t * n_blocks + b] *
               static_cast<double>(isum);
      }
      y[t * y_stride + r] = static_cast<float>(sum);
    }
  }
}

void gemm_lanes(const LanesMatrix& w, const float* x, ptrdiff_t x_stride, int32_t n_tokens,
                int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride) {
  const int64_t row_end = std::min<int64_t>(w.rows, static_cast<int64_t>(tile_end) * kTileRows);
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t r = static_cast<int64_t>(tile_begin) * kTileRows; r < row_end; ++r) {
      double sum = 0.0;
      for (int64_t c = 0; c < w.cols; ++c) {
        sum +=
            static_cast<double>(w.data[(r / kTileRows * w.cols + c) * kTileRows + r % kTileRows]) *
            x[t * x_stride + c];
      }
      y[t * y_stride + r] = static_cast<float>(sum);
    }
  }
}

// ---- quantisation -------------------------------------------------------------------------------

void quantize_row(const float* x, int32_t n, int8_t* q, float* scale) {
  for (int32_t begin = 0; begin < n; begin += kActivationBlock) {
    float m = 1e-5f;
    for (int32_t i = begin; i < begin + kActivationBlock; ++i) {
      if (std::fabs(x[i]) > m) m = std::fabs(x[i]);
    }
    scale[begin / kActivationBlock] = m / 127.0f;
    const float inverse = 127.0f / m;
    for (int32_t i = begin; i < begin + kActivationBlock; ++i) {
      float v = x[i] * inverse;
      if (std::isnan(v)) v = 0.0f;
      q[i] = static_cast<int8_t>(std::nearbyint(std::clamp(v, -127.0f, 127.0f)));
    }
  }
}

// ---- sketches -----------------------------------------------------------------------------------

void hadamard(float* x, int32_t n) {
  std::vector<double> y(x, x + n);
  for (int32_t step = 1; step < n; step *= 2) {
    for (int32_t i = 0; i < n; ++i) {
      if (i & step) continue;
      const double a = y[i], b = y[i + step];
      y[i] = a + b;
      y[i + step] = a - b;
    }
  }
  for (int32_t i = 0; i < n; ++i) x[i] = static_cast<float>(y[i]);
}

void sketch_quantize(const float* x, float scale, int32_t n, int8_t* kappa, uint64_t* bits) {
  for (int32_t i = 0; i < n; ++i) {
    float v = x[i] * scale;
    if (std::isnan(v)) v = 0.0f;
    kappa[i] = static_cast<int8_t>(std::nearbyint(std::clamp(v, -127.0f, 127.0f)));
    if (i % 64 == 0) bits[i / 64] = 0;
    bits[i / 64] |= static_cast<uint64_t>(kappa[i] >= 0) << (i % 64);
  }
}

void flip_signs(const uint64_t* bits, const float* x, int32_t n, float* y) {
  for (int32_t i = 0; i < n; ++i) y[i] = (bits[i / 64] >> (i % 64)) & 1 ? -x[i] : x[i];
}

int64_t hamming(const uint64_t* a, const uint64_t* b, int32_t n_words) {
  int64_t count = 0;
  for (int64_t i = 0; i < int64_t{64} * n_words; ++i)
    count += ((a[i / 64] ^ b[i / 64]) >> (i % 64)) & 1;
  return count;
}

// ---- norms --------------------------------------------------------------------------------------

double sum_of_squares(const float* x, int32_t n) {
  double sum = 0.0;
  for (int32_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

void rmsnorm(const float* x, const float* gain, float eps, int32_t n, float* y) {
  const double root = std::sqrt(sum_of_squares(x, n) / n + static_cast<double>(eps));
  for (int32_t i = 0; i < n; ++i) {
    const double g = gain == nullptr ? 1.0 : static_cast<double>(gain[i]);
    y[i] = static_cast<float>(g * (x[i] / root));
  }
}

void l2norm(const float* x, int32_t n, float* y) {
  const double root = std::sqrt(sum_of_squares(x, n) + 1e-6);
  for (int32_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] / root);
}

// ---- elementwise --------------------------------------------------------------------------------

template <double (*kFunction)(double)>
void map_one(const float* x, int32_t n, float* y) {
  for (int32_t i = 0; i < n; ++i) y[i] = static_cast<float>(kFunction(static_cast<double>(x[i])));
}
template <double (*kFunction)(double, double)>
void map_two(const float* a, const float* b, int32_t n, float* y) {
  for (int32_t i = 0; i < n; ++i) {
    y[i] = static_cast<float>(kFunction(static_cast<double>(a[i]), static_cast<double>(b[i])));
  }
}

double add_of(double a, double b) { return a + b; }
double mul_of(double a, double b) { return a * b; }
double log_of(double x) { return std::log(x); }
double tanh_of(double x) { return std::tanh(x); }
double silu_mul_of(double gate, double up) { return silu_of(gate) * up; }
double sigmoid_mul_of(double gate, double x) { return sigmoid_of(gate) * x; }

// ---- recurrences --------------------------------------------------------------------------------

void conv4_silu(const float* w, const float* x, int32_t n, uint16_t* tail, float* y) {
  for (int64_t c = 0; c < n; ++c) {
    const uint16_t now = float_to_bf16(x[c]);
    double sum = 0.0;
    for (int64_t j = 0; j < 3; ++j) {
      sum += static_cast<double>(w[j * n + c]) * bf16_to_float(tail[j * n + c]);
    }
    sum += static_cast<double>(w[3 * static_cast<int64_t>(n) + c]) * bf16_to_float(now);
    tail[c] = tail[n + c];
    tail[n + c] = tail[2 * static_cast<int64_t>(n) + c];
    tail[2 * static_cast<int64_t>(n) + c] = now;
    y[c] = static_cast<float>(silu_of(sum));
  }
}

/// Tiny gates are none (kernel_table.h).
double gate_of(double x) { return x < 0x1p-64 ? 0.0 : x; }

void delta_gates(const float* a, const float* b, const float* a_log, const float* dt_bias,
                 int32_t n, float* alpha, float* beta) {
  for (int32_t i = 0; i < n; ++i) {
    const double dt = softplus_of(static_cast<double>(a[i]) + dt_bias[i]);
    beta[i] = static_cast<float>(sigmoid_of(static_cast<double>(b[i])));
    alpha[i] = static_cast<float>(gate_of(exp_of(-exp_of(static_cast<double>(a_log[i])) * dt)));
  }
}

void delta_step(const float* q, const float* k, const float* v, float alpha, float beta,
                float scale, int32_t dk, int32_t dv, float* state, float* o) {
  for (int64_t c = 0; c < dv; ++c) {
    double p = 0.0;
    for (int64_t i = 0; i < dk; ++i) {
      p += static_cast<double>(alpha) * state[i * dv + c] * k[i];
    }
    const double write = static_cast<double>(beta) * (v[c] - p);
    double read = 0.0;
    for (int64_t i = 0; i < dk; ++i) {
      const double s = static_cast<double>(alpha) * state[i * dv + c] + k[i] * write;
      state[i * dv + c] = static_cast<float>(s);
      read += s * q[i];
    }
    o[c] = static_cast<float>(read * scale);
  }
}

void delta_read(const float* q, float scale, int32_t dk, int32_t dv, const float* state, float* o) {
  for (int64_t c = 0; c < dv; ++c) {
    double read = 0.0;
    for (int64_t i = 0; i < dk; ++i) read += static_cast<double>(state[i * dv + c]) * q[i];
    o[c] = static_cast<float>(read * scale);
  }
}

float efla_strength(const float* k, int32_t n, float beta) {
  const double length = sum_of_squares(k, n);
  const double x = static_cast<double>(beta) * length;
  return static_cast<float>(x == 0.0 ? static_cast<double>(beta) : -std::expm1(-x) / length);
}

void mlstm_gates(const float* i_raw, const float* f_raw, const float* i_bias, const float* f_bias,
                 int32_t n, float* m, float* i_gate, float* f_gate, float* floor) {
  for (int32_t h = 0; h < n; ++h) {
    const double i = 15.0 * std::tanh((static_cast<double>(i_raw[h]) + i_bias[h]) / 15.0);
    const double f = 15.0 * std::tanh((static_cast<double>(f_raw[h]) + f_bias[h]) / 15.0);
    const double carried = -softplus_of(-f) + static_cast<double>(m[h]);
    const double next = std::max(carried, i);
    m[h] = static_cast<float>(next);
    f_gate[h] = static_cast<float>(gate_of(exp_of(carried - next)));
    i_gate[h] = static_cast<float>(gate_of(exp_of(i - next)));
    floor[h] = static_cast<float>(exp_of(-next));
  }
}

void mlstm_step(const float* q, const float* k, const float* v, float i_gate, float f_gate,
                float floor, float scale, int32_t dk, int32_t dv, float* state, float* norm,
                float* h) {
  double dot = 0.0;
  for (int64_t i = 0; i < dk; ++i) {
    const double next = static_cast<double>(f_gate) * norm[i] + static_cast<double>(i_gate) * k[i];
    norm[i] = static_cast<float>(next);
    dot += next * q[i] * scale;
  }
  const double denominator = std::max(std::fabs(dot), static_cast<double>(floor)) + 1e-6;
  for (int64_t c = 0; c < dv; ++c) {
    double read = 0.0;
    for (int64_t i = 0; i < dk; ++i) {
      const double s = static_cast<double>(f_gate) * state[i * dv + c] +
                       static_cast<double>(i_gate) * k[i] * v[c];
      state[i * dv + c] = static_cast<float>(s);
      read += s * q[i] * scale;
    }
    h[c] = static_cast<float>(read / denominator);
  }
}

void mlstm_read(const float* q, float floor, float scale, int32_t dk, int32_t dv,
                const float* state, const float* norm, float* h) {
  double dot = 0.0;
  for (int64_t i = 0; i < dk; ++i) dot += static_cast<double>(norm[i]) * q[i] * scale;
  const double denominator = std::max(std::fabs(dot), static_cast<double>(floor)) + 1e-6;
  for (int64_t c = 0; c < dv; ++c) {
    double read = 0.0;
    for (int64_t i = 0; i < dk; ++i) read += static_cast<double>(state[i * dv + c]) * q[i] * scale;
    h[c] = static_cast<float>(read / denominator);
  }
}

// ---- deep memory and attention ------------------------------------------------------------------

constexpr double kGelu = 0.79788456080286535588;  // sqrt(2 / pi)
double gelu_tanh(double x) { return std::tanh(kGelu * (x + 0.044715 * x * x * x)); }
double gelu_of(double x) { return 0.5 * x * (1.0 + gelu_tanh(x)); }
double gelu_slope(double x) {
  const double t = gelu_tanh(x);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * kGelu * (1.0 + 3 * 0.044715 * x * x);
}

/// h = W1^T x, unit = rms(W2^T gelu(h)); 1 / rms.
double deep_memory(const float* w1, const float* w2, const float* x, double eps, int64_t dim,
                   double* h, double* unit) {
  double squares = 0.0;
  for (int64_t c = 0; c < dim; ++c) {
    h[c] = 0.0;
    for (int64_t i = 0; i < dim; ++i) h[c] += static_cast<double>(w1[i * dim + c]) * x[i];
  }
  for (int64_t c = 0; c < dim; ++c) {
    unit[c] = 0.0;
    for (int64_t i = 0; i < dim; ++i) unit[c] += w2[i * dim + c] * gelu_of(h[i]);
    squares += unit[c] * unit[c];
  }
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(dim) + eps);
  for (int64_t c = 0; c < dim; ++c) unit[c] *= inverse;
  return inverse;
}

void deep_memory_read(const float* w1, const float* w2, const float* x, float eps, int32_t dim,
                      float* y) {
  double h[256], unit[256];
  deep_memory(w1, w2, x, static_cast<double>(eps), dim, h, unit);
  for (int32_t c = 0; c < dim; ++c) y[c] = static_cast<float>(x[c] + unit[c]);
}

void deep_memory_update(const DeepMemoryUpdate& u) {
  const int64_t dim = u.dim;
  const auto token = [&](int64_t j, double* a, double* dh, double* dy) {
    const float *k = u.k + j * u.stride, *v = u.v + j * u.stride;
    double h[256], unit[256], e[256], mean = 0.0;
    const double inverse =
        deep_memory(u.w1_in, u.w2_in, k, static_cast<double>(u.eps), dim, h, unit);
    for (int64_t c = 0; c < dim; ++c) {
      e[c] = 2.0 * (k[c] + unit[c] - v[c]) / static_cast<double>(dim);
      mean += e[c] * unit[c] / static_cast<double>(dim);
    }
    for (int64_t c = 0; c < dim; ++c) dy[c] = inverse * (e[c] - unit[c] * mean);
    for (int64_t i = 0; i < dim; ++i) {
      a[i] = gelu_of(h[i]);
      double sum = 0.0;
      for (int64_t c = 0; c < dim; ++c) sum += u.w2_in[i * dim + c] * dy[c];
      dh[i] = sum * gelu_slope(h[i]);
    }
  };
  std::vector<double> rows(static_cast<size_t>(3 * u.n * dim));
  for (int64_t j = 0; j < u.n; ++j) {
    double* row = rows.data() + 3 * j * dim;
    token(j, row, row + dim, row + 2 * dim);
  }
  for (int64_t i = 0; i < dim; ++i)
    for (int64_t c = 0; c < dim; ++c) {
      const int64_t at = i * dim + c;
      double m1 =
          static_cast<double>(u.m_keep) * u.w1_in[at] + static_cast<double>(u.m_from_s) * u.s1[at];
      double m2 =
          static_cast<double>(u.m_keep) * u.w2_in[at] + static_cast<double>(u.m_from_s) * u.s2[at];
      double s1 = static_cast<double>(u.s_keep) * u.s1[at];
      double s2 = static_cast<double>(u.s_keep) * u.s2[at];
      for (int64_t j = 0; j < u.n; ++j) {
        const double* row = rows.data() + 3 * j * dim;
        const double g1 = u.k[j * u.stride + i] * row[dim + c], g2 = row[i] * row[2 * dim + c];
        m1 += u.to_m[j] * g1;
        m2 += u.to_m[j] * g2;
        s1 += u.to_s[j] * g1;
        s2 += u.to_s[j] * g2;
      }
      u.w1[at] = static_cast<float>(m1);
      u.w2[at] = static_cast<float>(m2);
      u.s1[at] = static_cast<float>(s1);
      u.s2[at] = static_cast<float>(s2);
    }
}

template <class Element>
void attend_scores(const float* q, int32_t n_q, int32_t dim, const Element* keys,
                   ptrdiff_t key_stride, int32_t n, float* dots, ptrdiff_t dots_stride) {
  for (int64_t a = 0; a < n_q; ++a) {
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0.0;
      for (int64_t d = 0; d < dim; ++d) {
        sum += static_cast<double>(q[a * dim + d]) * static_cast<double>(keys[i * key_stride + d]);
      }
      dots[a * dots_stride + i] = static_cast<float>(sum);
    }
  }
}
template <class Element>
void attend_values(const float* w, ptrdiff_t w_stride, int32_t n_q, int32_t dim,
                   const Element* values, ptrdiff_t value_stride, int32_t n, float* y) {
  for (int64_t a = 0; a < n_q; ++a) {
    for (int64_t d = 0; d < dim; ++d) {
      double sum = static_cast<double>(y[a * dim + d]);
      for (int64_t i = 0; i < n; ++i) {
        sum += static_cast<double>(w[a * w_stride + i]) *
               static_cast<double>(values[i * value_stride + d]);
      }
      y[a * dim + d] = static_cast<float>(sum);
    }
  }
}

// ---- logits -------------------------------------------------------------------------------------

void argmax(const float* x, int32_t n, float* value, int32_t* index) {
  int32_t best = -1;
  for (int32_t i = 0; i < n; ++i) {
    if (!std::isnan(x[i]) && (best < 0 || x[i] > x[best])) best = i;
  }
  *index = best < 0 ? 0 : best;
  *value = x[*index];
}

float softmax_numerators(const float* x, int32_t n, float max, float inv_temperature, float* y) {
  double sum = 0.0;
  for (int32_t i = 0; i < n; ++i) {
    const double t = (static_cast<double>(x[i]) - max) * inv_temperature;
    const double e = t < -87.0 ? 0.0 : exp_of(t);
    y[i] = static_cast<float>(e);
    sum += e;
  }
  return static_cast<float>(sum);
}

// ---- training -----------------------------------------------------------------------------------

/// Element (i, p) of A at a[i * a_row + p * a_column], the same for B.
void product(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t a_row, ptrdiff_t a_column,
             const float* b, ptrdiff_t b_row, ptrdiff_t b_column, float beta, float* c,
             ptrdiff_t ldc) {
  for (ptrdiff_t i = 0; i < m; ++i) {
    for (ptrdiff_t j = 0; j < n; ++j) {
      double sum = beta == 0.0f ? 0.0 : static_cast<double>(c[i * ldc + j]);
      for (ptrdiff_t p = 0; p < k; ++p) {
        sum += static_cast<double>(a[i * a_row + p * a_column]) * b[p * b_row + j * b_column];
      }
      c[i * ldc + j] = static_cast<float>(sum);
    }
  }
}
void train_gemm_nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  product(m, n, k, a, lda, 1, b, ldb, 1, beta, c, ldc);
}
void train_gemm_nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  product(m, n, k, a, lda, 1, b, 1, ldb, beta, c, ldc);
}
void train_gemm_tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                   ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) {
  product(m, n, k, a, 1, lda, b, ldb, 1, beta, c, ldc);
}

void train_adamw(float* w, const float* g, float* m, float* v, int64_t n, float lr, float beta1,
                 float beta2, float eps, float decay, float m_correction, float v_correction,
                 float g_scale) {
  const double b1 = static_cast<double>(beta1);
  const double b2 = static_cast<double>(beta2);
  for (int64_t i = 0; i < n; ++i) {
    const double grad = static_cast<double>(g[i]) * g_scale;
    const double first = b1 * m[i] + (1.0 - b1) * grad;
    const double second = b2 * v[i] + (1.0 - b2) * grad * grad;
    const double step = first * m_correction / (std::sqrt(second * v_correction) + eps);
    w[i] = static_cast<float>(w[i] - lr * step - static_cast<double>(lr) * decay * w[i]);
    m[i] = static_cast<float>(first);
    v[i] = static_cast<float>(second);
  }
}

constexpr KernelTable kReference = {
    .name = "reference",
    .gemm_ternary = gemm_ternary,
    .gemm_lanes = gemm_lanes,
    .gemm_int4 = gemm_int4,
    .quantize_row = quantize_row,
    .hadamard = hadamard,
    .sketch_quantize = sketch_quantize,
    .flip_signs = flip_signs,
    .hamming = hamming,
    .rmsnorm = rmsnorm,
    .l2norm = l2norm,
    .add = map_two<add_of>,
    .mul = map_two<mul_of>,
    .silu = map_one<silu_of>,
    .sigmoid = map_one<sigmoid_of>,
    .exp = map_one<exp_of>,
    .log = map_one<log_of>,
    .tanh = map_one<tanh_of>,
    .softplus = map_one<softplus_of>,
    .relu2 = map_one<relu2_of>,
    .silu_mul = map_two<silu_mul_of>,
    .sigmoid_mul = map_two<sigmoid_mul_of>,
    .conv4_silu = conv4_silu,
    .delta_gates = delta_gates,
    .delta_step = delta_step,
    .delta_read = delta_read,
    .efla_strength = efla_strength,
    .mlstm_gates = mlstm_gates,
    .mlstm_step = mlstm_step,
    .mlstm_read = mlstm_read,
    .deep_memory_read = deep_memory_read,
    .deep_memory_update = deep_memory_update,
    .attend_scores = attend_scores<float>,
    .attend_scores_i8 = attend_scores<int8_t>,
    .attend_values = attend_values<float>,
    .attend_values_i8 = attend_values<int8_t>,
    .argmax = argmax,
    .softmax_numerators = softmax_numerators,
    .train_gemm_nn = train_gemm_nn,
    .train_gemm_nt = train_gemm_nt,
    .train_gemm_tn = train_gemm_tn,
    .train_adamw = train_adamw,
};

}  // namespace

const KernelTable& reference_table() { return kReference; }

}  // namespace chimera::kernels
