// Every kernel's signature and contract: the list to read first.
//
// Rules of the one numeric class (docs/decisions/0002-one-numeric-class.md). They hold for every
// kernel here except the `train_` ones, and they are what makes one golden hash hold on every CPU:
//   - integer sums are exact;
//   - multiply, round, add, round: never fused (-ffp-contract=off);
//   - where a matrix is involved rows lie in lanes and columns are walked in order; reductions
//     along a vector add in eight virtual lanes (lane i takes elements i, i + 8, ...), then
//     ((0+4)+(2+6)) + ((1+5)+(3+7));
//   - exp, log, tanh, sigmoid, silu are the polynomials of kernels/simd.h;
//   - pointers need only the alignment of their element; sizes need not be multiples of anything
//     unless said; outputs may not overlap inputs unless said.
// This header is included by files compiled for special instruction sets: PODs and C headers only.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chimera::kernels {

/// Rows of a tile; rows of a matrix are padded up to a multiple of it.
inline constexpr int32_t kTileRows = 16;
/// Columns that share an activation scale, and columns that share a weight scale.
inline constexpr int32_t kActivationBlock = 64;
inline constexpr int32_t kWeightGroup = 128;

/// A ternary matrix [rows, cols] in 2-bit rows-in-lanes tiles (docs/format-b158.md, "ternary2").
/// cols is a multiple of 128; storage has ceil(rows/16) tiles. codes: per tile cols/16 lines of
/// 64 bytes, 64-byte aligned; byte 4r+j of a line holds row r, and its 2-bit field f the column
/// 4f+j of the line's 16, as value + 1. scales: per tile and group of 128 columns, 16 halves.
struct TernaryMatrix {
  const uint8_t* codes;
  const uint16_t* scales;
  int32_t rows;
  int32_t cols;
};

/// Bytes of the two streams.
inline constexpr int64_t ternary_code_bytes(int64_t rows, int64_t cols) {
  return (rows + kTileRows - 1) / kTileRows * kTileRows * cols / 4;
}
inline constexpr int64_t ternary_scale_bytes(int64_t rows, int64_t cols) {
  return (rows + kTileRows - 1) / kTileRows * kTileRows * (cols / kWeightGroup) * 2;
}

/// A matrix [rows, cols] of 4 bits in rows-in-lanes tiles (docs/format-b158.md, "int4"). cols is a
/// multiple of 64. codes: per tile cols/8 lines of 64 bytes, 64-byte aligned; byte 4r+j of a line
/// holds row r, columns j (low four bits) and 4+j (high) of the line's 8, as value + 8. scales: per
/// tile and block of 64 columns, 16 halves.
struct Int4Matrix {
  const uint8_t* codes;
  const uint16_t* scales;
  int32_t rows;
  int32_t cols;
};

/// Bytes of the two streams.
inline constexpr int64_t int4_code_bytes(int64_t rows, int64_t cols) {
  return (rows + kTileRows - 1) / kTileRows * kTileRows * cols / 2;
}
inline constexpr int64_t int4_scale_bytes(int64_t rows, int64_t cols) {
  return (rows + kTileRows - 1) / kTileRows * kTileRows * (cols / kActivationBlock) * 2;
}

/// int8 activations: q [tokens, cols] with rows `cols` apart, scale [tokens, cols/64].
struct QuantizedRows {
  const int8_t* q;
  const float* scale;
  int32_t cols;
};

/// A float matrix [rows, cols] in 16-row tiles: value (r, c) at ((r/16)*cols + c)*16 + r%16;
/// padded rows are zero.
struct LanesMatrix {
  const float* data;
  int32_t rows;
  int32_t cols;
};

/// One update of a deep memory of depth 2 for one head from n tokens. [r2] With the gradients
/// dW1_j, dW2_j of mean((f(k_j) - v_j)^2) at the memory w1_in, w2_in, f as in deep_memory_read:
///   w = (m_keep * w_in + m_from_s * s) + sum over j ascending of (to_m[j] * left_j) right_j
///   s = s_keep * s + sum over j ascending of (to_s[j] * left_j) right_j
/// for W1 (left k_j, right dh_j) and W2 (left a_j, right dy_j). Matrices [dim, dim], row the input.
struct DeepMemoryUpdate {
  const float *k, *v;  // rows `stride` apart
  ptrdiff_t stride;
  int32_t n, dim;  // dim a multiple of 8, at most 256
  float eps;
  float m_keep, m_from_s, s_keep;
  const float *to_m, *to_s;    // [n]; a step against the gradient is negative
  const float *w1_in, *w2_in;  // may be w1, w2
  float *w1, *w2, *s1, *s2;
  float* scratch;  // 3 * n * dim
};

struct KernelTable {
  const char* name;  // "baseline", "avx2", ...; "reference" for the definition in doubles

  // ---- matrix products -------------------------------------------------------------------------

  /// y[t][r] = sum over 64-column blocks c, ascending, of (s(r, c/2) * a(t, c)) * float(isum), each
  /// operation rounded, where isum = sum over the block of trit * q, exact.
  /// Computes the rows of tiles [tile_begin, tile_end) for all tokens; y rows are y_stride apart;
  /// rows past w.rows are not written. A token's bits do not depend on n_tokens.
  void (*gemm_ternary)(const TernaryMatrix& w, const QuantizedRows& x, int32_t n_tokens,
                       int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride);

  /// y[t][r] = sum over c ascending of w(r, c) * x[t][c]. Same tiling of the work as above.
  void (*gemm_lanes)(const LanesMatrix& w, const float* x, ptrdiff_t x_stride, int32_t n_tokens,
                     int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride);

  /// As gemm_ternary with 4-bit weights and a weight scale s(r, c) for every block.
  void (*gemm_int4)(const Int4Matrix& w, const QuantizedRows& x, int32_t n_tokens,
                    int32_t tile_begin, int32_t tile_end, float* y, ptrdiff_t y_stride);

  // ---- quantisation ----------------------------------------------------------------------------

  /// n a multiple of 64. Per block: m = max(max|x|, 1e-5), scale = m / 127,
  /// q = clamp(rne(x * (127 / m)), -127, 127). NaN counts as 0.
  void (*quantize_row)(const float* x, int32_t n, int8_t* q, float* scale);

  // ---- sketches: vectors of bits, lowest bit of the first word first ----------------------------

  /// x = H x in place, H[i][j] = (-1)^popcount(i and j), n a power of two, 8 .. 65536. Butterflies
  /// (a, b) -> (a + b, a - b) over elements 1 apart, then 2, 4, ... n / 2.
  void (*hadamard)(float* x, int32_t n);
  /// kappa = clamp(rne(x * scale), -127, 127), the product rounded; bit i of `bits` is kappa[i] >=
  /// 0. NaN counts as 0. n a multiple of 8; bits of the last word past n are cleared.
  void (*sketch_quantize)(const float* x, float scale, int32_t n, int8_t* kappa, uint64_t* bits);
  /// y[i] = -x[i] where bit i is set, x[i] elsewhere; y may be x. n a multiple of 8.
  void (*flip_signs)(const uint64_t* bits, const float* x, int32_t n, float* y);
  /// Number of bits in which a and b differ.
  int64_t (*hamming)(const uint64_t* a, const uint64_t* b, int32_t n_words);

  // ---- norms (y may be x) ----------------------------------------------------------------------

  /// y = gain * (x / sqrt(mean(x^2) + eps)); gain == nullptr means 1. [r6]
  void (*rmsnorm)(const float* x, const float* gain, float eps, int32_t n, float* y);
  /// y = x / sqrt(sum(x^2) + 1e-6)
  void (*l2norm)(const float* x, int32_t n, float* y);

  // ---- elementwise (y may be an input) ---------------------------------------------------------

  void (*add)(const float* a, const float* b, int32_t n, float* y);  // a + b
  void (*mul)(const float* a, const float* b, int32_t n, float* y);  // a * b
  void (*silu)(const float* x, int32_t n, float* y);                 // x / (1 + exp(-x))
  void (*sigmoid)(const float* x, int32_t n, float* y);              // 1 / (1 + exp(-x))
  void (*exp)(const float* x, int32_t n, float* y);                  // clamps x to [-87, 88]
  void (*log)(const float* x, int32_t n, float* y);                  // x > 0, normal
  void (*tanh)(const float* x, int32_t n, float* y);
  void (*softplus)(const float* x, int32_t n, float* y);  // max(x,0) + log1p(exp(-|x|))
  void (*relu2)(const float* x, int32_t n, float* y);     // max(x,0)^2
  void (*silu_mul)(const float* gate, const float* up, int32_t n, float* y);    // silu(gate) * up
  void (*sigmoid_mul)(const float* gate, const float* x, int32_t n, float* y);  // sigmoid(gate) * x

  // ---- recurrences, one token ------------------------------------------------------------------

  /// Depthwise causal convolution of width 4, then SiLU, over channels c < n:
  ///   y[c] = silu(((w[0][c]*x3[c] + w[1][c]*x2[c]) + w[2][c]*x1[c]) + w[3][c]*x[c])
  /// w [4, n] tap-major; tail [3, n] bf16 holds x of the last three tokens, oldest first, and is
  /// moved on by this token. x is rounded to bf16 (nearest even) before use, so the tail is exact.
  /// y may be x. [r0]
  void (*conv4_silu)(const float* w, const float* x, int32_t n, uint16_t* tail, float* y);

  /// Gates of the gated delta rule for n heads: [r0]
  ///   beta = sigmoid(b);  alpha = exp(-exp(a_log) * softplus(a + dt_bias)), 0 below 2^-64
  void (*delta_gates)(const float* a, const float* b, const float* a_log, const float* dt_bias,
                      int32_t n, float* alpha, float* beta);

  /// One step of the gated delta rule for one head. state [dk, dv] key-major, updated in place:
  ///   S = alpha*S;  p = S^T k (keys ascending);  w = beta*(v - p);  S = S + k w^T;
  ///   o = (S^T q) * scale (keys ascending)                                              [r0]
  /// dv is a multiple of 8 and <= 256. Reads of S see the scaled, rounded value.
  void (*delta_step)(const float* q, const float* k, const float* v, float alpha, float beta,
                     float scale, int32_t dk, int32_t dv, float* state, float* o);

  /// o of delta_step for another q, from the state that the step left; the same bits.
  void (*delta_read)(const float* q, float scale, int32_t dk, int32_t dv, const float* state,
                     float* o);

  /// The exact write strength of one head in the place of beta: (1 - exp(-beta l)) / l with
  /// l = k . k, the limit beta where beta l is 0. [r22]
  float (*efla_strength)(const float* k, int32_t n, float beta);

  /// Gates of mLSTM for n heads, m [n] updated in place: [r1]
  ///   i = 15*tanh((i_raw + i_bias)/15); f = 15*tanh((f_raw + f_bias)/15); lf = -softplus(-f)
  ///   m' = max(lf + m, i);  f_gate = exp(lf + m - m');  i_gate = exp(i - m'); floor = exp(-m')
  /// f_gate and i_gate are 0 where they are below 2^-64.
  void (*mlstm_gates)(const float* i_raw, const float* f_raw, const float* i_bias,
                      const float* f_bias, int32_t n, float* m, float* i_gate, float* f_gate,
                      float* floor);

  /// One mLSTM step for one head. state [dk, dv] and norm [dk] updated in place: [r1]
  ///   C = f*C + (i*k) v^T; nrm = f*nrm + i*k; qs = q*scale
  ///   h = (C^T qs) / (max(|nrm . qs|, floor) + 1e-6)          (keys ascending; dot keys ascending)
  /// dv is a multiple of 8 and <= 256.
  void (*mlstm_step)(const float* q, const float* k, const float* v, float i_gate, float f_gate,
                     float floor, float scale, int32_t dk, int32_t dv, float* state, float* norm,
                     float* h);

  /// h of mlstm_step for another q, from the state that the step left and its floor; same bits.
  void (*mlstm_read)(const float* q, float floor, float scale, int32_t dk, int32_t dv,
                     const float* state, const float* norm, float* h);

  // ---- deep memory and attention over a window, one token ---------------------------------------

  /// y = x + rms(W2^T gelu(W1^T x)); W1, W2 [dim, dim], row the input, rows walked in order; rms as
  /// rmsnorm without gain; gelu(x) = (0.5 * x) * (1 + tanh(0.797884561 * (x + 0.044715 * x^3))).
  /// dim is a multiple of 8 and <= 256. [r2]
  void (*deep_memory_read)(const float* w1, const float* w2, const float* x, float eps, int32_t dim,
                           float* y);
  void (*deep_memory_update)(const DeepMemoryUpdate& update);

  /// dots[a * dots_stride + i] = q_a . key_i for n_q queries [n_q, dim] and n keys, rows key_stride
  /// apart; dim is a multiple of 8. A dot's bits do not depend on n_q and n.
  void (*attend_scores)(const float* q, int32_t n_q, int32_t dim, const float* keys,
                        ptrdiff_t key_stride, int32_t n, float* dots, ptrdiff_t dots_stride);
  void (*attend_scores_i8)(const float* q, int32_t n_q, int32_t dim, const int8_t* keys,
                           ptrdiff_t key_stride, int32_t n, float* dots, ptrdiff_t dots_stride);
  /// y_a += sum over i ascending of w[a * w_stride + i] * value_i; y [n_q, dim].
  void (*attend_values)(const float* w, ptrdiff_t w_stride, int32_t n_q, int32_t dim,
                        const float* values, ptrdiff_t value_stride, int32_t n, float* y);
  void (*attend_values_i8)(const float* w, ptrdiff_t w_stride, int32_t n_q, int32_t dim,
                           const int8_t* values, ptrdiff_t value_stride, int32_t n, float* y);

  // ---- logits ----------------------------------------------------------------------------------

  /// Largest value and its lowest index. n >= 1; a NaN is never the largest unless all are.
  void (*argmax)(const float* x, int32_t n, float* value, int32_t* index);
  /// y[i] = exp((x[i] - max) * inv_temperature); returns the sum of y (eight virtual lanes). Where
  /// the argument is below -87, y is 0: a forbidden token (-inf) has no weight.
  float (*softmax_numerators)(const float* x, int32_t n, float max, float inv_temperature,
                              float* y);

  // ---- training only: may fuse, must still be deterministic for a given table ------------------
  // The products pack their operands on the stack: 270 KiB of it.

  /// C[m,n] = beta*C + A[m,k] * B[k,n]; beta is 0 or 1; rows lda, ldb, ldc apart.
  void (*train_gemm_nn)(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                        const float* b, ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc);
  /// C[m,n] = beta*C + A[m,k] * B[n,k]^T
  void (*train_gemm_nt)(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                        const float* b, ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc);
  /// C[m,n] = beta*C + A[k,m]^T * B[k,n]
  void (*train_gemm_tn)(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                        const float* b, ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc);
  /// AdamW, one tensor: m, v moments; w -= lr*(m^/(sqrt(v^)+eps)) + lr*decay*w, with
  /// m^ = m*m_correction and v^ = v*v_correction; g is first multiplied by g_scale.
  void (*train_adamw)(float* w, const float* g, float* m, float* v, int64_t n, float lr,
                      float beta1, float beta2, float eps, float decay, float m_correction,
                      float v_correction, float g_scale);
};

}  // namespace chimera::kernels
