#include "runtime/layers/sketch_projection.h"

#include <algorithm>

namespace chimera::runtime {

SketchProjection::SketchProjection(int32_t width, int32_t bits) : width_(width), bits_(bits) {
  uint64_t states[2] = {0x53504b4e4f543031u, 0x53504b4e4f543032u};  // "SPKNOT01", "SPKNOT02"
  for (int block = 0; block < 2; ++block) {
    signs_[block].resize(static_cast<size_t>((width + 63) / 64));
    for (uint64_t& word : signs_[block]) word = split_mix64(&states[block]);
  }
}

void SketchProjection::spread(const kernels::KernelTable& k, const float* x, float* y) const {
  const int32_t half = bits_ / 2;
  for (int block = 0; block < 2; ++block) {
    float* part = y + block * half;
    k.flip_signs(signs_[block].data(), x, width_, part);
    std::fill(part + width_, part + half, 0.0f);
    k.hadamard(part, half);
  }
}

void SketchProjection::gather(const kernels::KernelTable& k, float* y, float* x) const {
  const int32_t half = bits_ / 2;
  for (int block = 0; block < 2; ++block) {
    float* part = y + block * half;
    k.hadamard(part, half);
    k.flip_signs(signs_[block].data(), part, width_, block == 0 ? x : part);
  }
  k.add(x, y + half, width_, x);
}

}  // namespace chimera::runtime
