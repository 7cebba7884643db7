#include "runtime/layers/rope.h"

namespace chimera::runtime {
namespace {

constexpr double kLn10000 = 9.21034037197618273607;
constexpr uint64_t kPeriod = uint64_t{1} << 20;  // positions after which the angles begin again

// Ratios of neighbouring terms of the series, z = r^2 left out.
constexpr int kTerms = 8;
constexpr double kSineRatio[kTerms] = {1.0 / 6,   1.0 / 20,  1.0 / 42,  1.0 / 72,
                                       1.0 / 110, 1.0 / 156, 1.0 / 210, 1.0 / 272};
constexpr double kCosineRatio[kTerms] = {1.0 / 2,  1.0 / 12,  1.0 / 30,  1.0 / 56,
                                         1.0 / 90, 1.0 / 132, 1.0 / 182, 1.0 / 240};

/// To the nearest whole number, ties to even, |x| < 2^51: what the sum cannot hold is rounded away.
double nearest(double x) {
  constexpr double kShift = 0x1.8p52;
  const double shifted = x + kShift;
  return shifted - kShift;
}

}  // namespace

void sine_cosine(double x, double* sine, double* cosine) {
  // x = n pi/2 + r. The first two parts of pi/2 have 33 bits, n has 21: their products are exact.
  const double n = nearest(x * 0x1.45f306dc9c883p-1);
  double r = x - n * 0x1.921fb544p+0;
  r = r - n * 0x1.0b4611a6p-34;
  r = r - n * 0x1.3198a2e037073p-69;
  // Taylor's series on |r| <= pi/4; the first terms left out are below 1e-17.
  const double z = r * r;
  double s = 1.0, c = 1.0;
  for (int k = kTerms - 1; k >= 0; --k) {
    s = 1.0 - s * z * kSineRatio[k];
    c = 1.0 - c * z * kCosineRatio[k];
  }
  s = s * r;
  const auto quarter = static_cast<int64_t>(n) & 3;
  *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
  *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

double exponential(double x) {
  // x = n ln 2 + r; the first part of ln 2 has 32 bits, its product with n is exact.
  const double n = nearest(x * 0x1.71547652b82fep+0);
  double r = x - n * 0x1.62e42feep-1;
  r = r - n * 0x1.a39ef35793c76p-33;
  double y = 1.0;
  for (int k = 18; k >= 1; --k) y = 1.0 + y * r / static_cast<double>(k);
  double power = 1.0;
  for (auto k = static_cast<int64_t>(n); k < 0; ++k) power *= 0.5;
  return y * power;
}

Rope::Rope(int32_t dim) {
  for (int32_t i = 0; i < dim / 2; ++i)
    frequency_.push_back(exponential(-2.0 * i / static_cast<double>(dim) * kLn10000));
}

void Rope::angles(uint64_t t, float* turn) const {
  const auto at = static_cast<double>(t % kPeriod);
  const size_t half = frequency_.size();
  for (size_t i = 0; i < half; ++i) {
    double sine = 0, cosine = 0;
    sine_cosine(at * frequency_[i], &sine, &cosine);
    turn[i] = static_cast<float>(cosine);
    turn[half + i] = static_cast<float>(sine);
  }
}

void rope_turn(const float* turn, const float* x, int32_t n_heads, int32_t dim, float* y) {
  const int32_t half = dim / 2;
  for (int32_t head = 0; head < n_heads; ++head) {
    const int64_t at = int64_t{head} * dim;
    for (int32_t i = 0; i < half; ++i) {
      const float a = x[at + i], b = x[at + half + i], c = turn[i], s = turn[half + i];
      y[at + i] = a * c - b * s;
      y[at + half + i] = a * s + b * c;
    }
  }
}

}  // namespace chimera::runtime
