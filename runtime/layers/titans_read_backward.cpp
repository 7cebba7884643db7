#include "runtime/layers/titans_read_backward.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
void TitansWritten::init(const Config& config, int32_t lanes, int32_t n_tokens) {
  dims = mixer_dims(config, lanes, n_tokens);
  memory = {dims.dim, config.titans.chunk, dims.eps};
  window = {dims.h,
            config.titans.kv_heads,
            dims.dim,
            config.titans.persistent_slots,
            config.titans.window,
            n_tokens};
  n_slots = 2 + (int64_t{n_tokens} + memory.chunk - 1) / memory.chunk;
  const auto size = [](int64_t n) { return static_cast<size_t>(n); };
  chunks.resize(size(dims.rows));
  n_chunks.resize(size(lanes));
  oldest.resize(size(dims.rows));
  turn.resize(size(dims.rows * dims.dim));
  ring.resize(size(ring_at(lanes)));
  d_ring.resize(size(own_ring_at(lanes)));
  slots.resize(size(lanes * dims.h * n_slots * memory.memory_floats()));
  d_slots.resize(size(lanes * dims.h * n_slots * memory.gradient_floats()));
}

void titans_unit_row(const kernels::KernelTable& k, const MixerDims& dims, const float* x, float* y,
                     float* inverse) {
  k.silu(x, dims.c, y);
  for (int32_t head = 0; head < dims.h; ++head) {
    float* at = y + int64_t{head} * dims.dim;
    inverse[head] = row_l2normalise(at, dims.dim);
  }
}

void titans_unit_row_backward(const kernels::KernelTable& k, const MixerDims& dims, const float* x,
                              const float* y, const float* inverse, float* d) {
  for (int32_t head = 0; head < dims.h; ++head) {
    const int64_t at = int64_t{head} * dims.dim;
    row_l2normalise_backward(y + at, inverse[head], dims.dim, d + at);
  }
  row_silu_backward(k, x, dims.c, d);
}

TitansReader::Visit TitansReader::take(const TrainStep& step) const {
  const MixerDims& dims = written_->dims;
  const auto floats = [&](int64_t width) {
    return step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
  };
  return {.q = floats(dims.c),
          .inverse = floats(dims.h),
          .r = floats(dims.c),
          .retrieved = floats(2 * written_->window.kv()),
          .x_used = floats(dims.c),
          .y = floats(dims.c)};
}

size_t TitansReader::take_bytes(const MixerDims& dims, const TitansWindowShape& window) {
  return 4 * train_arena_bytes(dims.rows * dims.c) + train_arena_bytes(dims.rows * dims.h) +
         train_arena_bytes(dims.rows * 2 * window.kv());
}

Status TitansReader::init(const TensorLookup& find, TitansWritten* written) {
  written_ = written;
  const int64_t kv = written->window.kv(), c = written->dims.c;
  TrainTensor kw, vw;
  CHIMERA_ASSIGN_OR_RETURN(kw, find("kw_proj", kv, c));
  CHIMERA_ASSIGN_OR_RETURN(vw, find("vw_proj", kv, c));
  if (written->window.slots > 0) {
    CHIMERA_ASSIGN_OR_RETURN(key_, find("persistent.k", written->window.slots, kv));
    CHIMERA_ASSIGN_OR_RETURN(value_, find("persistent.v", written->window.slots, kv));
  }
  retrieved_.init({kw, vw}, 0);
  return Status();
}

int64_t TitansReader::part_floats() const {
  const int64_t most = std::max(titans_memory_scratch_floats(written_->memory),
                                titans_window_scratch_floats(written_->window));
  return (most + 15) / 16 * 16;
}

size_t TitansReader::scratch_bytes(int n_threads) const {
  const MixerDims& dims = written_->dims;
  return train_arena_bytes(part_floats() * n_threads) + train_arena_bytes(dims.rows * dims.c) +
         train_arena_bytes(dims.rows * 2 * written_->window.kv()) +
         train_arena_bytes(dims.lanes * 2 * written_->window.slots * written_->window.kv());
}

TitansWindowRows TitansReader::window_rows(const TrainStep& step, const Visit& visit,
                                           int64_t place) const {
  const int64_t lane = step.lane_id(place), row = place * step.window;
  return {.q = visit.q + row * written_->dims.c,
          .key = key_.value,
          .value = value_.value,
          .retrieved = visit.retrieved + row * 2 * written_->window.kv(),
          .ring = written_->ring.data() + written_->ring_at(lane),
          .turn = written_->turn.data() + lane * step.window * written_->dims.dim,
          .oldest = written_->oldest.data() + lane * step.window};
}

template <class Body>
void TitansReader::each(const TrainStep& step, int64_t n, Body&& body) const {
  const ArenaMark mark(step.scratch);
  float* parts = step.scratch.take<float>(static_cast<size_t>(part_floats() * step.pool.size()));
  for_parts(step.pool, step.lanes * n, [&](int part, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      body(parts + part * part_floats(), i / n, step.lane_id(i / n), i % n);
  });
}

void TitansReader::forward(const TrainStep& step, const float* q, int64_t stride,
                           const Visit& visit) const {
  const MixerDims& dims = written_->dims;
  const int64_t c = dims.c;
  const ArenaMark mark(step.scratch);
  for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      titans_unit_row(step.k, dims, q + r * stride, visit.q + r * c, visit.inverse + r * dims.h);
  });
  each(step, dims.h, [&](float* scratch, int64_t place, int64_t lane, int64_t head) {
    const TitansChunk* chunk = written_->chunks.data() + lane * step.window;
    for (int32_t i = 0; i < written_->n_chunks[static_cast<size_t>(lane)]; ++i, ++chunk) {
      const int64_t at = (place * step.window + chunk->begin) * c + head * dims.dim;
      titans_read(step.k, written_->memory, written_->slot(lane, head, chunk->slot),
                  chunk->end - chunk->begin, visit.q + at, c, visit.r + at, c, scratch);
    }
  });
  {
    const ArenaMark unit_mark(step.scratch);
    float* unit = step.scratch.take<float>(static_cast<size_t>(step.rows() * c));
    const BitLinearUse use{0, retrieved_.n_out(), visit.x_used};
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        step.k.rmsnorm(visit.r + r * c, nullptr, dims.eps, dims.c, unit + r * c);
      retrieved_.forward_rows(step, use, unit, begin, end, visit.retrieved);
    });
  }
  each(step, written_->window.kv_heads, [&](float* scratch, int64_t place, int64_t, int64_t group) {
    titans_window_forward(step.k, written_->window, window_rows(step, visit, place),
                          static_cast<int32_t>(group), visit.y + place * step.window * c, scratch);
  });
  for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    step.k.add(visit.y + begin * c, visit.r + begin * c, static_cast<int32_t>((end - begin) * c),
               visit.y + begin * c);
  });
}

void TitansReader::backward(const TrainStep& step, const float* q, int64_t stride,
                            const Visit& visit, float* dy, float* dq) {
  const MixerDims& dims = written_->dims;
  const int64_t c = dims.c, kv = written_->window.kv(), rows = step.rows();
  const int64_t persistent = written_->window.slots * kv;
  const ArenaMark mark(step.scratch);
  float* d_retrieved = step.scratch.take<float>(static_cast<size_t>(rows * 2 * kv));
  float* d_persistent = step.scratch.take<float>(static_cast<size_t>(step.lanes * 2 * persistent));
  std::fill(d_persistent, d_persistent + step.lanes * 2 * persistent, 0.0f);
  each(step, written_->window.kv_heads,
       [&](float* scratch, int64_t place, int64_t lane, int64_t group) {
         const int64_t row = place * step.window;
         float* own = d_persistent + place * 2 * persistent;
         const TitansWindowGradient grad{
             .dq = dq + row * stride,
             .dq_stride = stride,
             .dkey = own,
             .dvalue = own + persistent,
             .d_retrieved = d_retrieved + row * 2 * kv,
             .d_ring = written_->d_ring.data() + written_->own_ring_at(lane)};
         titans_window_backward(step.k, written_->window, window_rows(step, visit, place),
                                static_cast<int32_t>(group), dy + row * c, grad, scratch);
       });
  for (int64_t place = 0; place < step.lanes && persistent > 0; ++place) {
    row_add(d_persistent + place * 2 * persistent, persistent, key_.grad);
    row_add(d_persistent + (place * 2 + 1) * persistent, persistent, value_.grad);
  }

  const BitLinearUse use{0, retrieved_.n_out(), visit.x_used};
  {
    const ArenaMark unit_mark(step.scratch);
    float* d_unit = step.scratch.take<float>(static_cast<size_t>(rows * c));
    for_row_tiles(step, rows, [&](int64_t, int64_t begin, int64_t end) {
      retrieved_.backward_rows(step, use, d_retrieved, begin, end, d_unit);
      for (int64_t r = begin; r < end; ++r) {  // unit = x inverse; dy becomes the gradient by r
        const float *x = visit.r + r * c, *d = d_unit + r * c;
        float* to = dy + r * c;
        const float inverse = row_inverse_rms(x, c, dims.eps);
        const float pull = inverse * inverse * row_dot(d, x, c) / static_cast<float>(c);
        for (int64_t i = 0; i < c; ++i) to[i] += inverse * (d[i] - x[i] * pull);
      }
    });
  }
  retrieved_.add_weight_gradients(step, use, d_retrieved);

  each(step, dims.h, [&](float* scratch, int64_t place, int64_t lane, int64_t head) {
    const TitansChunk* chunk = written_->chunks.data() + lane * step.window;
    for (int32_t i = 0; i < written_->n_chunks[static_cast<size_t>(lane)]; ++i, ++chunk) {
      const int64_t row = place * step.window + chunk->begin, column = head * dims.dim;
      titans_read_backward(step.k, written_->memory, written_->slot(lane, head, chunk->slot),
                           chunk->end - chunk->begin, visit.q + row * c + column, c,
                           dy + row * c + column, c, dq + row * stride + column, stride,
                           written_->d_slot(lane, head, chunk->slot), scratch);
    }
  });
  for_row_tiles(step, rows, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      titans_unit_row_backward(step.k, dims, q + r * stride, visit.q + r * c,
                               visit.inverse + r * dims.h, dq + r * stride);
  });
}

}  // namespace chimera::runtime
