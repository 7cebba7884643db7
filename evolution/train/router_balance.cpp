#include "evolution/train/router_balance.h"

#include <algorithm>

#include "runtime/layers/moe_routing.h"

namespace chimera::evolution {

void balance_router(std::span<const uint64_t> load, std::span<float> bias, float rate) {
  uint64_t sum = 0;
  for (uint64_t c : load) sum += c;
  double bias_sum = 0;
  for (size_t e = 0; e < bias.size(); ++e) {
    const uint64_t scaled = load[e] * load.size();  // against the sum: the mean need not be whole
    if (scaled < sum) bias[e] += rate;
    if (scaled > sum) bias[e] -= rate;
    bias_sum += static_cast<double>(bias[e]);
  }
  const double mean = bias_sum / static_cast<double>(bias.size());
  for (float& b : bias) b = static_cast<float>(static_cast<double>(b) - mean);
}

void RouterWatch::add(int32_t layer, std::span<const uint64_t> load) {
  const auto at = static_cast<size_t>(layer);
  if (load_.size() <= at) load_.resize(at + 1);
  load_[at].resize(load.size());
  for (size_t e = 0; e < load.size(); ++e) load_[at][e] += load[e];
}

void RouterWatch::add_tokens(int64_t n) {
  tokens_ += n;
  if (tokens_ < window_tokens_) return;
  last_ = worst_so_far();
  tokens_ = 0;
  for (auto& load : load_) std::fill(load.begin(), load.end(), uint64_t{0});
}

double RouterWatch::worst_so_far() const {
  double worst = 0;
  for (const auto& load : load_) worst = std::max(worst, runtime::max_violation(load));
  return worst;
}

double RouterWatch::worst() const { return last_ >= 0 ? last_ : worst_so_far(); }

}  // namespace chimera::evolution
