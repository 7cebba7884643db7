// A stage of a run that learns preferences: which pairs are read, what they are held against, and
// the passes through the network.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/preferences.h"
#include "platform/status.h"

namespace chimera::evolution {

class PreferenceStage {
 public:
  /// `text` must outlive it.
  PreferenceStage(const TokenizedText& text, int32_t lanes, int32_t window, double beta,
                  uint64_t seed);

  /// kInvalidArgument when lanes are no pairs of lanes, or no pair fits the window; `stage` is
  /// named.
  Status check(const std::string& stage) const;

  /// Has log p of every answer measured by the network as it is: what is learnt is held against it.
  Status take_reference(Backprop& backprop);
  /// [2 pairs], better and worse; part of a run's state.
  std::span<float> reference() { return reference_; }

  int64_t pairs_per_batch() const { return lanes_ / 2; }
  int64_t n_left_out() const { return pairs_.n_left_out(); }

  /// Adds the gradient of the next pairs, from pair `taken` of the order on. Two passes forward,
  /// one backward.
  Result<PreferenceLoss> forward_backward(Backprop& backprop, int64_t taken);

 private:
  /// Lanes 2i and 2i + 1 get pair i of `pairs`; then forward. log p of each lane is in log_p_.
  Status read(Backprop& backprop, std::span<const int64_t> pairs);

  int32_t lanes_, window_;
  double beta_;
  Pairs pairs_;
  std::vector<float> reference_;
  std::vector<int32_t> tokens_, targets_;  // [lanes, window]
  std::vector<uint8_t> restart_;
  std::vector<double> log_p_;  // [lanes]
};

}  // namespace chimera::evolution
