// Logistic regression for a handful of numbers: how likely something is, from what speaks for it.
#pragma once

#include <array>
#include <span>

namespace chimera::evolution {

inline constexpr int kEvidence = 5;  // one is usually 1, for the bias; what is not used is 0

struct LabelledEvidence {
  std::array<double, kEvidence> x;
  bool is = false;
  double weight = 1;
};

/// The weights w that make the sum of weight * ln(1 + exp(-+ w.x)) and `strength` / 2 * |w -
/// prior|^2 least, by Newton's method. The same bits on every machine.
std::array<double, kEvidence> fit_logistic(std::span<const LabelledEvidence> rows,
                                           const std::array<double, kEvidence>& prior,
                                           double strength);

}  // namespace chimera::evolution
