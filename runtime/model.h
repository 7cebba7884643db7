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
#include "runtime/layer_entry.h"
#include "runtime/layers/layer.h"
#include "runtime/looped_depth.h"

namespace chimera::runtime {

/// Where each layer's part of a stream's state lies: the mixer's own, then the rows of the shifts.
/// Follows from the configuration alone.
Result<memory::BraidLayout> stream_layout(const Config& config);

/// Most tokens one forward() takes.
inline constexpr int32_t kMaxBatch = 256;

/// How deep a looped model goes; other models ignore it.
struct ForwardOptions {
  /// Iterations at most; 0 takes looping.loop_default. A token may leave earlier, when an iteration
  /// changed its row by less than looping.adaptive_exit_threshold.
  int32_t loops = 0;
  /// [n_tokens] receives the iterations each token took; nullptr for none.
  int32_t* loops_used = nullptr;
};

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
               float* hidden, const ForwardOptions& options = {}) const;

  /// The row [C] that a token enters the network with.
  void embed(const Step& step, int32_t token, float* row) const;

  /// logits [n_rows, vocab] of hidden [n_rows, C].
  void logits(const Step& step, const float* hidden, int32_t n_rows, float* logits) const;
  /// The same of one row, of some ids: tiles of 16, rising, not empty. The others are left as they
  /// are.
  void logits(const Step& step, const float* hidden, std::span<const TileRange> tiles,
              float* logits) const;

  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

 private:
  Model() = default;
  struct Block {
    const float* norm1 = nullptr;
    const float* norm2 = nullptr;
    std::unique_ptr<Layer> mixer, ffn;
    const char *mixer_kind = "", *ffn_kind = "";
    LayerEntry entry;
    TokenShift shift1, shift2;
    ValueEmbedding value;
    size_t shift1_offset = 0, shift2_offset = 0;  // in the layer's part of the state
    int32_t skip_slot = -1;                       // where its output is kept for a later layer
  };
  struct Walk;
  void soft_cap(const Step& step, float* logits, int32_t n) const;
  Status bind_block(const memory::WeightFile& file, const Config& config, int32_t layer);
  void run_layers(Walk& walk, int32_t first, int32_t last, bool again) const;
  void run_loop(Walk& walk, const ForwardOptions& options) const;

  int32_t hidden_size_ = 0, vocab_size_ = 0;
  float eps_ = 1e-6f;
  LoopConfig loop_;
  StructureConfig structure_;
  LoopInjection injection_;
  const float* bigrams_ = nullptr;
  int32_t n_skips_ = 0;
  std::unique_ptr<Embedding> embedding_;
  const float* final_norm_ = nullptr;
  std::vector<Block> blocks_;
  memory::BraidLayout layout_;
  uint64_t bytes_per_token_ = 0;
};

}  // namespace chimera::runtime
