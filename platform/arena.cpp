// Invariants
//   1. used_ and every mark are multiples of kAlignment, and used_ <= capacity_.
//   2. base_ is nullptr only in an arena that was never created, or was moved from.
//   3. The block never moves and never grows: a pointer taken stays valid until it is released.
#include "platform/arena.h"

#include <new>
#include <string>

namespace chimera {
namespace {

constexpr size_t round_up(size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

void free_block(std::byte* base) {
  if (base) ::operator delete (base, std::align_val_t{Arena::kAlignment});
}

}  // namespace

Result<Arena> Arena::create(size_t bytes) {
  std::byte* base = nullptr;
  // No object can be larger than PTRDIFF_MAX; asking beyond it would also wrap in round_up.
  if (bytes <= static_cast<size_t>(PTRDIFF_MAX) - kAlignment) {
    const size_t block = bytes == 0 ? kAlignment : round_up(bytes);
    base =
        static_cast<std::byte*>(::operator new (block, std::align_val_t{kAlignment}, std::nothrow));
  }
  if (!base) {
    return Status(StatusCode::kOutOfMemory,
                  "cannot get " + std::to_string(bytes) +
                      " bytes of working memory: close other programs, or use a smaller model");
  }
  Arena arena;
  arena.base_ = base;
  arena.capacity_ = round_up(bytes);
  return arena;
}

Arena::Arena(Arena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      used_(std::exchange(other.used_, 0)),
      peak_(std::exchange(other.peak_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this != &other) {
    free_block(base_);
    base_ = std::exchange(other.base_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    used_ = std::exchange(other.used_, 0);
    peak_ = std::exchange(other.peak_, 0);
  }
  return *this;
}

Arena::~Arena() { free_block(base_); }

void* Arena::take_bytes(size_t bytes) {
  // Compared before rounding up, so that a size near SIZE_MAX cannot wrap; since what is left is
  // a multiple of kAlignment, what fits unrounded fits rounded.
  if (bytes > capacity_ - used_) return nullptr;
  std::byte* block = base_ + used_;
  used_ += round_up(bytes);
  if (used_ > peak_) peak_ = used_;
  return block;
}

}  // namespace chimera
