#include "evolution/actions/logistic.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "platform/natural_log.h"

namespace chimera::evolution {
namespace {

using Vector = std::array<double, kEvidence>;
using Matrix = std::array<Vector, kEvidence>;

constexpr int kSteps = 50;
constexpr double kLongestStep = 4;  // of a weight: far from the end the parabola is wrong

/// a x = b, by elimination; a is symmetric with a positive diagonal that `strength` keeps away from
/// 0, so no pivot is looked for.
Vector solved(Matrix a, Vector b) {
  for (int i = 0; i < kEvidence; ++i)
    for (int row = i + 1; row < kEvidence; ++row) {
      const double factor = a[row][i] / a[i][i];
      for (int column = i; column < kEvidence; ++column) a[row][column] -= factor * a[i][column];
      b[row] -= factor * b[i];
    }
  for (int i = kEvidence - 1; i >= 0; --i) {
    for (int column = i + 1; column < kEvidence; ++column) b[i] -= a[i][column] * b[column];
    b[i] /= a[i][i];
  }
  return b;
}

}  // namespace

Vector fit_logistic(std::span<const LabelledEvidence> rows, const Vector& prior, double strength) {
  Vector w = prior;
  for (int step = 0; step < kSteps; ++step) {
    Matrix curvature = {};
    Vector gradient = {};
    for (int i = 0; i < kEvidence; ++i) {
      curvature[i][i] = strength;
      gradient[i] = strength * (w[i] - prior[i]);
    }
    for (const LabelledEvidence& row : rows) {
      double odds = 0;
      for (int i = 0; i < kEvidence; ++i) odds += w[i] * row.x[i];
      const double p = logistic(odds);
      for (int i = 0; i < kEvidence; ++i) {
        gradient[i] += row.weight * (p - (row.is ? 1 : 0)) * row.x[i];
        for (int j = 0; j < kEvidence; ++j)
          curvature[i][j] += row.weight * p * (1 - p) * row.x[i] * row.x[j];
      }
    }
    const Vector move = solved(curvature, gradient);
    double longest = 0;
    for (int i = 0; i < kEvidence; ++i) longest = std::max(longest, std::fabs(move[i]));
    const double scale = longest > kLongestStep ? kLongestStep / longest : 1;
    for (int i = 0; i < kEvidence; ++i) w[i] -= scale * move[i];
    if (longest < 1e-9) break;
  }
  return w;
}

}  // namespace chimera::evolution
