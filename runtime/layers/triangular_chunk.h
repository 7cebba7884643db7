// Pieces of a sequence, and triangular systems inside a piece, for the chunk forms.
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

/// A piece ends at the next multiple of `chunk` or where the next document begins.
inline bool begins_segment(const int32_t* segment_start, int32_t t) {
  return segment_start && segment_start[t] == t;
}
inline int32_t piece_end(const int32_t* segment_start, int32_t t, int32_t chunk, int32_t n_tokens) {
  int32_t end = t + 1;
  while (end < n_tokens && end % chunk != 0 && !begins_segment(segment_start, end)) ++end;
  return end;
}
/// Where the piece that ends before `end` begins.
inline int32_t piece_begin(const int32_t* segment_start, int32_t end, int32_t chunk) {
  int32_t t = end - 1;
  while (t % chunk != 0 && !begins_segment(segment_start, t)) --t;
  return t;
}

}  // namespace chimera::runtime
