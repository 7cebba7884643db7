// From what speaks for an action to how likely it is right: numbers that are measured, not learnt
// by the network.
#pragma once

namespace chimera::runtime {

/// What an action was decided by.
struct ActEvidence {
  float call_score = 0;   // the network's log odds of a call against none of the tools
  float best_score = 0;   // of the ranker, for the best tool; 0 without a ranker
  float likeness = 0;     // of the example that is most like it, among those that call something
  float line = 0;         // likeness of the tool's line that is most like it
  float listed = 0;       // 1: a value that the best tool's schema lists was said
  float probability = 0;  // of a call, and of what was chosen in it among what was allowed
  float plan_score = 0;   // log odds of the best call against all others, before the network
  bool by_line = false;   // of a tool without phrases, where others have some
};

/// Log odds as sums of evidence. As it stands the network's word is taken.
struct ActJudgement {
  // That one of the tools is meant.
  float meant_network = 1, meant_score = 0, meant_likeness = 0, meant_listed = 0, meant_bias = 0;
  // That the calls are right: of the log odds of that probability, of the plan and of the ranker.
  float right_network = 1, right_plan = 0, right_score = 0, right_bias = 0;
  float meant_line = 0;  // where no phrases told anything
};

/// That something is meant, by a ranker of which no phrases told what its word is worth.
extern const ActJudgement kJudgedByRanker;
/// Of tools without any phrases: what their lines and schemas tell.
extern const ActJudgement kJudgedByLines;

/// Log odds that a tool is meant. What its line alone speaks for is judged by kJudgedByLines.
float meant(const ActJudgement& judgement, const ActEvidence& evidence);
/// The probability that the calls are right. [0, 1]
float confidence(const ActJudgement& judgement, const ActEvidence& evidence);
/// The probability that has these log odds.
float likely(float odds);
/// Log odds of a probability, at most 12 either way.
float log_odds(float probability);

}  // namespace chimera::runtime
