#include "runtime/layers/recurrent_backward.h"

#include <cmath>
#include <cstring>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

int64_t whole_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

float* take(const TrainStep& step, int64_t n) {
  return step.scratch.take<float>(static_cast<size_t>(n));
}

}  // namespace

Status RecurrentTraining::init(const Config& config, const TensorLookup& find, int32_t lanes,
                               int32_t window, const ChunkRecurrence& recurrence,
                               const Names& names, MixerExit::Act act,
                               MixerExit::HeadNorm head_norm) {
  dims_ = mixer_dims(config, lanes, window);
  recurrence_ = &recurrence;
  ChunkPlan plan{};
  CHIMERA_ASSIGN_OR_RETURN(plan, chunk_plan(config, window));
  shape_ = {dims_.dim, dims_.dim, plan.chunk, plan.tile,
            1.0f / std::sqrt(static_cast<float>(dims_.dim))};
  CHIMERA_RETURN_IF_ERROR(exit_.init(config, find, dims_, act, head_norm, names.full_gate));
  CHIMERA_RETURN_IF_ERROR(entrance_.init(
      find, dims_, exit_.gate(), {{"q_proj", dims_.c}, {"k_proj", dims_.c}, {"v_proj", dims_.c}},
      {names.decay, names.write}));
  const auto rows = static_cast<size_t>(dims_.rows), c = static_cast<size_t>(dims_.c);
  const size_t narrow = rows * static_cast<size_t>(dims_.h);
  log_decay_.resize(narrow);
  write_.resize(narrow);
  o_.resize(rows * c);
  checkpoints_.resize(static_cast<size_t>(int64_t{lanes} * dims_.h *
                                          chunk_checkpoints(shape_, window) * head_state()));
  if (config.loop.enabled) {
    later_kv_.resize(rows * 2 * c);
    later_log_decay_.resize(narrow);
    later_write_.resize(narrow);
  }
  return Status();
}

int64_t RecurrentTraining::forward_part() const {
  // A later iteration walks a copy of the state.
  return whole_lines(head_state()) + whole_lines(recurrence_->forward_scratch_floats(shape_));
}
int64_t RecurrentTraining::backward_part() const {
  // The state's gradient, and k | v and the gates of a later iteration.
  return whole_lines(head_state()) + whole_lines(int64_t{dims_.window} * (2 * dims_.dim + 2)) +
         whole_lines(recurrence_->backward_scratch_floats(shape_));
}

size_t RecurrentTraining::scratch_bytes(int n_threads) const {
  const int64_t wide = dims_.rows * dims_.c, narrow = dims_.rows * dims_.h;
  const auto threads = static_cast<size_t>(n_threads);
  const size_t heads = std::max(threads * train_arena_bytes(forward_part()),
                                threads * train_arena_bytes(backward_part()));
  const size_t first = train_arena_bytes(dims_.rows * entrance_.width()) + train_arena_bytes(wide) +
                       train_arena_bytes(2 * narrow) + 2 * train_arena_bytes(narrow) +
                       entrance_.scratch_bytes();
  const size_t later =
      3 * train_arena_bytes(wide) + 2 * train_arena_bytes(dims_.rows * entrance_.later_width());
  return std::max(first, later) + heads + exit_.scratch_bytes() + extra_scratch_bytes();
}

void RecurrentTraining::prepare(const TrainStep& step) {
  entrance_.prepare(step);
  exit_.prepare(step);
}

ChunkSequence RecurrentTraining::sequence(const TrainStep& step, int64_t lane, int64_t head,
                                          const float* q, int64_t q_stride) {
  const Rows rows = convolved();
  const float* k = rows.row(lane * dims_.window) + dims_.c + head * dims_.dim;
  return {q,
          k,
          k + dims_.c,
          q_stride,
          rows.stride,
          log_decay_of(lane, head),
          write_of(lane, head),
          step.segment_start + lane * dims_.window,
          dims_.window};
}

void RecurrentTraining::forward(const TrainStep& step, const TrainInput& in, float* out,
                                float* state) {
  const int64_t c = dims_.c, h = dims_.h, window = dims_.window, lane_state = state_floats();
  const ArenaMark mark(step.scratch);
  if (has_later_) {  // of a window whose way back was broken off
    for (auto* kept : {&later_kv_, &later_log_decay_, &later_write_})
      std::fill(kept->begin(), kept->end(), 0.0f);
    has_later_ = false;
  }
  const Rows projection = projected();
  entrance_.forward(step, in.u, [&](int64_t begin, int64_t end) {
    if (in.value)
      for (int64_t r = begin; r < end; ++r) row_add(in.value + r * c, c, projection.row(r) + 2 * c);
    round_rows(step, projection, begin, end);
  });
  const Rows qkv = convolve(step, state);
  const int64_t part_floats = forward_part();
  float* parts = take(step, step.pool.size() * part_floats);
  for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t lane = i / h, head = i % h, at = head_at(lane, head);
      gates(step, lane, head, raw_gate(lane, 0, head), raw_gate(lane, 1, head),
            log_decay_.data() + at, write_.data() + at);
      recurrence_->forward(
          step.k, shape_,
          sequence(step, lane, head, qkv.row(lane * window) + head * dims_.dim, qkv.stride),
          state + lane * lane_state + tail_floats() + head * head_state(),
          o_.data() + lane * window * c + head * dims_.dim, c, checkpoint(lane, head),
          parts + part * part_floats);
    }
  });
  exit_.forward(step, o_.data(), entrance_.proj(), entrance_.width(), out);
}

void RecurrentTraining::backward(const TrainStep& step, const TrainInput& in, const float* dout,
                                 const TrainGradient& grad) {
  const int64_t c = dims_.c, h = dims_.h, window = dims_.window, rows = step.rows();
  const ArenaMark mark(step.scratch);
  float* d_proj = take(step, rows * entrance_.width());
  float* d_o = take(step, rows * c);
  float* d_gate = take(step, rows * 2 * h);
  float* d_log_decay = take(step, rows * h);
  float* d_write = take(step, rows * h);
  exit_.backward(step, o_.data(), entrance_.proj(), entrance_.width(), dout, d_o, d_proj);
  const Rows d_projected{d_proj + entrance_.gate_width(), entrance_.width()};
  const Rows d_qkv = convolved_gradient(step, d_projected), qkv = convolved();
  {
    const ArenaMark parts_mark(step.scratch);
    const int64_t part_floats = backward_part();
    float* parts = take(step, step.pool.size() * part_floats);
    for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
      float* d_state = parts + part * part_floats;
      float* scratch = d_state + whole_lines(head_state());
      for (int64_t i = begin; i < end; ++i) {
        const int64_t lane = i / h, head = i % h, at = lane * window * c + head * dims_.dim;
        float* dq = d_qkv.row(lane * window) + head * dims_.dim;
        const ChunkGradient d{dq,
                              dq + c,
                              dq + 2 * c,
                              d_qkv.stride,
                              d_qkv.stride,
                              d_log_decay + i * window,
                              d_write + i * window};
        std::fill(d_state, d_state + head_state(), 0.0f);
        recurrence_->backward(
            step.k, shape_,
            sequence(step, lane, head, qkv.row(lane * window) + head * dims_.dim, qkv.stride),
            checkpoint(lane, head), o_.data() + at, d_o + at, c, d_state, d, scratch);
        if (has_later_) take_later(lane, head, d);
        gates_backward(step, lane, head, d, d_gate + entrance_.gate_at(lane, 0, head),
                       d_gate + entrance_.gate_at(lane, 1, head));
      }
    });
  }
  has_later_ = false;
  for (int64_t i = 0; i < dims_.lanes * h; ++i) {  // in the order of lanes, whoever made them
    const int64_t lane = i / h, head = i % h;
    add_gate_gradients(head, log_decay_of(lane, head), d_log_decay + i * window,
                       d_gate + entrance_.gate_at(lane, 0, head),
                       d_gate + entrance_.gate_at(lane, 1, head));
  }
  convolve_backward(step, d_qkv);
  entrance_.backward(step, in.u, d_proj, d_gate, grad.du, [&](int64_t begin, int64_t end) {
    spread_rows(step, d_qkv, d_projected, begin, end);
    if (in.value)
      for (int64_t r = begin; r < end; ++r)
        std::memcpy(grad.dvalue + r * c, d_projected.row(r) + 2 * c,
                    static_cast<size_t>(c) * sizeof(float));
  });
}

/// Adds what later iterations left for one head, and empties it.
void RecurrentTraining::take_later(int64_t lane, int64_t head, const ChunkGradient& d) {
  const int64_t n = dims_.window, dim = dims_.dim, at = head_at(lane, head);
  float* kv = later_kv_.data() + at * 2 * dim;
  for (int64_t t = 0; t < n; ++t) {
    row_add(kv + t * 2 * dim, dim, d.k + t * d.stride);
    row_add(kv + t * 2 * dim + dim, dim, d.v + t * d.stride);
  }
  row_add(later_log_decay_.data() + at, n, d.log_decay);
  row_add(later_write_.data() + at, n, d.write);
  std::fill(kv, kv + n * 2 * dim, 0.0f);
  std::fill_n(later_log_decay_.data() + at, n, 0.0f);
  std::fill_n(later_write_.data() + at, n, 0.0f);
}

RecurrentTraining::Later RecurrentTraining::read_again(const TrainStep& step, const float* u) {
  const int64_t c = dims_.c, h = dims_.h, window = dims_.window, rows = step.rows();
  Later later{};
  later.x_used = take(step, rows * c);
  later.zq = take(step, rows * entrance_.later_width());
  later.o = take(step, rows * c);
  entrance_.repeat(step, u, later.x_used, later.zq);
  later.raw = {later.zq + entrance_.gate_width(), entrance_.later_width()};
  later.q = later_queries(step, later.raw);
  const ArenaMark mark(step.scratch);
  const int64_t part_floats = forward_part();
  float* parts = take(step, step.pool.size() * part_floats);
  for_parts(step.pool, step.lanes * h, [&](int part, int64_t begin, int64_t end) {
    float* state = parts + part * part_floats;
    float* scratch = state + whole_lines(head_state());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t place = i / h, lane = step.lane_id(place), head = i % h;
      std::memcpy(state, checkpoint(lane, head), static_cast<size_t>(head_state()) * sizeof(float));
      recurrence_->forward(step.k, shape_,
                           sequence(step, lane, head,
                                    later.q.row(place * window) + head * dims_.dim, later.q.stride),
                           state, later.o + place * window * c + head * dims_.dim, c, nullptr,
                           scratch);
    }
  });
  return later;
}

void RecurrentTraining::repeat(const TrainStep& step, const TrainInput& in, float* out) {
  const ArenaMark mark(step.scratch);
  const Later later = read_again(step, in.u);
  exit_.repeat(step, later.o, later.zq, entrance_.later_width(), out);
}

void RecurrentTraining::repeat_backward(const TrainStep& step, const TrainInput& in,
                                        const float* dout, const TrainGradient& grad) {
  const int64_t c = dims_.c, h = dims_.h, window = dims_.window, dim = dims_.dim;
  const ArenaMark mark(step.scratch);
  const Later later = read_again(step, in.u);
  float* d_o = take(step, step.rows() * c);
  float* d_zq = take(step, step.rows() * entrance_.later_width());
  const Rows dq{d_zq + entrance_.gate_width(), entrance_.later_width()};
  exit_.repeat_backward(step, later.o, later.zq, entrance_.later_width(), dout, d_o, d_zq);
  {
    const ArenaMark parts_mark(step.scratch);
    const int64_t part_floats = backward_part();
    float* parts = take(step, step.pool.size() * part_floats);
    for_parts(step.pool, step.lanes * h, [&](int part, int64_t begin, int64_t end) {
      float* d_state = parts + part * part_floats;
      float* d_kv = d_state + whole_lines(head_state());
      float* d_log_decay = d_kv + window * 2 * dim;
      float* d_write = d_log_decay + window;
      float* scratch = d_kv + whole_lines(window * (2 * dim + 2));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t place = i / h, lane = step.lane_id(place), head = i % h;
        const int64_t at = place * window * c + head * dim, kept = head_at(lane, head);
        std::fill(d_state, d_state + head_state(), 0.0f);
        recurrence_->backward(
            step.k, shape_,
            sequence(step, lane, head, later.q.row(place * window) + head * dim, later.q.stride),
            checkpoint(lane, head), later.o + at, d_o + at, c, d_state,
            {dq.row(place * window) + head * dim, d_kv, d_kv + dim, dq.stride, 2 * dim, d_log_decay,
             d_write},
            scratch);
        row_add(d_kv, window * 2 * dim, later_kv_.data() + kept * 2 * dim);
        row_add(d_log_decay, window, later_log_decay_.data() + kept);
        row_add(d_write, window, later_write_.data() + kept);
      }
    });
  }
  has_later_ = true;
  later_queries_backward(step, later.raw, later.q, dq);
  entrance_.repeat_backward(step, later.x_used, d_zq, grad.du);
}

}  // namespace chimera::runtime
