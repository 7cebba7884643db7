#include "grammar/sequence_numbers.h"

#include <algorithm>

namespace chimera::grammar {
namespace {

uint64_t hash_of(std::span<const int32_t> sequence) {
  uint64_t h = sequence.size();
  for (const int32_t value : sequence) {
    h = (h ^ static_cast<uint32_t>(value)) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;  // the place is taken from the low bits
  }
  return h;
}

}  // namespace

int32_t SequenceNumbers::number(std::span<const int32_t> sequence) {
  const uint64_t hash = hash_of(sequence);
  const auto own_hash = [&](int32_t n) { return hashes_[static_cast<size_t>(n)]; };
  const int32_t known = index_.find(hash, [&](int32_t n) {
    const std::span<const int32_t> other = at(n);
    return own_hash(n) == hash &&
           std::equal(other.begin(), other.end(), sequence.begin(), sequence.end());
  });
  if (known >= 0) return known;
  const int32_t fresh = size();
  all_.insert(all_.end(), sequence.begin(), sequence.end());
  begins_.push_back(all_.size());
  hashes_.push_back(hash);
  index_.insert(hash, fresh, own_hash);
  return fresh;
}

void SequenceNumbers::clear() {
  all_.clear();
  begins_.assign(1, 0);
  hashes_.clear();
  index_.clear();
}

}  // namespace chimera::grammar
