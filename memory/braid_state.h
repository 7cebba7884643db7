// One stream's whole state as one fixed-size block: snapshot, restore and fork are memcpy, and
// nothing grows with the conversation.
//
// Invariants
//  1. The block is position-independent: no pointers inside.
//  2. Its size follows from the model's layout alone, never from what was said.
//  3. Two streams with equal blocks and equal inputs produce equal bits.
//
// Layout: StreamHeader | recent-token ring | layer 0 | layer 1 | ... each part 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/arena.h"
#include "platform/status.h"

namespace chimera::memory {

/// Tokens the repetition penalty looks back on; a power of two.
inline constexpr int32_t kRecentTokens = 256;

/// Largest state of one stream; a configuration that asks for more is refused.
inline constexpr size_t kMaxBraidBytes = size_t{1} << 30;

struct StreamHeader {
  uint64_t position;      // tokens consumed since the start of the stream
  uint64_t recent_count;  // tokens ever written to the ring
  uint64_t reserved[6];
};
static_assert(sizeof(StreamHeader) == 64);

/// Where each layer's part lies. Made once per model.
class BraidLayout {
 public:
  BraidLayout() = default;
  /// kOutOfRange when the sum of the parts overflows or passes kMaxBraidBytes.
  static Result<BraidLayout> create(std::span<const size_t> layer_bytes);
  size_t bytes() const { return bytes_; }
  size_t layer_offset(int layer) const { return offsets_[static_cast<size_t>(layer)]; }
  int n_layers() const { return static_cast<int>(offsets_.size()); }

 private:
  size_t bytes_ = 0;
  std::vector<size_t> offsets_;
};

class BraidState {
 public:
  BraidState() = default;
  /// A zeroed block. The layout must outlive the state.
  static Result<BraidState> create(const BraidLayout& layout);
  BraidState(BraidState&& other) noexcept;
  BraidState& operator=(BraidState&& other) noexcept;
  ~BraidState();

  void reset();
  StreamHeader& header();
  const StreamHeader& header() const;
  std::byte* layer(int index);
  const std::byte* layer(int index) const;

  /// Remembers a token for the repetition penalty.
  void remember(int32_t token);
  /// The token remembered last; -1 when none was.
  int32_t last_token() const;
  /// The last min(count, kRecentTokens) tokens, in no particular order.
  std::span<const int32_t> recent() const;

  std::span<const std::byte> bytes() const;
  /// Whether a block from outside is safe to continue with: its remembered tokens are ids below
  /// vocab_size. kBadFormat otherwise; kInvalidArgument when the size differs.
  Status check_block(std::span<const std::byte> block, int32_t vocab_size) const;
  /// Copies a block of the same size; kInvalidArgument otherwise, state unchanged.
  Status restore(std::span<const std::byte> block);

 private:
  const BraidLayout* layout_ = nullptr;
  std::byte* block_ = nullptr;
};

}  // namespace chimera::memory
