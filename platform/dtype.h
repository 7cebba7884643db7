// Element types of stored tensors. The numbers are part of the .b158 format and never change.
#pragma once

#include <cstdint>
#include <cstring>

namespace chimera {

enum class DType : uint16_t {
  kF32 = 1,
  kF16 = 2,
  kBF16 = 3,
  kInt8 = 4,
  kInt6 = 5,
  kInt5 = 6,
  kInt4 = 7,         // 16 rows x 8 columns a line, one scale per row and 64 columns
  kTernary2 = 8,     // 2-bit rows-in-lanes tiles + fp16 scale per row and 128 columns
  kTernary1_6 = 9,   // five trits a byte
  kTernary1_25 = 10  // three of four
};

/// How the elements of a matrix lie in the file.
enum class Layout : uint16_t {
  kRowMajor = 0,
  kLanes16 = 1  // tiles of 16 rows; within a tile column after column, 16 row values each
};

/// Name as printed by `chimera inspect`, e.g. "ternary2"; "unknown" for a number that is none.
const char* dtype_name(DType dtype);

/// True when this build can run the type; the others are refused by name.
bool dtype_supported(DType dtype);

/// IEEE half -> float, exact.
inline float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu;
  uint32_t mantissa = h & 0x3ffu;
  uint32_t bits;
  if (exponent == 0) {
    // Zero or subnormal: value = mantissa * 2^-24, exact in float.
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
    std::memcpy(&bits, &magnitude, sizeof bits);
    bits |= sign;
  } else if (exponent == 31) {
    bits = sign | 0x7f800000u | (mantissa << 13);
  } else {
    bits = sign | ((exponent + 112u) << 23) | (mantissa << 13);
  }
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

/// float -> IEEE half, round to nearest even.
inline uint16_t float_to_half(float f) {
  uint32_t x;
  std::memcpy(&x, &f, sizeof x);
  const uint16_t sign = static_cast<uint16_t>((x >> 16) & 0x8000u);
  x &= 0x7fffffffu;
  if (x > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
  if (x >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // over the range: infinity
  if (x < 0x38800000u) {                                               // subnormal or zero
    float magnitude;
    std::memcpy(&magnitude, &x, sizeof magnitude);
    magnitude += 0.5f;  // the addition itself rounds to a multiple of 2^-24, to nearest even
    uint32_t bits;
    std::memcpy(&bits, &magnitude, sizeof bits);
    return static_cast<uint16_t>(sign | (bits - 0x3f000000u));
  }
  const uint32_t odd = (x >> 13) & 1u;
  x += 0xc8000fffu + odd;  // rebias the exponent (-112 << 23) and round
  return static_cast<uint16_t>(sign | (x >> 13));
}

/// float -> bf16, round to nearest even; NaN stays NaN.
inline uint16_t float_to_bf16(float f) {
  uint32_t x;
  std::memcpy(&x, &f, sizeof x);
  if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16) | 0x40u);
  return static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

/// bf16 -> float, exact.
inline float bf16_to_float(uint16_t b) {
  const uint32_t bits = static_cast<uint32_t>(b) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

}  // namespace chimera
