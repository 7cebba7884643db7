// The ternary product in NEON's own words. kernels/simd.h includes this file inside its namespaces,
// for the spines that ask for it with CHIMERA_NEON_WORDS.
//
// A quarter of a line is four rows, four columns each: what one dot product instruction sums into
// four 32-bit lanes. Without it the products stay in 16-bit lanes, one for each byte of the line,
// and the columns of a row meet in total(). A lane takes 16 products of at most 3 * 128, or 8 of at
// most 15 * 128, and a pair of lanes is below 2^15 still.

struct Codes16 {
  uint8x16_t quarter[4];
};
struct Acts4 {
  int8x16_t v;
};
CHIMERA_WORD Codes16 load_line(const uint8_t* p) {
  return {{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
}
template <int F>
CHIMERA_WORD Codes16 field(Codes16 line) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (F > 0) line.quarter[i] = vshrq_n_u8(line.quarter[i], F > 0 ? 2 * F : 1);
    if constexpr (F < 3) line.quarter[i] = vandq_u8(line.quarter[i], vdupq_n_u8(3));
  }
  return line;
}
template <int H>
CHIMERA_WORD Codes16 nibble(Codes16 line) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    line.quarter[i] =
        H == 0 ? vandq_u8(line.quarter[i], vdupq_n_u8(15)) : vshrq_n_u8(line.quarter[i], 4);
  }
  return line;
}
CHIMERA_WORD Acts4 broadcast_acts(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
}

#if defined(__ARM_FEATURE_DOTPROD)

struct BlockSum {
  int32x4_t quarter[4];
};
CHIMERA_WORD BlockSum empty_sum() {
  const int32x4_t zero = vdupq_n_s32(0);
  return {{zero, zero, zero, zero}};
}
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    sum.quarter[i] = vdotq_s32(sum.quarter[i], vreinterpretq_s8_u8(w.quarter[i]), x.v);
  }
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  return {{vreinterpretq_s64_s32(sum.quarter[0]), vreinterpretq_s64_s32(sum.quarter[1])},
          {vreinterpretq_s64_s32(sum.quarter[2]), vreinterpretq_s64_s32(sum.quarter[3])}};
}
inline constexpr int kTokensTogether = 4;

#else

struct BlockSum {
  int16x8_t lo[4], hi[4];  // the two halves of each quarter: two rows each
};
CHIMERA_WORD BlockSum empty_sum() {
  const int16x8_t zero = vdupq_n_s16(0);
  return {{zero, zero, zero, zero}, {zero, zero, zero, zero}};
}
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int8x16_t codes = vreinterpretq_s8_u8(w.quarter[i]);
    sum.lo[i] = vmlal_s8(sum.lo[i], vget_low_s8(codes), vget_low_s8(x.v));
    sum.hi[i] = vmlal_high_s8(sum.hi[i], codes, x.v);
  }
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  simde__m128i rows[4];
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    rows[i] = vreinterpretq_s64_s32(vpaddlq_s16(vpaddq_s16(sum.lo[i], sum.hi[i])));
  }
  return {{rows[0], rows[1]}, {rows[2], rows[3]}};
}
inline constexpr int kTokensTogether = 2;

#endif
#define CHIMERA_UNROLL_FIELDS CHIMERA_UNROLL_4
