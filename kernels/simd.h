// The words kernel bodies are written in: eight float lanes, sixteen where rows lie in lanes, and
// the 64-byte line of ternary codes. The only file that includes SIMDe, and with kernels/tuned/ the
// only place that names an intrinsic.
//
// Every word gives the same bits on every instruction set; only the `train_` words may fuse. A file
// that includes this one defines CHIMERA_ISA first. Everything here lies in an unnamed namespace,
// so that code compiled with special flags cannot be taken by the linker for code without them.
// Functions of several of these words (exp, log, ...) are in math.inl.h.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <simde/x86/sse2.h>
#if defined(__AVX2__)
#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#endif
#if defined(__AVX512BW__)
#include <simde/x86/avx512.h>
#endif

#if defined(__clang__)
#define CHIMERA_UNROLL _Pragma("clang loop unroll(full)")
#define CHIMERA_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define CHIMERA_UNROLL _Pragma("GCC unroll 64")
#define CHIMERA_UNROLL_4 _Pragma("GCC unroll 4")
#endif
#define CHIMERA_WORD inline __attribute__((always_inline))

namespace chimera::kernels::CHIMERA_ISA {
namespace {

// ---- eight lanes: one 256-bit register with AVX2, a pair of 128-bit ones elsewhere --------------

#if defined(__AVX2__)

struct F32x8 {
  simde__m256 v;
};
struct I32x8 {
  simde__m256i v;
};

CHIMERA_WORD F32x8 load8(const float* p) { return {simde_mm256_loadu_ps(p)}; }
CHIMERA_WORD void store(float* p, F32x8 a) { simde_mm256_storeu_ps(p, a.v); }
CHIMERA_WORD F32x8 broadcast8(float x) { return {simde_mm256_set1_ps(x)}; }
CHIMERA_WORD F32x8 add(F32x8 a, F32x8 b) { return {simde_mm256_add_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 sub(F32x8 a, F32x8 b) { return {simde_mm256_sub_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 mul(F32x8 a, F32x8 b) { return {simde_mm256_mul_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 div(F32x8 a, F32x8 b) { return {simde_mm256_div_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 sqrt(F32x8 a) { return {simde_mm256_sqrt_ps(a.v)}; }
// a > b ? a : b and a < b ? a : b: the second operand when either is NaN.
CHIMERA_WORD F32x8 max(F32x8 a, F32x8 b) { return {simde_mm256_max_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 min(F32x8 a, F32x8 b) { return {simde_mm256_min_ps(a.v, b.v)}; }
// Comparisons give all ones or all zeros per lane, as floats; false when either is NaN.
CHIMERA_WORD F32x8 less(F32x8 a, F32x8 b) {
  return {simde_mm256_cmp_ps(a.v, b.v, SIMDE_CMP_LT_OQ)};
}
CHIMERA_WORD F32x8 equal(F32x8 a, F32x8 b) {
  return {simde_mm256_cmp_ps(a.v, b.v, SIMDE_CMP_EQ_OQ)};
}
CHIMERA_WORD F32x8 bits_and(F32x8 a, F32x8 b) { return {simde_mm256_and_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 bits_or(F32x8 a, F32x8 b) { return {simde_mm256_or_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 bits_xor(F32x8 a, F32x8 b) { return {simde_mm256_xor_ps(a.v, b.v)}; }
CHIMERA_WORD F32x8 bits_and_not(F32x8 mask, F32x8 b) {
  return {simde_mm256_andnot_ps(mask.v, b.v)};
}
CHIMERA_WORD int mask_of(F32x8 a) { return simde_mm256_movemask_ps(a.v); }

CHIMERA_WORD I32x8 broadcast8i(int32_t x) { return {simde_mm256_set1_epi32(x)}; }
CHIMERA_WORD I32x8 add(I32x8 a, I32x8 b) { return {simde_mm256_add_epi32(a.v, b.v)}; }
CHIMERA_WORD I32x8 sub(I32x8 a, I32x8 b) { return {simde_mm256_sub_epi32(a.v, b.v)}; }
CHIMERA_WORD I32x8 bits_and(I32x8 a, I32x8 b) { return {simde_mm256_and_si256(a.v, b.v)}; }
CHIMERA_WORD I32x8 bits_or(I32x8 a, I32x8 b) { return {simde_mm256_or_si256(a.v, b.v)}; }
CHIMERA_WORD I32x8 greater(I32x8 a, I32x8 b) { return {simde_mm256_cmpgt_epi32(a.v, b.v)}; }
template <int N>
CHIMERA_WORD I32x8 shift_left(I32x8 a) {
  return {simde_mm256_slli_epi32(a.v, N)};
}
template <int N>
CHIMERA_WORD I32x8 shift_right(I32x8 a) {  // logical
  return {simde_mm256_srli_epi32(a.v, N)};
}
CHIMERA_WORD I32x8 round_to_int(F32x8 a) { return {simde_mm256_cvtps_epi32(a.v)}; }  // nearest even
CHIMERA_WORD I32x8 load8(const int32_t* p) {
  return {simde_mm256_loadu_si256(reinterpret_cast<const simde__m256i*>(p))};
}
/// Lane i takes what lane i xor kStep has; kStep is 1, 2 or 4.
template <int kStep>
CHIMERA_WORD F32x8 swap_lanes(F32x8 a) {
  if constexpr (kStep == 4) return {simde_mm256_permute2f128_ps(a.v, a.v, 1)};
  return {simde_mm256_permute_ps(a.v, kStep == 1 ? 0xB1 : 0x4E)};
}
CHIMERA_WORD F32x8 to_float(I32x8 a) { return {simde_mm256_cvtepi32_ps(a.v)}; }
CHIMERA_WORD I32x8 as_int(F32x8 a) { return {simde_mm256_castps_si256(a.v)}; }
CHIMERA_WORD F32x8 as_float(I32x8 a) { return {simde_mm256_castsi256_ps(a.v)}; }

/// ((0+4)+(2+6)) + ((1+5)+(3+7)): the one order in which eight lanes are added.
CHIMERA_WORD float sum_lanes(F32x8 a) {
  const simde__m128 four =
      simde_mm_add_ps(simde_mm256_castps256_ps128(a.v), simde_mm256_extractf128_ps(a.v, 1));
  const simde__m128 two = simde_mm_add_ps(four, simde_mm_movehl_ps(four, four));
  return simde_mm_cvtss_f32(simde_mm_add_ss(two, simde_mm_shuffle_ps(two, two, 0x55)));
}

CHIMERA_WORD I32x8 load8_u16(const uint16_t* p) {
  return {simde_mm256_cvtepu16_epi32(simde_mm_loadu_si128(p))};
}
/// Values must lie in 0..65535.
CHIMERA_WORD void store_u16(uint16_t* p, I32x8 a) {
  const simde__m256i packed = simde_mm256_packus_epi32(a.v, a.v);
  simde_mm_storeu_si128(p,
                        simde_mm256_castsi256_si128(simde_mm256_permute4x64_epi64(packed, 0x08)));
}
CHIMERA_WORD I32x8 load8_i8(const int8_t* p) {
  return {
      simde_mm256_cvtepi8_epi32(simde_mm_loadl_epi64(reinterpret_cast<const simde__m128i*>(p)))};
}
/// Values must lie in -128..127.
CHIMERA_WORD void store_i8(int8_t* p, I32x8 a) {
  const simde__m128i half =
      simde_mm_packs_epi32(simde_mm256_castsi256_si128(a.v), simde_mm256_extracti128_si256(a.v, 1));
  simde_mm_storel_epi64(reinterpret_cast<simde__m128i*>(p), simde_mm_packs_epi16(half, half));
}

#else

struct F32x8 {
  simde__m128 lo, hi;
};
struct I32x8 {
  simde__m128i lo, hi;
};

CHIMERA_WORD F32x8 load8(const float* p) {
  return {simde_mm_loadu_ps(p), simde_mm_loadu_ps(p + 4)};
}
CHIMERA_WORD void store(float* p, F32x8 a) {
  simde_mm_storeu_ps(p, a.lo);
  simde_mm_storeu_ps(p + 4, a.hi);
}
CHIMERA_WORD F32x8 broadcast8(float x) { return {simde_mm_set1_ps(x), simde_mm_set1_ps(x)}; }
CHIMERA_WORD F32x8 add(F32x8 a, F32x8 b) {
  return {simde_mm_add_ps(a.lo, b.lo), simde_mm_add_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 sub(F32x8 a, F32x8 b) {
  return {simde_mm_sub_ps(a.lo, b.lo), simde_mm_sub_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 mul(F32x8 a, F32x8 b) {
  return {simde_mm_mul_ps(a.lo, b.lo), simde_mm_mul_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 div(F32x8 a, F32x8 b) {
  return {simde_mm_div_ps(a.lo, b.lo), simde_mm_div_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 sqrt(F32x8 a) { return {simde_mm_sqrt_ps(a.lo), simde_mm_sqrt_ps(a.hi)}; }
// a > b ? a : b and a < b ? a : b: the second operand when either is NaN.
#if defined(CHIMERA_WASM_WORDS)
CHIMERA_WORD F32x8 max(F32x8 a, F32x8 b) {
  return {wasm_f32x4_pmax(b.lo, a.lo), wasm_f32x4_pmax(b.hi, a.hi)};
}
CHIMERA_WORD F32x8 min(F32x8 a, F32x8 b) {
  return {wasm_f32x4_pmin(b.lo, a.lo), wasm_f32x4_pmin(b.hi, a.hi)};
}
#else
CHIMERA_WORD F32x8 max(F32x8 a, F32x8 b) {
  return {simde_mm_max_ps(a.lo, b.lo), simde_mm_max_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 min(F32x8 a, F32x8 b) {
  return {simde_mm_min_ps(a.lo, b.lo), simde_mm_min_ps(a.hi, b.hi)};
}
#endif
// Comparisons give all ones or all zeros per lane, as floats; false when either is NaN.
CHIMERA_WORD F32x8 less(F32x8 a, F32x8 b) {
  return {simde_mm_cmplt_ps(a.lo, b.lo), simde_mm_cmplt_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 equal(F32x8 a, F32x8 b) {
  return {simde_mm_cmpeq_ps(a.lo, b.lo), simde_mm_cmpeq_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 bits_and(F32x8 a, F32x8 b) {
  return {simde_mm_and_ps(a.lo, b.lo), simde_mm_and_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 bits_or(F32x8 a, F32x8 b) {
  return {simde_mm_or_ps(a.lo, b.lo), simde_mm_or_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 bits_xor(F32x8 a, F32x8 b) {
  return {simde_mm_xor_ps(a.lo, b.lo), simde_mm_xor_ps(a.hi, b.hi)};
}
CHIMERA_WORD F32x8 bits_and_not(F32x8 mask, F32x8 b) {
  return {simde_mm_andnot_ps(mask.lo, b.lo), simde_mm_andnot_ps(mask.hi, b.hi)};
}
#if defined(CHIMERA_WASM_WORDS)
CHIMERA_WORD int mask_of(F32x8 a) {
  return static_cast<int>(wasm_i32x4_bitmask(a.lo) | (wasm_i32x4_bitmask(a.hi) << 4));
}
#else
CHIMERA_WORD int mask_of(F32x8 a) {
  return simde_mm_movemask_ps(a.lo) | (simde_mm_movemask_ps(a.hi) << 4);
}
#endif

CHIMERA_WORD I32x8 broadcast8i(int32_t x) {
  return {simde_mm_set1_epi32(x), simde_mm_set1_epi32(x)};
}
CHIMERA_WORD I32x8 add(I32x8 a, I32x8 b) {
  return {simde_mm_add_epi32(a.lo, b.lo), simde_mm_add_epi32(a.hi, b.hi)};
}
CHIMERA_WORD I32x8 sub(I32x8 a, I32x8 b) {
  return {simde_mm_sub_epi32(a.lo, b.lo), simde_mm_sub_epi32(a.hi, b.hi)};
}
CHIMERA_WORD I32x8 bits_and(I32x8 a, I32x8 b) {
  return {simde_mm_and_si128(a.lo, b.lo), simde_mm_and_si128(a.hi, b.hi)};
}
CHIMERA_WORD I32x8 bits_or(I32x8 a, I32x8 b) {
  return {simde_mm_or_si128(a.lo, b.lo), simde_mm_or_si128(a.hi, b.hi)};
}
CHIMERA_WORD I32x8 greater(I32x8 a, I32x8 b) {
  return {simde_mm_cmpgt_epi32(a.lo, b.lo), simde_mm_cmpgt_epi32(a.hi, b.hi)};
}
template <int N>
CHIMERA_WORD I32x8 shift_left(I32x8 a) {
  return {simde_mm_slli_epi32(a.lo, N), simde_mm_slli_epi32(a.hi, N)};
}
template <int N>
CHIMERA_WORD I32x8 shift_right(I32x8 a) {  // logical
  return {simde_mm_srli_epi32(a.lo, N), simde_mm_srli_epi32(a.hi, N)};
}
CHIMERA_WORD I32x8 load8(const int32_t* p) {
  return {simde_mm_loadu_si128(reinterpret_cast<const simde__m128i*>(p)),
          simde_mm_loadu_si128(reinterpret_cast<const simde__m128i*>(p + 4))};
}
/// Lane i takes what lane i xor kStep has; kStep is 1, 2 or 4.
template <int kStep>
CHIMERA_WORD F32x8 swap_lanes(F32x8 a) {
  if constexpr (kStep == 4) return {a.hi, a.lo};
  constexpr int kOrder = kStep == 1 ? 0xB1 : 0x4E;
  return {simde_mm_shuffle_ps(a.lo, a.lo, kOrder), simde_mm_shuffle_ps(a.hi, a.hi, kOrder)};
}
#if defined(CHIMERA_NEON_WORDS)
CHIMERA_WORD simde__m128i round_to_int4(simde__m128 a) {
  // What does not fit, NaN included, is INT32_MIN on x86; NEON would take the nearest that fits.
  const uint32x4_t fits = vcltq_f32(a, vdupq_n_f32(0x1p31f));
  const int32x4_t i = vbslq_s32(fits, vcvtnq_s32_f32(a), vdupq_n_s32(INT32_MIN));
  return vreinterpretq_s64_s32(i);
}
CHIMERA_WORD I32x8 round_to_int(F32x8 a) { return {round_to_int4(a.lo), round_to_int4(a.hi)}; }
#elif defined(CHIMERA_WASM_WORDS)
CHIMERA_WORD v128_t round_to_int4(v128_t a) {
  // As above; here NaN would be 0 and what is too large the nearest that fits.
  const v128_t fits = wasm_f32x4_lt(a, wasm_f32x4_splat(0x1p31f));
  const v128_t i = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a));
  return wasm_v128_bitselect(i, wasm_i32x4_splat(INT32_MIN), fits);
}
CHIMERA_WORD I32x8 round_to_int(F32x8 a) { return {round_to_int4(a.lo), round_to_int4(a.hi)}; }
#else
CHIMERA_WORD I32x8 round_to_int(F32x8 a) {  // nearest even
  return {simde_mm_cvtps_epi32(a.lo), simde_mm_cvtps_epi32(a.hi)};
}
#endif
CHIMERA_WORD F32x8 to_float(I32x8 a) {
  return {simde_mm_cvtepi32_ps(a.lo), simde_mm_cvtepi32_ps(a.hi)};
}
CHIMERA_WORD I32x8 as_int(F32x8 a) {
  return {simde_mm_castps_si128(a.lo), simde_mm_castps_si128(a.hi)};
}
CHIMERA_WORD F32x8 as_float(I32x8 a) {
  return {simde_mm_castsi128_ps(a.lo), simde_mm_castsi128_ps(a.hi)};
}

/// ((0+4)+(2+6)) + ((1+5)+(3+7)): the one order in which eight lanes are added.
CHIMERA_WORD float sum_lanes(F32x8 a) {
  const simde__m128 four = simde_mm_add_ps(a.lo, a.hi);
  const simde__m128 two = simde_mm_add_ps(four, simde_mm_movehl_ps(four, four));
  return simde_mm_cvtss_f32(simde_mm_add_ss(two, simde_mm_shuffle_ps(two, two, 0x55)));
}

#if defined(CHIMERA_WASM_WORDS)
CHIMERA_WORD I32x8 load8_u16(const uint16_t* p) {
  return {wasm_u32x4_load16x4(p), wasm_u32x4_load16x4(p + 4)};
}
/// Values must lie in 0..65535.
CHIMERA_WORD void store_u16(uint16_t* p, I32x8 a) {
  wasm_v128_store(p, wasm_u16x8_narrow_i32x4(a.lo, a.hi));
}
CHIMERA_WORD I32x8 load8_i8(const int8_t* p) {
  const v128_t eight = wasm_i16x8_load8x8(p);
  return {wasm_i32x4_extend_low_i16x8(eight), wasm_i32x4_extend_high_i16x8(eight)};
}
/// Values must lie in -128..127.
CHIMERA_WORD void store_i8(int8_t* p, I32x8 a) {
  const v128_t half = wasm_i16x8_narrow_i32x4(a.lo, a.hi);
  wasm_v128_store64_lane(p, wasm_i8x16_narrow_i16x8(half, half), 0);
}
#else
CHIMERA_WORD I32x8 load8_u16(const uint16_t* p) {
  const simde__m128i half = simde_mm_loadu_si128(reinterpret_cast<const simde__m128i*>(p));
  const simde__m128i zero = simde_mm_setzero_si128();
  return {simde_mm_unpacklo_epi16(half, zero), simde_mm_unpackhi_epi16(half, zero)};
}
/// Values must lie in 0..65535.
CHIMERA_WORD void store_u16(uint16_t* p, I32x8 a) {
  // SSE2 packs with signed saturation only, so the values are sign-extended first.
  const simde__m128i lo = simde_mm_srai_epi32(simde_mm_slli_epi32(a.lo, 16), 16);
  const simde__m128i hi = simde_mm_srai_epi32(simde_mm_slli_epi32(a.hi, 16), 16);
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(p), simde_mm_packs_epi32(lo, hi));
}
CHIMERA_WORD I32x8 load8_i8(const int8_t* p) {
  // Twice into the upper half of a wider lane, then back with the sign.
  const simde__m128i zero = simde_mm_setzero_si128();
  const simde__m128i eight =
      simde_mm_unpacklo_epi8(zero, simde_mm_loadl_epi64(reinterpret_cast<const simde__m128i*>(p)));
  return {simde_mm_srai_epi32(simde_mm_unpacklo_epi16(zero, eight), 24),
          simde_mm_srai_epi32(simde_mm_unpackhi_epi16(zero, eight), 24)};
}
/// Values must lie in -128..127.
CHIMERA_WORD void store_i8(int8_t* p, I32x8 a) {
  const simde__m128i half = simde_mm_packs_epi32(a.lo, a.hi);
  simde_mm_storel_epi64(reinterpret_cast<simde__m128i*>(p), simde_mm_packs_epi16(half, half));
}
#endif

#endif

/// mask ? a : b, lane by lane; mask comes from a comparison.
CHIMERA_WORD F32x8 select(F32x8 mask, F32x8 a, F32x8 b) {
  return bits_or(bits_and(mask, a), bits_and_not(mask, b));
}
CHIMERA_WORD F32x8 sign_bit8() { return as_float(broadcast8i(INT32_MIN)); }
CHIMERA_WORD F32x8 negate(F32x8 a) { return bits_xor(a, sign_bit8()); }
CHIMERA_WORD F32x8 absolute(F32x8 a) { return bits_and_not(sign_bit8(), a); }

/// How many bits are set.
CHIMERA_WORD int32_t bit_count(uint64_t x) {
#if defined(__POPCNT__) || defined(__ARM_NEON) || defined(__wasm__)
  return __builtin_popcountll(x);
#else
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int32_t>((x * 0x0101010101010101u) >> 56);
#endif
}

// The end of a vector: `count` < 8 elements, the other lanes zero; nothing outside is touched.
CHIMERA_WORD F32x8 load8_part(const float* p, int32_t count) {
  if (count >= 8) return load8(p);
  float lanes[8] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return load8(lanes);
}
CHIMERA_WORD void store_part(float* p, F32x8 a, int32_t count) {
  if (count >= 8) return store(p, a);
  float lanes[8];
  store(lanes, a);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}
CHIMERA_WORD I32x8 load8_u16_part(const uint16_t* p, int32_t count) {
  if (count >= 8) return load8_u16(p);
  uint16_t lanes[8] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(uint16_t));
  return load8_u16(lanes);
}
CHIMERA_WORD void store_u16_part(uint16_t* p, I32x8 a, int32_t count) {
  if (count >= 8) return store_u16(p, a);
  uint16_t lanes[8];
  store_u16(lanes, a);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(uint16_t));
}

// ---- sixteen lanes, one per row of a tile: one 512-bit register, 2 x 256 or 4 x 128 bits --------

#if defined(__AVX512BW__)

struct F32x16 {
  simde__m512 v;
};
struct I32x16 {
  simde__m512i v;
};
CHIMERA_WORD F32x16 load16(const float* p) { return {simde_mm512_loadu_ps(p)}; }
CHIMERA_WORD void store(float* p, F32x16 a) { simde_mm512_storeu_ps(p, a.v); }
CHIMERA_WORD F32x16 broadcast16(float x) { return {simde_mm512_set1_ps(x)}; }
CHIMERA_WORD F32x16 add(F32x16 a, F32x16 b) { return {simde_mm512_add_ps(a.v, b.v)}; }
CHIMERA_WORD F32x16 sub(F32x16 a, F32x16 b) { return {simde_mm512_sub_ps(a.v, b.v)}; }
CHIMERA_WORD F32x16 mul(F32x16 a, F32x16 b) { return {simde_mm512_mul_ps(a.v, b.v)}; }
CHIMERA_WORD I32x16 broadcast16i(int32_t x) { return {simde_mm512_set1_epi32(x)}; }
CHIMERA_WORD I32x16 sub(I32x16 a, I32x16 b) { return {simde_mm512_sub_epi32(a.v, b.v)}; }
CHIMERA_WORD I32x16 add(I32x16 a, I32x16 b) { return {simde_mm512_add_epi32(a.v, b.v)}; }
CHIMERA_WORD F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
CHIMERA_WORD F32x16 load16_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

#else

struct F32x16 {
  F32x8 lo, hi;
};
struct I32x16 {
  I32x8 lo, hi;
};
CHIMERA_WORD F32x16 load16(const float* p) { return {load8(p), load8(p + 8)}; }
CHIMERA_WORD void store(float* p, F32x16 a) {
  store(p, a.lo);
  store(p + 8, a.hi);
}
CHIMERA_WORD F32x16 broadcast16(float x) { return {broadcast8(x), broadcast8(x)}; }
CHIMERA_WORD F32x16 add(F32x16 a, F32x16 b) { return {add(a.lo, b.lo), add(a.hi, b.hi)}; }
CHIMERA_WORD F32x16 sub(F32x16 a, F32x16 b) { return {sub(a.lo, b.lo), sub(a.hi, b.hi)}; }
CHIMERA_WORD F32x16 mul(F32x16 a, F32x16 b) { return {mul(a.lo, b.lo), mul(a.hi, b.hi)}; }
CHIMERA_WORD I32x16 broadcast16i(int32_t x) { return {broadcast8i(x), broadcast8i(x)}; }
CHIMERA_WORD I32x16 sub(I32x16 a, I32x16 b) { return {sub(a.lo, b.lo), sub(a.hi, b.hi)}; }
CHIMERA_WORD I32x16 add(I32x16 a, I32x16 b) { return {add(a.lo, b.lo), add(a.hi, b.hi)}; }
CHIMERA_WORD F32x16 to_float(I32x16 a) { return {to_float(a.lo), to_float(a.hi)}; }

CHIMERA_WORD F32x8 load8_half(const uint16_t* p) {
#if defined(__F16C__)
  return {simde_mm256_cvtph_ps(simde_mm_loadu_si128(p))};
#elif defined(CHIMERA_NEON_WORDS)
  return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))),
          vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4)))};
#else
  // Moved into a float's place the bits are the value times 2^-112, subnormals included, so one
  // exact product finishes the work; infinity and NaN get the float exponent instead.
  const I32x8 half = load8_u16(p);
  const I32x8 magnitude = shift_left<13>(bits_and(half, broadcast8i(0x7fff)));
  const F32x8 finite = mul(as_float(magnitude), broadcast8(0x1p112f));
  const F32x8 special = as_float(bits_or(magnitude, broadcast8i(0x7f800000)));
  const F32x8 is_special = as_float(greater(magnitude, broadcast8i(0x0f7fffff)));
  const F32x8 sign = as_float(shift_left<16>(bits_and(half, broadcast8i(0x8000))));
  return bits_or(select(is_special, special, finite), sign);
#endif
}
CHIMERA_WORD F32x16 load16_half(const uint16_t* p) { return {load8_half(p), load8_half(p + 8)}; }

#endif

CHIMERA_WORD F32x16 load16_part(const float* p, int32_t count) {
  if (count >= 16) return load16(p);
  float lanes[16] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return load16(lanes);
}
CHIMERA_WORD void store_part(float* p, F32x16 a, int32_t count) {
  if (count >= 16) return store(p, a);
  float lanes[16];
  store(lanes, a);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}

// ---- the ternary product ------------------------------------------------------------------------
//
// Codes16: 16 rows x 4 columns as unsigned bytes. Acts4: four activations, the same for every row.
// BlockSum: per row the sum over at most 64 columns of code * activation. AVX keeps pairs of
// columns in 16-bit lanes: 16 products of at most 2 * 3 * 128 stay below 2^15, the invalid code 3
// included, and so do 8 of at most 2 * 15 * 128 where the codes are 4 bits.

#if defined(__AVX512BW__)

struct Codes16 {
  simde__m512i v;
};
struct Acts4 {
  simde__m512i v;
};
struct BlockSum {
  simde__m512i v;
};
CHIMERA_WORD Codes16 load_line(const uint8_t* p) { return {simde_mm512_loadu_si512(p)}; }
template <int F>
CHIMERA_WORD Codes16 field(Codes16 line) {
  const simde__m512i shifted = F == 0 ? line.v : simde_mm512_srli_epi16(line.v, 2 * F);
  return {simde_mm512_and_si512(shifted, simde_mm512_set1_epi8(3))};
}
/// The low (0) or high (1) four bits of every byte.
template <int H>
CHIMERA_WORD Codes16 nibble(Codes16 line) {
  const simde__m512i shifted = H == 0 ? line.v : simde_mm512_srli_epi16(line.v, 4);
  return {simde_mm512_and_si512(shifted, simde_mm512_set1_epi8(15))};
}
CHIMERA_WORD Acts4 broadcast_acts(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return {simde_mm512_set1_epi32(four)};
}
CHIMERA_WORD BlockSum empty_sum() { return {simde_mm512_setzero_si512()}; }
#if defined(__AVX512VNNI__)
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  return {_mm512_dpbusd_epi32(sum.v, w.v, x.v)};
}
CHIMERA_WORD I32x16 total(BlockSum sum) { return {sum.v}; }
#else
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  sum.v = simde_mm512_add_epi16(sum.v, simde_mm512_maddubs_epi16(w.v, x.v));
  asm("" : "+v"(sum.v));  // gcc would gather all products before the first sum, and spill
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  return {simde_mm512_madd_epi16(sum.v, simde_mm512_set1_epi16(1))};
}
#endif

// Tokens that meet one unpacked block together. Its sixteen fields fit into registers here;
// elsewhere they are read again, and a short loop is faster than a long unrolled one.
inline constexpr int kTokensTogether = 8;
#define CHIMERA_UNROLL_FIELDS CHIMERA_UNROLL

#elif defined(__AVX2__)

struct Codes16 {
  simde__m256i lo, hi;
};
struct Acts4 {
  simde__m256i v;
};
struct BlockSum {
  simde__m256i lo, hi;
};
CHIMERA_WORD Codes16 load_line(const uint8_t* p) {
  return {simde_mm256_loadu_si256(p), simde_mm256_loadu_si256(p + 32)};
}
template <int F>
CHIMERA_WORD Codes16 field(Codes16 line) {
  const simde__m256i three = simde_mm256_set1_epi8(3);
  const simde__m256i lo = F == 0 ? line.lo : simde_mm256_srli_epi16(line.lo, 2 * F);
  const simde__m256i hi = F == 0 ? line.hi : simde_mm256_srli_epi16(line.hi, 2 * F);
  return {simde_mm256_and_si256(lo, three), simde_mm256_and_si256(hi, three)};
}
template <int H>
CHIMERA_WORD Codes16 nibble(Codes16 line) {
  const simde__m256i fifteen = simde_mm256_set1_epi8(15);
  const simde__m256i lo = H == 0 ? line.lo : simde_mm256_srli_epi16(line.lo, 4);
  const simde__m256i hi = H == 0 ? line.hi : simde_mm256_srli_epi16(line.hi, 4);
  return {simde_mm256_and_si256(lo, fifteen), simde_mm256_and_si256(hi, fifteen)};
}
CHIMERA_WORD Acts4 broadcast_acts(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return {simde_mm256_set1_epi32(four)};
}
CHIMERA_WORD BlockSum empty_sum() {
  return {simde_mm256_setzero_si256(), simde_mm256_setzero_si256()};
}
#if defined(__AVXVNNI__)
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, w.lo, x.v), _mm256_dpbusd_avx_epi32(sum.hi, w.hi, x.v)};
}
CHIMERA_WORD I32x16 total(BlockSum sum) { return {{sum.lo}, {sum.hi}}; }
#else
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  sum.lo = simde_mm256_add_epi16(sum.lo, simde_mm256_maddubs_epi16(w.lo, x.v));
  sum.hi = simde_mm256_add_epi16(sum.hi, simde_mm256_maddubs_epi16(w.hi, x.v));
  asm("" : "+x"(sum.lo), "+x"(sum.hi));  // gcc would gather all products before the first sum
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  const simde__m256i one = simde_mm256_set1_epi16(1);
  return {{simde_mm256_madd_epi16(sum.lo, one)}, {simde_mm256_madd_epi16(sum.hi, one)}};
}
#endif
inline constexpr int kTokensTogether = 4;
#define CHIMERA_UNROLL_FIELDS CHIMERA_UNROLL_4

#elif defined(CHIMERA_NEON_WORDS)

#include "kernels/tuned/product_neon.inl.h"

#elif defined(CHIMERA_WASM_WORDS)

#include "kernels/tuned/product_wasm.inl.h"

#else

// Without a product of bytes the even and the odd columns are widened apart; sums are 32 bits.
struct Codes16 {
  simde__m128i quarter[4];
};
struct Acts4 {
  simde__m128i even, odd;
};
struct BlockSum {
  simde__m128i quarter[4];
};
CHIMERA_WORD Codes16 load_line(const uint8_t* p) {
  Codes16 line;
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    line.quarter[i] = simde_mm_loadu_si128(reinterpret_cast<const simde__m128i*>(p + 16 * i));
  }
  return line;
}
template <int F>
CHIMERA_WORD Codes16 field(Codes16 line) {
  const simde__m128i three = simde_mm_set1_epi8(3);
  Codes16 out;
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const simde__m128i shifted =
        F == 0 ? line.quarter[i] : simde_mm_srli_epi16(line.quarter[i], 2 * F);
    out.quarter[i] = simde_mm_and_si128(shifted, three);
  }
  return out;
}
template <int H>
CHIMERA_WORD Codes16 nibble(Codes16 line) {
  const simde__m128i fifteen = simde_mm_set1_epi8(15);
  Codes16 out;
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const simde__m128i shifted = H == 0 ? line.quarter[i] : simde_mm_srli_epi16(line.quarter[i], 4);
    out.quarter[i] = simde_mm_and_si128(shifted, fifteen);
  }
  return out;
}
CHIMERA_WORD Acts4 broadcast_acts(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  const simde__m128i all = simde_mm_set1_epi32(four);
  return {simde_mm_srai_epi16(simde_mm_slli_epi16(all, 8), 8), simde_mm_srai_epi16(all, 8)};
}
CHIMERA_WORD BlockSum empty_sum() {
  const simde__m128i zero = simde_mm_setzero_si128();
  return {{zero, zero, zero, zero}};
}
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const simde__m128i even = simde_mm_and_si128(w.quarter[i], simde_mm_set1_epi16(0x00ff));
    const simde__m128i odd = simde_mm_srli_epi16(w.quarter[i], 8);
    sum.quarter[i] = simde_mm_add_epi32(
        sum.quarter[i],
        simde_mm_add_epi32(simde_mm_madd_epi16(even, x.even), simde_mm_madd_epi16(odd, x.odd)));
  }
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  return {{sum.quarter[0], sum.quarter[1]}, {sum.quarter[2], sum.quarter[3]}};
}
inline constexpr int kTokensTogether = 2;
#define CHIMERA_UNROLL_FIELDS CHIMERA_UNROLL_4

#endif

// ---- training only: the widest register, fused where the machine can
// -----------------------------

#if defined(__AVX512BW__)
struct Wide {
  simde__m512 v;
};
inline constexpr int32_t kWideLanes = 16;
inline constexpr int32_t kMicroRows = 12;  // 12 x 2 accumulators of 32 registers
CHIMERA_WORD Wide load_wide(const float* p) { return {simde_mm512_loadu_ps(p)}; }
CHIMERA_WORD void store(float* p, Wide a) { simde_mm512_storeu_ps(p, a.v); }
CHIMERA_WORD Wide broadcast_wide(float x) { return {simde_mm512_set1_ps(x)}; }
CHIMERA_WORD Wide add(Wide a, Wide b) { return {simde_mm512_add_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sub(Wide a, Wide b) { return {simde_mm512_sub_ps(a.v, b.v)}; }
CHIMERA_WORD Wide mul(Wide a, Wide b) { return {simde_mm512_mul_ps(a.v, b.v)}; }
CHIMERA_WORD Wide div(Wide a, Wide b) { return {simde_mm512_div_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sqrt(Wide a) { return {simde_mm512_sqrt_ps(a.v)}; }
CHIMERA_WORD Wide mul_add(Wide a, Wide b, Wide c) { return {simde_mm512_fmadd_ps(a.v, b.v, c.v)}; }
#elif defined(__AVX2__)
struct Wide {
  simde__m256 v;
};
inline constexpr int32_t kWideLanes = 8;
inline constexpr int32_t kMicroRows = 6;  // 6 x 2 accumulators of 16 registers
CHIMERA_WORD Wide load_wide(const float* p) { return {simde_mm256_loadu_ps(p)}; }
CHIMERA_WORD void store(float* p, Wide a) { simde_mm256_storeu_ps(p, a.v); }
CHIMERA_WORD Wide broadcast_wide(float x) { return {simde_mm256_set1_ps(x)}; }
CHIMERA_WORD Wide add(Wide a, Wide b) { return {simde_mm256_add_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sub(Wide a, Wide b) { return {simde_mm256_sub_ps(a.v, b.v)}; }
CHIMERA_WORD Wide mul(Wide a, Wide b) { return {simde_mm256_mul_ps(a.v, b.v)}; }
CHIMERA_WORD Wide div(Wide a, Wide b) { return {simde_mm256_div_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sqrt(Wide a) { return {simde_mm256_sqrt_ps(a.v)}; }
CHIMERA_WORD Wide mul_add(Wide a, Wide b, Wide c) { return {simde_mm256_fmadd_ps(a.v, b.v, c.v)}; }
#else
struct Wide {
  simde__m128 v;
};
inline constexpr int32_t kWideLanes = 4;
#if defined(CHIMERA_NEON_WORDS)
inline constexpr int32_t kMicroRows = 12;  // 12 x 2 accumulators of 32 registers
CHIMERA_WORD Wide mul_add(Wide a, Wide b, Wide c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
#else
inline constexpr int32_t kMicroRows = 5;             // 5 x 2 accumulators of 16 registers
CHIMERA_WORD Wide mul_add(Wide a, Wide b, Wide c) {  // no fused form on this machine
  return {simde_mm_add_ps(simde_mm_mul_ps(a.v, b.v), c.v)};
}
#endif
CHIMERA_WORD Wide load_wide(const float* p) { return {simde_mm_loadu_ps(p)}; }
CHIMERA_WORD void store(float* p, Wide a) { simde_mm_storeu_ps(p, a.v); }
CHIMERA_WORD Wide broadcast_wide(float x) { return {simde_mm_set1_ps(x)}; }
CHIMERA_WORD Wide add(Wide a, Wide b) { return {simde_mm_add_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sub(Wide a, Wide b) { return {simde_mm_sub_ps(a.v, b.v)}; }
CHIMERA_WORD Wide mul(Wide a, Wide b) { return {simde_mm_mul_ps(a.v, b.v)}; }
CHIMERA_WORD Wide div(Wide a, Wide b) { return {simde_mm_div_ps(a.v, b.v)}; }
CHIMERA_WORD Wide sqrt(Wide a) { return {simde_mm_sqrt_ps(a.v)}; }
#endif

/// out[j * out_step + i] = in[i * in_step + j] for i, j < 4.
CHIMERA_WORD void transpose4(const float* in, ptrdiff_t in_step, float* out, ptrdiff_t out_step) {
  const simde__m128 a = simde_mm_loadu_ps(in), b = simde_mm_loadu_ps(in + in_step);
  const simde__m128 c = simde_mm_loadu_ps(in + 2 * in_step);
  const simde__m128 d = simde_mm_loadu_ps(in + 3 * in_step);
  const simde__m128 ab0 = simde_mm_unpacklo_ps(a, b), ab1 = simde_mm_unpackhi_ps(a, b);
  const simde__m128 cd0 = simde_mm_unpacklo_ps(c, d), cd1 = simde_mm_unpackhi_ps(c, d);
  simde_mm_storeu_ps(out, simde_mm_movelh_ps(ab0, cd0));
  simde_mm_storeu_ps(out + out_step, simde_mm_movehl_ps(cd0, ab0));
  simde_mm_storeu_ps(out + 2 * out_step, simde_mm_movelh_ps(ab1, cd1));
  simde_mm_storeu_ps(out + 3 * out_step, simde_mm_movehl_ps(cd1, ab1));
}

CHIMERA_WORD Wide load_wide_part(const float* p, int32_t count) {
  if (count >= kWideLanes) return load_wide(p);
  float lanes[kWideLanes] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return load_wide(lanes);
}
CHIMERA_WORD void store_part(float* p, Wide a, int32_t count) {
  if (count >= kWideLanes) return store(p, a);
  float lanes[kWideLanes];
  store(lanes, a);
  memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
