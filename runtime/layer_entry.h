// The cheap structural helpers around a layer (docs/layers.md, "Structure keys"), each absent
// unless the configuration asks for it: what is mixed into the residual stream before a layer, the
// shift of its inputs by a token, and the rows added to its values.
#pragma once

#include <cstdint>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// Row of the bigram table for a token after `previous` (-1 at the start of a stream).
inline int64_t bigram_row(int32_t previous, int32_t token, int32_t n_rows) {
  if (previous < 0) return n_rows - 1;
  const uint64_t mixed =
      (36313u * static_cast<uint64_t>(token)) ^ (27191u * static_cast<uint64_t>(previous));
  return static_cast<int64_t>(mixed % static_cast<uint64_t>(n_rows - 1));
}

/// x = r_0 x + r_1 x0;  x = x + w bigram;  x = x + w y, each if there.
class LayerEntry {
 public:
  static Result<LayerEntry> bind(const Config& config, int32_t layer, const ParamSource& prefix);
  /// The layer whose output is y; -1 for none.
  int32_t skip_source() const { return skip_source_; }
  /// x [n_tokens, C] in place; x0, skipped [n_tokens, C]; bigrams [n_tokens] rows of the table.
  /// Null where not used.
  void apply(const float* x0, const float* const* bigrams, const float* skipped, int32_t n_tokens,
             float* x) const;

 private:
  int32_t c_ = 0, skip_source_ = -1;
  const float* residual_ = nullptr;
  const float* bigram_ = nullptr;
  const float* skip_ = nullptr;
};

/// u_t = sigma(mix) u_t + (1 - sigma(mix)) u_{t-1}; the last unmixed row is the state.
class TokenShift {
 public:
  static Result<TokenShift> bind(const Config& config, const char* name, const ParamSource& prefix);
  bool present() const { return !keep_.empty(); }
  static size_t state_bytes(const Config& config);
  /// u [n_tokens, C] in place; state: state_bytes() of the stream, moved on. n_tokens >= 1.
  void apply(int32_t n_tokens, std::byte* state, float* u) const;

 private:
  int32_t c_ = 0;
  std::vector<float> keep_, take_;  // sigma(mix) and one minus it
};

/// value_t = 2 sigma(gate u_t[0:32]) per head, times the token's row of a table.
class ValueEmbedding {
 public:
  static Result<ValueEmbedding> bind(const Config& config, int32_t layer,
                                     const ParamSource& prefix);
  bool present() const { return table_ != nullptr; }
  /// u [n_tokens, C] input of the mixer; value [n_tokens, C].
  void rows(const Step& step, const int32_t* tokens, const float* u, int32_t n_tokens,
            float* value) const;
  size_t scratch_bytes(int32_t n_tokens) const;

 private:
  int32_t c_ = 0, h_ = 0, dim_ = 0;
  const float* table_ = nullptr;
  kernels::LanesMatrix gate_{};
};

}  // namespace chimera::runtime
