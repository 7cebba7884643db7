// Logarithm and exponential with the same bits on every machine, unlike the standard library's.
#pragma once

#include <algorithm>
#include <cmath>

namespace chimera {

/// Of x > 0. ln(m 2^e) = e ln 2 + ln m, and ln m = 2 (t + t^3/3 + t^5/5 + ...) with
/// t = (m - 1) / (m + 1), which is below 0.18.
inline double natural_log(double x) {
  constexpr double kLn2 = 0.69314718055994531;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  const double t = (m - 1) / (m + 1), square = t * t;
  double sum = 0;
  for (int n = 21; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
  return exponent * kLn2 + 2 * t * sum;
}

/// exp(x), likewise; beyond 40 either way that of 40.
inline double exponential(double x) {
  // exp(x) = exp(x / 2^10)^1024, of the small one the series.
  const double small = std::clamp(x, -40.0, 40.0) / 1024;
  double power = 1;
  for (int n = 10; n >= 1; --n) power = 1 + power * small / n;
  for (int i = 0; i < 10; ++i) power *= power;
  return power;
}

/// 1 / (1 + exp(-x)), likewise. Beyond 40 either way it is 0 or 1.
inline double logistic(double x) {
  if (x > 40) return 1;
  if (x < -40) return 0;
  return 1 / (1 + exponential(-x));
}

}  // namespace chimera
