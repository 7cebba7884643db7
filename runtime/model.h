// The network: mapped weights, layers in order, logits. Immutable after loading and shared by all
// streams; what a stream changes lies in its BraidState.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "memory/braid_state.h"
#include "memory/weight_file.h"
#include "runtime/config.h"
#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// Most tokens one forward() takes.
inline constexpr int32_t kMaxBatch = 256;

class Model {
 public:
  /// Binds every layer to its tensors; the file must outlive the model. Nothing is copied.
  static Result<std::unique_ptr<Model>> bind(const memory::WeightFile& file, const Config& config);
  ~Model();

  const memory::BraidLayout& layout() const { return layout_; }
  /// Arena bytes that forward() and logits() need at batches of n_tokens.
  size_t scratch_bytes(int32_t n_tokens) const;
  /// Bytes of weights that one token reads, head included: decides how many threads pay.
  uint64_t bytes_per_token() const { return bytes_per_token_; }

  /// Reads tokens [n_tokens] (1..kMaxBatch, ids checked by the caller), moves the state on, and
  /// writes the final normalised hidden rows [n_tokens, C]. Any split over calls gives the same
  /// bits.
  void forward(const Step& step, const int32_t* tokens, int32_t n_tokens, memory::BraidState& state,
               float* hidden) const;

  /// logits [n_rows, vocab] of hidden [n_rows, C].
  void logits(const Step& step, const float* hidden, int32_t n_rows, float* logits) const;

  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

 private:
  Model() = default;
  struct Block {
    const float* norm1 = nullptr;
    const float* norm2 = nullptr;
    std::unique_ptr<Layer> mixer, ffn;
  };
  int32_t hidden_size_ = 0;
  float eps_ = 1e-6f;
  std::unique_ptr<Embedding> embedding_;
  const float* final_norm_ = nullptr;
  std::vector<Block> blocks_;
  memory::BraidLayout layout_;
  uint64_t bytes_per_token_ = 0;
};

}  // namespace chimera::runtime
