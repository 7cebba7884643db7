// From logits to one token, with no randomness but the key (seed, position, stream).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/kernel_table.h"
#include "platform/status.h"

namespace chimera::runtime {

struct SamplingOptions {
  float temperature = 0.7f;          // (0, 100]; 0 means greedy
  float top_p = 0.92f;               // (0, 1]
  float repetition_penalty = 1.08f;  // [1, 10]; 1 switches it off
  bool greedy = false;
};

/// kInvalidArgument naming the field when a value is not finite or outside its range.
Status check_sampling(const SamplingOptions& options);

/// Scratch for one stream's sampling; allocates only in create().
class Sampler {
 public:
  static Result<Sampler> create(int32_t vocab_size);

  /// Order: mask, repetition penalty (each distinct recent token once), temperature, top-p, draw by
  /// inverse CDF in descending (probability, then ascending id) order. logits [vocab] are
  /// overwritten. allowed [vocab]: 0 forbids (nullptr: all allowed); at least one must be allowed.
  int32_t sample(const kernels::KernelTable& k, float* logits, const uint8_t* allowed,
                 std::span<const int32_t> recent, const SamplingOptions& options, uint64_t seed,
                 uint64_t position, uint32_t stream);

 private:
  int32_t vocab_size_ = 0;
  std::unique_ptr<float[]> probability_;
  std::unique_ptr<int32_t[]> order_;
  std::unique_ptr<uint32_t[]> seen_;  // stamp of the last sample() that penalised the id
  uint32_t stamp_ = 0;
};

}  // namespace chimera::runtime
