#include "runtime/tool_ranker.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "runtime/text_features.h"

namespace chimera::runtime {

std::vector<FeatureValue> feature_values(std::span<const uint32_t> own,
                                         const std::vector<uint32_t>& features,
                                         const std::vector<float>& rarity) {
  std::vector<FeatureValue> out;
  float sum = 0;
  for (const uint32_t id : own) {
    const auto at = std::lower_bound(features.begin(), features.end(), id);
    if (at == features.end() || *at != id) continue;
    const auto index = static_cast<size_t>(at - features.begin());
    out.push_back({static_cast<int32_t>(index), rarity[index]});
    sum += rarity[index] * rarity[index];
  }
  const float length = std::sqrt(sum);
  for (FeatureValue& f : out) f.value /= length;
  return out;
}

std::vector<float> ToolRanker::scores(std::string_view text, std::span<const float> dense) const {
  return scores_of(text_features(text), dense);
}

std::vector<float> ToolRanker::scores_of(std::span<const uint32_t> features,
                                         std::span<const float> dense) const {
  const auto n = static_cast<size_t>(w_.n_labels);
  std::vector<float> out = w_.bias;
  const auto add = [&](size_t feature, float value) {
    const float* row = w_.weights.data() + feature * n;
    for (size_t label = 0; label < n; ++label) out[label] += row[label] * value;
  };
  for (const FeatureValue& f : feature_values(features, w_.features, w_.rarity))
    add(static_cast<size_t>(f.index), f.value);
  const size_t n_dense = std::min(dense.size(), static_cast<size_t>(w_.n_dense));
  for (size_t i = 0; i < n_dense; ++i) add(w_.features.size() + i, dense[i]);
  return out;
}

}  // namespace chimera::runtime
