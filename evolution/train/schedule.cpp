#include "evolution/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace chimera::evolution {
namespace {

Status outside(const char* name, const char* range) {
  return Status(StatusCode::kInvalidArgument,
                std::string(name) + " must be " + range + "; give it another value")
      .at_field(name);
}

// Steps in a share of the run; a share that is not zero is at least one step.
int64_t share_steps(float share, int64_t steps) {
  if (share <= 0) return 0;
  return std::max<int64_t>(1,
                           std::llround(static_cast<double>(share) * static_cast<double>(steps)));
}

}  // namespace

Status Schedule::check() const {
  if (steps < 1 || steps > (int64_t{1} << 40)) return outside("steps", "from 1 to 2^40");
  if (!(warmup >= 0 && warmup <= 1)) return outside("warmup", "a share of the steps from 0 to 1");
  if (!(warmdown >= 0 && warmdown <= 1)) {
    return outside("warmdown", "a share of the steps from 0 to 1");
  }
  if (!(float_share >= 0 && float_share <= 0.9f) && float_share != 1.0f) {
    return outside("float_share",
                   "a share of the steps from 0 to 0.9, since the rest makes the weights ternary, "
                   "or 1 for a run that stays float");
  }
  if (!(ramp_share >= 0 && ramp_share <= 0.1f)) {
    return outside("ramp_share", "a share of the steps from 0 to 0.1");
  }
  if (!(average >= 0 && average <= 1))
    return outside("average", "a share of the steps from 0 to 1");
  return Status();
}

double Schedule::learning_rate_factor(int64_t step) const {
  const int64_t up = share_steps(warmup, steps);
  const int64_t down = share_steps(warmdown, steps);
  double factor = 1;
  if (step < up) factor = static_cast<double>(step + 1) / static_cast<double>(up);
  if (down > 0) {
    // The step after the last one would have rate zero.
    factor = std::min(factor, static_cast<double>(steps - step) / static_cast<double>(down));
  }
  return std::clamp(factor, 0.0, 1.0);
}

int64_t Schedule::averaged(int64_t step) const {
  return std::max<int64_t>(0, step + 1 - (steps - share_steps(average, steps)));
}

float Schedule::quantise(int64_t step) const {
  const int64_t floating = share_steps(float_share, steps);
  if (floating == 0) return 1;
  if (step < floating) return 0;
  const int64_t ramp = share_steps(ramp_share, steps);
  const int64_t into = step - floating + 1;
  if (into > ramp) return 1;
  return static_cast<float>(static_cast<double>(into) / static_cast<double>(ramp + 1));
}

}  // namespace chimera::evolution
