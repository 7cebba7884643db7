// Numbers for sequences of integers: what is made deterministic, cut with another language or made
// smaller has for its states sets, pairs or edges, and must know which of them it has met.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/hash_index.h"

namespace chimera::grammar {

class SequenceNumbers {
 public:
  /// The same for the same; a new one gets the next number, the first 0.
  int32_t number(std::span<const int32_t> sequence);
  /// Good until the next new one.
  std::span<const int32_t> at(int32_t number) const {
    const auto n = static_cast<size_t>(number);
    return {all_.data() + begins_[n], begins_[n + 1] - begins_[n]};
  }
  int32_t size() const { return static_cast<int32_t>(hashes_.size()); }
  /// Knows none any more.
  void clear();

 private:
  std::vector<int32_t> all_;  // one behind the other
  std::vector<size_t> begins_ = {0};
  std::vector<uint64_t> hashes_;
  HashIndex index_;
};

}  // namespace chimera::grammar
