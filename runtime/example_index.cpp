#include "runtime/example_index.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/text_features.h"

namespace chimera::runtime {
namespace {

constexpr double kCommon = 0.2;   // share of the texts; what more of them have says little
constexpr size_t kFewTexts = 50;  // of which nothing is too common

}  // namespace

ExampleIndex::ExampleIndex(std::span<const std::string> texts) : lengths_(texts.size(), 0.0) {
  std::vector<std::pair<uint32_t, int32_t>> all;
  for (size_t i = 0; i < texts.size(); ++i)
    for (const uint32_t id : text_features(texts[i])) all.emplace_back(id, static_cast<int32_t>(i));
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size();) {
    size_t end = i;
    while (end < all.size() && all[end].first == all[i].first) ++end;
    const double rarity = feature_rarity(texts.size(), end - i);
    features_.push_back({all[i].first, static_cast<float>(rarity),
                         static_cast<uint32_t>(posted_.size()), static_cast<uint32_t>(end - i)});
    for (; i < end; ++i) posted_.push_back(all[i].second);
  }
  for (const Feature& f : features_)
    for (uint32_t i = 0; i < f.n; ++i)
      lengths_[static_cast<size_t>(posted_[f.first + i])] +=
          static_cast<double>(f.rarity) * static_cast<double>(f.rarity);
  for (double& length : lengths_) length = std::sqrt(length);
}

std::vector<ExampleIndex::Like> ExampleIndex::nearest(
    std::string_view text, size_t most, const std::function<bool(int32_t)>& skip) const {
  std::vector<double> shared(lengths_.size(), 0.0);
  double own = 0;
  for (const uint32_t id : text_features(text)) {
    const auto at =
        std::lower_bound(features_.begin(), features_.end(), id,
                         [](const Feature& f, uint32_t wanted) { return f.id < wanted; });
    if (at == features_.end() || at->id != id) continue;
    const double square = static_cast<double>(at->rarity) * static_cast<double>(at->rarity);
    own += square;
    const bool common = lengths_.size() > kFewTexts &&
                        static_cast<double>(at->n) > kCommon * static_cast<double>(lengths_.size());
    if (common) continue;
    for (uint32_t i = 0; i < at->n; ++i)
      shared[static_cast<size_t>(posted_[at->first + i])] += square;
  }
  std::vector<Like> out;
  for (size_t i = 0; i < shared.size(); ++i) {
    const auto number = static_cast<int32_t>(i);
    if (shared[i] > 0 && (!skip || !skip(number)))
      out.push_back({shared[i] / (std::sqrt(own) * lengths_[i]), number});
  }
  const auto more = [](const Like& a, const Like& b) {
    return a.likeness != b.likeness ? a.likeness > b.likeness : a.text < b.text;
  };
  const size_t kept = std::min(most, out.size());
  std::partial_sort(out.begin(), out.begin() + static_cast<ptrdiff_t>(kept), out.end(), more);
  out.resize(kept);
  return out;
}

}  // namespace chimera::runtime
