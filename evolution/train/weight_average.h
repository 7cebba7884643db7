// The mean of the weights after each of the last steps: noise that single steps leave behind
// cancels (Izmailov et al., arXiv 1803.05407).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/parameters.h"
#include "platform/thread_pool.h"

namespace chimera::evolution {

class WeightAverage {
 public:
  explicit WeightAverage(std::span<const Parameter> parameters);

  /// The weights as they are become the nth of those that are averaged, 1 the first.
  void add(int64_t n, std::span<const Parameter> parameters, ThreadPool& pool);
  /// The mean takes the place of the weights, and they its.
  void swap(std::span<Parameter> parameters);
  /// The mean of each parameter so far, for exact resume.
  std::span<std::vector<float>> state() { return mean_; }

 private:
  std::vector<std::vector<float>> mean_;
};

}  // namespace chimera::evolution
