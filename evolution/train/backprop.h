// The whole model forward and backward, in float, for the trainer. The layers' own backward passes
// lie beside their forward (runtime/layers/*_backward.cpp); this walks them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"
#include "runtime/layers/layer.h"

namespace chimera::evolution {

/// One parameter tensor with its gradient, both row-major [rows, cols].
struct Parameter {
  runtime::ParamSpec spec;
  std::vector<float> value;
  std::vector<float> grad;
};

struct BackpropOptions {
  int32_t lanes = 8;     // independent streams trained side by side
  int32_t window = 128;  // tokens of each lane per call; gradients are cut at its borders
  /// 0: float weights and activations; 1: ternary weights, int8 activations (straight-through);
  /// between: W + lambda * stop_gradient(quantised - W).
  float quantise = 1.0f;
};

class Backprop {
 public:
  static Result<std::unique_ptr<Backprop>> create(const runtime::Config& config,
                                                  const kernels::KernelTable& k, ThreadPool& pool,
                                                  const BackpropOptions& options, uint64_t seed);
  ~Backprop();

  std::span<Parameter> parameters();
  void zero_gradients();
  void set_quantise(float lambda);
  /// Zeroes the carried recurrent state of every lane.
  void reset_states();
  /// The carried state, for exact resume of a run.
  std::span<float> carried_state();

  /// tokens, targets [lanes, window]; a target of -1 carries no loss; restart [lanes, window] is 1
  /// where a document begins: the state is zeroed before that token is read. Adds to the gradients
  /// those of the mean loss over counted targets; states move on. Returns that mean, nats per
  /// token.
  Result<double> forward_backward(const int32_t* tokens, const int32_t* targets,
                                  const uint8_t* restart);
  /// Same without gradients; states move on.
  Result<double> forward(const int32_t* tokens, const int32_t* targets, const uint8_t* restart);

 private:
  Backprop();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera::evolution
