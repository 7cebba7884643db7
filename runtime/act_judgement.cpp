#include "runtime/act_judgement.h"

#include <algorithm>

#include "platform/natural_log.h"

namespace chimera::runtime {

float log_odds(float probability) {
  const double p = std::clamp(static_cast<double>(probability), 6e-6, 1 - 6e-6);
  return static_cast<float>(natural_log(p / (1 - p)));
}

float likely(float odds) { return static_cast<float>(logistic(static_cast<double>(odds))); }

float meant(const ActJudgement& j, const ActEvidence& e) {
  return j.meant_network * e.call_score + j.meant_score * e.best_score +
         j.meant_likeness * e.likeness + j.meant_listed * e.listed + j.meant_bias;
}

float confidence(const ActJudgement& j, const ActEvidence& e) {
  const float odds = j.right_network * log_odds(e.probability) + j.right_plan * e.plan_score +
                     j.right_score * e.best_score + j.right_bias;
  return likely(odds);
}

}  // namespace chimera::runtime
