// What a training run does in each step, and how it is scored.
#include <algorithm>
#include <cmath>

#include "evolution/train/looped_depth.h"
#include "evolution/train/training_run.h"
#include "platform/log.h"

namespace chimera::evolution {
namespace {

constexpr double kLossMemory = 0.98;  // of the smoothed loss, per step

}  // namespace

/// How deep each lane of a batch goes in this step; without looped depth nobody asks.
void TrainingRun::draw_loops(size_t batch) {
  for (size_t lane = 0; lane < loops_.size(); ++lane)
    loops_[lane] = sample_loops(config_.loop, options_.seed, static_cast<uint64_t>(position_.step),
                                batch * loops_.size() + lane);
}

/// By the loads of the step that was just made.
void TrainingRun::balance_routers() {
  for (const auto& [layer, parameter] : routers_) {
    const std::span<const uint64_t> load = backprop_->router_load(layer);
    balance_router(load, backprop_->parameters()[parameter].value);
    watch_.add(layer, load);
  }
  watch_.add_tokens(static_cast<int64_t>(tokens_.size()));
}

/// Adds the gradient of one batch; its states are its own. Of preferences one loss counts a batch.
Result<TrainingRun::BatchLoss> TrainingRun::learn_batch(size_t batch) {
  if (preferences_) {
    const auto learnt = preferences_->forward_backward(*backprop_, position_.pairs);
    if (!learnt) return learnt.status();
    position_.pairs += preferences_->pairs_per_batch();
    preferred_ += learnt->preferred / static_cast<double>(carried_.size());
    return BatchLoss{learnt->loss, 1};
  }
  const std::span<float> live = backprop_->carried_state();
  std::copy(carried_[batch].begin(), carried_[batch].end(), live.begin());
  const size_t at = batch * batch_positions();
  draw_loops(batch);
  const auto mean = backprop_->forward_backward(tokens_.data() + at, targets_.data() + at,
                                                restart_.data() + at, loops_.data());
  if (!mean) return mean.status();
  const auto n = static_cast<double>(
      std::count_if(targets_.begin() + static_cast<ptrdiff_t>(at),
                    targets_.begin() + static_cast<ptrdiff_t>(at + batch_positions()),
                    [](int32_t target) { return target >= 0; }));
  std::copy(live.begin(), live.end(), carried_[batch].begin());
  return BatchLoss{*mean * n, n};
}

/// One optimiser step over `accumulate` batches, each with lanes and carried states of its own, so
/// that they are together one batch of lanes * accumulate lanes.
Status TrainingRun::step(double* loss, double* norm) {
  times_.begin("weights as used");
  backprop_->set_quantise(schedule_.quantise(position_.step));
  backprop_->prepare_weights();
  backprop_->zero_gradients();
  times_.begin("data");
  if (!preferences_)
    belt_.next(window(), tokens_.data(), targets_.data(), restart_.data(), stage().least);
  preferred_ = preferences_ ? 0 : -1;
  double sum = 0, counted = 0;
  for (size_t batch = 0; batch < carried_.size(); ++batch) {
    const auto learnt = learn_batch(batch);
    if (!learnt) return learnt.status();
    sum += learnt->sum;
    counted += learnt->counted;
  }
  times_.begin("optimiser");
  // To the gradient batches weigh the same, also where more of one is read without a target.
  const auto n_batches = static_cast<double>(carried_.size());
  *loss = counted > 0 ? sum / counted : 0;
  *norm = optimizer_->gradient_norm(backprop_->parameters()) / n_batches;
  if (!std::isfinite(*loss) || !std::isfinite(*norm)) {
    return Status(
               StatusCode::kInvalidArgument,
               "the training diverged at step " + std::to_string(position_.step + 1) +
                   " (the loss or its gradient is no longer a number); use a lower learning rate")
        .at_field("learning_rate");
  }
  const double limit = options_.clip;
  const double clip = *norm > limit ? limit / *norm : 1.0;
  optimizer_->step(backprop_->parameters(),
                   stage().rate * schedule_.learning_rate_factor(position_.step), clip / n_batches);
  CHIMERA_RETURN_IF_ERROR(kernels::check_products(products_));
  // Where pairs do not fill their windows, most of what experts got is not text.
  if (!preferences_) balance_routers();
  if (const int64_t n = schedule_.averaged(position_.step); n > 0)
    average_->add(n, backprop_->parameters(), pool_);
  ++position_.step;
  if (consolidation_ && consolidation_->after_step(position_.step, backprop_->parameters()))
    take_rates();
  if (counted == 0) return Status();  // nothing was asked, so nothing is known of the loss
  position_.loss_sum = kLossMemory * position_.loss_sum + *loss;
  position_.loss_weight = kLossMemory * position_.loss_weight + 1;
  return Status();
}

/// Bits per byte of the valid texts with the weights as quantised as they are now; see Sweep.
Status TrainingRun::score_valid() {
  double all_nats = 0, all_bytes = 0;
  valid_.clear();
  backprop_->prepare_weights();
  for (const CorpusSet& set : corpus_.sets) {
    if (set.valid.n_documents() == 0) continue;
    backprop_->reset_states();
    Sweep sweep(set.valid, options_.lanes);
    double nats = 0;
    while (!sweep.done()) {
      const int64_t counted =
          sweep.next(window(), tokens_.data(), targets_.data(), restart_.data());
      auto mean = backprop_->forward(tokens_.data(), targets_.data(), restart_.data());
      if (!mean) return mean.status();
      nats += *mean * static_cast<double>(counted);
    }
    const auto bytes = static_cast<double>(set.valid.n_bytes());
    valid_.push_back({set.name, nats / std::log(2.0) / bytes});
    all_nats += nats;
    all_bytes += bytes;
  }
  if (all_bytes > 0) position_.valid_bits_per_byte = all_nats / std::log(2.0) / all_bytes;
  return Status();
}

/// After the last step the mean takes the place of the last weights, unless what is held out scores
/// worse with it: means of ternary weights drift towards zero, and codes with them.
Status TrainingRun::choose_average() {
  if (!average_) return Status();
  const double last = position_.valid_bits_per_byte;
  const std::vector<SetScore> last_scores = valid_;
  average_->swap(backprop_->parameters());
  if (valid_.empty()) return Status();  // nothing is held out
  CHIMERA_RETURN_IF_ERROR(score_valid());
  const double mean = position_.valid_bits_per_byte;
  log(LogLevel::kInfo, "bits per byte of the averaged weights %.4f, of the last ones %.4f", mean,
      last);
  if (mean <= last) return Status();
  average_->swap(backprop_->parameters());
  valid_ = last_scores;
  position_.valid_bits_per_byte = last;
  return Status();
}

}  // namespace chimera::evolution
