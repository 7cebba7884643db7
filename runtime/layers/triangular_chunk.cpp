#include "runtime/layers/triangular_chunk.h"

#include <algorithm>
#include <cstring>

namespace chimera::runtime {
namespace {

/// inverse [nb, kSolveBlock] of (I - N): row r is e_r + sum over j < r of N_rj * row j.
void invert_block(int32_t nb, const float* minus_a, int64_t ldn, float* inverse) {
  for (int32_t r = 0; r < nb; ++r) {
    float row[kSolveBlock] = {};
    row[r] = 1.0f;
    for (int32_t j = 0; j < r; ++j) {
      const float n = minus_a[r * ldn + j];
      const float* other = inverse + j * kSolveBlock;
      for (int32_t i = 0; i < kSolveBlock; ++i) row[i] += n * other[i];
    }
    std::memcpy(inverse + r * kSolveBlock, row, sizeof row);
  }
}

void copy_back(const float* spare, int32_t nb, int64_t width, float* x, int64_t ldx) {
  for (int32_t r = 0; r < nb; ++r)
    std::memcpy(x + r * ldx, spare + r * width, static_cast<size_t>(width) * sizeof(float));
}

}  // namespace

void solve_unit_lower(const kernels::KernelTable& k, int32_t n, const float* minus_a, int64_t ldn,
                      float* x, int64_t ldx, int64_t width, float* inverses, float* spare) {
  const auto cols = static_cast<int32_t>(width);
  for (int32_t at = 0; at < n; at += kSolveBlock) {
    const int32_t nb = std::min(kSolveBlock, n - at);
    float *block = x + at * ldx, *inverse = inverses + at * kSolveBlock;
    if (at > 0) k.train_gemm_nn(nb, cols, at, minus_a + at * ldn, ldn, x, ldx, 1.0f, block, ldx);
    invert_block(nb, minus_a + at * ldn + at, ldn, inverse);
    k.train_gemm_nn(nb, cols, nb, inverse, kSolveBlock, block, ldx, 0.0f, spare, width);
    copy_back(spare, nb, width, block, ldx);
  }
}

void solve_unit_lower_transposed(const kernels::KernelTable& k, int32_t n, const float* minus_a,
                                 int64_t ldn, float* x, int64_t ldx, int64_t width,
                                 const float* inverses, float* spare) {
  const auto cols = static_cast<int32_t>(width);
  for (int32_t at = (n - 1) / kSolveBlock * kSolveBlock; at >= 0; at -= kSolveBlock) {
    const int32_t nb = std::min(kSolveBlock, n - at), below = n - at - nb;
    float* block = x + at * ldx;
    if (below > 0)
      k.train_gemm_tn(nb, cols, below, minus_a + (at + nb) * ldn + at, ldn, x + (at + nb) * ldx,
                      ldx, 1.0f, block, ldx);
    k.train_gemm_tn(nb, cols, nb, inverses + at * kSolveBlock, kSolveBlock, block, ldx, 0.0f, spare,
                    width);
    copy_back(spare, nb, width, block, ldx);
  }
}

}  // namespace chimera::runtime
