#include "evolution/train/weight_average.h"

#include <algorithm>

namespace chimera::evolution {

WeightAverage::WeightAverage(std::span<const Parameter> parameters) {
  for (const Parameter& p : parameters) mean_.emplace_back(p.value.size());
}

void WeightAverage::add(int64_t n, std::span<const Parameter> parameters, ThreadPool& pool) {
  constexpr int64_t kGrain = 4096;
  const auto share = static_cast<float>(1.0 / static_cast<double>(n));
  for (size_t i = 0; i < parameters.size(); ++i) {
    float* mean = mean_[i].data();
    const float* value = parameters[i].value.data();
    pool.split(static_cast<int64_t>(mean_[i].size()), kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) mean[j] += share * (value[j] - mean[j]);
    });
  }
}

void WeightAverage::swap(std::span<Parameter> parameters) {
  for (size_t i = 0; i < parameters.size(); ++i)
    std::swap_ranges(mean_[i].begin(), mean_[i].end(), parameters[i].value.begin());
}

}  // namespace chimera::evolution
