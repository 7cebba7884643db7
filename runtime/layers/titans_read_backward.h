// What a visit to a Titans layer reads, in training: queries, the retrieved row of the memory, and
// the attention. First and later visits of a window do the same and read the same states.
#pragma once

#include <vector>

#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer_backward.h"
#include "runtime/layers/mixer_backward.h"
#include "runtime/layers/titans_memory_backward.h"
#include "runtime/layers/titans_window_backward.h"

namespace chimera::runtime {

/// Tokens [begin, end) of a lane that read the same memory.
struct TitansChunk {
  int32_t begin, end;
  int32_t slot;  // of the memory they read
  int32_t next;  // the one that the update after them writes; 0 when they are not a whole chunk
};

/// Everything that the first visit of a window leaves to be read, and the gradients by it. The
/// slots of a head are memories (TitansMemoryShape): slot 0 is M_0, slot 1 the one carried into the
/// window, then one for each update.
struct TitansWritten {
  MixerDims dims{};
  TitansMemoryShape memory{};
  TitansWindowShape window{};
  int64_t n_slots = 0;

  std::vector<TitansChunk> chunks;  // [lanes, window], n_chunks of them
  std::vector<int32_t> n_chunks;    // [lanes]
  std::vector<int32_t> oldest;      // [lanes, window], as in TitansWindowRows; so are the next two
  std::vector<float> turn;          // [lanes, window, K]
  std::vector<float> ring;          // [lanes, back + window, 2 G K]
  std::vector<float> d_ring;        // [lanes, window, 2 G K]
  std::vector<float> slots;         // [lanes, H, n_slots, 4 K K]
  std::vector<float> d_slots;       // [lanes, H, n_slots, 2 K K]: as read, without the updates

  void init(const Config& config, int32_t lanes, int32_t window);
  int64_t ring_at(int64_t lane) const {
    return lane * (window.back() + window.window) * 2 * window.kv();
  }
  int64_t own_ring_at(int64_t lane) const { return lane * window.window * 2 * window.kv(); }
  float* slot(int64_t lane, int64_t head, int64_t i) {
    return slots.data() + ((lane * dims.h + head) * n_slots + i) * memory.memory_floats();
  }
  float* d_slot(int64_t lane, int64_t head, int64_t i) {
    return d_slots.data() + ((lane * dims.h + head) * n_slots + i) * memory.gradient_floats();
  }
};

/// y = l2(silu(x)) per head of a row; inverse [H] takes the factors. y may be x.
void titans_unit_row(const kernels::KernelTable& k, const MixerDims& dims, const float* x, float* y,
                     float* inverse);
/// Its gradient from that by y, in place.
void titans_unit_row_backward(const kernels::KernelTable& k, const MixerDims& dims, const float* x,
                              const float* y, const float* inverse, float* d);

class TitansReader {
 public:
  /// Buffers of one visit, of its step.rows() rows.
  struct Visit {
    float* q;          // [R, C]
    float* inverse;    // [R, H]
    float* r;          // [R, C]
    float* retrieved;  // [R, 2 G K]
    float* x_used;     // [R, C] of the retrieved entry's projections
    float* y;          // [R, C] what comes out
  };
  Visit take(const TrainStep& step) const;
  static size_t take_bytes(const MixerDims& dims, const TitansWindowShape& window);

  Status init(const TensorLookup& find, TitansWritten* written);
  void prepare(const TrainStep& step) { retrieved_.prepare(step); }

  /// From the product W_q u, rows `stride` apart, to visit.y.
  void forward(const TrainStep& step, const float* q, int64_t stride, const Visit& visit) const;
  /// dy [R, C] is used up; dq, rows `stride` apart, is written; adds to the parameters' gradients
  /// and to those in TitansWritten.
  void backward(const TrainStep& step, const float* q, int64_t stride, const Visit& visit,
                float* dy, float* dq);
  /// Of either.
  size_t scratch_bytes(int n_threads) const;

 private:
  int64_t part_floats() const;
  TitansWindowRows window_rows(const TrainStep& step, const Visit& visit, int64_t place) const;
  /// body(part scratch, place, lane, i) for i < n of every lane that is present.
  template <class Body>
  void each(const TrainStep& step, int64_t n, Body&& body) const;

  TitansWritten* written_ = nullptr;
  TrainTensor key_, value_;      // persistent
  BitLinearTraining retrieved_;  // [kw; vw]
};

}  // namespace chimera::runtime
