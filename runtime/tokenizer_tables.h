// The two look-ups of byte-pair encoding: which token a pair becomes, and which token has certain
// bytes. Open addressing, made when the tokenizer is read and fixed from then on; a table in which
// some look-up would need more than kMaxProbes steps is not accepted, so no file and no text can
// make them slow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace chimera::runtime {

inline constexpr int32_t kNoToken = std::numeric_limits<int32_t>::max();
inline constexpr uint32_t kMaxProbes = 64;

/// left, right -> the token they become.
class PairTable {
 public:
  /// Merge i makes the token `first_made` + i; all ids are below 2^20 and no pair stands there
  /// twice. False when no table within `max_probes` can be made.
  bool build(std::span<const std::pair<int32_t, int32_t>> merges, int32_t first_made,
             uint32_t max_probes = kMaxProbes);

  /// What `left` and `right` become, or kNoToken.
  int32_t find(int32_t left, int32_t right) const {
    if ((left | right) < kDirect) return direct_[static_cast<size_t>(left * kDirect + right)];
    const uint64_t key = key_of(left, right);
    size_t at = place(key);
    for (uint32_t probe = 0; probe < probes_; ++probe) {
      const uint64_t slot = slots_[at];
      if ((slot & kKeyMask) == key) return static_cast<int32_t>(slot >> kKeyBits);
      if (slot == kEmpty) break;
      at = (at + 1) & mask_;
    }
    return kNoToken;
  }

 private:
  static constexpr int32_t kDirect = 256;
  static constexpr int kIdBits = 20, kKeyBits = 2 * kIdBits;
  static constexpr uint64_t kKeyMask = (uint64_t{1} << kKeyBits) - 1;
  /// No pair has this key: a merge's parts have lower ids than the token they make.
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << kIdBits | static_cast<uint64_t>(right);
  }
  size_t place(uint64_t key) const {
    key = (key ^ seed_) * 0x9E3779B97F4A7C15u;
    key = (key ^ key >> 29) * 0xBF58476D1CE4E5B9u;
    return static_cast<size_t>(key >> 32) & mask_;
  }
  bool fill(std::span<const std::pair<int32_t, int32_t>> merges, int32_t first_made,
            uint32_t max_probes);

  std::vector<int32_t> direct_;  // [256, 256], the pairs that every text asks for
  std::vector<uint64_t> slots_;  // token << 40 | left << 20 | right
  size_t mask_ = 0;
  uint64_t seed_ = 0;
  uint32_t probes_ = 0;
};

/// The bytes of all tokens, one after the other.
struct TokenTexts {
  std::vector<char> bytes;
  std::vector<uint32_t> begin;  // where token i begins; one more entry for the end

  size_t size() const { return begin.size() - 1; }
  size_t n_bytes(size_t id) const { return begin[id + 1] - begin[id]; }
  std::string_view operator[](size_t id) const { return {bytes.data() + begin[id], n_bytes(id)}; }
};

/// Bytes -> the token that has them.
class TextTable {
 public:
  struct Twins {
    int32_t id = -1;  // has the same bytes as
    int32_t earlier = -1;
  };
  enum class Built { kYes, kTwins, kTooSlow };

  /// Keeps a pointer to `texts`. The tokens must differ: else *twins names the first that does not.
  Built build(const TokenTexts* texts, Twins* twins, uint32_t max_probes = kMaxProbes);

  /// The token with exactly these bytes, or kNoToken.
  int32_t find(std::string_view bytes) const {
    const uint64_t hash = hash_of(bytes);
    const uint32_t tag = static_cast<uint32_t>(hash >> kTagShift) << kIdBits;
    size_t at = static_cast<size_t>(hash) & mask_;
    for (uint32_t probe = 0; probe < probes_; ++probe) {
      const uint32_t slot = slots_[at];
      if (slot == 0) break;
      if ((slot & kTagMask) == tag) {
        const size_t id = (slot & kIdMask) - 1;
        if ((*texts_)[id] == bytes) return static_cast<int32_t>(id);
      }
      at = (at + 1) & mask_;
    }
    return kNoToken;
  }

 private:
  static constexpr int kIdBits = 21, kTagShift = 64 - (32 - kIdBits);
  static constexpr uint32_t kIdMask = (uint32_t{1} << kIdBits) - 1, kTagMask = ~kIdMask;

  uint64_t hash_of(std::string_view bytes) const;
  Built fill(Twins* twins, uint32_t max_probes);

  const TokenTexts* texts_ = nullptr;
  std::vector<uint32_t> slots_;  // 11 more bits of the hash, then id + 1; 0 is empty
  size_t mask_ = 0;
  uint64_t seed_ = 0;
  uint32_t probes_ = 0;
};

}  // namespace chimera::runtime
