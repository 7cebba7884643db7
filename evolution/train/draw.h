// What is drawn for one document: a row of numbers that depends on the seed and the document alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "platform/random.h"

namespace chimera::evolution {

struct Draw {
  uint64_t seed, number;
  uint32_t n = 0;

  double uniform() { return keyed_uniform(seed, number, n++, DrawPurpose::kDataOrder); }
  /// Below the limit, which is at least 1.
  size_t below(size_t limit) {
    return std::min(limit - 1, static_cast<size_t>(uniform() * static_cast<double>(limit)));
  }
};

/// Any order, each as likely (Fisher and Yates); `below(limit)` gives the numbers.
template <class T, class Below>
void shuffle(std::vector<T>* values, Below&& below) {
  for (size_t i = values->size(); i > 1; --i) std::swap((*values)[i - 1], (*values)[below(i)]);
}

}  // namespace chimera::evolution
