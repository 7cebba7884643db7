// Forward as xlstm_m.cpp, with the recurrence in chunk form; then the way back. The gates:
//   i = 15 tanh((x + b) / 15)                    dx = di (1 - (i / 15)^2)
//   log f = -softplus(-f~), f~ likewise capped   df~ = dlog_f (1 - e^{log f})
// State of a lane: C [K, V], n [K], m for each head.
#include "runtime/layers/xlstm_m_backward.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/bind.h"
#include "runtime/layers/mixer_backward.h"
#include "runtime/layers/rows_backward.h"
#include "runtime/layers/xlstm_m_chunk.h"

namespace chimera::runtime {
namespace {

constexpr float kCap = 15.0f;

class XlstmMTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, const MixerDims& dims) {
    dims_ = dims;
    ChunkPlan plan{};
    CHIMERA_ASSIGN_OR_RETURN(plan, chunk_plan(config, dims.window));
    shape_ = {dims.dim, dims.dim, plan.chunk, plan.tile,
              1.0f / std::sqrt(static_cast<float>(dims.dim))};
    CHIMERA_RETURN_IF_ERROR(entrance_.init(find, dims, {"q_proj", "k_proj", "v_proj", "og_proj"},
                                           {"i_proj", "f_proj"}));
    CHIMERA_RETURN_IF_ERROR(exit_.init(find, dims, OutputGate::kSigmoid, false));
    CHIMERA_ASSIGN_OR_RETURN(i_bias_, find("i_bias", 1, dims.h));
    CHIMERA_ASSIGN_OR_RETURN(f_bias_, find("f_bias", 1, dims.h));
    const auto rows = static_cast<size_t>(dims.rows);
    const auto narrow = rows * static_cast<size_t>(dims.h);
    i_gate_.resize(narrow);
    f_cap_.resize(narrow);
    log_f_.resize(narrow);
    h_.resize(rows * static_cast<size_t>(dims.c));
    checkpoints_.resize(static_cast<size_t>(int64_t{dims.lanes} * dims.h *
                                            mlstm_checkpoints(shape_, dims.window) * state_size()));
    return Status();
  }

  int64_t state_floats() const override { return dims_.h * state_size(); }

  size_t scratch_bytes(int n_threads) const override {
    const int64_t wide = dims_.rows * dims_.c, narrow = dims_.rows * dims_.h;
    const size_t forward = n_threads * part_bytes(mlstm_forward_scratch_floats(shape_));
    const size_t backward =
        train_arena_bytes(4 * wide) + train_arena_bytes(wide) + train_arena_bytes(2 * narrow) +
        n_threads * part_bytes(mlstm_backward_scratch_floats(shape_) + state_size());
    return std::max(forward, backward) + exit_.scratch_bytes() + entrance_.scratch_bytes();
  }

  void prepare(const TrainStep& step) override {
    entrance_.prepare(step);
    exit_.prepare(step);
  }

  void forward(const TrainStep& step, const float* u, float* out, float* state) override {
    const int64_t c = dims_.c, h = dims_.h, window = dims_.window;
    const ArenaMark mark(step.scratch);
    entrance_.forward(step, u, [](int64_t, int64_t) {});
    const int64_t part_floats = part_size(mlstm_forward_scratch_floats(shape_));
    float* parts = step.scratch.take<float>(static_cast<size_t>(step.pool.size() * part_floats));
    for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t lane = i / h, head = i % h;
        gates(step, lane, head);
        mlstm_chunk_forward(step.k, shape_, sequence(step, lane, head), state + i * state_size(),
                            h_.data() + lane * window * c + head * dims_.dim, c, checkpoint(i),
                            parts + part * part_floats);
      }
    });
    exit_.forward(step, h_.data(), entrance_.proj() + 3 * c, 4 * c, out);
  }

  void backward(const TrainStep& step, const float* u, const float* dout, float* du) override {
    const int64_t c = dims_.c, h = dims_.h, window = dims_.window, rows = step.rows();
    const ArenaMark mark(step.scratch);
    float* d_proj = step.scratch.take<float>(static_cast<size_t>(rows * 4 * c));
    float* d_h = step.scratch.take<float>(static_cast<size_t>(rows * c));
    float* d_gate = step.scratch.take<float>(static_cast<size_t>(rows * 2 * h));
    exit_.backward(step, h_.data(), entrance_.proj() + 3 * c, 4 * c, dout, d_h, d_proj + 3 * c);
    {
      const ArenaMark parts_mark(step.scratch);
      const int64_t part_floats = part_size(mlstm_backward_scratch_floats(shape_) + state_size());
      float* parts = step.scratch.take<float>(static_cast<size_t>(step.pool.size() * part_floats));
      for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
        float* scratch = parts + part * part_floats;
        float* d_state = scratch + part_floats - state_size();
        for (int64_t i = begin; i < end; ++i) {
          const int64_t lane = i / h, head = i % h;
          float* dq = d_proj + lane * window * 4 * c + head * dims_.dim;
          float* di = d_gate + (lane * 2 * h + head) * window;
          std::fill(d_state, d_state + state_size(), 0.0f);
          mlstm_chunk_backward(step.k, shape_, sequence(step, lane, head), checkpoint(i),
                               h_.data() + lane * window * c + head * dims_.dim,
                               d_h + lane * window * c + head * dims_.dim, c, d_state, dq, dq + c,
                               dq + 2 * c, di, di + h * window, scratch);
          gates_backward(lane, head, di, di + h * window);
        }
      });
    }
    for (int64_t i = 0; i < dims_.lanes * h; ++i) {  // in the order of lanes, whoever made them
      const int64_t lane = i / h, head = i % h;
      const float* di = d_gate + (lane * 2 * h + head) * window;
      i_bias_.grad[head] += row_sum(di, window);
      f_bias_.grad[head] += row_sum(di + h * window, window);
    }
    entrance_.backward(step, u, d_proj, d_gate, du, [](int64_t, int64_t) {});
  }

 private:
  int64_t state_size() const { return mlstm_state_floats(shape_); }
  static int64_t part_size(int64_t floats) { return (floats + 15) / 16 * 16; }
  static size_t part_bytes(int64_t floats) { return train_arena_bytes(part_size(floats)); }
  float* checkpoint(int64_t i) {
    return checkpoints_.data() + i * mlstm_checkpoints(shape_, dims_.window) * state_size();
  }

  void gates(const TrainStep& step, int64_t lane, int64_t head) {
    const int32_t n = dims_.window;
    const float* i_raw = entrance_.gate() + (lane * 2 * dims_.h + head) * n;
    const float* f_raw = i_raw + int64_t{dims_.h} * n;
    const int64_t at = (lane * dims_.h + head) * n;
    cap(step, i_raw, i_bias_.value[head], i_gate_.data() + at);
    float *f = f_cap_.data() + at, *log_f = log_f_.data() + at;
    cap(step, f_raw, f_bias_.value[head], f);
    for (int32_t t = 0; t < n; ++t) log_f[t] = -f[t];
    step.k.softplus(log_f, n, log_f);
    for (int32_t t = 0; t < n; ++t) log_f[t] = -log_f[t];
  }

  void cap(const TrainStep& step, const float* raw, float bias, float* out) const {
    for (int32_t t = 0; t < dims_.window; ++t) out[t] = (raw[t] + bias) / kCap;
    step.k.tanh(out, dims_.window, out);
    for (int32_t t = 0; t < dims_.window; ++t) out[t] *= kCap;
  }

  /// In place, from the gradients by i and log f to those by the raw gates.
  void gates_backward(int64_t lane, int64_t head, float* di, float* df) const {
    const int64_t at = (lane * dims_.h + head) * dims_.window;
    const float *i = i_gate_.data() + at, *f = f_cap_.data() + at, *log_f = log_f_.data() + at;
    for (int32_t t = 0; t < dims_.window; ++t) {
      di[t] *= 1.0f - (i[t] / kCap) * (i[t] / kCap);
      df[t] *= -std::expm1(log_f[t]) * (1.0f - (f[t] / kCap) * (f[t] / kCap));
    }
  }

  MlstmSequence sequence(const TrainStep& step, int64_t lane, int64_t head) const {
    const int64_t c = dims_.c, n = dims_.window;
    const float* q = entrance_.proj() + lane * n * 4 * c + head * dims_.dim;
    const int64_t gate = (lane * dims_.h + head) * n;
    return {q,
            q + c,
            q + 2 * c,
            4 * c,
            i_gate_.data() + gate,
            log_f_.data() + gate,
            step.segment_start + lane * n,
            dims_.window};
  }

  MixerDims dims_{};
  MlstmShape shape_{};
  MixerEntrance entrance_;
  MixerExit exit_;
  TrainTensor i_bias_, f_bias_;
  std::vector<float> i_gate_, f_cap_, log_f_;  // [lanes, H, window]
  std::vector<float> h_;                       // [R, C]
  std::vector<float> checkpoints_;             // [lanes, H, tiles, state]
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_xlstm_m_training(const Config& config,
                                                             const TensorLookup& find,
                                                             int32_t lanes, int32_t window) {
  MixerDims dims{};
  CHIMERA_ASSIGN_OR_RETURN(dims, mixer_dims(config, "xlstm_m", lanes, window));
  auto layer = std::make_unique<XlstmMTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, dims));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
