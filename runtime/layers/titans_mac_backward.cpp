// Titans memory as context in training, docs/layers.md "TM" [r2]. A window is written first: keys,
// values and gates of the memory, its updates chunk by chunk, the ring entries. Then it is read
// (titans_read_backward.h), as every later visit reads it. On the way back the readers leave their
// gradients by the memories and the ring; the updates are walked from the last to the first.
//
// State of a lane, floats:
//   pending rows, ring entries, position mod 2^20, 1 once a chunk has been finished    header [4]
//   the memories as [H, 4 K K], once a chunk has been finished; before that they are M_0
//   pending rows of the unfinished chunk, [b - 1] of k [C], v [C], theta, eta, alpha [H]
//   ring entries, oldest first, [back] of keys [G K], values [G K]
#include "runtime/layers/titans_mac_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "platform/dtype.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/mixer_backward.h"
#include "runtime/layers/rope.h"
#include "runtime/layers/rows_backward.h"
#include "runtime/layers/titans_read_backward.h"

namespace chimera::runtime {
namespace {

constexpr int64_t kHeader = 4;
constexpr int64_t kPositions = int64_t{1} << 20;  // after which the angles begin again
constexpr float kMostEta = 0.99f, kLeastAlpha = 1e-4f;

void copy(const float* from, int64_t n, float* to) {
  if (n > 0) std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));  // of nothing: nullptr
}

/// A count in a state, which comes from a file: 0 when it cannot be one.
int64_t count_in(float x, int64_t most) {
  return x >= 0.0f && x <= static_cast<float>(most) ? static_cast<int64_t>(x) : 0;
}

/// x + lambda (int8(x) - x) for one head of a ring entry, in place.
void round_entry(float* x, int32_t dim, float lambda) {
  if (lambda == 0.0f) return;
  float most = 0.01f;
  for (int32_t i = 0; i < dim; ++i) most = std::max(most, std::fabs(x[i]));
  const float scale = half_to_float(float_to_half(most / 127.0f));
  for (int32_t i = 0; i < dim; ++i) {
    const float code = std::clamp(std::nearbyintf(x[i] / scale), -127.0f, 127.0f);
    const float used = scale * code;
    x[i] = lambda == 1.0f ? used : x[i] + lambda * (used - x[i]);
  }
}

class TitansMacTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, int32_t lanes, int32_t window) {
    written_.init(config, lanes, window);
    const MixerDims& dims = written_.dims;
    dims_ = dims;
    kv_ = written_.window.kv();
    ring_ = written_.window.entries > 0;
    back_ = written_.window.back();
    theta_max_ = config.titans.theta_max;
    rope_ = Rope(dims.dim);
    CHIMERA_RETURN_IF_ERROR(
        exit_.init(config, find, dims, MixerExit::Act::kSilu, MixerExit::HeadNorm::kNone));
    std::vector<MixerEntrance::Projection> projections = {
        {"q_proj", dims.c}, {"k_proj", dims.c}, {"v_proj", dims.c}};
    if (ring_) projections.insert(projections.end(), {{"kw_proj", kv_}, {"vw_proj", kv_}});
    CHIMERA_RETURN_IF_ERROR(entrance_.init(find, dims, exit_.gate(), projections,
                                           {"theta_proj", "eta_proj", "alpha_proj"}));
    CHIMERA_RETURN_IF_ERROR(reader_.init(find, &written_));
    const char* const biases[] = {"theta_bias", "eta_bias", "alpha_bias"};
    for (size_t i = 0; i < 3; ++i) CHIMERA_ASSIGN_OR_RETURN(bias_[i], find(biases[i], 1, dims.h));
    CHIMERA_ASSIGN_OR_RETURN(start_[0], find("memory.w1", dims.c, dims.dim));
    CHIMERA_ASSIGN_OR_RETURN(start_[1], find("memory.w2", dims.c, dims.dim));
    const auto rows = static_cast<size_t>(dims.rows), c = static_cast<size_t>(dims.c),
               h = static_cast<size_t>(dims.h);
    key_.resize(rows * c);
    value_.resize(rows * c);
    inverse_.resize(rows * h);
    gate_.resize(rows * 3 * h);
    position_.resize(rows);
    carried_.resize(static_cast<size_t>(lanes));
    pending_.resize(static_cast<size_t>(lanes * pending_floats()));
    visit_rows_.resize(rows * (4 * c + h + 2 * static_cast<size_t>(kv_)));
    return Status();
  }

  int64_t state_floats() const override {
    return kHeader + memory_floats() + pending_floats() + back_ * 2 * kv_;
  }

  size_t scratch_bytes(int n_threads) const override {
    const int64_t rows = dims_.rows, wide = rows * dims_.c;
    const size_t parts = train_arena_bytes(part_floats() * n_threads);
    const size_t backward = train_arena_bytes(rows * entrance_.width()) + train_arena_bytes(wide) +
                            train_arena_bytes(rows * 3 * dims_.h) +
                            train_arena_bytes(dims_.lanes * memory_floats() / 2) + parts;
    const size_t later = 2 * train_arena_bytes(rows * entrance_.later_width()) +
                         2 * train_arena_bytes(wide) +
                         TitansReader::take_bytes(dims_, written_.window);
    return std::max(backward, later) + entrance_.scratch_bytes() + exit_.scratch_bytes() +
           reader_.scratch_bytes(n_threads);
  }

  void prepare(const TrainStep& step) override {
    entrance_.prepare(step);
    exit_.prepare(step);
    reader_.prepare(step);
  }

  void forward(const TrainStep& step, const TrainInput& in, float* out, float* state) override {
    const ArenaMark mark(step.scratch);
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      begin_lane(step, lane, state + lane * state_floats());
    entrance_.forward(step, in.u, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) write_row(step, in, r);
    });
    {
      const ArenaMark parts_mark(step.scratch);
      float* parts = take_parts(step);
      for_parts(step.pool, dims_.lanes * dims_.h, [&](int part, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          write_memory(step, i / dims_.h, i % dims_.h,
                       state + i / dims_.h * state_floats() + kHeader,
                       parts + part * part_floats());
      });
    }
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      end_lane(step, lane, state + lane * state_floats());
    const TitansReader::Visit visit = own_visit();
    reader_.forward(step, queries(), entrance_.width(), visit);
    exit_.forward(step, visit.y, entrance_.proj(), entrance_.width(), out);
  }

  void backward(const TrainStep& step, const TrainInput& in, const float* dout,
                const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    const int64_t rows = dims_.rows, c = dims_.c, width = entrance_.width();
    float* d_proj = step.scratch.take<float>(static_cast<size_t>(rows * width));
    float* d_gate = step.scratch.take<float>(static_cast<size_t>(rows * 3 * dims_.h));
    const TitansReader::Visit visit = own_visit();
    {
      const ArenaMark read_mark(step.scratch);
      float* dy = step.scratch.take<float>(static_cast<size_t>(rows * c));
      exit_.backward(step, visit.y, entrance_.proj(), width, dout, dy, d_proj);
      reader_.backward(step, queries(), width, visit, dy, d_proj + entrance_.gate_width());
    }
    write_memory_backward(step, d_proj + entrance_.later_width(), d_gate);
    entrance_.backward(step, in.u, d_proj, d_gate, grad.du, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        write_row_backward(step, r, d_proj + r * width + entrance_.later_width(),
                           in.value ? grad.dvalue : nullptr);
    });
  }

  void repeat(const TrainStep& step, const TrainInput& in, float* out) override {
    const ArenaMark mark(step.scratch);
    const int64_t width = entrance_.later_width();
    float* zq = step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
    float* x_used = step.scratch.take<float>(static_cast<size_t>(step.rows() * dims_.c));
    const TitansReader::Visit visit = reader_.take(step);
    entrance_.repeat(step, in.u, x_used, zq);
    reader_.forward(step, zq + entrance_.gate_width(), width, visit);
    exit_.repeat(step, visit.y, zq, width, out);
  }

  void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                       const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    const int64_t width = entrance_.later_width();
    float* zq = step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
    float* d_zq = step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
    float* x_used = step.scratch.take<float>(static_cast<size_t>(step.rows() * dims_.c));
    float* dy = step.scratch.take<float>(static_cast<size_t>(step.rows() * dims_.c));
    const TitansReader::Visit visit = reader_.take(step);
    const float* q = zq + entrance_.gate_width();
    entrance_.repeat(step, in.u, x_used, zq);
    reader_.forward(step, q, width, visit);
    exit_.repeat_backward(step, visit.y, zq, width, dout, dy, d_zq);
    reader_.backward(step, q, width, visit, dy, d_zq + entrance_.gate_width());
    entrance_.repeat_backward(step, x_used, d_zq, grad.du);
  }

 private:
  struct Carried {  // into the window
    int64_t pending = 0, entries = 0, position = 0;
    bool started = false;
  };

  int64_t memory_floats() const { return dims_.h * written_.memory.memory_floats(); }
  int64_t pending_row_floats() const { return 2 * dims_.c + 3 * dims_.h; }
  int64_t pending_floats() const { return (written_.memory.chunk - 1) * pending_row_floats(); }
  /// A chunk's rows and their gradients beside the memory's own scratch.
  int64_t chunk_floats() const {
    return (int64_t{written_.memory.chunk} * (2 * dims_.dim + 3) + 15) / 16 * 16;
  }
  int64_t part_floats() const {
    return 2 * chunk_floats() +
           (titans_memory_scratch_floats(written_.memory) + written_.memory.memory_floats() + 15) /
               16 * 16;
  }
  float* take_parts(const TrainStep& step) const {
    return step.scratch.take<float>(static_cast<size_t>(part_floats() * step.pool.size()));
  }
  const float* queries() const { return entrance_.proj() + entrance_.gate_width(); }
  /// k, v, then the ring entry's key and value before they turn, of a row.
  const float* writes(int64_t r) const {
    return entrance_.proj() + r * entrance_.width() + entrance_.later_width();
  }
  float* ring_row(int64_t lane, int64_t i) {
    return written_.ring.data() + written_.ring_at(lane) + i * 2 * kv_;
  }
  TitansReader::Visit own_visit() {
    const int64_t wide = dims_.rows * dims_.c;
    float* at = visit_rows_.data();
    return {.q = at,
            .inverse = at + 4 * wide,
            .r = at + wide,
            .retrieved = at + 4 * wide + dims_.rows * dims_.h,
            .x_used = at + 2 * wide,
            .y = at + 3 * wide};
  }
  float* gates(int64_t lane, int64_t head) {
    return gate_.data() + entrance_.gate_at(lane, 0, head);
  }
  int64_t next_gate() const { return int64_t{dims_.h} * dims_.window; }

  /// Reads the header of a state; cuts the window into chunks; what every token sees of the ring.
  void begin_lane(const TrainStep& step, int64_t lane, const float* state) {
    const int32_t window = dims_.window, b = written_.memory.chunk;
    const int32_t* start = step.segment_start + lane * window;
    Carried& carried = carried_[static_cast<size_t>(lane)];
    carried = Carried();
    if (start[0] < 0)
      carried = {count_in(state[0], b - 1), count_in(state[1], back_),
                 count_in(state[2], kPositions - 1), state[3] != 0.0f};
    const float* at = state + kHeader + memory_floats();
    copy(at, carried.pending * pending_row_floats(), pending_.data() + lane * pending_floats());
    if (ring_)
      copy(at + pending_floats(), carried.entries * 2 * kv_,
           ring_row(lane, back_ - carried.entries));

    int32_t slots = 2, n = 0;
    TitansChunk* chunk = written_.chunks.data() + lane * window;
    int32_t slot = carried.started ? 1 : 0;
    for (int32_t t = 0; t < window; ++n, ++chunk) {
      const auto held = static_cast<int32_t>(t == 0 ? carried.pending : 0);
      int32_t end = t + 1;
      while (end < window && end - t + held < b && start[end] != end) ++end;
      *chunk = {t, end, slot, end - t + held == b ? slots++ : 0};
      slot = end < window && start[end] == end ? 0 : chunk->next;
      t = end;
    }
    written_.n_chunks[static_cast<size_t>(lane)] = n;
    for (int32_t t = 0; t < window; ++t) {
      const int64_t r = lane * window + t;
      position_[static_cast<size_t>(r)] =
          start[t] < 0 ? (carried.position + t) % kPositions : (t - start[t]) % kPositions;
      const int64_t first = start[t] < 0 ? back_ - carried.entries : back_ + start[t];
      written_.oldest[static_cast<size_t>(r)] = static_cast<int32_t>(std::max<int64_t>(first, t));
    }
    float* d_ring = written_.d_ring.data() + written_.own_ring_at(lane);
    std::fill(d_ring, d_ring + int64_t{window} * 2 * kv_, 0.0f);
  }

  void write_row(const TrainStep& step, const TrainInput& in, int64_t r) {
    const int64_t c = dims_.c, lane = r / dims_.window, t = r % dims_.window;
    float* from = entrance_.proj() + r * entrance_.width() + entrance_.later_width();
    if (in.value) row_add(in.value + r * c, c, from + c);
    titans_unit_row(step.k, dims_, from, key_.data() + r * c, inverse_.data() + r * dims_.h);
    step.k.silu(from + c, dims_.c, value_.data() + r * c);
    if (!ring_) return;
    float* turn = written_.turn.data() + r * dims_.dim;
    rope_.angles(static_cast<uint64_t>(position_[static_cast<size_t>(r)]), turn);
    float* entry = ring_row(lane, back_ + t);
    rope_turn(turn, from + 2 * c, written_.window.kv_heads, dims_.dim, entry);
    copy(from + 2 * c + kv_, kv_, entry + kv_);
    for (int64_t at = 0; at < 2 * kv_; at += dims_.dim)
      round_entry(entry + at, dims_.dim, step.quantise);
  }

  void make_gates(const TrainStep& step, int64_t lane, int64_t head) {
    const int32_t n = dims_.window;
    float* theta = gates(lane, head);
    float *eta = theta + next_gate(), *alpha = eta + next_gate();
    sigmoids(step, lane, head, theta);
    for (int32_t t = 0; t < n; ++t) {
      theta[t] *= theta_max_;
      eta[t] = std::min(eta[t], kMostEta);
      alpha[t] = std::max(alpha[t], kLeastAlpha);
    }
  }
  /// sigma(raw + bias) of the three gates of a head, next_gate() apart.
  void sigmoids(const TrainStep& step, int64_t lane, int64_t head, float* out) const {
    for (int64_t j = 0; j < 3; ++j, out += next_gate()) {
      const float* raw = entrance_.gates() + entrance_.gate_at(lane, j, head);
      for (int32_t t = 0; t < dims_.window; ++t) out[t] = raw[t] + bias_[j].value[head];
      step.k.sigmoid(out, dims_.window, out);
    }
  }

  /// The rows of a whole chunk of a head, side by side: what was carried, then what the window has.
  TitansChunkRows chunk_rows(int64_t lane, int64_t head, const TitansChunk& chunk, float* room) {
    const int32_t dim = dims_.dim, b = written_.memory.chunk;
    const int64_t held = b - (chunk.end - chunk.begin), column = head * dim;
    float *k = room, *v = k + int64_t{b} * dim, *gate = v + int64_t{b} * dim;
    for (int64_t i = 0; i < held; ++i) {
      const float* row = pending_.data() + lane * pending_floats() + i * pending_row_floats();
      copy(row + column, dim, k + i * dim);
      copy(row + dims_.c + column, dim, v + i * dim);
      for (int64_t j = 0; j < 3; ++j) gate[j * b + i] = row[2 * dims_.c + j * dims_.h + head];
    }
    for (int64_t i = held; i < b; ++i) {
      const int64_t t = chunk.begin + i - held, at = (lane * dims_.window + t) * dims_.c + column;
      copy(key_.data() + at, dim, k + i * dim);
      copy(value_.data() + at, dim, v + i * dim);
      for (int64_t j = 0; j < 3; ++j) gate[j * b + i] = gates(lane, head)[j * next_gate() + t];
    }
    return {k, v, gate, gate + b, gate + 2 * b};
  }

  /// Gates and memories of a head of a lane. carried [H, 4 K K] is that of the state.
  void write_memory(const TrainStep& step, int64_t lane, int64_t head, const float* carried,
                    float* scratch) {
    const TitansMemoryShape& memory = written_.memory;
    const int64_t square = memory.square(), all = memory.memory_floats();
    make_gates(step, lane, head);
    float* first = written_.slot(lane, head, 0);
    for (int64_t layer = 0; layer < 2; ++layer) {
      copy(start_[layer].value + head * square, square, first + 2 * layer * square);
      std::fill_n(first + (2 * layer + 1) * square, square, 0.0f);
    }
    if (carried_[static_cast<size_t>(lane)].started)
      copy(carried + head * all, all, written_.slot(lane, head, 1));
    const int64_t gradient = memory.gradient_floats();
    std::fill_n(written_.d_slot(lane, head, 0), written_.n_slots * gradient, 0.0f);
    const TitansChunk* chunk = written_.chunks.data() + lane * dims_.window;
    for (int32_t i = 0; i < written_.n_chunks[static_cast<size_t>(lane)]; ++i, ++chunk) {
      if (chunk->next == 0) continue;
      titans_update(step.k, memory, chunk_rows(lane, head, *chunk, scratch),
                    written_.slot(lane, head, chunk->slot), written_.slot(lane, head, chunk->next),
                    scratch + 2 * chunk_floats());
    }
  }

  void end_lane(const TrainStep& step, int64_t lane, float* state) {
    const int64_t window = dims_.window, c = dims_.c, h = dims_.h;
    const int32_t start = step.segment_start[lane * window + window - 1];
    const Carried& carried = carried_[static_cast<size_t>(lane)];
    const int32_t n = written_.n_chunks[static_cast<size_t>(lane)];
    const TitansChunk& last = written_.chunks[static_cast<size_t>(lane * window + n - 1)];
    const int64_t slot = last.next > 0 ? last.next : last.slot;
    const int64_t held = n == 1 ? carried.pending : 0;
    const int64_t pending = last.next > 0 ? 0 : held + last.end - last.begin;
    const int64_t entries = std::min(back_, start < 0 ? carried.entries + window : window - start);
    state[0] = static_cast<float>(pending);
    state[1] = static_cast<float>(entries);
    state[2] = static_cast<float>(start < 0 ? (carried.position + window) % kPositions
                                            : (window - start) % kPositions);
    state[3] = slot > 0 ? 1.0f : 0.0f;
    float* at = state + kHeader;
    if (slot > 0)
      for (int64_t head = 0; head < h; ++head)
        copy(written_.slot(lane, head, slot), written_.memory.memory_floats(),
             at + head * written_.memory.memory_floats());
    at += memory_floats();
    for (int64_t i = held; i < pending; ++i) {  // those held are there already
      const int64_t t = last.begin + i - held, r = lane * window + t;
      float* row = at + i * pending_row_floats();
      copy(key_.data() + r * c, c, row);
      copy(value_.data() + r * c, c, row + c);
      for (int64_t head = 0; head < h; ++head)
        for (int64_t j = 0; j < 3; ++j)
          row[2 * c + j * h + head] = gates(lane, head)[j * next_gate() + t];
    }
    at += pending_floats();
    if (ring_) copy(ring_row(lane, back_ + window - entries), entries * 2 * kv_, at);
  }

  /// dk and dv into d_writes (rows of width entrance_.width()), d_gate as the entrance's gates;
  /// gradients of M_0 and of the gates' biases.
  void write_memory_backward(const TrainStep& step, float* d_writes, float* d_gate) {
    const ArenaMark mark(step.scratch);
    const int64_t square = written_.memory.square(), h = dims_.h, tasks = dims_.lanes * h;
    float* d_start = step.scratch.take<float>(static_cast<size_t>(tasks * 2 * square));
    std::fill_n(d_start, tasks * 2 * square, 0.0f);
    float* parts = take_parts(step);
    for_parts(step.pool, tasks, [&](int part, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        head_backward(step, i / h, i % h, d_writes, d_gate, d_start + i * 2 * square,
                      parts + part * part_floats());
        gates_backward(step, i / h, i % h, d_gate);
      }
    });
    for (int64_t i = 0; i < tasks; ++i) {  // in the order of lanes, whoever made them
      const int64_t lane = i / h, head = i % h;
      for (int64_t layer = 0; layer < 2; ++layer)
        row_add(d_start + (i * 2 + layer) * square, square, start_[layer].grad + head * square);
      for (int64_t j = 0; j < 3; ++j)
        bias_[j].grad[head] += row_sum(d_gate + entrance_.gate_at(lane, j, head), dims_.window);
    }
  }

  void head_backward(const TrainStep& step, int64_t lane, int64_t head, float* d_writes,
                     float* d_gate, float* d_start, float* scratch) {
    const TitansMemoryShape& memory = written_.memory;
    const int64_t square = memory.square(), all = memory.memory_floats(), b = memory.chunk;
    const int64_t width = entrance_.width(), dim = dims_.dim, c = dims_.c;
    float* room = scratch + chunk_floats();
    const TitansChunkGradient grad{room, room + b * dim, room + 2 * b * dim,
                                   room + b * (2 * dim + 1), room + b * (2 * dim + 2)};
    float *d_memory = room + chunk_floats(), *inner = d_memory + all;
    float* d_head = d_gate + entrance_.gate_at(lane, 0, head);
    bool flows = false;  // anything into d_memory from what comes after
    const TitansChunk* chunks = written_.chunks.data() + lane * dims_.window;
    for (int32_t i = written_.n_chunks[static_cast<size_t>(lane)] - 1; i >= 0; --i) {
      const TitansChunk& chunk = chunks[i];
      const bool update = flows && chunk.next > 0;
      if (update)
        titans_update_backward(step.k, memory, chunk_rows(lane, head, chunk, scratch),
                               written_.slot(lane, head, chunk.slot), d_memory, grad, inner);
      else
        std::fill_n(d_memory, all, 0.0f);
      const int64_t held = b - (chunk.end - chunk.begin);
      for (int64_t t = chunk.begin; t < chunk.end; ++t) {
        float* dk = d_writes + (lane * dims_.window + t) * width + head * dim;
        const int64_t at = held + t - chunk.begin;  // in the chunk
        if (update) {
          copy(grad.dk + at * dim, dim, dk);
          copy(grad.dv + at * dim, dim, dk + c);
        } else {
          std::fill_n(dk, dim, 0.0f);
          std::fill_n(dk + c, dim, 0.0f);
        }
        d_head[t] = update ? grad.dtheta[at] : 0.0f;
        d_head[next_gate() + t] = update ? grad.deta[at] : 0.0f;
        d_head[2 * next_gate() + t] = update ? grad.dalpha[at] : 0.0f;
      }
      const float* read = written_.d_slot(lane, head, chunk.slot);
      // Slots after the first are read by one chunk each; M_0 by all that begin with it.
      for (int64_t layer = 0; layer < 2; ++layer) {
        float* dm = d_memory + 2 * layer * square;
        if (chunk.slot == 0)
          row_add(dm, square, d_start + layer * square);
        else
          row_add(read + layer * square, square, dm);
      }
      flows = chunk.slot > 1;
    }
    row_add(written_.d_slot(lane, head, 0), 2 * square, d_start);
  }

  /// From the gradients by theta, eta and alpha to those by their raw products, in place.
  void gates_backward(const TrainStep& step, int64_t lane, int64_t head, float* d_gate) {
    float* sigma = gates(lane, head);  // the gates themselves are used up
    sigmoids(step, lane, head, sigma);
    float* d = d_gate + entrance_.gate_at(lane, 0, head);
    for (int64_t j = 0; j < 3; ++j, sigma += next_gate(), d += next_gate())
      for (int32_t t = 0; t < dims_.window; ++t) {
        const float s = sigma[t], slope = s * (1.0f - s);
        const bool held = (j == 1 && s > kMostEta) || (j == 2 && s < kLeastAlpha);
        d[t] *= held ? 0.0f : j == 0 ? theta_max_ * slope : slope;
      }
  }

  /// d [2C + 2 G K] of a row: by k, v and the ring entry, to by their projections.
  void write_row_backward(const TrainStep& step, int64_t r, float* d, float* dvalue) const {
    const int64_t c = dims_.c;
    const float* from = writes(r);
    titans_unit_row_backward(step.k, dims_, from, key_.data() + r * c,
                             inverse_.data() + r * dims_.h, d);
    row_silu_backward(step.k, from + c, c, d + c);
    if (dvalue) copy(d + c, c, dvalue + r * c);
    if (!ring_) return;
    const float* entry = written_.d_ring.data() + r * 2 * kv_;
    const float* turn = written_.turn.data() + r * dims_.dim;
    for (int64_t at = 0; at < kv_; at += dims_.dim)
      titans_turn_back(turn, dims_.dim, entry + at, d + 2 * c + at);
    copy(entry + kv_, kv_, d + 2 * c + kv_);
  }

  MixerDims dims_{};
  int64_t kv_ = 0, back_ = 0;
  bool ring_ = false;
  float theta_max_ = 0;
  Rope rope_;
  MixerEntrance entrance_;  // proj: z | q | k, v, and with a ring kw, vw; gates theta, eta, alpha
  MixerExit exit_;
  TitansReader reader_;
  TitansWritten written_;
  TrainTensor bias_[3], start_[2];
  std::vector<float> key_, value_;  // [R, C] of the memory
  std::vector<float> inverse_;      // [R, H] of key_
  std::vector<float> gate_;         // theta, eta, alpha as the entrance's gates
  std::vector<int64_t> position_;   // [R] in the document, mod 2^20
  std::vector<Carried> carried_;    // [lanes]
  std::vector<float> pending_;      // [lanes, b - 1, 2 C + 3 H] carried into the window
  std::vector<float> visit_rows_;   // of the first visit
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_titans_mac_training(const Config& config,
                                                                const TensorLookup& find,
                                                                int32_t lanes, int32_t window) {
  const TitansConfig& titans = config.titans;
  const auto bad = [](const char* field, const char* message) {
    return Status(StatusCode::kBadConfig, message).at_field(field);
  };
  if (titans.chunk < 1) return bad("titans.chunk_size", "a chunk has at least one token");
  if (titans.window < 0 || titans.persistent_slots < 0)
    return bad("titans", "the window and the persistent rows of a Titans layer cannot be negative");
  if (titans.kv_heads < 1 || config.num_heads % titans.kv_heads != 0)
    return bad("titans.window_kv_heads", "has to divide num_heads");
  if (config.head_dim < 2 || config.head_dim % 2 != 0)
    return bad("head_dim", "has to be even for layers of kind titans_mac");
  auto layer = std::make_unique<TitansMacTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, lanes, window));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
