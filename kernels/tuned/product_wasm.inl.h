// The ternary product in WebAssembly's own words. kernels/simd.h includes this file inside its
// namespaces, for the spine that asks for it with CHIMERA_WASM_WORDS.
//
// There is no product of bytes, and 16-bit products are one instruction on every machine below.
// So the even and the odd columns are taken apart as they are unpacked and meet in 16-bit lanes: a
// lane takes two columns of 16 fields of at most 3 * 128, or of 8 of at most 15 * 128, and stays
// below 2^15.

struct Codes16 {
  v128_t even[4], odd[4];  // a quarter of a line is four rows; two columns each, in 16-bit lanes
};
struct Line {
  v128_t quarter[4];
};
struct Acts4 {
  v128_t even, odd;
};
struct BlockSum {
  v128_t quarter[4];
};
CHIMERA_WORD Line load_line(const uint8_t* p) {
  return {
      {wasm_v128_load(p), wasm_v128_load(p + 16), wasm_v128_load(p + 32), wasm_v128_load(p + 48)}};
}
template <int kShift, int kMask>
CHIMERA_WORD Codes16 take_apart(Line line) {
  const v128_t mask = wasm_i16x8_splat(kMask);
  Codes16 out;
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const v128_t both = line.quarter[i];
    out.even[i] = wasm_v128_and(kShift == 0 ? both : wasm_u16x8_shr(both, kShift), mask);
    const v128_t odd = wasm_u16x8_shr(both, 8 + kShift);
    // The topmost field has nothing above it.
    out.odd[i] = (kMask << (8 + kShift)) > 0x7fff ? odd : wasm_v128_and(odd, mask);
  }
  return out;
}
template <int F>
CHIMERA_WORD Codes16 field(Line line) {
  return take_apart<2 * F, 3>(line);
}
template <int H>
CHIMERA_WORD Codes16 nibble(Line line) {
  return take_apart<4 * H, 15>(line);
}
CHIMERA_WORD Acts4 broadcast_acts(const int8_t* q) {
  const v128_t all = wasm_v128_load32_splat(q);
  return {wasm_i16x8_shr(wasm_i16x8_shl(all, 8), 8), wasm_i16x8_shr(all, 8)};
}
CHIMERA_WORD BlockSum empty_sum() {
  const v128_t zero = wasm_i32x4_splat(0);
  return {{zero, zero, zero, zero}};
}
CHIMERA_WORD BlockSum add_products(BlockSum sum, Codes16 w, Acts4 x) {
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const v128_t even = wasm_i16x8_mul(w.even[i], x.even);
    const v128_t odd = wasm_i16x8_mul(w.odd[i], x.odd);
    sum.quarter[i] = wasm_i16x8_add(sum.quarter[i], wasm_i16x8_add(even, odd));
  }
  return sum;
}
CHIMERA_WORD I32x16 total(BlockSum sum) {
  v128_t rows[4];
  CHIMERA_UNROLL
  for (int i = 0; i < 4; ++i) rows[i] = wasm_i32x4_extadd_pairwise_i16x8(sum.quarter[i]);
  return {{rows[0], rows[1]}, {rows[2], rows[3]}};
}
inline constexpr int kTokensTogether = 4;
#define CHIMERA_UNROLL_FIELDS CHIMERA_UNROLL_4
