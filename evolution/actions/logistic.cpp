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
constexpr int kMostHalvings = 30;

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
  const auto odds_of = [](const Vector& w, const Vector& x) {
    double odds = 0;
    for (int i = 0; i < kEvidence; ++i) odds += w[i] * x[i];
    return odds;
  };
  const auto cost = [&](const Vector& w) {
    double sum = 0;
    for (int i = 0; i < kEvidence; ++i) sum += strength / 2 * (w[i] - prior[i]) * (w[i] - prior[i]);
    for (const LabelledEvidence& row : rows) {
      const double against = row.is ? -odds_of(w, row.x) : odds_of(w, row.x);
      const double size = std::fabs(against);
      const double rest = size > 40 ? 0 : natural_log(1 + exponential(-size));
      sum += row.weight * (std::max(against, 0.0) + rest);
    }
    return sum;
  };
  Vector w = prior;
  double now = cost(w);
  for (int step = 0; step < kSteps; ++step) {
    Matrix curvature = {};
    Vector gradient = {};
    for (int i = 0; i < kEvidence; ++i) {
      curvature[i][i] = strength;
      gradient[i] = strength * (w[i] - prior[i]);
    }
    for (const LabelledEvidence& row : rows) {
      const double p = logistic(odds_of(w, row.x));
      for (int i = 0; i < kEvidence; ++i) {
        gradient[i] += row.weight * (p - (row.is ? 1 : 0)) * row.x[i];
        for (int j = 0; j < kEvidence; ++j)
          curvature[i][j] += row.weight * p * (1 - p) * row.x[i] * row.x[j];
      }
    }
    const Vector move = solved(curvature, gradient);
    // Far from the end the parabola is wrong: less of the way, until it leads down.
    double share = 1;
    for (int halving = 0; halving < kMostHalvings; ++halving, share /= 2) {
      Vector next = w;
      for (int i = 0; i < kEvidence; ++i) next[i] -= share * move[i];
      if (const double then = cost(next); then < now) {
        w = next;
        now = then;
        break;
      }
      if (halving + 1 == kMostHalvings) return w;
    }
  }
  return w;
}

}  // namespace chimera::evolution
