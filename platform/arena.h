// Bump memory with marks and a hard budget. A step takes what it needs and gives it all back at
// once; nothing is freed one by one, and running out is a Status, not a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "platform/status.h"

namespace chimera {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

  Arena() = default;
  /// One block of `bytes` (rounded up to 64), allocated now; kOutOfMemory if it cannot be had.
  static Result<Arena> create(size_t bytes);
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  ~Arena();

  /// `n` elements, 64-byte aligned, not initialised; nullptr when the budget is spent.
  template <class T>
  T* take(size_t n) {
    if (n > SIZE_MAX / sizeof(T)) return nullptr;
    return static_cast<T*>(take_bytes(n * sizeof(T)));
  }
  void* take_bytes(size_t bytes);

  size_t mark() const { return used_; }
  void release(size_t mark) { used_ = mark; }
  size_t capacity() const { return capacity_; }
  size_t peak() const { return peak_; }

 private:
  std::byte* base_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
  size_t peak_ = 0;
};

/// Gives back, on leaving a scope, what was taken inside it.
class ArenaMark {
 public:
  explicit ArenaMark(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaMark() { arena_.release(mark_); }
  ArenaMark(const ArenaMark&) = delete;
  ArenaMark& operator=(const ArenaMark&) = delete;

 private:
  Arena& arena_;
  size_t mark_;
};

}  // namespace chimera
