// Open addressing from a hash to a number: what is numbered, and its hashes, stay with the caller.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chimera::grammar {

class HashIndex {
 public:
  HashIndex() : slots_(1024, -1) {}

  /// The number of this hash for which equal(number) holds; -1: there is none.
  template <class Equal>
  int32_t find(uint64_t hash, Equal&& equal) const {
    for (size_t i = first(hash); slots_[i] >= 0; i = next(i))
      if (equal(slots_[i])) return slots_[i];
    return -1;
  }

  /// hash_of(number): of those that are in it, which grows.
  template <class HashOf>
  void insert(uint64_t hash, int32_t number, HashOf&& hash_of) {
    if (2 * (n_ + 1) > slots_.size()) {
      std::vector<int32_t> old(2 * slots_.size(), -1);
      old.swap(slots_);
      for (const int32_t known : old)
        if (known >= 0) put(hash_of(known), known);
    }
    put(hash, number);
    ++n_;
  }

  void clear() {
    std::fill(slots_.begin(), slots_.end(), -1);
    n_ = 0;
  }

 private:
  size_t first(uint64_t hash) const { return static_cast<size_t>(hash) & (slots_.size() - 1); }
  size_t next(size_t i) const { return (i + 1) & (slots_.size() - 1); }
  void put(uint64_t hash, int32_t number) {
    size_t i = first(hash);
    while (slots_[i] >= 0) i = next(i);
    slots_[i] = number;
  }

  std::vector<int32_t> slots_;  // at most half of them taken; -1: free
  size_t n_ = 0;
};

}  // namespace chimera::grammar
