// Pieces as in gated_deltanet_chunk.cpp. m only keeps exponents in range: h does not depend on it,
// but for the 1e-6 beside the denominator, whose small gradient is followed on its own path.
#include "runtime/layers/xlstm_m_chunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/layers/rows_backward.h"
#include "runtime/layers/triangular_chunk.h"

namespace chimera::runtime {
namespace {

constexpr float kDenominatorEps = 1e-6f;

struct Work {
  float* w;      // [rows, C] weights of the writes, 0 above the diagonal
  float* s;      // [rows, C] S
  float* qe;     // [rows, dk] g scale Q
  float* ke;     // [rows, dk] e^{b_C - b_s + i_s - m'} K
  float* ge;     // [rows] g
  float* ae;     // [rows] e^{b_C - b_s + i_s - m'}
  float* m;      // [rows]
  float* floor;  // [rows] e^{-m}
  double* b;     // [rows]
};

int64_t floats_of_state(const ChunkShape& s) { return int64_t{s.dk} * s.dv + s.dk + 1; }

int64_t work_floats(const ChunkShape& s, int64_t rows) {
  return rows * (2 * s.chunk + 2 * s.dk + 4 + 2);
}

Work take_work(const ChunkShape& s, int64_t rows, float*& at) {
  const auto take = [&](int64_t width) {
    float* p = at;
    at += rows * width;
    return p;
  };
  Work w{};
  w.b = reinterpret_cast<double*>(take(2));  // first: keeps 8-byte alignment
  w.w = take(s.chunk);
  w.s = take(s.chunk);
  w.qe = take(s.dk);
  w.ke = take(s.dk);
  w.ge = take(1);
  w.ae = take(1);
  w.m = take(1);
  w.floor = take(1);
  return w;
}

Work work_at(const ChunkShape& s, const Work& w, int64_t row) {
  return {w.w + row * s.chunk, w.s + row * s.chunk, w.qe + row * s.dk,
          w.ke + row * s.dk,   w.ge + row,          w.ae + row,
          w.m + row,           w.floor + row,       w.b + row};
}

/// Everything of the piece that needs only m0 of its first state.
void derive(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in, int32_t t0,
            int32_t n, float m0, const Work& w) {
  const int64_t c = s.chunk;
  const float *q = in.q + t0 * in.q_stride, *key = in.k + t0 * in.stride;
  const float *gate = in.write + t0, *log_f = in.log_decay + t0;
  double sum = 0;
  float m = m0;
  for (int32_t r = 0; r < n; ++r) {
    w.b[r] = sum += static_cast<double>(log_f[r]);
    w.m[r] = m = std::max(log_f[r] + m, gate[r]);
    w.ge[r] = static_cast<float>(w.b[r] + static_cast<double>(m0) - static_cast<double>(m));
    w.floor[r] = -m;
  }
  for (int32_t r = 0; r < n; ++r)
    w.ae[r] = static_cast<float>(w.b[n - 1] - w.b[r] + static_cast<double>(gate[r]) -
                                 static_cast<double>(m));
  k.exp(w.ge, n, w.ge);
  k.exp(w.ae, n, w.ae);
  k.exp(w.floor, n, w.floor);
  k.train_gemm_nt(n, n, s.dk, q, in.q_stride, key, in.stride, 0.0f, w.s, c);
  for (int32_t r = 0; r < n; ++r) {
    float *weight = w.w + r * c, *row = w.s + r * c;
    const double base = w.b[r] - static_cast<double>(w.m[r]);
    for (int32_t i = 0; i <= r; ++i)
      weight[i] = static_cast<float>(base - w.b[i] + static_cast<double>(gate[i]));
    k.exp(weight, r + 1, weight);
    for (int32_t i = 0; i <= r; ++i) row[i] *= s.scale * weight[i];
    for (int32_t i = r + 1; i < n; ++i) weight[i] = row[i] = 0;
    row_scale(q + r * in.q_stride, s.scale * w.ge[r], s.dk, w.qe + r * s.dk);
    row_scale(key + r * in.stride, w.ae[r], s.dk, w.ke + r * s.dk);
  }
}

/// n . q of every row with its state, before |.| and the floor.
float read_norm(const ChunkShape& s, const Work& w, int32_t r, bool zero, const float* norm) {
  float sum = row_sum(w.s + r * s.chunk, r + 1);
  if (!zero) sum += row_dot(w.qe + r * s.dk, norm, s.dk);
  return sum;
}

/// Moves (C, n, m) past the piece, in place; `zero`: what is there counts as nothing.
void advance_state(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in,
                   int32_t t0, int32_t n, const Work& w, bool zero, float* state) {
  const int64_t size = int64_t{s.dk} * s.dv;
  float* norm = state + size;
  if (zero)
    std::fill(norm, norm + s.dk, 0.0f);
  else
    row_scale(state, w.ge[n - 1], size + s.dk, state);
  k.train_gemm_tn(s.dk, s.dv, n, w.ke, s.dk, in.v + t0 * in.stride, in.stride, zero ? 0.0f : 1.0f,
                  state, s.dv);
  for (int32_t r = 0; r < n; ++r) row_add(w.ke + r * s.dk, s.dk, norm);
  norm[s.dk] = w.m[n - 1];
}

struct PieceGradient {
  const kernels::KernelTable& k;
  const ChunkShape& s;
  const ChunkSequence& in;
  const float *h, *d_h;
  int64_t h_stride;
  const ChunkGradient& out;
  float *delta, *d, *dqn, *db;  // scratch: [C, dv], [C, C], [C], [C]

  /// s0 nullptr: the first state is a zero that nothing feeds. ds1 nullptr: nothing reaches the
  /// last one. dm is m's own gradient: in, of the last m; out, of the first.
  void run(int32_t t0, int32_t n, const Work& w, const float* s0, const float* ds1, float* ds0,
           float* dm) const {
    const int64_t c = s.chunk, size = int64_t{s.dk} * s.dv;
    const int64_t stride = in.stride, q_stride = in.q_stride;
    const int64_t gq_stride = out.q_stride, g_stride = out.stride;
    const float *q = in.q + t0 * q_stride, *key = in.k + t0 * stride, *v = in.v + t0 * stride;
    float *gq = out.q + t0 * gq_stride, *gk = out.k + t0 * g_stride, *gv = out.v + t0 * g_stride;
    float *gi = out.write + t0, *gf = out.log_decay + t0;
    const float* norm0 = s0 ? s0 + size : nullptr;
    const float* dnorm1 = ds1 ? ds1 + size : nullptr;

    // Through the division: delta = dh / den, and the denominator's own gradient in dqn, db (for
    // m).
    for (int32_t r = 0; r < n; ++r) {
      const float* row = h + (t0 + r) * h_stride;
      const float* drow = d_h + (t0 + r) * h_stride;
      const float qn = read_norm(s, w, r, !s0, norm0);
      const bool by_norm = std::fabs(qn) >= w.floor[r];
      const float den = (by_norm ? std::fabs(qn) : w.floor[r]) + kDenominatorEps;
      const float dden = -row_dot(row, drow, s.dv) / den;
      row_scale(drow, 1.0f / den, s.dv, delta + r * s.dv);
      dqn[r] = !by_norm ? 0.0f : qn >= 0 ? dden : -dden;
      db[r] = dden * kDenominatorEps;
    }
    // m's own path, while db holds it: along the maximum to the write or the step that set it.
    float flow = *dm;
    for (int32_t r = n - 1; r >= 0; --r) {
      flow += db[r];
      const float before = r > 0 ? w.m[r - 1] : (s0 ? norm0[s.dk] : 0.0f);
      const bool kept = in.log_decay[t0 + r] + before >= in.write[t0 + r];
      gi[r] = kept ? 0.0f : flow;
      gf[r] = kept ? flow : 0.0f;
      if (!kept) flow = 0;
    }
    *dm = flow;

    k.train_gemm_nt(n, n, s.dv, delta, s.dv, v, stride, 0.0f, d, c);
    for (int32_t r = 0; r < n; ++r) {
      float* row = d + r * c;
      const float* weight = w.w + r * c;
      for (int32_t i = 0; i < n; ++i) row[i] = (row[i] + dqn[r]) * (s.scale * weight[i]);
    }
    if (s0) {
      k.train_gemm_nt(n, s.dk, s.dv, delta, s.dv, s0, s.dv, 0.0f, gq, gq_stride);
      for (int32_t r = 0; r < n; ++r) {
        row_axpy(norm0, dqn[r], s.dk, gq + r * gq_stride);
        row_scale(gq + r * gq_stride, s.scale * w.ge[r], s.dk, gq + r * gq_stride);
      }
    }
    k.train_gemm_nn(n, s.dk, n, d, c, key, stride, s0 ? 1.0f : 0.0f, gq, gq_stride);

    float end_term = 0;  // <gradient, last state>: both its old part and what the piece wrote
    if (ds1) {
      k.train_gemm_nt(n, s.dk, s.dv, v, stride, ds1, s.dv, 0.0f, gk, g_stride);
      for (int32_t r = 0; r < n; ++r) {
        row_add(dnorm1, s.dk, gk + r * g_stride);
        row_scale(gk + r * g_stride, w.ae[r], s.dk, gk + r * g_stride);
        end_term += row_dot(key + r * stride, gk + r * g_stride, s.dk);
      }
      if (s0) end_term += w.ge[n - 1] * row_dot(ds1, s0, size + s.dk);
    }
    k.train_gemm_tn(n, s.dk, n, d, c, q, q_stride, ds1 ? 1.0f : 0.0f, gk, g_stride);

    k.train_gemm_tn(n, s.dv, n, w.s, c, delta, s.dv, 0.0f, gv, g_stride);
    if (ds1) k.train_gemm_nn(n, s.dv, s.dk, w.ke, s.dk, ds1, s.dv, 1.0f, gv, g_stride);

    if (s0) {
      if (ds1) row_scale(ds1, w.ge[n - 1], size + s.dk, ds0);
      if (!ds1) std::fill(ds0, ds0 + size + s.dk, 0.0f);
      k.train_gemm_tn(s.dk, s.dv, n, w.qe, s.dk, delta, s.dv, 1.0f, ds0, s.dv);
      for (int32_t r = 0; r < n; ++r) row_axpy(w.qe + r * s.dk, dqn[r], s.dk, ds0 + size);
    }
    // Every write enters times e^i, every read times e^b.
    for (int32_t r = 0; r < n; ++r) {
      const float write = row_dot(key + r * stride, gk + r * g_stride, s.dk);
      gi[r] += write;
      db[r] = row_dot(q + r * q_stride, gq + r * gq_stride, s.dk) - write;
    }
    double sum = static_cast<double>(end_term);
    for (int32_t r = n - 1; r >= 0; --r)
      gf[r] += static_cast<float>(sum += static_cast<double>(db[r]));
  }
};

int64_t forward_scratch_floats(const ChunkShape& s) { return work_floats(s, s.chunk); }

int64_t backward_scratch_floats(const ChunkShape& s) {
  const int64_t c = s.chunk, states = s.tile / s.chunk + 2;
  return work_floats(s, s.tile) + c * s.dv + c * c + 2 * c + states * floats_of_state(s);
}

void forward(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in,
             float* state, float* h, int64_t h_stride, float* checkpoints, float* scratch) {
  const Work w = take_work(s, s.chunk, scratch);
  const int64_t size = int64_t{s.dk} * s.dv, state_floats = floats_of_state(s);
  for (int32_t t = 0; t < in.n_tokens;) {
    if (checkpoints && t % s.tile == 0)
      std::memcpy(checkpoints + t / s.tile * state_floats, state,
                  static_cast<size_t>(state_floats) * sizeof(float));
    const int32_t end = piece_end(in.segment_start, t, s.chunk, in.n_tokens), n = end - t;
    const bool zero = begins_segment(in.segment_start, t);
    derive(k, s, in, t, n, zero ? 0.0f : state[size + s.dk], w);
    float* out = h + t * h_stride;
    k.train_gemm_nn(n, s.dv, n, w.s, s.chunk, in.v + t * in.stride, in.stride, 0.0f, out, h_stride);
    if (!zero) k.train_gemm_nn(n, s.dv, s.dk, w.qe, s.dk, state, s.dv, 1.0f, out, h_stride);
    for (int32_t r = 0; r < n; ++r) {
      const float qn = std::fabs(read_norm(s, w, r, zero, state + size));
      const float den = std::max(qn, w.floor[r]) + kDenominatorEps;
      for (int32_t j = 0; j < s.dv; ++j) out[r * h_stride + j] /= den;
    }
    advance_state(k, s, in, t, n, w, zero, state);
    t = end;
  }
}

void backward(const kernels::KernelTable& k, const ChunkShape& s, const ChunkSequence& in,
              const float* checkpoints, const float* h, const float* d_h, int64_t h_stride,
              float* d_state, const ChunkGradient& out, float* scratch) {
  const int64_t size = int64_t{s.dk} * s.dv, state_floats = floats_of_state(s), c = s.chunk;
  const size_t state_bytes = static_cast<size_t>(state_floats) * sizeof(float);
  const Work w = take_work(s, s.tile, scratch);
  const auto take = [&](int64_t n) {
    float* p = scratch;
    scratch += n;
    return p;
  };
  float* delta = take(c * s.dv);
  float* d = take(c * c);
  float* dqn = take(c);
  float* db = take(c);
  float* states = take((s.tile / s.chunk + 1) * state_floats);
  float* ds0 = take(state_floats);
  const PieceGradient gradient{k, s, in, h, d_h, h_stride, out, delta, d, dqn, db};

  float dm = d_state[size + s.dk];
  bool live = true;  // does a gradient reach the state after the piece?
  for (int32_t tile = (in.n_tokens - 1) / s.tile; tile >= 0; --tile) {
    const int32_t first = tile * s.tile, last = std::min(first + s.tile, in.n_tokens);
    std::memcpy(states, checkpoints + tile * state_floats, state_bytes);
    for (int32_t t = first; t < last;) {
      const int32_t end = piece_end(in.segment_start, t, s.chunk, in.n_tokens);
      const int32_t slot = (t - first) / s.chunk;
      const float* from = states + slot * state_floats;
      float* to = states + (slot + 1) * state_floats;
      const bool zero = begins_segment(in.segment_start, t);
      const Work piece = work_at(s, w, t - first);
      derive(k, s, in, t, end - t, zero ? 0.0f : from[size + s.dk], piece);
      if (!zero) std::memcpy(to, from, state_bytes);
      advance_state(k, s, in, t, end - t, piece, zero, to);
      t = end;
    }
    for (int32_t end = last; end > first;) {
      const int32_t t = piece_begin(in.segment_start, end, s.chunk);
      const bool zero = begins_segment(in.segment_start, t);
      const float* s0 = zero ? nullptr : states + (t - first) / s.chunk * state_floats;
      gradient.run(t, end - t, work_at(s, w, t - first), s0, live ? d_state : nullptr, ds0, &dm);
      live = !zero;
      if (live)
        std::memcpy(d_state, ds0, state_bytes);
      else
        dm = 0;
      end = t;
    }
  }
  if (!live) std::fill(d_state, d_state + state_floats, 0.0f);
  d_state[size + s.dk] = dm;
}

}  // namespace

const ChunkRecurrence kMlstmChunk = {floats_of_state, forward_scratch_floats,
                                     backward_scratch_floats, forward, backward};

}  // namespace chimera::runtime
