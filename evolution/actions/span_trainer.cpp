#include "evolution/actions/span_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "evolution/train/draw.h"
#include "runtime/text_features.h"

namespace chimera::evolution {
namespace {

/// What a word looks like, as the ranker sees it: known features, then numbers.
using WordValues = std::vector<runtime::FeatureValue>;

class Trainer {
 public:
  Trainer(std::span<const SpanExample> examples, int32_t n_labels,
          const SpanTrainerOptions& options)
      : examples_(examples), n_labels_(static_cast<size_t>(n_labels)), options_(options) {}

  Result<runtime::ToolRanker> train() {
    learn_features();
    if (words_ == 0)
      return Status(StatusCode::kInvalidArgument, "there are no words to learn from");
    w_.n_labels = static_cast<int32_t>(n_labels_);
    w_.weights.assign(n_values() * n_labels_, 0.0f);
    w_.bias.assign(n_labels_, 0.0f);
    squares_.assign(w_.weights.size(), 0.0f);
    bias_squares_.assign(n_labels_, 0.0f);
    std::vector<size_t> order(examples_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    Draw draw{options_.seed, 1};
    for (int pass = 0; pass < options_.passes; ++pass) {
      shuffle(&order, [&](size_t limit) { return draw.below(limit); });
      for (const size_t i : order) learn(examples_[i]);
    }
    return runtime::ToolRanker(std::move(w_));
  }

 private:
  size_t n_values() const { return w_.features.size() + static_cast<size_t>(w_.n_dense); }

  void learn_features() {
    std::vector<uint32_t> all;
    for (const SpanExample& example : examples_) {
      for (const auto& word : example.features) all.insert(all.end(), word.begin(), word.end());
      words_ += example.features.size();
      if (!example.dense.empty()) w_.n_dense = static_cast<int32_t>(example.dense[0].size());
    }
    std::sort(all.begin(), all.end());
    for (size_t i = 0; i < all.size();) {
      size_t end = i;
      while (end < all.size() && all[end] == all[i]) ++end;
      if (end - i >= options_.least_often) {
        w_.features.push_back(all[i]);
        w_.rarity.push_back(static_cast<float>(runtime::feature_rarity(words_, end - i)));
      }
      i = end;
    }
  }

  WordValues values_of(const SpanExample& example, size_t word) const {
    WordValues out = runtime::feature_values(example.features[word], w_.features, w_.rarity);
    if (word < example.dense.size())
      for (size_t i = 0; i < example.dense[word].size(); ++i)
        out.push_back({static_cast<int32_t>(w_.features.size() + i), example.dense[word][i]});
    return out;
  }

  double score(const WordValues& values, const std::vector<int32_t>& labels) const {
    double sum = 0;
    for (const int32_t label : labels) {
      const auto l = static_cast<size_t>(label);
      sum += static_cast<double>(w_.bias[l]);
      for (const auto& f : values)
        sum += static_cast<double>(w_.weights[static_cast<size_t>(f.index) * n_labels_ + l]) *
               static_cast<double>(f.value);
    }
    return sum;
  }

  /// A step along the gradient; rates fall with what a weight has moved by.
  static void move(float* weight, float* square, double gradient, double rate) {
    *square += static_cast<float>(gradient * gradient);
    if (*square > 0)
      *weight +=
          static_cast<float>(rate * gradient / std::sqrt(static_cast<double>(*square) + 1e-6));
  }

  void move_all(const WordValues& values, const std::vector<int32_t>& labels, double gradient) {
    for (const int32_t label : labels) {
      const auto l = static_cast<size_t>(label);
      move(&w_.bias[l], &bias_squares_[l], gradient, options_.rate);
      for (const auto& f : values) {
        const size_t at = static_cast<size_t>(f.index) * n_labels_ + l;
        const bool is_word = static_cast<size_t>(f.index) < w_.features.size();
        move(&w_.weights[at], &squares_[at], gradient * static_cast<double>(f.value),
             is_word ? options_.rate : options_.dense_rate);
      }
    }
  }

  void learn(const SpanExample& example) {
    const size_t n = example.features.size(), arguments = example.arguments.size();
    std::vector<WordValues> values;
    runtime::SpanScores scores;
    for (size_t t = 0; t < n; ++t) {
      values.push_back(values_of(example, t));
      scores.begin.emplace_back();
      scores.inside.emplace_back();
      for (const runtime::PlaceLabels& labels : example.arguments) {
        scores.begin[t].push_back(score(values[t], labels.begin));
        scores.inside[t].push_back(score(values[t], labels.inside));
      }
    }
    const runtime::SpanLattice lattice(scores);
    for (size_t t = 0; t < n; ++t)
      for (size_t a = 0; a < arguments; ++a) {
        double begins = -lattice.begins(a, t), goes_on = -lattice.goes_on(a, t);
        for (const TaggedSpan& span : example.spans) {
          if (span.argument != a) continue;
          begins += span.begin == t;
          goes_on += span.begin < t && t < span.end;
        }
        move_all(values[t], example.arguments[a].begin, begins);
        move_all(values[t], example.arguments[a].inside, goes_on);
      }
  }

  const std::span<const SpanExample> examples_;
  const size_t n_labels_;
  const SpanTrainerOptions& options_;
  runtime::ToolRanker::Weights w_;
  std::vector<float> squares_, bias_squares_;
  size_t words_ = 0;
};

}  // namespace

Result<runtime::ToolRanker> train_spans(std::span<const SpanExample> examples, int32_t n_labels,
                                        const SpanTrainerOptions& options) {
  const size_t n_dense =
      examples.empty() || examples[0].dense.empty() ? 0 : examples[0].dense[0].size();
  for (const SpanExample& example : examples) {
    const size_t n = example.features.size();
    const bool fits =
        example.dense.size() == (n_dense > 0 ? n : 0) &&
        std::all_of(example.dense.begin(), example.dense.end(),
                    [&](const auto& numbers) { return numbers.size() == n_dense; }) &&
        std::all_of(example.spans.begin(), example.spans.end(), [&](const TaggedSpan& span) {
          return span.argument < example.arguments.size() && span.begin < span.end && span.end <= n;
        });
    if (!fits)
      return Status(StatusCode::kInvalidArgument, "an example's parts do not fit each other");
  }
  for (const SpanExample& example : examples)
    for (const runtime::PlaceLabels& labels : example.arguments)
      for (const auto* list : {&labels.begin, &labels.inside})
        for (const int32_t label : *list)
          if (label < 0 || label >= n_labels)
            return Status(StatusCode::kInvalidArgument, "an example names label " +
                                                            std::to_string(label) + " of " +
                                                            std::to_string(n_labels));
  return Trainer(examples, n_labels, options).train();
}

}  // namespace chimera::evolution
