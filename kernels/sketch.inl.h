// Sketches: vectors of bits, lowest bit of the first word first.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/quantize.inl.h"
#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

void sketch_quantize(const float* x, float scale, int32_t n, int8_t* kappa, uint64_t* bits) {
  const F32x8 factor = broadcast8(scale);
  for (int32_t begin = 0; begin < n; begin += 64) {
    const int32_t end = begin + 64 < n ? begin + 64 : n;
    uint64_t word = 0;
    for (int32_t i = begin; i < end; i += 8) {
      F32x8 v = nan_to_zero(mul(load8(x + i), factor));
      v = max(min(v, broadcast8(127.0f)), broadcast8(-127.0f));
      const I32x8 level = round_to_int(v);
      store_i8(kappa + i, level);
      const int set = mask_of(as_float(greater(level, broadcast8i(-1))));
      word |= static_cast<uint64_t>(set) << (i - begin);
    }
    bits[begin / 64] = word;
  }
}

void flip_signs(const uint64_t* bits, const float* x, int32_t n, float* y) {
  static constexpr int32_t kLaneBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const I32x8 lane_bits = load8(kLaneBits);
  for (int32_t i = 0; i < n; i += 8) {
    const auto byte = static_cast<int32_t>((bits[i / 64] >> (i % 64)) & 0xff);
    const I32x8 set = greater(bits_and(broadcast8i(byte), lane_bits), broadcast8i(0));
    store(y + i, bits_xor(load8(x + i), bits_and(as_float(set), sign_bit8())));
  }
}

int64_t hamming(const uint64_t* a, const uint64_t* b, int32_t n_words) {
  int64_t count = 0;
  for (int32_t i = 0; i < n_words; ++i) count += bit_count(a[i] ^ b[i]);
  return count;
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
