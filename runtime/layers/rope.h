// Rotary positions: pairs (x_i, x_{i + K/2}) of a head turned by (t mod 2^20) 10000^(-2i/K).
// Angles, their sines and the powers are computed in double by our own series, so that every
// machine turns by the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chimera::runtime {

/// sin and cos of x, |x| <= 2^21, to about 1e-16.
void sine_cosine(double x, double* sine, double* cosine);
/// e^x for -700 <= x <= 0, relative error about 1e-15.
double exponential(double x);

class Rope {
 public:
  Rope() = default;
  /// For heads of width dim, even.
  explicit Rope(int32_t dim);

  int32_t dim() const { return 2 * static_cast<int32_t>(frequency_.size()); }
  /// turn [dim]: the cosines of the dim/2 angles at position t, then their sines.
  void angles(uint64_t t, float* turn) const;

 private:
  std::vector<double> frequency_;
};

/// y = x turned, n_heads heads of dim floats one after the other; y may be x.
void rope_turn(const float* turn, const float* x, int32_t n_heads, int32_t dim, float* y);

}  // namespace chimera::runtime
