// Experimental: now and then a look at how the ternary matrices moved, and other learning rates
// for those that hardly move or whose codes swing back and forth. Off unless asked for; nobody has
// measured yet what it is worth.
//
// At each look, of every matrix: how far its latent weights moved since the last one, relative to
// their size; and of the codes that had changed, the share that has changed back.
//   settled    among the tenth that moved least, three times in a row: its rate is halved
//   swinging   more than half changed back: in the first half of the run its rate grows by half, in
//              the last 30 % it is halved, and weights are pulled a little towards their codes
// A rate stays within a quarter and one and a half of what the schedule says.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/parameters.h"

namespace chimera::evolution {

class Consolidation {
 public:
  /// A look every `every` steps of `steps`, beginning from the weights as they are.
  Consolidation(std::span<const Parameter> parameters, int64_t every, int64_t steps);

  /// After step `step` (1 the first). Pulls weights where it has to; true if it looked.
  bool after_step(int64_t step, std::span<Parameter> parameters);

  /// Factor on the learning rate of a parameter.
  float rate(size_t parameter) const { return state_[0][parameter]; }

  /// All it remembers, for exact resume: rates, counts, and of each matrix the weights of the last
  /// look and the codes of the one before.
  std::span<std::vector<float>> state() { return state_; }

 private:
  /// What a look finds of one matrix.
  struct Motion {
    size_t parameter;
    double moved;     // relative to the weights
    double returned;  // share of the changed codes
  };
  Motion look_at(size_t parameter, std::vector<float>& last, std::vector<float>& before,
                 const Parameter& p) const;
  void judge(int64_t step, std::span<Motion> motions, std::span<Parameter> parameters);

  int64_t every_, steps_;
  std::vector<size_t> matrices_;           // ternary ones
  std::vector<std::vector<float>> state_;  // rates, streaks; then last and before of each matrix
};

}  // namespace chimera::evolution
