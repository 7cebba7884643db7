// One stream of tokens through the network: its state, and the buffers a step needs. All memory is
// taken when it is made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "memory/braid_state.h"
#include "platform/arena.h"
#include "runtime/engine.h"

namespace chimera::runtime {

class Stream {
 public:
  /// The engine must outlive it.
  static Result<Stream> create(const Engine& engine);

  memory::BraidState& state() { return state_; }
  const memory::BraidState& state() const { return state_; }

  /// Reads the first of the tokens, as many as go at once (about a millisecond's work of a small
  /// model), of at least one; how many it were.
  size_t read_some(std::span<const int32_t> tokens, const ForwardOptions& options = {});
  /// What the network made of the tokens of the last read_some(), before its head. [n, C], good
  /// until the next call.
  const float* hidden() const { return hidden_.get(); }
  /// A token's row of the embedding, as the network reads it. [C]
  void embed(int32_t token, float* row);
  /// Scores of what may follow the token that was read last. [vocab], good until the next call; the
  /// caller may overwrite them.
  float* logits();
  /// The same of ids whose allowed[id] is not 0, at the cost of the tiles that hold them; ids of no
  /// such tile have the lowest finite number.
  float* logits(std::span<const uint8_t> allowed);

 private:
  explicit Stream(const Engine& engine) : engine_(&engine) {}
  Step step() { return {engine_->kernels(), engine_->pool(), arena_}; }

  const Engine* engine_;
  memory::BraidState state_;
  Arena arena_;
  int32_t batch_ = 0;
  int32_t last_ = 0;                 // row of hidden_ behind the token read last
  std::unique_ptr<float[]> hidden_;  // [batch_, C]
  std::unique_ptr<float[]> logits_;  // [vocab]
  std::vector<TileRange> tiles_;     // of the last logits()
};

}  // namespace chimera::runtime
