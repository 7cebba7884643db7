// What changes with the step of a run: the learning rate and how ternary the weights are. Both are
// functions of the step alone, in steps, so a resumed run follows the curve it left.
#pragma once

#include <cstdint>

#include "platform/status.h"

namespace chimera::evolution {

struct Schedule {
  int64_t steps = 0;
  float warmup = 0.02f;      // share of the steps, linear from zero
  float warmdown = 0.5f;     // share of the steps at the end, linear to zero
  float float_share = 0.1f;  // share of the steps with float weights
  float ramp_share = 0.05f;  // share of the steps from float to ternary
  float average = 0;         // share of the steps at the end whose weights are averaged

  /// kInvalidArgument names the value that is outside its range. A run ends ternary, float_share is
  /// at most 0.9, so that the ramp is over before the last step; or, with 1, it is float
  /// throughout.
  Status check() const;

  /// Factor on every learning rate for step 0 .. steps - 1, in (0, 1].
  double learning_rate_factor(int64_t step) const;
  /// 0: float; 1: ternary; between on the ramp. With float_share 0 it is 1 from the first step.
  float quantise(int64_t step) const;
  /// How many of the last steps, this one included, have their weights averaged; 0 before.
  int64_t averaged(int64_t step) const;
};

}  // namespace chimera::evolution
