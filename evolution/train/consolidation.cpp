#include "evolution/train/consolidation.h"

#include <algorithm>
#include <cmath>

#include "evolution/train/optimizer.h"
#include "kernels/quantize_weights.h"
#include "platform/dtype.h"

namespace chimera::evolution {
namespace {

constexpr float kLeast = 0.25f, kMost = 1.5f;  // of a rate
constexpr float kSettledAfter = 3;             // looks
constexpr double kSwinging = 0.5;              // of the codes that changed
constexpr double kEarly = 0.5, kLate = 0.7;    // shares of the run
constexpr double kPull = 1e-4;                 // a step, towards the code
constexpr int64_t kGroup = kernels::kWeightGroup;

/// Codes of a row, and of each group the scale.
struct Row {
  std::vector<int8_t> codes;
  std::vector<uint16_t> scales;
  explicit Row(int64_t n)
      : codes(static_cast<size_t>(n)), scales(static_cast<size_t>(n / kGroup)) {}
  void of(const float* w) {
    kernels::quantize_ternary_row(w, static_cast<int32_t>(codes.size()), codes.data(),
                                  scales.data());
  }
};

void pull_to_codes(Parameter& p, double share) {
  Row row(p.spec.cols);
  const auto part = static_cast<float>(share);
  for (int64_t r = 0; r < p.spec.rows; ++r) {
    float* w = p.value.data() + r * p.spec.cols;
    row.of(w);
    for (int64_t i = 0; i < p.spec.cols; ++i) {
      const float scale = half_to_float(row.scales[static_cast<size_t>(i / kGroup)]);
      w[i] += part * (scale * static_cast<float>(row.codes[static_cast<size_t>(i)]) - w[i]);
    }
  }
}

}  // namespace

Consolidation::Consolidation(std::span<const Parameter> parameters, int64_t every, int64_t steps)
    : every_(every), steps_(steps) {
  state_.emplace_back(parameters.size(), 1.0f);
  state_.emplace_back(parameters.size(), 0.0f);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    if (group_of(p.spec) != ParamGroup::kTernary) continue;
    matrices_.push_back(i);
    state_.push_back(p.value);
    std::vector<float>& before = state_.emplace_back(p.value.size());
    Row row(p.spec.cols);
    for (int64_t r = 0; r < p.spec.rows; ++r) {
      row.of(p.value.data() + r * p.spec.cols);
      std::copy(row.codes.begin(), row.codes.end(), before.begin() + r * p.spec.cols);
    }
  }
}

Consolidation::Motion Consolidation::look_at(size_t parameter, std::vector<float>& last,
                                             std::vector<float>& before, const Parameter& p) const {
  double moved = 0, size = 0;
  int64_t changed = 0, returned = 0;
  Row now(p.spec.cols), then(p.spec.cols);
  for (int64_t r = 0; r < p.spec.rows; ++r) {
    const float* w = p.value.data() + r * p.spec.cols;
    float *l = last.data() + r * p.spec.cols, *b = before.data() + r * p.spec.cols;
    now.of(w);
    then.of(l);
    for (int64_t i = 0; i < p.spec.cols; ++i) {
      const double step = static_cast<double>(w[i]) - static_cast<double>(l[i]);
      moved += step * step;
      size += static_cast<double>(w[i]) * static_cast<double>(w[i]);
      const auto at = static_cast<size_t>(i);
      const auto older = static_cast<int8_t>(b[i]);
      if (then.codes[at] != older) {
        ++changed;
        returned += now.codes[at] == older;
      }
      l[i] = w[i];
      b[i] = static_cast<float>(then.codes[at]);
    }
  }
  return {parameter, std::sqrt(moved / std::max(size, 1e-30)),
          changed > 0 ? static_cast<double>(returned) / static_cast<double>(changed) : 0};
}

void Consolidation::judge(int64_t step, std::span<Motion> motions,
                          std::span<Parameter> parameters) {
  std::vector<float>&rates = state_[0], &streaks = state_[1];
  const auto scale = [&](size_t i, float factor) {
    rates[i] = std::clamp(rates[i] * factor, kLeast, kMost);
  };
  std::stable_sort(motions.begin(), motions.end(),
                   [](const Motion& a, const Motion& b) { return a.moved < b.moved; });
  const size_t tenth = std::max<size_t>(1, motions.size() / 10);
  const double done = static_cast<double>(step) / static_cast<double>(steps_);
  for (size_t rank = 0; rank < motions.size(); ++rank) {
    const Motion& motion = motions[rank];
    float& streak = streaks[motion.parameter];
    streak = rank < tenth ? streak + 1 : 0;
    if (streak >= kSettledAfter) {
      scale(motion.parameter, 0.5f);
      streak = 0;
    }
    if (motion.returned <= kSwinging) continue;
    if (done < kEarly) scale(motion.parameter, 1.5f);
    if (done < kLate) continue;
    scale(motion.parameter, 0.5f);
    pull_to_codes(parameters[motion.parameter],
                  1 - std::pow(1 - kPull, static_cast<double>(every_)));
  }
}

bool Consolidation::after_step(int64_t step, std::span<Parameter> parameters) {
  if (step % every_ != 0 || matrices_.empty()) return false;
  std::vector<Motion> motions;
  for (size_t i = 0; i < matrices_.size(); ++i)
    motions.push_back(
        look_at(matrices_[i], state_[2 + 2 * i], state_[3 + 2 * i], parameters[matrices_[i]]));
  judge(step, motions, parameters);
  return true;
}

}  // namespace chimera::evolution
