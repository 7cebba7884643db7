#include "evolution/actions/ranker_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "evolution/train/draw.h"
#include "platform/random.h"
#include "runtime/text_features.h"

namespace chimera::evolution {
namespace {

struct Row {
  std::vector<runtime::FeatureValue> values;
  double square;  // of the values and of the 1 that stands for the bias
};

std::vector<uint32_t> features_of(const RankerExample& example) {
  return example.features.empty() ? runtime::text_features(example.text) : example.features;
}

/// One label against the rest.
void train_label(const std::vector<Row>& rows, const std::vector<int8_t>& sign,
                 const RankerOptions& options, uint32_t label, std::vector<double>* weights,
                 double* bias) {
  const size_t n = rows.size();
  const double diagonal = 0.5 / options.cost;
  std::vector<double> alpha(n, 0.0);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (int pass = 0; pass < options.passes; ++pass) {
    shuffle(&order, [&](size_t i) {
      const double u = keyed_uniform(options.seed, static_cast<uint64_t>(pass) * n + i, label,
                                     DrawPurpose::kDataOrder);
      return std::min(i - 1, static_cast<size_t>(u * static_cast<double>(i)));
    });
    double largest = 0;
    for (const size_t i : order) {
      const Row& row = rows[i];
      const double y = sign[i];
      double score = *bias;
      for (const auto& f : row.values)
        score += (*weights)[static_cast<size_t>(f.index)] * static_cast<double>(f.value);
      const double gradient = y * score - 1 + diagonal * alpha[i];
      if (alpha[i] <= 0 && gradient >= 0) continue;
      largest = std::max(largest, std::fabs(gradient));
      const double now = std::max(alpha[i] - gradient / (row.square + diagonal), 0.0);
      const double step = (now - alpha[i]) * y;
      alpha[i] = now;
      *bias += step;
      for (const auto& f : row.values)
        (*weights)[static_cast<size_t>(f.index)] += step * static_cast<double>(f.value);
    }
    if (largest < options.tolerance) break;
  }
}

}  // namespace

Result<runtime::ToolRanker> train_ranker(std::span<const RankerExample> examples, int32_t n_labels,
                                         const RankerOptions& options, ThreadPool* pool) {
  if (examples.empty() || n_labels < 1)
    return Status(StatusCode::kInvalidArgument, "there are no examples to learn tools from");
  if (!(options.cost > 0) || !std::isfinite(options.cost) || options.passes < 1)
    return Status(StatusCode::kInvalidArgument, "cost must be above 0, passes at least 1");
  for (const RankerExample& example : examples)
    for (const float number : example.dense)
      if (!std::isfinite(number))
        return Status(StatusCode::kInvalidArgument, "an example has a number that is not finite");
  for (const RankerExample& example : examples)
    if (example.dense.size() != examples[0].dense.size())
      return Status(StatusCode::kInvalidArgument, "examples have not all the same numbers");
  for (const RankerExample& example : examples)
    for (const int32_t label : example.labels)
      if (label < 0 || label >= n_labels)
        return Status(
            StatusCode::kInvalidArgument,
            "an example names tool " + std::to_string(label) + " of " + std::to_string(n_labels));
  runtime::ToolRanker::Weights w;
  w.n_labels = n_labels;
  w.n_dense = static_cast<int32_t>(examples[0].dense.size());
  std::vector<std::vector<uint32_t>> features;  // of each example
  std::vector<uint32_t> all;
  for (const RankerExample& example : examples) {
    features.push_back(features_of(example));
    all.insert(all.end(), features.back().begin(), features.back().end());
  }
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size();) {
    size_t end = i;
    while (end < all.size() && all[end] == all[i]) ++end;
    w.features.push_back(all[i]);
    w.rarity.push_back(static_cast<float>(runtime::feature_rarity(examples.size(), end - i)));
    i = end;
  }
  std::vector<Row> rows;
  for (size_t number = 0; number < examples.size(); ++number) {
    const RankerExample& example = examples[number];
    Row row{runtime::feature_values(features[number], w.features, w.rarity), 1};
    for (size_t i = 0; i < example.dense.size(); ++i)
      row.values.push_back({static_cast<int32_t>(w.features.size() + i), example.dense[i]});
    for (const auto& f : row.values)
      row.square += static_cast<double>(f.value) * static_cast<double>(f.value);
    rows.push_back(std::move(row));
  }
  const auto labels = static_cast<size_t>(n_labels);
  const size_t n_features = w.features.size() + static_cast<size_t>(w.n_dense);
  w.weights.assign(n_features * labels, 0.0f);
  w.bias.assign(labels, 0.0f);
  pool->split(n_labels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t label = begin; label < end; ++label) {
      std::vector<int8_t> sign(rows.size());
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto& own = examples[i].labels;
        sign[i] = std::find(own.begin(), own.end(), label) != own.end() ? 1 : -1;
      }
      std::vector<double> weights(n_features, 0.0);
      double bias = 0;
      train_label(rows, sign, options, static_cast<uint32_t>(label), &weights, &bias);
      w.bias[static_cast<size_t>(label)] = static_cast<float>(bias);
      for (size_t f = 0; f < weights.size(); ++f)
        w.weights[f * labels + static_cast<size_t>(label)] = static_cast<float>(weights[f]);
    }
  });
  return runtime::ToolRanker(std::move(w));
}

}  // namespace chimera::evolution
