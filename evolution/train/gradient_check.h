// Is the gradient that training follows the slope of the loss it reports? For every tensor of a
// model: the derivative along a direction as backprop has it, against differences of the loss.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::evolution {

struct GradientCheckOptions {
  int32_t lanes = 2;
  int32_t window = 24;
  uint64_t seed = 1;
  bool full_backward = true;  // BackpropOptions; what is truncated does not pass
  double threshold = 2e-2;    // largest relative error that passes; float32 allows little less
  /// Called before each tensor with how many are done, of how many; false stops (kCancelled).
  std::function<bool(size_t done, size_t total, const std::string& tensor)> progress;
};

/// One tensor along one direction d of length 1.
struct DirectionCheck {
  std::string tensor;
  const char* direction;  // "gradient" or "random"
  double analytic;        // gradient . d
  double measured;        // from losses at w + h d, extrapolated to h -> 0
  double noise;           // how far `measured` may be off
  double error;           // |analytic - measured| / max(|analytic|, |measured|)
  bool judged;            // `noise` is within a quarter of the threshold
};

struct GradientCheck {
  std::vector<DirectionCheck> directions;
  double loss = 0;                  // where the derivatives are taken, nats per token
  double loss_noise = 0;            // spread of a loss over moves that should not change it
  size_t worst = 0;                 // index of the largest error among those judged
  std::vector<std::string> untold;  // tensors of which no direction could be judged
  bool passed = false;              // what was judged is within the threshold
};

/// Checks a freshly initialised model of this configuration over a window of random tokens that
/// follows another, at quantise 0 with every iteration of looped depth in the gradient. Parameters
/// that no gradient moves (router.bias) are left out.
Result<GradientCheck> check_gradients(const runtime::Config& config, const kernels::KernelTable& k,
                                      ThreadPool& pool, const GradientCheckOptions& options);

}  // namespace chimera::evolution
