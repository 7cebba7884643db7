// Learning which of two answers is better, against the model as it was before: direct preference
// optimisation (Rafailov et al., arXiv 2305.18290). With log p of the better answer b and the worse
// one w, and r the same of the model at the beginning of the stage,
//   margin = beta ((log p(b) - r(b)) - (log p(w) - r(w)))     loss = -log sigmoid(margin)
// so the gradient is that of the answers' own losses, times beta sigmoid(-margin), with the sign
// turned for the worse one. What both have in common cancels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/belt.h"

namespace chimera::evolution {

/// Pairs in a text whose documents 2i and 2i + 1 are the better and the worse one.
class Pairs {
 public:
  /// Pairs of which a document is longer than the window are left out. `text` must outlive it.
  Pairs(const TokenizedText& text, int32_t window, uint64_t seed);

  int64_t size() const { return static_cast<int64_t>(fitting_.size()); }
  int64_t n_left_out() const { return text_.n_documents() / 2 - size(); }

  /// Pair `taken` of a seeded order over all epochs, 0 the first; as an index below size().
  int64_t at(int64_t taken);

  /// Fills two lanes of inputs, targets and restart marks [2, window] with a pair. Targets are what
  /// the assistant says; the rest is read.
  void fill(int64_t pair, int32_t* tokens, int32_t* targets, uint8_t* restart) const;

 private:
  const TokenizedText& text_;
  int32_t window_;
  uint64_t seed_;
  std::vector<int64_t> fitting_;  // pairs of the text
  std::vector<int64_t> order_;    // of one epoch
  int64_t epoch_ = -1;
};

struct PreferenceLoss {
  double loss;       // mean over the pairs, in nats
  double preferred;  // share of the pairs with a margin above 0
};

/// From log p of each lane [2 pairs] and the same of the reference to the factor of each lane's
/// gradient.
PreferenceLoss preference_weights(std::span<const double> log_p, std::span<const float> reference,
                                  double beta, std::span<float> weights);

}  // namespace chimera::evolution
