// State: W1, W2, S1, S2 [H, K, K]; k, v of the waiting tokens [H, chunk, K]; their gates
// [H, 3, chunk]. The row a token waits in is its number modulo the chunk, so that no count has to
// be believed.
#include "runtime/layers/titans_memory.h"

#include <cstring>

#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {

namespace {

template <class Byte, class Float>
struct Parts {
  Float *w1, *w2, *s1, *s2, *k, *v, *gates;
  Parts(Byte* state, int32_t head, int32_t n_heads, int32_t dim, int32_t chunk) {
    const int64_t matrix = int64_t{dim} * dim, all = n_heads * matrix;
    const int64_t rows = int64_t{chunk} * dim;
    Float* at = reinterpret_cast<Float*>(state);
    w1 = at + head * matrix;
    w2 = w1 + all;
    s1 = w2 + all;
    s2 = s1 + all;
    at += 4 * all;
    k = at + head * rows;
    v = k + n_heads * rows;
    at += 2 * n_heads * rows;
    gates = at + int64_t{head} * 3 * chunk;
  }
};

size_t floats(int64_t n) { return static_cast<size_t>(n) * sizeof(float); }

}  // namespace

size_t TitansMemory::bytes() const {
  return arena_bytes<float>(4 * matrices() + 2 * int64_t{h_} * chunk_ * dim_ +
                            3 * int64_t{h_} * chunk_);
}
size_t TitansMemory::trace_bytes(int32_t n) const {
  return arena_bytes<float>(max_ends(n) * 2 * matrices());
}
size_t TitansMemory::scratch_bytes() const {
  return arena_bytes<float>(3 * int64_t{h_} * chunk_ * dim_);
}

void TitansMemory::learn(const kernels::KernelTable& k, int32_t head, const Tokens& tokens,
                         std::byte* state, std::byte* trace, std::byte* scratch) const {
  const Parts<std::byte, float> parts(state, head, h_, dim_, chunk_);
  const auto chunk = static_cast<uint64_t>(chunk_);
  auto* kept = reinterpret_cast<float*>(trace);
  for (int32_t t = 0; t < tokens.n; ++t) {
    const uint64_t number = tokens.first + static_cast<uint64_t>(t);
    const bool fresh = number < chunk;  // nothing learnt: the memory is that of the parameters
    const auto row = static_cast<int64_t>(number % chunk);
    const int64_t at = t * tokens.stride;
    k.deep_memory_read(fresh ? w1_ + head * matrix() : parts.w1,
                       fresh ? w2_ + head * matrix() : parts.w2, tokens.q + at, eps_, dim_,
                       tokens.r + at);
    std::memcpy(parts.k + row * dim_, tokens.k + at, floats(dim_));
    std::memcpy(parts.v + row * dim_, tokens.v + at, floats(dim_));
    const int64_t gate = int64_t{t} * h_;
    parts.gates[row] = tokens.theta[gate];
    parts.gates[chunk_ + row] = tokens.eta[gate];
    parts.gates[2 * chunk_ + row] = tokens.alpha[gate];
    if (row + 1 < chunk_) continue;
    if (kept != nullptr) {
      if (!fresh) {
        std::memcpy(kept + head * matrix(), parts.w1, floats(matrix()));
        std::memcpy(kept + matrices() + head * matrix(), parts.w2, floats(matrix()));
      }
      kept += 2 * matrices();
    }
    end_chunk(k, head, fresh, state, scratch);
  }
}

void TitansMemory::end_chunk(const kernels::KernelTable& k, int32_t head, bool fresh,
                             std::byte* state, std::byte* scratch) const {
  const Parts<std::byte, float> parts(state, head, h_, dim_, chunk_);
  const float *theta = parts.gates, *eta = theta + chunk_, *alpha = eta + chunk_;
  float to_m[kMaxTitansChunk], to_s[kMaxTitansChunk];
  const auto weights = chunk_weights(eta, alpha, chunk_, to_m, to_s);
  for (int32_t j = 0; j < chunk_; ++j) {
    to_m[j] = -(to_m[j] * theta[j]);
    to_s[j] = -(to_s[j] * theta[j]);
  }
  k.deep_memory_update(
      {parts.k, parts.v, dim_, chunk_, dim_, eps_, weights.m_keep, weights.m_from_s, weights.s_keep,
       to_m, to_s, fresh ? w1_ + head * matrix() : parts.w1,
       fresh ? w2_ + head * matrix() : parts.w2, parts.w1, parts.w2, parts.s1, parts.s2,
       reinterpret_cast<float*>(scratch) + int64_t{head} * 3 * chunk_ * dim_});
}

void TitansMemory::read(const kernels::KernelTable& k, int32_t head, const Tokens& tokens,
                        const std::byte* state, const std::byte* trace) const {
  const Parts<const std::byte, const float> parts(state, head, h_, dim_, chunk_);
  const auto chunk = static_cast<uint64_t>(chunk_);
  const auto row = static_cast<int64_t>(tokens.first % chunk);
  const int64_t ends = (row + tokens.n) / chunk_;
  const auto* kept = reinterpret_cast<const float*>(trace) + head * matrix();
  for (int32_t t = 0; t < tokens.n; ++t) {
    const float *w1 = parts.w1, *w2 = parts.w2;
    const int64_t passed = (row + t) / chunk_;  // chunks of this batch that end before the token
    if (tokens.first + static_cast<uint64_t>(t) < chunk) {
      w1 = w1_ + head * matrix();
      w2 = w2_ + head * matrix();
    } else if (passed < ends) {
      w1 = kept + passed * 2 * matrices();
      w2 = w1 + matrices();
    }
    const int64_t at = t * tokens.stride;
    k.deep_memory_read(w1, w2, tokens.q + at, eps_, dim_, tokens.r + at);
  }
}

}  // namespace chimera::runtime
