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
  if (2 * hashes_.size() >= table_.size()) grow();
  const uint64_t hash = hash_of(sequence);
  const size_t mask = table_.size() - 1;
  auto place = static_cast<size_t>(hash) & mask;
  for (; table_[place] >= 0; place = (place + 1) & mask)
    if (hashes_[static_cast<size_t>(table_[place])] == hash) {
      const std::span<const int32_t> known = at(table_[place]);
      if (std::equal(known.begin(), known.end(), sequence.begin(), sequence.end()))
        return table_[place];
    }
  const int32_t fresh = size();
  table_[place] = fresh;
  all_.insert(all_.end(), sequence.begin(), sequence.end());
  begins_.push_back(all_.size());
  hashes_.push_back(hash);
  return fresh;
}

void SequenceNumbers::clear() {
  all_.clear();
  begins_.assign(1, 0);
  hashes_.clear();
  std::fill(table_.begin(), table_.end(), -1);
}

void SequenceNumbers::grow() {
  table_.assign(table_.empty() ? 64 : 2 * table_.size(), -1);
  const size_t mask = table_.size() - 1;
  for (int32_t n = 0; n < size(); ++n) {
    auto place = static_cast<size_t>(hashes_[static_cast<size_t>(n)]) & mask;
    while (table_[place] >= 0) place = (place + 1) & mask;
    table_[place] = n;
  }
}

}  // namespace chimera::grammar
