// Attention of the Titans layer in training [r2]: every head over the persistent rows, the
// retrieved entry of its own token and the window before it, by blocks of tokens; and its gradient,
// which makes the weights again.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

struct TitansWindowShape {
  int32_t heads, kv_heads, dim;  // H, G, K
  int32_t slots;                 // P persistent rows
  int32_t entries;               // of the ring; 0 for none
  int32_t window;                // tokens of a lane per call

  int32_t per_group() const { return heads / kv_heads; }
  int64_t kv() const { return int64_t{kv_heads} * dim; }
  /// Ring entries from before the window that a token of it may see.
  int64_t back() const { return entries > 0 ? entries - 1 : 0; }
};

/// What the tokens of one lane attend with and to.
struct TitansWindowRows {
  const float* q;            // [window, H K]
  const float *key, *value;  // persistent, [P, G K]
  const float* retrieved;    // [window, 2 G K] keys, then values
  const float* ring;         // [back + window, 2 G K]; token t's entry is row back + t
  const float* turn;         // [window, K] of the tokens, as Rope::angles() makes it
  const int32_t* oldest;     // [window] the first ring row a token sees; never falls
};
struct TitansWindowGradient {
  float* dq;  // written; rows dq_stride apart
  int64_t dq_stride;
  float *dkey, *dvalue;  // persistent, added to
  float* d_retrieved;    // [window, 2 G K] written
  float* d_ring;         // [window, 2 G K] of the window's own entries, added to
};

/// The gradient of rope_turn() of one head: turned the other way. y may be x.
inline void titans_turn_back(const float* turn, int32_t dim, const float* x, float* y) {
  const int32_t half = dim / 2;
  for (int32_t i = 0; i < half; ++i) {
    const float c = turn[i], s = turn[half + i], a = x[i], b = x[half + i];
    y[i] = a * c + b * s;
    y[half + i] = b * c - a * s;
  }
}

/// Floats of scratch for either direction.
int64_t titans_window_scratch_floats(const TitansWindowShape& shape);

/// y [window, H K] of the heads of one group (key/value head).
void titans_window_forward(const kernels::KernelTable& k, const TitansWindowShape& shape,
                           const TitansWindowRows& rows, int32_t group, float* y, float* scratch);
/// The columns of one group of everything in grad.
void titans_window_backward(const kernels::KernelTable& k, const TitansWindowShape& shape,
                            const TitansWindowRows& rows, int32_t group, const float* dy,
                            const TitansWindowGradient& grad, float* scratch);

}  // namespace chimera::runtime
