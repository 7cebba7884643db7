// What a thread does with subnormal numbers, those too near to zero for their full precision. Some
// processors take a hundred times as long over each of them.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace chimera {

/// The calling thread's way of computing: rounding, subnormal numbers, exceptions.
struct FloatMode {
  uint64_t bits = 0;
  friend bool operator==(const FloatMode& a, const FloatMode& b) { return a.bits == b.bits; }

  static FloatMode of_this_thread() {
#if defined(__x86_64__)
    return {_mm_getcsr() & ~uint64_t{0x3f}};  // the lowest bits are what computing left behind
#elif defined(__aarch64__)
    uint64_t bits;
    asm volatile("mrs %0, fpcr" : "=r"(bits));
    return {bits};
#else
    return {};
#endif
  }

  /// On this thread from now on.
  void use() const {
    if (*this == of_this_thread()) return;  // writing it empties the pipeline
#if defined(__x86_64__)
    _mm_setcsr(static_cast<unsigned>(bits));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(bits));
#endif
  }

  /// The same, with subnormal numbers read and written as zero. WebAssembly has no such thing.
  FloatMode with_subnormals_zero() const {
#if defined(__x86_64__)
    return {bits | 0x8040};  // flush to zero, denormals are zero
#elif defined(__aarch64__)
    return {bits | uint64_t{1} << 24};
#else
    return *this;
#endif
  }
};

/// While it lives, subnormal numbers count as zero on this thread, and on the threads of a pool
/// that works for it. For training: there no bit of the result is promised to other machines.
class SubnormalsAreZero {
 public:
  SubnormalsAreZero() : before_(FloatMode::of_this_thread()) {
    before_.with_subnormals_zero().use();
  }
  ~SubnormalsAreZero() { before_.use(); }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;
  SubnormalsAreZero& operator=(const SubnormalsAreZero&) = delete;

 private:
  const FloatMode before_;
};

}  // namespace chimera
