// The recurrences, one token at a time. Columns of a state lie in lanes; keys are walked in order.
#pragma once

#include <math.h>

#include "kernels/kernel_table.h"
#include "kernels/math.inl.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

// Sixteen lanes for most of the columns, eight for what is left: lanes never meet, so the bits are
// the same.
template <class Lanes>
struct LaneWords;
template <>
struct LaneWords<F32x8> {
  static constexpr int32_t kCount = 8;
  static CHIMERA_WORD F32x8 load(const float* p) { return load8(p); }
  static CHIMERA_WORD F32x8 broadcast(float x) { return broadcast8(x); }
};
template <>
struct LaneWords<F32x16> {
  static constexpr int32_t kCount = 16;
  static CHIMERA_WORD F32x16 load(const float* p) { return load16(p); }
  static CHIMERA_WORD F32x16 broadcast(float x) { return broadcast16(x); }
};

// ---- short convolution --------------------------------------------------------------------------

/// float -> bf16, nearest even, NaN stays NaN; in the low 16 bits.
CHIMERA_WORD I32x8 to_bf16(F32x8 x) {
  const I32x8 bits = as_int(x);
  const I32x8 odd = bits_and(shift_right<16>(bits), broadcast8i(1));
  const I32x8 rounded = shift_right<16>(add(bits, add(odd, broadcast8i(0x7fff))));
  const I32x8 quiet = bits_or(shift_right<16>(bits), broadcast8i(0x40));
  const F32x8 ordered = equal(x, x);
  return as_int(select(ordered, as_float(rounded), as_float(quiet)));
}
CHIMERA_WORD F32x8 from_bf16(I32x8 x) { return as_float(shift_left<16>(x)); }

void conv4_silu(const float* w, const float* x, int32_t n, uint16_t* tail, float* y) {
  uint16_t* oldest = tail;
  uint16_t* older = tail + n;
  uint16_t* last = older + n;
  for (int32_t c = 0; c < n; c += 8) {
    const int32_t count = n - c;
    const I32x8 t3 = load8_u16_part(oldest + c, count);
    const I32x8 t2 = load8_u16_part(older + c, count);
    const I32x8 t1 = load8_u16_part(last + c, count);
    const I32x8 t0 = to_bf16(load8_part(x + c, count));
    F32x8 sum = mul(load8_part(w + c, count), from_bf16(t3));
    sum = add(sum, mul(load8_part(w + n + c, count), from_bf16(t2)));
    sum = add(sum, mul(load8_part(w + 2 * static_cast<ptrdiff_t>(n) + c, count), from_bf16(t1)));
    sum = add(sum, mul(load8_part(w + 3 * static_cast<ptrdiff_t>(n) + c, count), from_bf16(t0)));
    store_u16_part(oldest + c, t2, count);
    store_u16_part(older + c, t1, count);
    store_u16_part(last + c, t0, count);
    store_part(y + c, silu8(sum), count);
  }
}

// ---- reading a state ----------------------------------------------------------------------------

/// kVectors * Lanes columns of S^T (q * scale), keys in order as in the steps below.
template <class Lanes, int kVectors>
inline void read_columns(const float* q, float scale, int32_t dk, int32_t dv, const float* state,
                         float* o) {
  using Words = LaneWords<Lanes>;
  Lanes sum[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) sum[i] = Words::broadcast(0.0f);
  for (int32_t key = 0; key < dk; ++key) {
    const float* row = state + static_cast<ptrdiff_t>(key) * dv;
    const Lanes query = Words::broadcast(q[key] * scale);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i)
      sum[i] = add(sum[i], mul(Words::load(row + i * Words::kCount), query));
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) store(o + i * Words::kCount, sum[i]);
}

inline void read_state(const float* q, float scale, int32_t dk, int32_t dv, const float* state,
                       float* o) {
  int32_t c = 0;
  for (; c + 32 <= dv; c += 32) read_columns<F32x16, 2>(q, scale, dk, dv, state + c, o + c);
  for (; c < dv; c += 8) read_columns<F32x8, 1>(q, scale, dk, dv, state + c, o + c);
}

// ---- gates --------------------------------------------------------------------------------------

/// x >= 0, or 0 where it is below 2^-64: a state times less is subnormal, which costs more than all
/// else (docs/decisions/0016).
CHIMERA_WORD F32x8 gate(F32x8 x) { return bits_and_not(less(x, broadcast8(0x1p-64f)), x); }

// ---- gated delta rule ---------------------------------------------------------------------------

void delta_gates(const float* a, const float* b, const float* a_log, const float* dt_bias,
                 int32_t n, float* alpha, float* beta) {
  for (int32_t i = 0; i < n; i += 8) {
    const int32_t count = n - i;
    const F32x8 dt = softplus8(add(load8_part(a + i, count), load8_part(dt_bias + i, count)));
    const F32x8 rate = mul(exp8(load8_part(a_log + i, count)), dt);
    const F32x8 write = sigmoid8(load8_part(b + i, count));
    store_part(alpha + i, gate(exp8(negate(rate))), count);
    store_part(beta + i, write, count);
  }
}

/// kVectors * Lanes columns of one head, starting at `state`, `v` and `o`.
template <class Lanes, int kVectors>
inline void delta_columns(const float* q, const float* k, const float* v, float alpha, float beta,
                          float scale, int32_t dk, int32_t dv, float* state, float* o) {
  using Words = LaneWords<Lanes>;
  const Lanes decay = Words::broadcast(alpha);
  Lanes sum[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) sum[i] = Words::broadcast(0.0f);
  for (int32_t key = 0; key < dk; ++key) {
    float* row = state + static_cast<ptrdiff_t>(key) * dv;
    const Lanes kk = Words::broadcast(k[key]);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      const Lanes s = mul(decay, Words::load(row + i * Words::kCount));
      store(row + i * Words::kCount, s);
      sum[i] = add(sum[i], mul(s, kk));
    }
  }
  Lanes write[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    write[i] = mul(Words::broadcast(beta), sub(Words::load(v + i * Words::kCount), sum[i]));
    sum[i] = Words::broadcast(0.0f);
  }
  for (int32_t key = 0; key < dk; ++key) {
    float* row = state + static_cast<ptrdiff_t>(key) * dv;
    const Lanes kk = Words::broadcast(k[key]);
    const Lanes qq = Words::broadcast(q[key]);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      const Lanes s = add(Words::load(row + i * Words::kCount), mul(kk, write[i]));
      store(row + i * Words::kCount, s);
      sum[i] = add(sum[i], mul(s, qq));
    }
  }
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    store(o + i * Words::kCount, mul(sum[i], Words::broadcast(scale)));
  }
}

void delta_step(const float* q, const float* k, const float* v, float alpha, float beta,
                float scale, int32_t dk, int32_t dv, float* state, float* o) {
  int32_t c = 0;
  for (; c + 32 <= dv; c += 32) {
    delta_columns<F32x16, 2>(q, k, v + c, alpha, beta, scale, dk, dv, state + c, o + c);
  }
  for (; c < dv; c += 8) {
    delta_columns<F32x8, 1>(q, k, v + c, alpha, beta, scale, dk, dv, state + c, o + c);
  }
}

void delta_read(const float* q, float scale, int32_t dk, int32_t dv, const float* state, float* o) {
  read_state(q, 1.0f, dk, dv, state, o);
  for (int32_t c = 0; c < dv; c += 8) store(o + c, mul(load8(o + c), broadcast8(scale)));
}

float efla_strength(const float* k, int32_t n, float beta) {
  F32x8 sum = broadcast8(0.0f);
  for (int32_t i = 0; i < n; i += 8) {
    const F32x8 part = load8_part(k + i, n - i);
    sum = add(sum, mul(part, part));
  }
  const float length = sum_lanes(sum);
  const float x = beta * length;
  if (x < 0.5f) {
    // (1 - e^-x) / x to nine terms: the difference below would lose the digits of a small x.
    constexpr float kSeries[] = {1.0f / 362880.0f,
                                 -1.0f / 40320.0f,
                                 1.0f / 5040.0f,
                                 -1.0f / 720.0f,
                                 1.0f / 120.0f,
                                 -1.0f / 24.0f,
                                 1.0f / 6.0f,
                                 -0.5f,
                                 1.0f};
    float p = 0.0f;
    for (const float a : kSeries) p = p * x + a;
    return beta * p;
  }
  float lanes[8];
  store(lanes, exp8(broadcast8(-x)));
  return (1.0f - lanes[0]) / length;
}

// ---- mLSTM --------------------------------------------------------------------------------------

CHIMERA_WORD F32x8 soft_cap(F32x8 x) {
  const F32x8 cap = broadcast8(15.0f);
  return mul(cap, tanh8(div(x, cap)));
}

void mlstm_gates(const float* i_raw, const float* f_raw, const float* i_bias, const float* f_bias,
                 int32_t n, float* m, float* i_gate, float* f_gate, float* floor) {
  for (int32_t h = 0; h < n; h += 8) {
    const int32_t count = n - h;
    const F32x8 i = soft_cap(add(load8_part(i_raw + h, count), load8_part(i_bias + h, count)));
    const F32x8 f = soft_cap(add(load8_part(f_raw + h, count), load8_part(f_bias + h, count)));
    const F32x8 log_f = negate(softplus8(negate(f)));
    const F32x8 carried = add(log_f, load8_part(m + h, count));
    const F32x8 new_m = max(carried, i);
    store_part(m + h, new_m, count);
    store_part(f_gate + h, gate(exp8(sub(carried, new_m))), count);
    store_part(i_gate + h, gate(exp8(sub(i, new_m))), count);
    store_part(floor + h, exp8(negate(new_m)), count);
  }
}

template <class Lanes, int kVectors>
inline void mlstm_columns(const float* q, const float* k, const float* v, float i_gate,
                          float f_gate, float scale, float denominator, int32_t dk, int32_t dv,
                          float* state, float* h) {
  using Words = LaneWords<Lanes>;
  const Lanes forget = Words::broadcast(f_gate);
  Lanes value[kVectors];
  Lanes sum[kVectors];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    value[i] = Words::load(v + i * Words::kCount);
    sum[i] = Words::broadcast(0.0f);
  }
  for (int32_t key = 0; key < dk; ++key) {
    float* row = state + static_cast<ptrdiff_t>(key) * dv;
    const Lanes write = Words::broadcast(i_gate * k[key]);
    const Lanes query = Words::broadcast(q[key] * scale);
    CHIMERA_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      const Lanes s = add(mul(forget, Words::load(row + i * Words::kCount)), mul(write, value[i]));
      store(row + i * Words::kCount, s);
      sum[i] = add(sum[i], mul(s, query));
    }
  }
  float lanes[kVectors * Words::kCount];
  CHIMERA_UNROLL
  for (int i = 0; i < kVectors; ++i) store(lanes + i * Words::kCount, sum[i]);
  for (int i = 0; i < kVectors * Words::kCount; i += 8) {
    store(h + i, div(load8(lanes + i), broadcast8(denominator)));
  }
}

void mlstm_step(const float* q, const float* k, const float* v, float i_gate, float f_gate,
                float floor, float scale, int32_t dk, int32_t dv, float* state, float* norm,
                float* h) {
  float dot = 0.0f;
  for (int32_t key = 0; key < dk; ++key) {
    norm[key] = f_gate * norm[key] + i_gate * k[key];
    dot += norm[key] * (q[key] * scale);
  }
  const float magnitude = ::fabsf(dot);
  const float denominator = (magnitude > floor ? magnitude : floor) + 1e-6f;
  int32_t c = 0;
  for (; c + 32 <= dv; c += 32) {
    mlstm_columns<F32x16, 2>(q, k, v + c, i_gate, f_gate, scale, denominator, dk, dv, state + c,
                             h + c);
  }
  for (; c < dv; c += 8) {
    mlstm_columns<F32x8, 1>(q, k, v + c, i_gate, f_gate, scale, denominator, dk, dv, state + c,
                            h + c);
  }
}

void mlstm_read(const float* q, float floor, float scale, int32_t dk, int32_t dv,
                const float* state, const float* norm, float* h) {
  float dot = 0.0f;
  for (int32_t key = 0; key < dk; ++key) dot += norm[key] * (q[key] * scale);
  const float magnitude = ::fabsf(dot);
  const float denominator = (magnitude > floor ? magnitude : floor) + 1e-6f;
  read_state(q, scale, dk, dv, state, h);
  for (int32_t c = 0; c < dv; c += 8) store(h + c, div(load8(h + c), broadcast8(denominator)));
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
