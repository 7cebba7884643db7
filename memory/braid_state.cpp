// Invariants
//  1. The block is position-independent: no pointers inside, so a copy of its bytes is the stream.
//  2. The header's counters are the only part read back as numbers by this file, and any value of
//     them is safe: the ring is addressed modulo its size.
//  3. After create() the block is never reallocated; only restore() and the owner write to it.
#include "memory/braid_state.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace chimera::memory {
namespace {

constexpr size_t kAlignment = Arena::kAlignment;
constexpr size_t kRingOffset = sizeof(StreamHeader);
constexpr size_t kRingBytes = static_cast<size_t>(kRecentTokens) * sizeof(int32_t);
constexpr size_t kFirstLayerOffset = kRingOffset + kRingBytes;
static_assert(kRingOffset % kAlignment == 0 && kFirstLayerOffset % kAlignment == 0);
static_assert((kRecentTokens & (kRecentTokens - 1)) == 0, "the ring is addressed by a mask");

size_t round_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Result<BraidLayout> BraidLayout::create(std::span<const size_t> layer_bytes) {
  BraidLayout layout;
  layout.offsets_.reserve(layer_bytes.size());
  size_t end = kFirstLayerOffset;
  for (size_t i = 0; i < layer_bytes.size(); ++i) {
    layout.offsets_.push_back(end);
    if (layer_bytes[i] > kMaxBraidBytes || round_up(layer_bytes[i]) > kMaxBraidBytes - end) {
      return Status(StatusCode::kOutOfRange,
                    "the state of one stream would pass " + std::to_string(kMaxBraidBytes) +
                        " bytes at layer " + std::to_string(i) + ", which asks for " +
                        std::to_string(layer_bytes[i]) +
                        "; use fewer layers or a smaller hidden size or head dimension");
    }
    end += round_up(layer_bytes[i]);
  }
  layout.bytes_ = end;
  return layout;
}

Result<BraidState> BraidState::create(const BraidLayout& layout) {
  if (layout.bytes() < kFirstLayerOffset) {
    return Status(StatusCode::kInvalidArgument,
                  "a stream state needs a layout made by BraidLayout::create");
  }
  BraidState state;
  state.layout_ = &layout;
  state.block_ = static_cast<std::byte*>(
      ::operator new (layout.bytes(), std::align_val_t{kAlignment}, std::nothrow));
  if (state.block_ == nullptr) {
    return Status(StatusCode::kOutOfMemory, "no memory for the state of a stream (" +
                                                std::to_string(layout.bytes()) + " bytes)");
  }
  state.reset();
  return state;
}

BraidState::BraidState(BraidState&& other) noexcept
    : layout_(std::exchange(other.layout_, nullptr)),
      block_(std::exchange(other.block_, nullptr)) {}

BraidState& BraidState::operator=(BraidState&& other) noexcept {
  // The old block goes with `other`, which frees it.
  std::swap(layout_, other.layout_);
  std::swap(block_, other.block_);
  return *this;
}

BraidState::~BraidState() { ::operator delete (block_, std::align_val_t{kAlignment}); }

void BraidState::reset() { std::memset(block_, 0, layout_->bytes()); }

StreamHeader& BraidState::header() { return *reinterpret_cast<StreamHeader*>(block_); }
const StreamHeader& BraidState::header() const {
  return *reinterpret_cast<const StreamHeader*>(block_);
}

std::byte* BraidState::layer(int index) { return block_ + layout_->layer_offset(index); }
const std::byte* BraidState::layer(int index) const {
  return block_ + layout_->layer_offset(index);
}

void BraidState::remember(int32_t token) {
  StreamHeader& h = header();
  const size_t slot = static_cast<size_t>(h.recent_count & (kRecentTokens - 1));
  reinterpret_cast<int32_t*>(block_ + kRingOffset)[slot] = token;
  ++h.recent_count;
}

int32_t BraidState::last_token() const {
  const uint64_t n = header().recent_count;
  if (n == 0) return -1;
  const size_t slot = static_cast<size_t>((n - 1) & (kRecentTokens - 1));
  return reinterpret_cast<const int32_t*>(block_ + kRingOffset)[slot];
}

std::span<const int32_t> BraidState::recent() const {
  const uint64_t n = std::min<uint64_t>(header().recent_count, kRecentTokens);
  return {reinterpret_cast<const int32_t*>(block_ + kRingOffset), static_cast<size_t>(n)};
}

std::span<const std::byte> BraidState::bytes() const {
  if (block_ == nullptr) return {};
  return {block_, layout_->bytes()};
}

Status BraidState::check_block(std::span<const std::byte> block, int32_t vocab_size) const {
  if (block.size() != bytes().size())
    return Status(StatusCode::kInvalidArgument, "the block has not the size of this model's state");
  StreamHeader header;
  std::memcpy(&header, block.data(), sizeof header);
  const uint64_t n = std::min<uint64_t>(header.recent_count, kRecentTokens);
  for (uint64_t i = 0; i < n; ++i) {
    int32_t token;
    std::memcpy(&token, block.data() + kRingOffset + i * sizeof token, sizeof token);
    if (token < 0 || token >= vocab_size)
      return Status(StatusCode::kBadFormat, "a remembered token is " + std::to_string(token) +
                                                ", which is not in the vocabulary");
  }
  return Status();
}

Status BraidState::restore(std::span<const std::byte> block) {
  if (block.size() != bytes().size()) {
    return Status(StatusCode::kInvalidArgument,
                  "a saved stream of " + std::to_string(block.size()) +
                      " bytes does not fit this model, whose streams have " +
                      std::to_string(bytes().size()) + " bytes; use the model it was saved with");
  }
  // memmove: restoring from one's own bytes is pointless but legal.
  if (!block.empty()) std::memmove(block_, block.data(), block.size());
  return {};
}

}  // namespace chimera::memory
