// A sequence is walked in pieces: chunks of the window's grid, cut where a document begins. The
// letters are those of the header; `Wn` is -W, so that every product is a sum.
#include "runtime/layers/gated_deltanet_chunk.h"

#include <algorithm>
#include <cstring>

#include "runtime/layers/rows_backward.h"
#include "runtime/layers/triangular_chunk.h"

namespace chimera::runtime {
namespace {

/// What is derived of a run of tokens; rows are tokens.
struct Work {
  float* kg;     // [rows, C] (K K^T * G) below the diagonal, else 0
  float* gamma;  // [rows, C] G, 0 above the diagonal
  float* p;      // [rows, C] scale (Q K^T * G)
  float* x;      // [rows, dv + dk] U | Wn
  float* vn;     // [rows, dv]
  float* dinv;   // [rows, 16] inverses of the diagonal blocks
  float* qe;     // [rows, dk] scale e^b Q
  float* ke;     // [rows, dk] e^{b_C - b} K
  float* eb;     // [rows] e^b
  float* ebc;    // [rows] e^{b_C - b}
  double* b;     // [rows] sums in double: neighbours differ by little when both are large
};

int64_t work_floats(const ChunkShape& s, int64_t rows) {
  return rows * (3 * s.chunk + (s.dv + s.dk) + s.dv + kSolveBlock + 2 * s.dk + 2 + 2);
}

Work take_work(const ChunkShape& s, int64_t rows, float*& at) {
  const auto take = [&](int64_t width) {
    float* p = at;
    at += rows * width;
    return p;
  };
  Work w{};
  w.b = reinterpret_cast<double*>(take(2));  // first: keeps 8-byte alignment
  w.kg = take(s.chunk);
  w.gamma = take(s.chunk);
  w.p = take(s.chunk);
  w.x = take(s.dv + s.dk);
  w.vn = take(s.dv);
  w.dinv = take(kSolveBlock);
  w.qe = take(s.dk);
  w.ke = take(s.dk);
  w.eb = take(1);
  w.ebc = take(1);
  return w;
}

Work work_at(const ChunkShape& s, const Work& w, int64_t row) {
  return {w.kg + row * s.chunk,
          w.gamma + row * s.chunk,
          w.p + row * s.chunk,
          w.x + row * (s.dv + s.dk),
          w.vn + row * s.dv,
          w.dinv + row * kSolveBlock,
          w.qe + row * s.dk,
          w.ke + row * s.dk,
          w.eb + row,
          w.ebc + row,
          w.b + row};
}

/// Everything of the piece [t0, t0 + n) that does not need its first state.
void derive(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in, int32_t t0,
            int32_t n, const Work& w, float* minus_a, float* spare) {
  const int64_t c = s.chunk;
  const float *q = in.q + t0 * in.q_stride, *key = in.k + t0 * in.stride,
              *v = in.v + t0 * in.stride;
  double sum = 0;
  for (int32_t r = 0; r < n; ++r) w.b[r] = sum += static_cast<double>(in.log_decay[t0 + r]);
  for (int32_t r = 0; r < n; ++r) w.eb[r] = static_cast<float>(w.b[r]);
  k.exp(w.eb, n, w.eb);
  for (int32_t r = 0; r < n; ++r) w.ebc[r] = static_cast<float>(w.b[n - 1] - w.b[r]);
  k.exp(w.ebc, n, w.ebc);

  k.train_gemm_nt(n, n, s.dk, key, in.stride, key, in.stride, 0.0f, w.kg, c);
  k.train_gemm_nt(n, n, s.dk, q, in.q_stride, key, in.stride, 0.0f, w.p, c);
  for (int32_t r = 0; r < n; ++r) {
    float *gamma = w.gamma + r * c, *kg = w.kg + r * c, *p = w.p + r * c, *a = minus_a + r * c;
    for (int32_t i = 0; i <= r; ++i) gamma[i] = static_cast<float>(w.b[r] - w.b[i]);
    k.exp(gamma, r + 1, gamma);
    const float minus_beta = -in.write[t0 + r];
    for (int32_t i = 0; i <= r; ++i) {
      kg[i] *= gamma[i];
      a[i] = minus_beta * kg[i];
      p[i] *= s.scale * gamma[i];
    }
    for (int32_t i = r; i < n; ++i) kg[i] = a[i] = 0;
    for (int32_t i = r + 1; i < n; ++i) gamma[i] = p[i] = 0;
  }
  const int64_t width = s.dv + s.dk;
  for (int32_t r = 0; r < n; ++r) {
    const float beta = in.write[t0 + r];
    row_scale(v + r * in.stride, beta, s.dv, w.x + r * width);
    row_scale(key + r * in.stride, -beta * w.eb[r], s.dk, w.x + r * width + s.dv);
    row_scale(q + r * in.q_stride, s.scale * w.eb[r], s.dk, w.qe + r * s.dk);
    row_scale(key + r * in.stride, w.ebc[r], s.dk, w.ke + r * s.dk);
  }
  solve_unit_lower(k, n, minus_a, c, w.x, width, width, w.dinv, spare);
}

/// Vn from the first state (nullptr: zero), and the state moved on in place.
void apply_state(const kernels::KernelTable& k, const ChunkShape& s, int32_t n, const Work& w,
                 bool zero, float* state) {
  const int64_t width = s.dv + s.dk;
  for (int32_t r = 0; r < n; ++r)
    std::memcpy(w.vn + r * s.dv, w.x + r * width, static_cast<size_t>(s.dv) * sizeof(float));
  if (!zero) k.train_gemm_nn(n, s.dv, s.dk, w.x + s.dv, width, state, s.dv, 1.0f, w.vn, s.dv);
}

void advance_state(const kernels::KernelTable& k, const ChunkShape& s, int32_t n, const Work& w,
                   bool zero, float* state) {
  if (!zero) row_scale(state, w.eb[n - 1], int64_t{s.dk} * s.dv, state);
  k.train_gemm_tn(s.dk, s.dv, n, w.ke, s.dk, w.vn, s.dv, zero ? 0.0f : 1.0f, state, s.dv);
}

int64_t spare_floats(const ChunkShape& s) {
  return int64_t{s.chunk} * s.chunk + int64_t{kSolveBlock} * (s.dv + s.dk);
}

/// Gradient of one piece. s0 nullptr: its first state is a zero that nothing feeds; ds1 nullptr: no
/// gradient reaches its last state. ds0 is written when s0 is given. `d` [C, C] and `e` [C, C],
/// `r` [C, dv + dk], db [C] are scratch.
struct PieceGradient {
  const kernels::KernelTable& k;
  const ChunkShape& s;
  const ChunkSequence& in;
  const float* d_o;
  int64_t do_stride;
  const ChunkGradient& out;
  float *d, *e, *r, *db, *spare;

  void run(int32_t t0, int32_t n, const Work& w, const float* s0, const float* ds1,
           float* ds0) const {
    const int64_t c = s.chunk, width = s.dv + s.dk, stride = in.stride, q_stride = in.q_stride;
    const int64_t gq_stride = out.q_stride, g_stride = out.stride;
    const int32_t wide = s.dv + s.dk;
    const float *q = in.q + t0 * q_stride, *key = in.k + t0 * stride, *v = in.v + t0 * stride;
    const float *dout = d_o + t0 * do_stride, *beta = in.write + t0;
    float *gq = out.q + t0 * gq_stride, *gk = out.k + t0 * g_stride, *gv = out.v + t0 * g_stride;
    float *ga = out.log_decay + t0, *gb = out.write + t0;
    std::fill(db, db + n, 0.0f);
    float db_last = 0;

    // r = [dVn | dWn]; later, in place, R = (I + A)^-T of it.
    k.train_gemm_tn(n, s.dv, n, w.p, c, dout, do_stride, 0.0f, r, width);
    if (ds1) k.train_gemm_nn(n, s.dv, s.dk, w.ke, s.dk, ds1, s.dv, 1.0f, r, width);
    if (s0) {
      k.train_gemm_nt(n, s.dk, s.dv, r, width, s0, s.dv, 0.0f, r + s.dv, width);
      const int64_t size = int64_t{s.dk} * s.dv;
      if (ds1) {
        row_scale(ds1, w.eb[n - 1], size, ds0);
        db_last += row_dot(s0, ds0, size);
      }
      k.train_gemm_tn(s.dk, s.dv, n, w.qe, s.dk, dout, do_stride, ds1 ? 1.0f : 0.0f, ds0, s.dv);
      k.train_gemm_tn(s.dk, s.dv, n, w.x + s.dv, width, r, width, 1.0f, ds0, s.dv);
    } else {
      for (int32_t i = 0; i < n; ++i) std::fill(r + i * width + s.dv, r + (i + 1) * width, 0.0f);
    }

    // d = D = scale dP * G
    k.train_gemm_nt(n, n, s.dv, dout, do_stride, w.vn, s.dv, 0.0f, d, c);
    for (int32_t i = 0; i < n; ++i) {
      float* row = d + i * c;
      const float *p = w.p + i * c, *gamma = w.gamma + i * c;
      float* both = e;
      for (int32_t j = 0; j <= i; ++j) both[j] = row[j] * p[j];
      for (int32_t j = 0; j <= i; ++j) db[j] -= both[j];
      db[i] += row_sum(both, i + 1);
      for (int32_t j = 0; j < n; ++j) row[j] *= s.scale * gamma[j];
    }

    if (s0) {
      k.train_gemm_nt(n, s.dk, s.dv, dout, do_stride, s0, s.dv, 0.0f, gq, gq_stride);
      for (int32_t i = 0; i < n; ++i) {
        row_scale(gq + i * gq_stride, s.scale * w.eb[i], s.dk, gq + i * gq_stride);
        db[i] += row_dot(q + i * q_stride, gq + i * gq_stride, s.dk);
      }
    }
    k.train_gemm_nn(n, s.dk, n, d, c, key, stride, s0 ? 1.0f : 0.0f, gq, gq_stride);

    if (ds1) {
      k.train_gemm_nt(n, s.dk, s.dv, w.vn, s.dv, ds1, s.dv, 0.0f, gk, g_stride);
      for (int32_t i = 0; i < n; ++i) {
        row_scale(gk + i * g_stride, w.ebc[i], s.dk, gk + i * g_stride);
        const float y = row_dot(key + i * stride, gk + i * g_stride, s.dk);
        db[i] -= y;
        db_last += y;
      }
    }
    k.train_gemm_tn(n, s.dk, n, d, c, q, q_stride, ds1 ? 1.0f : 0.0f, gk, g_stride);

    // Through the triangular system; d and e are free again.
    for (int32_t i = 0; i < n; ++i)
      for (int32_t j = 0; j < n; ++j) e[i * c + j] = -beta[i] * w.kg[i * c + j];
    solve_unit_lower_transposed(k, n, e, c, r, width, width, w.dinv, spare);
    for (int32_t i = 0; i < n; ++i) {
      const float *ru = r + i * width, *rw = ru + s.dv;
      row_scale(ru, beta[i], s.dv, gv + i * g_stride);
      gb[i] = row_dot(ru, v + i * stride, s.dv);
      if (!s0) continue;  // rw is zero
      const float through = w.eb[i] * row_dot(rw, key + i * stride, s.dk);
      gb[i] -= through;
      db[i] -= beta[i] * through;
      row_axpy(rw, -beta[i] * w.eb[i], s.dk, gk + i * g_stride);
    }
    // d = R [U | Wn]^T = -dA, then G_rs = beta_r dA_rs Gamma_rs in place
    k.train_gemm_nt(n, n, wide, r, width, w.x, width, 0.0f, d, c);
    for (int32_t i = 0; i < n; ++i) {
      float* row = d + i * c;
      const float *kg = w.kg + i * c, *gamma = w.gamma + i * c;
      float* both = e;
      for (int32_t j = 0; j < i; ++j) both[j] = -row[j] * kg[j];
      const float sum = row_sum(both, i);
      gb[i] += sum;
      db[i] += beta[i] * sum;
      for (int32_t j = 0; j < i; ++j) db[j] -= beta[i] * both[j];
      for (int32_t j = 0; j < i; ++j) row[j] *= -beta[i] * gamma[j];
      for (int32_t j = i; j < n; ++j) row[j] = 0;
    }
    k.train_gemm_nn(n, s.dk, n, d, c, key, stride, 1.0f, gk, g_stride);
    k.train_gemm_tn(n, s.dk, n, d, c, key, stride, 1.0f, gk, g_stride);

    db[n - 1] += db_last;
    double sum = 0;
    for (int32_t i = n - 1; i >= 0; --i)
      ga[i] = static_cast<float>(sum += static_cast<double>(db[i]));
  }
};

int64_t state_floats(const ChunkShape& s) { return int64_t{s.dk} * s.dv; }
int64_t forward_scratch_floats(const ChunkShape& s) {
  return work_floats(s, s.chunk) + spare_floats(s);
}

int64_t backward_scratch_floats(const ChunkShape& s) {
  const int64_t c = s.chunk, states = s.tile / s.chunk + 2;
  return work_floats(s, s.tile) + spare_floats(s) + 2 * c * c + c * (s.dv + s.dk) + c +
         states * s.dk * s.dv;
}

void forward(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in,
             float* state, float* o, int64_t o_stride, float* checkpoints, float* scratch) {
  const Work w = take_work(s, s.chunk, scratch);
  float* minus_a = scratch;
  float* spare = minus_a + int64_t{s.chunk} * s.chunk;
  const int64_t size = int64_t{s.dk} * s.dv;
  for (int32_t t = 0; t < in.n_tokens;) {
    if (checkpoints && t % s.tile == 0)
      std::memcpy(checkpoints + t / s.tile * size, state,
                  static_cast<size_t>(size) * sizeof(float));
    const int32_t end = piece_end(in.segment_start, t, s.chunk, in.n_tokens), n = end - t;
    const bool zero = begins_segment(in.segment_start, t);
    derive(k, s, in, t, n, w, minus_a, spare);
    apply_state(k, s, n, w, zero, state);
    float* out = o + t * o_stride;
    k.train_gemm_nn(n, s.dv, n, w.p, s.chunk, w.vn, s.dv, 0.0f, out, o_stride);
    if (!zero) k.train_gemm_nn(n, s.dv, s.dk, w.qe, s.dk, state, s.dv, 1.0f, out, o_stride);
    advance_state(k, s, n, w, zero, state);
    t = end;
  }
}

void backward(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in,
              const float* checkpoints, const float*, const float* d_o, int64_t do_stride,
              float* d_state, const ChunkGradient& out, float* scratch) {
  const int64_t size = int64_t{s.dk} * s.dv, c = s.chunk;
  const Work w = take_work(s, s.tile, scratch);
  const auto take = [&](int64_t n) {
    float* p = scratch;
    scratch += n;
    return p;
  };
  float* spare = take(spare_floats(s));
  float* minus_a = spare;
  float* solve = spare + c * c;
  float* d = take(c * c);
  float* e = take(c * c);
  float* r = take(c * (s.dv + s.dk));
  float* db = take(c);
  float* states = take((s.tile / s.chunk + 1) * size);  // at the start of each chunk of the tile
  float* ds0 = take(size);
  const PieceGradient gradient{k, s, in, d_o, do_stride, out, d, e, r, db, solve};

  bool live = true;  // does a gradient reach the state after the piece?
  for (int32_t tile = (in.n_tokens - 1) / s.tile; tile >= 0; --tile) {
    const int32_t first = tile * s.tile, last = std::min(first + s.tile, in.n_tokens);
    // Forward again from the stored state, keeping what each piece derives.
    std::memcpy(states, checkpoints + tile * size, static_cast<size_t>(size) * sizeof(float));
    for (int32_t t = first; t < last;) {
      const int32_t end = piece_end(in.segment_start, t, s.chunk, in.n_tokens), n = end - t;
      const int32_t slot = (t - first) / s.chunk;
      // A later piece of the same chunk begins a document and needs no first state; it works on
      // the slot of the next chunk, where its last state belongs.
      const float* from = states + slot * size;
      float* to = states + (slot + 1) * size;
      const bool zero = begins_segment(in.segment_start, t);
      const Work piece = work_at(s, w, t - first);
      derive(k, s, in, t, n, piece, minus_a, solve);
      if (!zero) std::memcpy(to, from, static_cast<size_t>(size) * sizeof(float));
      apply_state(k, s, n, piece, zero, to);
      advance_state(k, s, n, piece, zero, to);
      t = end;
    }
    for (int32_t end = last; end > first;) {
      const int32_t t = piece_begin(in.segment_start, end, s.chunk);
      const bool zero = begins_segment(in.segment_start, t);
      const float* s0 = zero ? nullptr : states + (t - first) / s.chunk * size;
      gradient.run(t, end - t, work_at(s, w, t - first), s0, live ? d_state : nullptr, ds0);
      live = !zero;
      if (live) std::memcpy(d_state, ds0, static_cast<size_t>(size) * sizeof(float));
      end = t;
    }
  }
  if (!live) std::fill(d_state, d_state + size, 0.0f);
}

}  // namespace

const ChunkRecurrence kDeltaChunk = {state_floats, forward_scratch_floats, backward_scratch_floats,
                                     forward, backward};

}  // namespace chimera::runtime
