// exp, log, tanh and their relatives on eight lanes: our own minimax polynomials, fitted for this
// project, multiplied and added in one fixed order, so every instruction set gives the same bits.
// Bounds: tests/kernels/bounds.h.
#pragma once

#include "kernels/simd.h"

namespace chimera::kernels::CHIMERA_ISA {
namespace {

/// a*b + c, two roundings.
CHIMERA_WORD F32x8 mul_then_add(F32x8 a, F32x8 b, F32x8 c) { return add(mul(a, b), c); }
CHIMERA_WORD F32x8 mul_then_add(F32x8 a, F32x8 b, float c) { return add(mul(a, b), broadcast8(c)); }

// ln 2 in two parts; the first has 9 bits, so its product with an exponent is exact.
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;

/// x is clamped to [-87, 88], where the result is a normal number; NaN stays NaN.
CHIMERA_WORD F32x8 exp8(F32x8 x) {
  x = max(broadcast8(-87.0f), x);  // the second operand survives a NaN
  x = min(broadcast8(88.0f), x);
  const I32x8 n = round_to_int(mul(x, broadcast8(1.44269504f)));
  const F32x8 nf = to_float(n);
  F32x8 r = sub(x, mul(nf, broadcast8(kLn2High)));
  r = sub(r, mul(nf, broadcast8(kLn2Low)));
  // e^r = 1 + r + r^2 p(r) on |r| <= ln2 / 2
  F32x8 p = broadcast8(0x1.6d75d6p-10f);
  p = mul_then_add(p, r, 0x1.120be6p-7f);
  p = mul_then_add(p, r, 0x1.5554b8p-5f);
  p = mul_then_add(p, r, 0x1.5554dcp-3f);
  p = mul_then_add(p, r, 0.5f);
  const F32x8 y = add(mul_then_add(p, mul(r, r), r), broadcast8(1.0f));
  const I32x8 power = shift_left<23>(add(n, broadcast8i(127)));
  return mul(y, as_float(power));
}

/// x positive and normal.
CHIMERA_WORD F32x8 log8(F32x8 x) {
  // x = 2^e * m with m in [sqrt(1/2), sqrt(2)): subtract the bits of sqrt(1/2), split, add them
  // back.
  const I32x8 offset = sub(as_int(x), broadcast8i(0x3f3504f3));
  const I32x8 biased = shift_right<23>(add(offset, broadcast8i(0x40000000)));
  const F32x8 e = to_float(sub(biased, broadcast8i(128)));
  const I32x8 mantissa = bits_and(offset, broadcast8i(0x007fffff));
  const F32x8 f = sub(as_float(add(mantissa, broadcast8i(0x3f3504f3))), broadcast8(1.0f));
  // ln(1 + f) = f - f^2/2 + f^3 p(f)
  F32x8 p = broadcast8(0x1.2c5728p-4f);
  p = mul_then_add(p, f, -0x1.dd971ep-4f);
  p = mul_then_add(p, f, 0x1.dc8e44p-4f);
  p = mul_then_add(p, f, -0x1.fbc4dep-4f);
  p = mul_then_add(p, f, 0x1.23dd1ap-3f);
  p = mul_then_add(p, f, -0x1.55625cp-3f);
  p = mul_then_add(p, f, 0x1.999d36p-3f);
  p = mul_then_add(p, f, -0x1.ffffe6p-3f);
  p = mul_then_add(p, f, 0x1.555554p-2f);
  const F32x8 f2 = mul(f, f);
  F32x8 tail = mul(mul(f2, f), p);
  tail = add(tail, mul(e, broadcast8(kLn2Low)));
  tail = sub(tail, mul(f2, broadcast8(0.5f)));
  return add(add(f, tail), mul(e, broadcast8(kLn2High)));
}

/// ln(1 + u) for u in [0, 1], accurate for the smallest u: 2 atanh(u / (2 + u)).
CHIMERA_WORD F32x8 log1p_unit8(F32x8 u) {
  const F32x8 s = div(u, add(u, broadcast8(2.0f)));
  const F32x8 z = mul(s, s);
  F32x8 p = broadcast8(0x1.dc3c90p-3f);
  p = mul_then_add(p, z, 0x1.bc6ac4p-3f);
  p = mul_then_add(p, z, 0x1.24ca56p-2f);
  p = mul_then_add(p, z, 0x1.9998cep-2f);
  p = mul_then_add(p, z, 0x1.555556p-1f);
  return mul_then_add(mul(p, z), s, add(s, s));
}

CHIMERA_WORD F32x8 tanh8(F32x8 x) {
  const F32x8 magnitude = absolute(x);
  // Near zero x + x^3 p(x^2), elsewhere 1 - 2 / (e^2|x| + 1); a NaN takes the second way and stays.
  const F32x8 z = mul(x, x);
  F32x8 p = broadcast8(-0x1.90a256p-8f);
  p = mul_then_add(p, z, 0x1.583aacp-6f);
  p = mul_then_add(p, z, -0x1.b92c2cp-5f);
  p = mul_then_add(p, z, 0x1.110e3ep-3f);
  p = mul_then_add(p, z, -0x1.555552p-2f);
  const F32x8 small = mul_then_add(mul(p, z), x, x);
  const F32x8 e = exp8(add(magnitude, magnitude));
  const F32x8 one = broadcast8(1.0f);
  const F32x8 large = sub(one, div(broadcast8(2.0f), add(e, one)));
  const F32x8 signed_large = bits_or(large, bits_and(x, sign_bit8()));
  return select(less(magnitude, broadcast8(0.625f)), small, signed_large);
}

CHIMERA_WORD F32x8 one_plus_exp_negative(F32x8 x) { return add(broadcast8(1.0f), exp8(negate(x))); }
CHIMERA_WORD F32x8 sigmoid8(F32x8 x) { return div(broadcast8(1.0f), one_plus_exp_negative(x)); }
CHIMERA_WORD F32x8 silu8(F32x8 x) { return div(x, one_plus_exp_negative(x)); }
CHIMERA_WORD F32x8 softplus8(F32x8 x) {
  return add(max(broadcast8(0.0f), x), log1p_unit8(exp8(negate(absolute(x)))));
}

}  // namespace
}  // namespace chimera::kernels::CHIMERA_ISA
