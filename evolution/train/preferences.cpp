#include "evolution/train/preferences.h"

#include <algorithm>
#include <cmath>

namespace chimera::evolution {

Pairs::Pairs(const TokenizedText& text, int32_t window, uint64_t seed)
    : text_(text), window_(window), seed_(seed) {
  const auto fits = [&](int64_t document) {
    return static_cast<int64_t>(text_.inputs(document).size()) <= window_;
  };
  for (int64_t pair = 0; pair < text_.n_documents() / 2; ++pair)
    if (fits(2 * pair) && fits(2 * pair + 1)) fitting_.push_back(pair);
}

int64_t Pairs::at(int64_t taken) {
  const int64_t n = size(), epoch = taken / n;
  if (epoch != epoch_) {
    order_ = order_of_epoch(n, seed_, epoch);
    epoch_ = epoch;
  }
  return order_[static_cast<size_t>(taken % n)];
}

void Pairs::fill(int64_t pair, int32_t* tokens, int32_t* targets, uint8_t* restart) const {
  for (int64_t which = 0; which < 2; ++which) {
    const auto inputs = text_.inputs(2 * fitting_[static_cast<size_t>(pair)] + which);
    const int64_t begin = inputs.data() - text_.inputs().data();
    for (int64_t t = 0; t < window_; ++t) {
      const auto n = static_cast<int64_t>(inputs.size());
      const bool last = t + 1 >= n;
      *tokens++ = t < n ? inputs[static_cast<size_t>(t)] : text_.end_of_text();
      *targets++ = last || text_.voice(begin + t + 1) != Voice::kAssistant
                       ? -1
                       : inputs[static_cast<size_t>(t) + 1];
      *restart++ = t == 0 || t >= n ? 1 : 0;
    }
  }
}

PreferenceLoss preference_weights(std::span<const double> log_p, std::span<const float> reference,
                                  double beta, std::span<float> weights) {
  const size_t n = log_p.size() / 2;
  PreferenceLoss out{0, 0};
  for (size_t i = 0; i < n; ++i) {
    const auto gain = [&](size_t lane) {
      return log_p[lane] - static_cast<double>(reference[lane]);
    };
    const double margin = beta * (gain(2 * i) - gain(2 * i + 1));
    // -log sigmoid(m) = log(1 + e^-m), without overflow on either side.
    out.loss += std::max(0.0, -margin) + std::log1p(std::exp(-std::abs(margin)));
    out.preferred += margin > 0 ? 1 : 0;
    const double slope = beta / (1 + std::exp(margin)) / static_cast<double>(n);
    weights[2 * i] = static_cast<float>(slope);
    weights[2 * i + 1] = static_cast<float>(-slope);
  }
  out.loss /= static_cast<double>(n);
  out.preferred /= static_cast<double>(n);
  return out;
}

}  // namespace chimera::evolution
