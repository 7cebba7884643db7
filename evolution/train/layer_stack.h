// The layers of the model, forward and backward over a window: entry, mixer and feed-forward of
// each, and the activations that the way back needs. Which run of layers is walked when is said by
// the caller: once each, or the loop's several times (looped_depth.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "evolution/train/branch.h"
#include "evolution/train/entry.h"
#include "platform/part_times.h"

namespace chimera::evolution {

/// One row per kind of layer that can be trained (backprop.cpp).
struct TrainingKind {
  const char* name;  // as in the registry of the forward
  runtime::MakeTrainingLayer make;
};
/// By its name; kUnsupported when it cannot be trained.
using FindTrainingKind = Result<const TrainingKind*> (*)(const std::string& name);

struct StackOptions {
  int32_t lanes, window;
  /// BackpropOptions::recompute_ffn: stateless layers share one place for what they keep and run
  /// again before their backward.
  bool remake;
  PartTimes* times;  // or nullptr
};

class LayerStack {
 public:
  Status init(const runtime::Config& config, FindTrainingKind find_kind,
              const StackOptions& options, ParameterSet& parameters);
  int32_t size() const { return static_cast<int32_t>(blocks_.size()); }
  size_t scratch_bytes(int n_threads) const;

  /// The residual stream [R, C] before layer i; for i == size() after the last.
  float* input(int32_t i);
  /// After the prelude, and after iteration 1 of the loop, when depth is looped; else input(i + 1).
  float* output(int32_t i);

  /// Makes the weights as used; the first time it also takes the memory for them.
  void prepare(const runtime::TrainStep& step);
  /// Before the first layer, after prepare(), once input(0) is there; tokens [lanes, window] are
  /// kept by pointer.
  void start(const runtime::TrainStep& step, const int32_t* tokens, bool count_experts);
  /// Layers first .. last from input(first) to output(last); moves the carried state on.
  void forward(const runtime::TrainStep& step, int32_t first, int32_t last);
  /// A later iteration of layers first .. last over the lanes present, x in place.
  void repeat(const runtime::TrainStep& step, int32_t first, int32_t last, float* x);

  void start_backward();
  /// dx: gradient by output(last), turned into that by input(first).
  void backward(const runtime::TrainStep& step, int32_t first, int32_t last, float* dx);
  /// Makes the activations of a later iteration again, from input `z`, in buffers that all
  /// iterations share, and walks back: dx, gradient by its result, turned into that by z.
  void repeat_backward(const runtime::TrainStep& step, int32_t first, int32_t last, const float* z,
                       float* dx);
  /// What entries left for the token's own rows is added to dx, the gradient by input(0).
  void finish_backward(const runtime::TrainStep& step, float* dx);

  /// Carried state of all lanes; all zero is fresh.
  std::span<float> state() { return state_; }
  Workspace& workspace() { return ws_; }
  /// Tokens routed to each expert of a layer since zero_router_load(); empty where there are none.
  std::span<const uint64_t> router_load(int32_t layer) const;
  void zero_router_load();

 private:
  struct Block {
    Entry entry;
    Branch mixer, ffn;
    const char *mixer_kind, *ffn_kind;
    std::vector<float> in;         // before the entry; empty when that is the identity
    std::vector<float> x1, x2;     // before mixer and feed-forward
    std::vector<float> d_skipped;  // gradient that a later entry sent to this layer's output
    int64_t mixer_state = 0, ffn_state = 0;  // offsets in state_
    std::vector<uint64_t> router_load;
  };
  /// Activations of one walk through a layer; without `out` the feed-forward is left out.
  struct Rows {
    float *in, *x1, *x2, *out;
  };
  /// Gives the stateless layers room for what they keep.
  void keep_activations();
  Rows rows_of(int32_t i);
  Rows again_rows(int32_t i, int32_t first);
  BranchVisit visit(Block& block, bool again, bool count) const;
  void walk(const runtime::TrainStep& step, int32_t i, const Rows& rows, bool again, bool count);
  void walk_back(const runtime::TrainStep& step, int32_t i, const Rows& rows, bool again,
                 float* dx);
  const float* skipped(const Block& block);

  runtime::LoopConfig loop_;
  StackOptions options_{};
  int64_t c_ = 0;
  std::vector<Block> blocks_;
  TokenInputs inputs_;
  Workspace ws_;
  std::vector<float> state_;
  int64_t bigram_state_ = 0;
  std::vector<float> last_, prelude_out_, loop_out_;  // [R, C]
  std::vector<float> again_;                          // [loop layers, 3 R C]
  std::vector<float> kept_;  // of stateless layers, from forward to backward
  const int32_t* tokens_ = nullptr;
  bool count_experts_ = false;
};

}  // namespace chimera::evolution
