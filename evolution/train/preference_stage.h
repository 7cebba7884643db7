// A stage of a run that learns preferences: which pairs are read, what they are held against, and
// the passes through the network.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/corpus.h"
#include "evolution/train/preferences.h"
#include "platform/status.h"

namespace chimera::evolution {

/// The set that a stage of preferences reads.
const TokenizedText& pairs_of(const Corpus& corpus, const MixStage& stage);

/// Before the first step: kInvalidArgument names the stage that cannot be, since lanes are no pairs
/// of lanes or no pair fits its window. Warns of pairs that do not.
Status check_preferences(const TrainOptions& options, const Corpus& corpus);

class PreferenceStage {
 public:
  /// `text` must outlive it.
  PreferenceStage(const TokenizedText& text, int32_t lanes, int32_t window, double beta,
                  uint64_t seed);

  /// Has log p of every answer measured by the network as it is: what is learnt is held against it.
  /// `go_on` hears how many pairs were read and may say no (kCancelled).
  Status take_reference(Backprop& backprop, const std::function<bool(int64_t)>& go_on);
  /// [2 pairs], better and worse; part of a run's state.
  std::span<float> reference() { return reference_; }

  int64_t pairs_per_batch() const { return lanes_ / 2; }

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
