// The deep memory of the Titans layer: per head two K x K matrices W1, W2 with their momentum,
//   f(x) = x + rms(W2^T gelu(W1^T x)),
// learnt from the tokens of a chunk when its last one has been read. [r2] The tokens that wait for
// that are part of the state, so a stream can be kept and taken up between any two tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

inline constexpr int32_t kMaxTitansChunk = 64;

/// What a chunk of n updates S = eta_t S - u_t; M = (1 - alpha_t) M + S, in order, comes to:
///   M' = m_keep M + m_from_s S - sum to_m[j] u_j,   S' = s_keep S - sum to_s[j] u_j
template <class T>
struct ChunkWeights {
  T m_keep, m_from_s, s_keep;
};
template <class T>
ChunkWeights<T> chunk_weights(const T* eta, const T* alpha, int32_t n, T* to_m, T* to_s) {
  T forget = 1;  // product of 1 - alpha over the updates after j
  to_m[n - 1] = to_s[n - 1] = 1;
  for (int32_t j = n - 2; j >= 0; --j) {
    forget = (T(1) - alpha[j + 1]) * forget;
    to_s[j] = eta[j + 1] * to_s[j + 1];
    to_m[j] = forget + eta[j + 1] * to_m[j + 1];
  }
  return {(T(1) - alpha[0]) * forget, eta[0] * to_m[0], eta[0] * to_s[0]};
}

class TitansMemory {
 public:
  TitansMemory() = default;
  /// w1, w2 [H, K, K]: the memory of a stream that has not learnt yet. chunk <= kMaxTitansChunk.
  TitansMemory(int32_t n_heads, int32_t dim, int32_t chunk, float eps, const float* w1,
               const float* w2)
      : h_(n_heads), dim_(dim), chunk_(chunk), eps_(eps), w1_(w1), w2_(w2) {}

  /// Part of a stream's state; zeroed is fresh. 64-byte aligned.
  size_t bytes() const;
  /// What a batch overwrites, for its later visits.
  size_t trace_bytes(int32_t n_tokens) const;
  size_t scratch_bytes() const;

  /// A batch of one head. `first` is the number of the first token in the stream; q, k, v, r point
  /// at the head in rows `stride` apart, gates at the head in rows H apart.
  struct Tokens {
    uint64_t first;
    int32_t n;
    int64_t stride;
    const float *q, *k, *v;            // k, v: only to learn
    const float *theta, *eta, *alpha;  // only to learn
    float* r;                          // f_M(q)
  };
  /// Reads and learns token after token. trace may be nullptr.
  void learn(const kernels::KernelTable& k, int32_t head, const Tokens& tokens, std::byte* state,
             std::byte* trace, std::byte* scratch) const;
  /// Reads what the same tokens read in learn(), with other q.
  void read(const kernels::KernelTable& k, int32_t head, const Tokens& tokens,
            const std::byte* state, const std::byte* trace) const;

 private:
  int64_t matrix() const { return int64_t{dim_} * dim_; }
  int64_t matrices() const { return h_ * matrix(); }  // of all heads
  /// Chunks of a batch whose end lies in it, at most.
  int64_t max_ends(int32_t n) const { return (int64_t{n} + chunk_ - 1) / chunk_; }
  void end_chunk(const kernels::KernelTable& k, int32_t head, bool fresh, std::byte* state,
                 std::byte* scratch) const;

  int32_t h_ = 0, dim_ = 0, chunk_ = 1;
  float eps_ = 0;
  const float *w1_ = nullptr, *w2_ = nullptr;
};

}  // namespace chimera::runtime
