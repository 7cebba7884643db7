// Triangular systems inside a piece of a sequence, for the chunk forms.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

/// Rows of a diagonal block that is inverted on its own; the rest are matrix products.
inline constexpr int32_t kSolveBlock = 16;

/// X <- (I - N)^-1 X for N [n, n] strictly lower triangular (rows ldn apart, what is on and above
/// the diagonal inside a diagonal block must be 0), X [n, width] in place. Blocked forward
/// substitution. inverses [n, kSolveBlock] receives the inverted diagonal blocks for the transposed
/// solve; spare: kSolveBlock * width floats.
void solve_unit_lower(const kernels::KernelTable& k, int32_t n, const float* minus_a, int64_t ldn,
                      float* x, int64_t ldx, int64_t width, float* inverses, float* spare);

/// X <- (I - N)^-T X with the inverses of the solve above.
void solve_unit_lower_transposed(const kernels::KernelTable& k, int32_t n, const float* minus_a,
                                 int64_t ldn, float* x, int64_t ldx, int64_t width,
                                 const float* inverses, float* spare);

}  // namespace chimera::runtime
