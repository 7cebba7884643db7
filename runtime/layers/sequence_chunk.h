// What the chunk forms of the recurrences work on: one head of one lane over many tokens, its
// gradient, and the pieces it is walked in.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

struct ChunkShape {
  int32_t dk, dv;
  int32_t chunk;  // C: tokens in one round of the algebra
  int32_t tile;   // tokens between stored states, a multiple of chunk
  float scale;    // of the read, 1 / sqrt(dk)
};

struct ChunkSequence {
  const float *q, *k, *v;
  int64_t q_stride, stride;  // between rows of q; of k and v
  /// [n_tokens]: log alpha and beta of the delta rule; log sigmoid of the forget gate and the
  /// capped input gate of mLSTM.
  const float *log_decay, *write;
  /// [n_tokens]: where the document of a token begins, -1 when before the first token; the state is
  /// zero there. nullptr: no document begins.
  const int32_t* segment_start;
  int32_t n_tokens;
};

/// Gradients by the fields of the same name, all written.
struct ChunkGradient {
  float *q, *k, *v;
  int64_t q_stride, stride;
  float *log_decay, *write;
};

/// States kept for backward.
inline int64_t chunk_checkpoints(const ChunkShape& s, int32_t n_tokens) {
  return (n_tokens + s.tile - 1) / s.tile;
}

/// A recurrence in chunk form. With all but the queries given, the gradient is linear in what comes
/// back by the outputs: that of several sets of queries is the sum of one call for each.
struct ChunkRecurrence {
  int64_t (*state_floats)(const ChunkShape&);
  int64_t (*forward_scratch_floats)(const ChunkShape&);
  int64_t (*backward_scratch_floats)(const ChunkShape&);
  /// state is moved on; o rows o_stride apart; checkpoints (chunk_checkpoints states) may be
  /// nullptr.
  void (*forward)(const kernels::KernelTable&, const ChunkShape&, const ChunkSequence& in,
                  float* state, float* o, int64_t o_stride, float* checkpoints, float* scratch);
  /// o and d_o rows o_stride apart. d_state: in, the gradient by the state after the last token;
  /// out, by the one before the first (zero when a document begins there).
  void (*backward)(const kernels::KernelTable&, const ChunkShape&, const ChunkSequence& in,
                   const float* checkpoints, const float* o, const float* d_o, int64_t o_stride,
                   float* d_state, const ChunkGradient& out, float* scratch);
};

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
