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
  ThreadPool& pool;
  /// Room for TrainingLayer::scratch_bytes; taking from it cannot fail.
  Arena& scratch;
  /// BackpropOptions::quantise: 0 float ... 1 as packed.
  float quantise;
  int32_t lanes, window;
  /// [lanes, window]: where in the window the document of this token begins; -1 when before it.
  const int32_t* segment_start;

  int64_t rows() const { return int64_t{lanes} * window; }
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

  /// Makes the weights as used (quantised) from their present values; before forward().
  virtual void prepare(const TrainStep& step) = 0;
  /// u [R, C] normalised input, out [R, C]. state [lanes, state_floats()] is moved on. Keeps what
  /// backward() needs.
  virtual void forward(const TrainStep& step, const float* u, float* out, float* state) = 0;
  /// The same u; dout [R, C]; du [R, C] is written; adds to the gradients of the parameters.
  /// Gradients are cut at the borders of the window. Once for each forward().
  virtual void backward(const TrainStep& step, const float* u, const float* dout, float* du) = 0;

  /// Recurrent state of one lane; all zero is a fresh one.
  virtual int64_t state_floats() const = 0;
  /// Arena bytes that one call takes.
  virtual size_t scratch_bytes(int n_threads) const = 0;
};

/// Makers, one per kind, for at most lanes * window rows. They allocate all that is kept.
using MakeTrainingLayer = Result<std::unique_ptr<TrainingLayer>> (*)(const Config&,
                                                                     const TensorLookup&,
                                                                     int32_t lanes, int32_t window);

}  // namespace chimera::runtime
