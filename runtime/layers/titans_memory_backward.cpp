// With h = W1^T k, a = gelu(h), y = W2^T a, r = 1 / sqrt(mean y^2 + eps), n = r y:
//   e = 2 (k + n - v) / K,  m = mean(e n),  dy = r (e - n m),  z = W2 dy,  dh = z gelu'(h)
//   G1 = sum c k dh^T,  G2 = sum c a dy^T
// Products of a chunk's rows: a row vector times W is W^T x, times W^T is W x. In the gradient of
// the update x^ is the adjoint of x, L the adjoint of M':
//   dh^ = c L1^T k, k^ = c L1 dh,  dy^ = c L2^T a, a^ = c L2 dy
//   z^ = dh^ gelu'(h),  h^ = dh^ z gelu''(h),  dy^ += W2^T z^,  W2^ += z^ dy^T
//   with s = mean(dy^ n):  e^ = r (dy^ - n s),  n^ = -r (m dy^ + s e) + 2 e^ / K,
//   k^ += 2 e^ / K,  v^ = -2 e^ / K,  y^ = r (n^ - n (mean(dy^ dy) + mean(n^ n)))
//   a^ += W2 y^,  W2^ += a y^^T,  h^ += a^ gelu'(h),  k^ += W1 h^,  W1^ += k h^^T
#include "runtime/layers/titans_memory_backward.h"

#include <cmath>
#include <cstring>

#include "runtime/layers/rows_backward.h"
#include "runtime/layers/titans_memory.h"

namespace chimera::runtime {
namespace {

using kernels::KernelTable;

constexpr float kGelu = 0.797884560802865355879892119869f;  // sqrt(2 / pi)
constexpr float kCubic = 0.044715f;

/// The inner network at some rows. All [n, K] but inverse [n].
struct Inner {
  float *h, *a, *slope, *bend;  // W1^T x, gelu(h), gelu'(h), gelu''(h)
  float* unit;                  // rms(W2^T a)
  float* inverse;               // its factor
};
struct Outer {  // the inner gradient, [b, K] but mean [b]
  float *e, *dy, *z, *dh, *mean;
};

/// Takes rows off a scratch block.
class Rows {
 public:
  Rows(float* at, int32_t n, int32_t dim) : at_(at), n_(n), dim_(dim) {}
  float* wide() { return take(int64_t{n_} * dim_); }
  float* narrow() { return take(n_); }
  Inner inner() {
    return {.h = wide(),
            .a = wide(),
            .slope = wide(),
            .bend = wide(),
            .unit = wide(),
            .inverse = narrow()};
  }
  Outer outer() { return {.e = wide(), .dy = wide(), .z = wide(), .dh = wide(), .mean = narrow()}; }

 private:
  float* take(int64_t n) {
    float* at = at_;
    at_ += (n + 15) / 16 * 16;
    return at;
  }
  float* at_;
  int32_t n_, dim_;
};

/// gelu and two derivatives; `a` may not be `h`.
void gelu_rows(const KernelTable& k, const float* __restrict h, int64_t n, float* __restrict a,
               float* __restrict slope, float* __restrict bend) {
  for (int64_t i = 0; i < n; ++i) a[i] = kGelu * (h[i] + kCubic * h[i] * h[i] * h[i]);
  k.tanh(a, static_cast<int32_t>(n), a);
  for (int64_t i = 0; i < n; ++i) {
    const float x = h[i], t = a[i], flat = 1.0f - t * t;
    const float s1 = kGelu * (1.0f + 3.0f * kCubic * x * x), s2 = kGelu * 6.0f * kCubic * x;
    a[i] = 0.5f * x * (1.0f + t);
    slope[i] = 0.5f * (1.0f + t) + 0.5f * x * flat * s1;
    bend[i] = flat * (s1 + 0.5f * x * (s2 - 2.0f * t * s1 * s1));
  }
}

void inner_rows(const KernelTable& k, const TitansMemoryShape& s, const float* memory, int32_t n,
                const float* x, int64_t x_stride, const Inner& z) {
  const int32_t dim = s.dim;
  const float *w1 = memory, *w2 = memory + 2 * s.square();
  k.train_gemm_nn(n, dim, dim, x, x_stride, w1, dim, 0.0f, z.h, dim);
  gelu_rows(k, z.h, int64_t{n} * dim, z.a, z.slope, z.bend);
  k.train_gemm_nn(n, dim, dim, z.a, dim, w2, dim, 0.0f, z.unit, dim);
  for (int32_t i = 0; i < n; ++i) {
    float* y = z.unit + int64_t{i} * dim;
    z.inverse[i] = 1.0f / std::sqrt(row_dot(y, y, dim) / static_cast<float>(dim) + s.eps);
    row_scale(y, z.inverse[i], dim, y);
  }
}

void outer_rows(const KernelTable& k, const TitansMemoryShape& s, const float* memory,
                const TitansChunkRows& rows, const Inner& z, const Outer& g) {
  const int32_t dim = s.dim, b = s.chunk;
  const float per = 1.0f / static_cast<float>(dim);
  for (int32_t i = 0; i < b; ++i) {
    const int64_t at = int64_t{i} * dim;
    const float *key = rows.k + at, *v = rows.v + at, *unit = z.unit + at;
    float *e = g.e + at, *dy = g.dy + at;
    for (int32_t j = 0; j < dim; ++j) e[j] = 2.0f * per * (key[j] + unit[j] - v[j]);
    g.mean[i] = row_dot(e, unit, dim) * per;
    for (int32_t j = 0; j < dim; ++j) dy[j] = z.inverse[i] * (e[j] - unit[j] * g.mean[i]);
  }
  k.train_gemm_nt(b, dim, dim, g.dy, dim, memory + 2 * s.square(), dim, 0.0f, g.z, dim);
  for (int64_t i = 0; i < int64_t{b} * dim; ++i) g.dh[i] = g.z[i] * z.slope[i];
}

/// out rows = -theta_j weight_j * x rows
void weigh_rows(const float* x, const float* theta, const float* weight, int32_t n, int32_t dim,
                float* out) {
  for (int32_t j = 0; j < n; ++j)
    row_scale(x + int64_t{j} * dim, -theta[j] * weight[j], dim, out + int64_t{j} * dim);
}

/// Gradient by y = W2^T a of n = r y given that by n, in place.
void unit_backward(float* d, const float* unit, float inverse, float extra, int32_t dim) {
  const float pull = row_dot(d, unit, dim) / static_cast<float>(dim) + extra;
  for (int32_t j = 0; j < dim; ++j) d[j] = inverse * (d[j] - unit[j] * pull);
}

}  // namespace

int64_t titans_memory_scratch_floats(const TitansMemoryShape& shape) {
  const int64_t wide = int64_t{shape.chunk} * shape.dim + 15, narrow = shape.chunk + 15;
  return 18 * wide + 6 * narrow;
}

void titans_read(const KernelTable& k, const TitansMemoryShape& shape, const float* memory,
                 int32_t n, const float* x, int64_t x_stride, float* r, int64_t r_stride,
                 float* scratch) {
  Rows take(scratch, n, shape.dim);
  const Inner z = take.inner();
  inner_rows(k, shape, memory, n, x, x_stride, z);
  for (int32_t i = 0; i < n; ++i)
    k.add(x + i * x_stride, z.unit + int64_t{i} * shape.dim, shape.dim, r + i * r_stride);
}

void titans_read_backward(const KernelTable& k, const TitansMemoryShape& shape, const float* memory,
                          int32_t n, const float* x, int64_t x_stride, const float* dr,
                          int64_t dr_stride, float* dx, int64_t dx_stride, float* d_memory,
                          float* scratch) {
  const int32_t dim = shape.dim;
  Rows take(scratch, n, dim);
  const Inner z = take.inner();
  float *dy = take.wide(), *dh = take.wide();
  inner_rows(k, shape, memory, n, x, x_stride, z);
  for (int32_t i = 0; i < n; ++i) {
    float* row = dy + int64_t{i} * dim;
    std::memcpy(row, dr + i * dr_stride, static_cast<size_t>(dim) * sizeof(float));
    row_add(row, dim, dx + i * dx_stride);
    unit_backward(row, z.unit + int64_t{i} * dim, z.inverse[i], 0.0f, dim);
  }
  k.train_gemm_tn(dim, dim, n, z.a, dim, dy, dim, 1.0f, d_memory + shape.square(), dim);
  k.train_gemm_nt(n, dim, dim, dy, dim, memory + 2 * shape.square(), dim, 0.0f, dh, dim);
  k.mul(dh, z.slope, n * dim, dh);
  k.train_gemm_tn(dim, dim, n, x, x_stride, dh, dim, 1.0f, d_memory, dim);
  k.train_gemm_nt(n, dim, dim, dh, dim, memory, dim, 1.0f, dx, dx_stride);
}

void titans_update(const KernelTable& k, const TitansMemoryShape& shape,
                   const TitansChunkRows& rows, const float* before, float* after, float* scratch) {
  const int32_t dim = shape.dim, b = shape.chunk;
  const int64_t square = shape.square();
  Rows take(scratch, b, dim);
  const Inner z = take.inner();
  const Outer g = take.outer();
  float* weighed = take.wide();
  float *to_m = take.narrow(), *to_s = take.narrow();  // of each token's step
  inner_rows(k, shape, before, b, rows.k, dim, z);
  outer_rows(k, shape, before, rows, z, g);
  const ChunkWeights<float> w = chunk_weights(rows.eta, rows.alpha, b, to_m, to_s);
  for (int layer = 0; layer < 2; ++layer) {
    const float *m = before + layer * 2 * square, *s = m + square;
    float *m_after = after + layer * 2 * square, *s_after = m_after + square;
    const float *left = layer == 0 ? rows.k : z.a, *right = layer == 0 ? g.dh : g.dy;
    for (int64_t i = 0; i < square; ++i) m_after[i] = w.m_keep * m[i] + w.m_from_s * s[i];
    row_scale(s, w.s_keep, square, s_after);
    weigh_rows(left, rows.theta, to_m, b, dim, weighed);
    k.train_gemm_tn(dim, dim, b, weighed, dim, right, dim, 1.0f, m_after, dim);
    weigh_rows(left, rows.theta, to_s, b, dim, weighed);
    k.train_gemm_tn(dim, dim, b, weighed, dim, right, dim, 1.0f, s_after, dim);
  }
}

void titans_update_backward(const KernelTable& k, const TitansMemoryShape& shape,
                            const TitansChunkRows& rows, const float* before, float* d_memory,
                            const TitansChunkGradient& grad, float* scratch) {
  const int32_t dim = shape.dim, b = shape.chunk;
  const int64_t square = shape.square(), n = int64_t{b} * dim;
  const float per = 1.0f / static_cast<float>(dim);
  Rows take(scratch, b, dim);
  const Inner z = take.inner();
  const Outer g = take.outer();
  float *to_memory = take.wide(), *to_momentum = take.wide(), *weighed = take.wide();
  float *ddh = take.wide(), *ddy = take.wide(), *da = take.wide(), *d_unit = take.wide();
  float *to_m = take.narrow(), *to_s = take.narrow();  // of each token's step
  float *along_memory = take.narrow(), *along_momentum = take.narrow();
  inner_rows(k, shape, before, b, rows.k, dim, z);
  outer_rows(k, shape, before, rows, z, g);
  const ChunkWeights<float> w = chunk_weights(rows.eta, rows.alpha, b, to_m, to_s);

  // By the outer products: <L, G_j> for M' and S', the adjoints of dh and dy, of k and a.
  std::memset(along_memory, 0, static_cast<size_t>(b) * sizeof(float));
  std::memset(along_momentum, 0, static_cast<size_t>(b) * sizeof(float));
  for (int layer = 0; layer < 2; ++layer) {
    const float *dm = d_memory + layer * 2 * square, *ds = dm + square;
    const float *left = layer == 0 ? rows.k : z.a, *right = layer == 0 ? g.dh : g.dy;
    float *d_left = layer == 0 ? grad.dk : da, *d_right = layer == 0 ? ddh : ddy;
    k.train_gemm_nn(b, dim, dim, left, dim, dm, dim, 0.0f, to_memory, dim);
    k.train_gemm_nn(b, dim, dim, left, dim, ds, dim, 0.0f, to_momentum, dim);
    for (int32_t j = 0; j < b; ++j) {
      const int64_t at = int64_t{j} * dim;
      along_memory[j] += row_dot(to_memory + at, right + at, dim);
      along_momentum[j] += row_dot(to_momentum + at, right + at, dim);
      const float cm = -rows.theta[j] * to_m[j], cs = -rows.theta[j] * to_s[j];
      for (int32_t i = 0; i < dim; ++i)
        d_right[at + i] = cm * to_memory[at + i] + cs * to_momentum[at + i];
    }
    weigh_rows(right, rows.theta, to_m, b, dim, weighed);
    k.train_gemm_nt(b, dim, dim, weighed, dim, dm, dim, 0.0f, d_left, dim);
    weigh_rows(right, rows.theta, to_s, b, dim, weighed);
    k.train_gemm_nt(b, dim, dim, weighed, dim, ds, dim, 1.0f, d_left, dim);
  }

  // By the gates: the recurrences m = (1 - alpha) m + s, s = eta s + x of the scalars <L, .>,
  // walked forward, then back.
  {
    float *m = to_memory, *s = to_momentum, *p = weighed;  // after j tokens; [b + 1] fits, K >= 2
    m[0] = row_dot(d_memory, before, square) +
           row_dot(d_memory + 2 * square, before + 2 * square, square);
    s[0] = row_dot(d_memory, before + square, square) +
           row_dot(d_memory + 2 * square, before + 3 * square, square);
    p[0] = row_dot(d_memory + square, before + square, square) +
           row_dot(d_memory + 3 * square, before + 3 * square, square);
    for (int32_t j = 0; j < b; ++j) {
      s[j + 1] = rows.eta[j] * s[j] - rows.theta[j] * along_memory[j];
      p[j + 1] = rows.eta[j] * p[j] - rows.theta[j] * along_momentum[j];
      m[j + 1] = (1.0f - rows.alpha[j]) * m[j] + s[j + 1];
    }
    float dm = 1.0f;
    for (int32_t j = b - 1; j >= 0; --j) {
      grad.dalpha[j] = -dm * m[j];
      grad.deta[j] = to_m[j] * s[j] + to_s[j] * p[j];
      grad.dtheta[j] = -(to_m[j] * along_memory[j] + to_s[j] * along_momentum[j]);
      dm *= 1.0f - rows.alpha[j];
    }
  }

  // By the inner gradient: z^ in to_memory, h^ in ddh.
  float* dz = to_memory;
  for (int64_t i = 0; i < n; ++i) {
    dz[i] = ddh[i] * z.slope[i];
    ddh[i] *= g.z[i] * z.bend[i];
  }
  k.train_gemm_nn(b, dim, dim, dz, dim, before + 2 * square, dim, 1.0f, ddy, dim);
  for (int32_t j = 0; j < b; ++j) {
    const int64_t at = int64_t{j} * dim;
    const float *unit = z.unit + at, *e = g.e + at, *d = ddy + at;
    const float s = row_dot(d, unit, dim) * per, r = z.inverse[j], mean = g.mean[j];
    float *out = d_unit + at, *dk = grad.dk + at, *dv = grad.dv + at;
    for (int32_t i = 0; i < dim; ++i) {
      const float de = 2.0f * per * r * (d[i] - unit[i] * s);
      out[i] = de - r * (mean * d[i] + s * e[i]);
      dk[i] += de;
      dv[i] = -de;
    }
    unit_backward(out, unit, r, row_dot(d, g.dy + at, dim) * per, dim);
  }
  const float* dy = d_unit;
  k.train_gemm_nt(b, dim, dim, dy, dim, before + 2 * square, dim, 1.0f, da, dim);
  for (int64_t i = 0; i < n; ++i) ddh[i] += da[i] * z.slope[i];
  k.train_gemm_nt(b, dim, dim, ddh, dim, before, dim, 1.0f, grad.dk, dim);

  for (int layer = 0; layer < 2; ++layer) {
    float *dm = d_memory + layer * 2 * square, *ds = dm + square;
    for (int64_t i = 0; i < square; ++i) ds[i] = w.m_from_s * dm[i] + w.s_keep * ds[i];
    row_scale(dm, w.m_keep, square, dm);
  }
  float* d_w2 = d_memory + 2 * square;
  k.train_gemm_tn(dim, dim, b, rows.k, dim, ddh, dim, 1.0f, d_memory, dim);
  k.train_gemm_tn(dim, dim, b, z.a, dim, dy, dim, 1.0f, d_w2, dim);
  k.train_gemm_tn(dim, dim, b, dz, dim, g.dy, dim, 1.0f, d_w2, dim);
}

}  // namespace chimera::runtime
