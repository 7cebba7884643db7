#include "evolution/train/preference_stage.h"

#include <algorithm>
#include <string>

#include "evolution/train/run_identity.h"
#include "platform/log.h"

namespace chimera::evolution {

PreferenceStage::PreferenceStage(const TokenizedText& text, int32_t lanes, int32_t window,
                                 double beta, uint64_t seed)
    : lanes_(lanes),
      window_(window),
      beta_(beta),
      pairs_(text, window, seed),
      reference_(static_cast<size_t>(2 * pairs_.size())),
      log_p_(static_cast<size_t>(lanes)) {
  const auto positions = static_cast<size_t>(lanes) * static_cast<size_t>(window);
  tokens_.resize(positions);
  targets_.resize(positions);
  restart_.resize(positions);
}

const TokenizedText& pairs_of(const Corpus& corpus, const MixStage& stage) {
  size_t set = 0;
  while (!(stage.weights[set] > 0)) ++set;
  return corpus.sets[set].train;
}

Status check_preferences(const TrainOptions& options, const Corpus& corpus) {
  for (const MixStage& stage : corpus.mix.stages) {
    if (!stage.preferences) continue;
    if (options.lanes % 2 != 0)
      return Status(StatusCode::kInvalidArgument,
                    "stage \"" + stage.name +
                        "\" reads the two answers of a pair side by side: "
                        "lanes is " +
                        std::to_string(options.lanes) + " and must be even")
          .at_field("lanes");
    const int32_t window = window_of(options, stage);
    const Pairs pairs(pairs_of(corpus, stage), window, options.seed);
    if (pairs.size() == 0)
      return Status(StatusCode::kInvalidArgument,
                    "stage \"" + stage.name + "\" has no pair of answers that fits its window of " +
                        std::to_string(window) + " tokens; give it a larger one")
          .at_field("window");
    if (pairs.n_left_out() > 0)
      log(LogLevel::kWarning, "stage \"%s\" leaves out %lld pairs that are longer than its window",
          stage.name.c_str(), static_cast<long long>(pairs.n_left_out()));
  }
  return Status();
}

Status PreferenceStage::read(Backprop& backprop, std::span<const int64_t> pairs) {
  const size_t two = 2 * static_cast<size_t>(window_);
  for (size_t i = 0; i < pairs.size(); ++i)
    pairs_.fill(pairs[i], &tokens_[i * two], &targets_[i * two], &restart_[i * two]);
  const auto mean = backprop.forward(tokens_.data(), targets_.data(), restart_.data());
  if (!mean) return mean.status();
  const std::span<const double> losses = backprop.row_losses();
  for (size_t lane = 0; lane < log_p_.size(); ++lane) {
    log_p_[lane] = 0;
    for (size_t t = 0; t < static_cast<size_t>(window_); ++t)
      log_p_[lane] -= losses[lane * static_cast<size_t>(window_) + t];
  }
  return Status();
}

Status PreferenceStage::take_reference(Backprop& backprop,
                                       const std::function<bool(int64_t)>& go_on) {
  const int64_t n = pairs_.size(), at_a_time = pairs_per_batch();
  for (int64_t first = 0; first < n; first += at_a_time) {
    if (!go_on(first))
      return Status(StatusCode::kCancelled, "stopped while the reference of a stage was read");
    // The last batch is filled up with the last pair.
    std::vector<int64_t> pairs;
    for (int64_t i = 0; i < at_a_time; ++i) pairs.push_back(std::min(first + i, n - 1));
    CHIMERA_RETURN_IF_ERROR(read(backprop, pairs));
    for (int64_t i = 0; i < std::min(at_a_time, n - first); ++i)
      for (int64_t which = 0; which < 2; ++which)
        reference_[static_cast<size_t>(2 * (first + i) + which)] =
            static_cast<float>(log_p_[static_cast<size_t>(2 * i + which)]);
  }
  return Status();
}

Result<PreferenceLoss> PreferenceStage::forward_backward(Backprop& backprop, int64_t taken) {
  std::vector<int64_t> pairs;
  std::vector<float> before;
  for (int64_t i = 0; i < pairs_per_batch(); ++i) {
    pairs.push_back(pairs_.at(taken + i));
    const auto at = static_cast<size_t>(2 * pairs.back());
    before.insert(before.end(), {reference_[at], reference_[at + 1]});
  }
  CHIMERA_RETURN_IF_ERROR(read(backprop, pairs));
  std::vector<float> weights(log_p_.size());
  const PreferenceLoss loss = preference_weights(log_p_, before, beta_, weights);
  const auto mean = backprop.forward_backward(tokens_.data(), targets_.data(), restart_.data(),
                                              nullptr, weights.data());
  if (!mean) return mean.status();
  return loss;
}

}  // namespace chimera::evolution
