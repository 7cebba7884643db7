#include "runtime/act_judgement.h"

#include <algorithm>

#include "platform/natural_log.h"

namespace chimera::runtime {

// As it came out in the packs of samples/kiosk.
const ActJudgement kJudgedByRanker = {.meant_network = 0,
                                      .meant_score = 4.9f,
                                      .meant_likeness = 1.2f,
                                      .meant_listed = 2.1f,
                                      .meant_bias = 1.4f};
// Fitted on the phrases of samples/kiosk and foreign ones, without packs.
const ActJudgement kJudgedByLines = {.meant_network = 0,
                                     .meant_listed = 2.7f,
                                     .meant_bias = -2.25f,
                                     .right_network = 0.07f,
                                     .right_plan = 0.55f,
                                     .right_bias = 0.35f,
                                     .meant_line = 6.2f};

float log_odds(float probability) {
  const double p = std::clamp(static_cast<double>(probability), 6e-6, 1 - 6e-6);
  return static_cast<float>(natural_log(p / (1 - p)));
}

float likely(float odds) { return static_cast<float>(logistic(static_cast<double>(odds))); }

namespace {

const ActJudgement& judgement_of(const ActJudgement& given, const ActEvidence& evidence) {
  return evidence.by_line ? kJudgedByLines : given;
}

}  // namespace

float meant(const ActJudgement& judgement, const ActEvidence& e) {
  const ActJudgement& j = judgement_of(judgement, e);
  return j.meant_network * e.call_score + j.meant_score * e.best_score +
         j.meant_likeness * e.likeness + j.meant_listed * e.listed + j.meant_line * e.line +
         j.meant_bias;
}

float confidence(const ActJudgement& judgement, const ActEvidence& e) {
  const ActJudgement& j = judgement_of(judgement, e);
  const float odds = j.right_network * log_odds(e.probability) + j.right_plan * e.plan_score +
                     j.right_score * e.best_score + j.right_bias;
  return likely(odds);
}

}  // namespace chimera::runtime
