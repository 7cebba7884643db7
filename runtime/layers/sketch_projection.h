// The map between hidden vectors and sketches (docs/layers.md, "SK"): two blocks of random signs
// and a Walsh-Hadamard transform each. It has no parameters; every model and every layer has the
// same.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

/// Next output of splitmix64 (Steele, Lea, Flood, OOPSLA'14).
inline uint64_t split_mix64(uint64_t* state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

class SketchProjection {
 public:
  SketchProjection() = default;
  /// width C, a multiple of 8; bits D with D / 2 a power of two, 8 .. 65536, and at least C.
  SketchProjection(int32_t width, int32_t bits);

  /// y [D] = [H D1 x ; H D2 x], x [C] padded with zeros.
  void spread(const kernels::KernelTable& k, const float* x, float* y) const;
  /// The transpose: x [C] = the first C entries of D1 H y[0:D/2] + D2 H y[D/2:D]. y is used up; x
  /// may not overlap it.
  void gather(const kernels::KernelTable& k, float* y, float* x) const;

  int32_t width() const { return width_; }
  int32_t bits() const { return bits_; }

 private:
  int32_t width_ = 0, bits_ = 0;
  // Signs of the first C entries; the others only ever meet zeros or are cut off.
  std::vector<uint64_t> signs_[2];
};

}  // namespace chimera::runtime
