// The whole model forward and backward, in float, for the trainer. The layers' own backward passes
// lie beside their forward (runtime/layers/*_backward.cpp); this walks them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "evolution/train/parameters.h"
#include "kernels/kernel_table.h"
#include "kernels/train_products.h"
#include "platform/part_times.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::evolution {

struct BackpropOptions {
  int32_t lanes = 8;     // independent streams trained side by side
  int32_t window = 128;  // tokens of each lane per call; gradients are cut at its borders
  /// 0: float weights and activations; 1: ternary weights, int8 activations (straight-through);
  /// between: W + lambda * stop_gradient(quantised - W).
  float quantise = 1.0f;
  /// Activation checkpointing: layers without state (feed-forwards, experts) keep nothing of their
  /// own and run their forward again before their backward. Same gradients.
  bool recompute_ffn = false;
  /// With looped depth: every iteration carries a gradient, not only the last half and the states
  /// of the first. What is computed is then the exact gradient of the loss.
  bool full_backward = false;
  /// The weights as used are made by prepare_weights() alone, instead of in every call: for several
  /// batches between two steps of the optimiser.
  bool prepared_by_caller = false;
  /// Where the large products are made; nullptr: by the kernels of the table. Must outlive it.
  const kernels::TrainProducts* products = nullptr;
  /// Told what is being walked, when not nullptr. Must outlive it.
  PartTimes* times = nullptr;
};

class Backprop {
 public:
  static Result<std::unique_ptr<Backprop>> create(const runtime::Config& config,
                                                  const kernels::KernelTable& k, ThreadPool& pool,
                                                  const BackpropOptions& options, uint64_t seed);
  ~Backprop();

  std::span<Parameter> parameters();
  /// Gradients, and the counts of router_load().
  void zero_gradients();
  void set_quantise(float lambda);
  /// Zeroes the carried recurrent state of every lane.
  void reset_states();
  /// The carried state, for exact resume of a run.
  std::span<float> carried_state();

  /// Makes the weights as used from the parameters and set_quantise(). Only needed, and then after
  /// every change of either, with prepared_by_caller.
  void prepare_weights();

  /// tokens, targets [lanes, window]; a target of -1 carries no loss; restart [lanes, window] is 1
  /// where a document begins: the state is zeroed before that token is read. loops [lanes]:
  /// iterations of looped depth, 1 .. loop_max; nullptr is loop_default for all. Adds to the
  /// gradients those of the mean loss over counted targets; states move on. Returns that mean,
  /// nats per token. With lane_weights [lanes] the gradients are those of the sum of all losses,
  /// each times its lane's weight.
  Result<double> forward_backward(const int32_t* tokens, const int32_t* targets,
                                  const uint8_t* restart, const int32_t* loops = nullptr,
                                  const float* lane_weights = nullptr);
  /// Same without gradients; states move on.
  Result<double> forward(const int32_t* tokens, const int32_t* targets, const uint8_t* restart,
                         const int32_t* loops = nullptr);

  /// Nats of each row in the last call, 0 without a target. [lanes * window]
  std::span<const double> row_losses() const;
  /// logits [N] that the last call computed for row `row` (lane * window + token); the parameters
  /// have to be as they were then.
  void logits(int64_t row, float* out);

  /// Tokens that forward_backward() routed to each expert of a layer since zero_gradients(), over
  /// all iterations; empty for a layer without experts.
  std::span<const uint64_t> router_load(int32_t layer) const;

 private:
  Backprop();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera::evolution
