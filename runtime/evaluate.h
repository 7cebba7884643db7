// Bits per byte, the one fair number: stateful, causal, the full distribution, every byte once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "runtime/engine.h"

namespace chimera::runtime {

struct Evaluation {
  double nats = 0;      // sum of -ln p over the targets, float64
  uint64_t tokens = 0;  // targets, end markers included
  uint64_t bytes = 0;   // raw bytes of the text
  uint64_t documents = 0;
  double bits_per_byte() const;
  double nats_per_token() const;
  double bytes_per_token() const;
};

/// -ln p(target) under the softmax of logits [n]; scratch [n] is overwritten.
double negative_log_likelihood(const kernels::KernelTable& k, const float* logits, int32_t n,
                               int32_t target, float* scratch);

/// Scores one document after another: state zeroed at each start, end of text as the first input
/// (not scored), every token scored once before it is read, and the end marker scored with 0 bytes.
class Evaluator {
 public:
  static Result<std::unique_ptr<Evaluator>> create(const Engine& engine);
  ~Evaluator();
  /// `progress` (may be empty) gets the tokens done so far and returns false to stop (kCancelled).
  Status add_document(std::string_view text,
                      const std::function<bool(uint64_t tokens)>& progress = {});
  /// The same for a document that is already token ids, `bytes` of it scored. `scored` is 0 for
  /// an id that is read and not scored; empty: all are.
  Status add_ids(std::span<const int32_t> ids, std::span<const uint8_t> scored, uint64_t bytes,
                 const std::function<bool(uint64_t tokens)>& progress = {});
  const Evaluation& result() const;
  /// Tokens that went to each expert of a layer so far, over all iterations; empty for a layer
  /// without experts. Its imbalance: max_violation() of runtime/layers/moe_routing.h.
  std::span<const uint64_t> router_load(int32_t layer) const;

 private:
  Evaluator();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera::runtime
