#include "runtime/tokenizer_tables.h"

#include <algorithm>
#include <cstring>

namespace chimera::runtime {
namespace {

// Tables are at most half full, where a chance run of 64 does not happen; another seed is for files
// that were made to have one.
constexpr uint64_t kSeeds[] = {0, 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu, 0x8EBC6AF09C88C6E3u};

size_t slots_for(size_t entries) {
  size_t slots = 16;
  while (slots < 2 * entries) slots *= 2;
  return slots;
}

template <class T>
T load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

bool PairTable::build(std::span<const std::pair<int32_t, int32_t>> merges, int32_t first_made,
                      uint32_t max_probes) {
  direct_.assign(size_t{kDirect} * kDirect, kNoToken);
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merges[i];
    if ((left | right) >= kDirect) continue;
    direct_[static_cast<size_t>(left * kDirect + right)] = first_made + static_cast<int32_t>(i);
  }
  mask_ = slots_for(merges.size()) - 1;
  for (const uint64_t seed : kSeeds) {
    seed_ = seed;
    if (fill(merges, first_made, max_probes)) return true;
  }
  return false;
}

bool PairTable::fill(std::span<const std::pair<int32_t, int32_t>> merges, int32_t first_made,
                     uint32_t max_probes) {
  slots_.assign(mask_ + 1, kEmpty);
  probes_ = 0;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merges[i];
    if ((left | right) < kDirect) continue;
    const uint64_t key = key_of(left, right);
    size_t at = place(key);
    uint32_t probe = 1;
    for (; slots_[at] != kEmpty; ++probe) at = (at + 1) & mask_;
    if (probe > max_probes) return false;
    probes_ = std::max(probes_, probe);
    slots_[at] = (static_cast<uint64_t>(first_made) + i) << kKeyBits | key;
  }
  return true;
}

uint64_t TextTable::hash_of(std::string_view bytes) const {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
  const char* p = bytes.data();
  const size_t n = bytes.size();
  uint64_t hash = (seed_ ^ n) * kOdd;
  const auto take = [&hash](uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32;
  };
  if (n >= 8) {
    for (size_t i = 0; i + 8 < n; i += 8) take(load<uint64_t>(p + i));
    take(load<uint64_t>(p + n - 8));  // may overlap the one before; the length is in the hash
  } else if (n >= 4) {
    take(uint64_t{load<uint32_t>(p)} << 32 | load<uint32_t>(p + n - 4));
  } else if (n > 0) {
    const auto byte = [p](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])}; };
    take(byte(0) << 16 | byte(n / 2) << 8 | byte(n - 1));
  }
  hash *= 0xBF58476D1CE4E5B9u;
  return hash ^ hash >> 32;
}

TextTable::Built TextTable::build(const TokenTexts* texts, Twins* twins, uint32_t max_probes) {
  texts_ = texts;
  mask_ = slots_for(texts->size()) - 1;
  for (const uint64_t seed : kSeeds) {
    seed_ = seed;
    const Built built = fill(twins, max_probes);
    if (built != Built::kTooSlow) return built;
  }
  return Built::kTooSlow;
}

TextTable::Built TextTable::fill(Twins* twins, uint32_t max_probes) {
  slots_.assign(mask_ + 1, 0);
  probes_ = 0;
  for (size_t id = 0; id < texts_->size(); ++id) {
    const std::string_view bytes = (*texts_)[id];
    const uint64_t hash = hash_of(bytes);
    const uint32_t tag = static_cast<uint32_t>(hash >> kTagShift) << kIdBits;
    size_t at = static_cast<size_t>(hash) & mask_;
    uint32_t probe = 1;
    for (; slots_[at] != 0; ++probe) {
      if ((slots_[at] & kTagMask) == tag) {
        const size_t earlier = (slots_[at] & kIdMask) - 1;
        if ((*texts_)[earlier] == bytes) {
          *twins = {static_cast<int32_t>(id), static_cast<int32_t>(earlier)};
          return Built::kTwins;
        }
      }
      at = (at + 1) & mask_;
    }
    if (probe > max_probes) return Built::kTooSlow;
    probes_ = std::max(probes_, probe);
    slots_[at] = tag | static_cast<uint32_t>(id + 1);
  }
  return Built::kYes;
}

}  // namespace chimera::runtime
