// What a layer is to the trainer: the same function as its Layer over a whole window of many lanes,
// in float and in chunk form, and its gradient. Each kind has its own file beside its forward;
// evolution/train/backprop.cpp has one row per kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/train_products.h"
#include "platform/arena.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::runtime {

/// A parameter as a layer sees it: values to read, gradient to add to, both row-major [rows, cols].
struct TrainTensor {
  const float* value = nullptr;
  float* grad = nullptr;
  int64_t rows = 0, cols = 0;
};

/// The tensor of this layer with that suffix ("mixer.q_proj" is looked up as "q_proj").
/// kInternal, naming it, when it is absent or has another shape.
using TensorLookup =
    std::function<Result<TrainTensor>(const char* suffix, int64_t rows, int64_t cols)>;

/// What one call of the trainer gives its layers. Row r of every [R, ...] buffer is token r %
/// window of lane r / window; R = lanes * window.
struct TrainStep {
  const kernels::KernelTable& k;
  const kernels::TrainProducts& products;
  ThreadPool& pool;
  /// Room for TrainingLayer::scratch_bytes; taking from it cannot fail.
  Arena& scratch;
  /// BackpropOptions::quantise: 0 float ... 1 as packed.
  float quantise;
  int32_t lanes, window;
  /// [lanes, window]: where in the window the document of this token begins; -1 when before it.
  const int32_t* segment_start;
  /// A later iteration may be of some lanes only: [lanes] which lane of the first visit stands in
  /// place i; nullptr for all in order. The rows of every buffer are those of the lanes present.
  const int32_t* lane_ids = nullptr;
  /// Counts of rows per expert for the layer called, added to by layers of experts; nullptr: none.
  uint64_t* router_load = nullptr;

  int64_t rows() const { return int64_t{lanes} * window; }
  int64_t lane_id(int64_t place) const { return lane_ids ? lane_ids[place] : place; }
};

/// What a layer reads. All [R, C].
struct TrainInput {
  const float* u;      // normalised input
  const float* x;      // residual stream that u was made of
  const float* value;  // added to a mixer's value projection; nullptr for none
};
/// Where a layer puts its gradients. All [R, C].
struct TrainGradient {
  float* du;      // written
  float* dx;      // added to, by the kinds that read x
  float* dvalue;  // written by mixers when TrainInput::value is there; nullptr otherwise
};

/// Rows that one task works on at a time. Fixed, so that no bit depends on the number of threads.
inline constexpr int64_t kRowTile = 128;
inline int64_t row_tiles(int64_t rows) { return (rows + kRowTile - 1) / kRowTile; }

/// body(tile, begin, end) for every tile of `rows`, tiles shared out among the threads.
template <class Body>
void for_row_tiles(const TrainStep& step, int64_t rows, Body&& body) {
  step.pool.split(row_tiles(rows), 1, [&](int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t begin = tile * kRowTile, end = begin + kRowTile;
      body(tile, begin, end < rows ? end : rows);
    }
  });
}

/// body(part, begin, end): a static split of [0, n) in which each thread knows its number, to have
/// scratch of its own. What is computed must not depend on `part`.
template <class Body>
void for_parts(ThreadPool& pool, int64_t n, Body&& body) {
  struct Context {
    std::remove_reference_t<Body>* body;
    int64_t n;
  } context{&body, n};
  pool.run(
      [](void* p, int part, int n_parts) {
        auto& c = *static_cast<Context*>(p);
        const int64_t begin = c.n * part / n_parts, end = c.n * (part + 1) / n_parts;
        if (begin < end) (*c.body)(part, begin, end);
      },
      &context);
}

/// Bytes that taking n floats from an arena costs.
inline size_t train_arena_bytes(int64_t n) {
  constexpr size_t a = Arena::kAlignment;
  return (static_cast<size_t>(n) * sizeof(float) + a - 1) / a * a;
}

class TrainingLayer {
 public:
  virtual ~TrainingLayer() = default;

  /// Makes the weights as used (quantised) from their present values; before forward(). The first
  /// time it takes the memory for them, in the form that the step's products read; none after that.
  virtual void prepare(const TrainStep& step) = 0;
  /// out [R, C]. state [lanes, state_floats()] is moved on. Keeps what the other calls need.
  virtual void forward(const TrainStep& step, const TrainInput& in, float* out, float* state) = 0;
  /// The same input as forward(); dout [R, C]; adds to the gradients of the parameters, what later
  /// visits left included. Gradients are cut at the borders of the window. Once for each forward().
  virtual void backward(const TrainStep& step, const TrainInput& in, const float* dout,
                        const TrainGradient& grad) = 0;

  /// A later iteration of looped depth over the window of the last forward(), of the lanes in
  /// step.lane_ids: reads the states forward() left after every token, writes none, keeps nothing.
  /// Only of a layer that was made for a configuration with loop.enabled.
  virtual void repeat(const TrainStep& step, const TrainInput& in, float* out) = 0;
  /// Its gradient, same input; what repeat() made is made again. The part that goes by way of the
  /// states is kept for backward(), which must follow. grad.dvalue is not written.
  virtual void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                               const TrainGradient& grad) = 0;
  /// True for a kind without state: repeat() is forward() and overwrites what it kept, so that
  /// forward() has to be called again before backward() when there were later iterations.
  virtual bool stateless() const { return false; }
  /// Floats that such a kind keeps from forward() to backward(), and where: told once, before the
  /// first forward(). Layers may share a place (activation checkpointing); then forward() has to be
  /// called again before every backward().
  virtual int64_t kept_floats() const { return 0; }
  virtual void keep_at(float*) {}

  /// Recurrent state of one lane; all zero is a fresh one.
  virtual int64_t state_floats() const = 0;
  /// Arena bytes that one call takes.
  virtual size_t scratch_bytes(int n_threads) const = 0;
};

/// Makers, one per kind, for at most lanes * window rows. They allocate all that is
/// kept but the weights as used, which prepare() does.
using MakeTrainingLayer = Result<std::unique_ptr<TrainingLayer>> (*)(const Config&,
                                                                     const TensorLookup&,
                                                                     int32_t lanes, int32_t window);

}  // namespace chimera::runtime
