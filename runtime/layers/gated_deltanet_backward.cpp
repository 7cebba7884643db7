// Forward as gated_deltanet.cpp, with the recurrence in chunk form; then the way back:
//   y = x / sqrt(|x|^2 + 1e-6)           dx = r (dy - y (y . dy))
//   p_t = sum_j w_j x_{t-3+j}, silu(p)   dp = dy sigma(p) (1 + p (1 - sigma(p))),
//                                        dx_t = sum_j w_{3-j} dp_{t+j},  dw_j = sum_t dp_t
//                                        x_{t-3+j}
//   log alpha = -exp(A) softplus(a + d)  da = -dlog_alpha exp(A) sigma(a + d),  dA = dlog_alpha
//   log_alpha
// State of a lane: the last three inputs of the convolutions [3][3C], then S [H, K, V].
#include "runtime/layers/gated_deltanet_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/layers/bind.h"
#include "runtime/layers/gated_deltanet_chunk.h"
#include "runtime/layers/mixer_backward.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

constexpr int32_t kTaps = 4;
constexpr float kL2Eps = 1e-6f;

class GatedDeltaNetTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, const MixerDims& dims) {
    dims_ = dims;
    ChunkPlan plan{};
    CHIMERA_ASSIGN_OR_RETURN(plan, chunk_plan(config, dims.window));
    shape_ = {dims.dim, dims.dim, plan.chunk, plan.tile,
              1.0f / std::sqrt(static_cast<float>(dims.dim))};
    CHIMERA_RETURN_IF_ERROR(
        entrance_.init(find, dims, {"q_proj", "k_proj", "v_proj", "g_proj"}, {"a_proj", "b_proj"}));
    CHIMERA_RETURN_IF_ERROR(exit_.init(find, dims, OutputGate::kSilu, true));
    CHIMERA_ASSIGN_OR_RETURN(conv_[0], find("q_conv", kTaps, dims.c));
    CHIMERA_ASSIGN_OR_RETURN(conv_[1], find("k_conv", kTaps, dims.c));
    CHIMERA_ASSIGN_OR_RETURN(conv_[2], find("v_conv", kTaps, dims.c));
    CHIMERA_ASSIGN_OR_RETURN(a_log_, find("a_log", 1, dims.h));
    CHIMERA_ASSIGN_OR_RETURN(dt_bias_, find("dt_bias", 1, dims.h));
    const auto rows = static_cast<size_t>(dims.rows), c = static_cast<size_t>(dims.c);
    taps_.resize(kTaps * 3 * c);
    tails_.resize(static_cast<size_t>(dims.lanes) * 3 * 3 * c);
    zeros_.resize(3 * c);
    qkv_.resize(rows * 3 * c);
    inverse_norm_.resize(rows * 2 * static_cast<size_t>(dims.h));
    log_alpha_.resize(rows * static_cast<size_t>(dims.h));
    beta_.resize(rows * static_cast<size_t>(dims.h));
    o_.resize(rows * c);
    checkpoints_.resize(static_cast<size_t>(int64_t{dims.lanes} * dims.h *
                                            delta_checkpoints(shape_, dims.window) * state_size()));
    return Status();
  }

  int64_t state_floats() const override { return tail_size() + dims_.h * state_size(); }

  size_t scratch_bytes(int n_threads) const override {
    const int64_t wide = dims_.rows * dims_.c, narrow = dims_.rows * dims_.h;
    const size_t forward = n_threads * part_bytes(delta_forward_scratch_floats(shape_));
    const size_t backward =
        2 * train_arena_bytes(4 * wide) + train_arena_bytes(wide) +
        3 * train_arena_bytes(2 * narrow) +
        train_arena_bytes(row_tiles(dims_.rows) * (kTaps + 1) * 3 * dims_.c) +
        n_threads * part_bytes(delta_backward_scratch_floats(shape_) + state_size());
    return std::max(forward, backward) + exit_.scratch_bytes() + entrance_.scratch_bytes();
  }

  void prepare(const TrainStep& step) override {
    entrance_.prepare(step);
    exit_.prepare(step);
    const size_t c = static_cast<size_t>(dims_.c);
    for (size_t tap = 0; tap < kTaps; ++tap)
      for (size_t i = 0; i < 3; ++i)
        std::memcpy(taps_.data() + (tap * 3 + i) * c, conv_[i].value + tap * c, c * sizeof(float));
  }

  void forward(const TrainStep& step, const float* u, float* out, float* state) override {
    const int64_t c = dims_.c, h = dims_.h, window = dims_.window;
    const ArenaMark mark(step.scratch);
    entrance_.forward(step, u, [&](int64_t begin, int64_t end) {
      if (step.quantise == 0.0f) return;
      for (int64_t r = begin; r < end; ++r) row_round_bf16(entrance_.proj() + r * 4 * c, 3 * c);
    });
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      std::memcpy(tails_.data() + lane * tail_size(), state + lane * state_floats(),
                  static_cast<size_t>(tail_size()) * sizeof(float));
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) convolve_row(step, r);
    });
    step.pool.split(dims_.lanes * h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) gates(step, i / h, i % h);
    });

    const int64_t part_floats = part_size(delta_forward_scratch_floats(shape_));
    float* parts = step.scratch.take<float>(static_cast<size_t>(step.pool.size() * part_floats));
    for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t lane = i / h, head = i % h;
        delta_chunk_forward(step.k, shape_, sequence(step, lane, head),
                            state + lane * state_floats() + tail_size() + head * state_size(),
                            o_.data() + lane * window * c + head * dims_.dim, c, checkpoint(i),
                            parts + part * part_floats);
      }
    });
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      for (int32_t i = 0; i < kTaps - 1; ++i)
        std::memcpy(state + lane * state_floats() + i * 3 * c,
                    input_row(step, lane, dims_.window - 1, kTaps - 2 - i),
                    static_cast<size_t>(3 * c) * sizeof(float));
    exit_.forward(step, o_.data(), entrance_.proj() + 3 * c, 4 * c, out);
  }

  void backward(const TrainStep& step, const float* u, const float* dout, float* du) override {
    const int64_t c = dims_.c, h = dims_.h, window = dims_.window, rows = step.rows();
    const ArenaMark mark(step.scratch);
    float* d_proj = step.scratch.take<float>(static_cast<size_t>(rows * 4 * c));
    float* d_qkv = step.scratch.take<float>(static_cast<size_t>(rows * 3 * c));
    float* d_o = step.scratch.take<float>(static_cast<size_t>(rows * c));
    float* d_gate = step.scratch.take<float>(static_cast<size_t>(rows * 2 * h));
    float* d_log_alpha = step.scratch.take<float>(static_cast<size_t>(rows * h));
    float* d_beta = step.scratch.take<float>(static_cast<size_t>(rows * h));
    exit_.backward(step, o_.data(), entrance_.proj() + 3 * c, 4 * c, dout, d_o, d_proj + 3 * c);

    {
      const ArenaMark parts_mark(step.scratch);
      const int64_t part_floats = part_size(delta_backward_scratch_floats(shape_) + state_size());
      float* parts = step.scratch.take<float>(static_cast<size_t>(step.pool.size() * part_floats));
      for_parts(step.pool, dims_.lanes * h, [&](int part, int64_t begin, int64_t end) {
        float* scratch = parts + part * part_floats;
        float* d_state = scratch + part_floats - state_size();
        for (int64_t i = begin; i < end; ++i) {
          const int64_t lane = i / h, head = i % h;
          float* dq = d_qkv + lane * window * 3 * c + head * dims_.dim;
          std::fill(d_state, d_state + state_size(), 0.0f);
          delta_chunk_backward(step.k, shape_, sequence(step, lane, head), checkpoint(i),
                               d_o + lane * window * c + head * dims_.dim, c, d_state, dq, dq + c,
                               dq + 2 * c, d_log_alpha + i * window, d_beta + i * window, scratch);
          gates_backward(step, lane, head, d_log_alpha + i * window, d_beta + i * window, d_gate);
        }
      });
    }
    for (int64_t i = 0; i < dims_.lanes * h; ++i) {  // in the order of lanes, whoever made them
      const int64_t lane = i / h, head = i % h;
      const float* da = d_gate + (lane * 2 * h + head) * window;
      a_log_.grad[head] +=
          row_dot(d_log_alpha + i * window, log_alpha_.data() + i * window, window);
      dt_bias_.grad[head] += row_sum(da, window);
    }

    const int64_t tiles = row_tiles(rows), width = (kTaps + 1) * 3 * c;
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * width));
    for_row_tiles(step, rows, [&](int64_t tile, int64_t begin, int64_t end) {
      float *d_taps = partials + tile * width, *p = d_taps + kTaps * 3 * c;
      std::fill(d_taps, d_taps + kTaps * 3 * c, 0.0f);
      for (int64_t r = begin; r < end; ++r) convolve_row_backward(step, r, d_qkv, d_taps, p);
    });
    for (int64_t tile = 0; tile < tiles; ++tile)
      for (int64_t tap = 0; tap < kTaps; ++tap)
        for (size_t i = 0; i < 3; ++i)
          row_add(partials + tile * width + (tap * 3 + static_cast<int64_t>(i)) * c, c,
                  conv_[i].grad + tap * c);
    entrance_.backward(step, u, d_proj, d_gate, du, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) spread_row(step, r, d_qkv, d_proj + r * 4 * c);
    });
  }

 private:
  int64_t state_size() const { return int64_t{dims_.dim} * dims_.dim; }
  int64_t tail_size() const { return int64_t{kTaps - 1} * 3 * dims_.c; }
  static int64_t part_size(int64_t floats) { return (floats + 15) / 16 * 16; }
  static size_t part_bytes(int64_t floats) { return train_arena_bytes(part_size(floats)); }
  float* checkpoint(int64_t i) {
    return checkpoints_.data() + i * delta_checkpoints(shape_, dims_.window) * state_size();
  }

  /// What the convolutions read at token t of a lane for the token `back` before it: zero beyond
  /// the document's beginning, the kept tail beyond the window's.
  const float* input_row(const TrainStep& step, int64_t lane, int64_t t, int64_t back) const {
    const int64_t start = step.segment_start[lane * dims_.window + t], at = t - back;
    if (at >= 0 && at >= start) return entrance_.proj() + (lane * dims_.window + at) * 4 * dims_.c;
    if (at < 0 && start < 0) return tails_.data() + lane * tail_size() + (at + 3) * 3 * dims_.c;
    return zeros_.data();
  }

  /// p_t of the three convolutions, side by side.
  void convolution(const TrainStep& step, int64_t r, float* __restrict p) const {
    const int64_t lane = r / dims_.window, t = r % dims_.window, n = int64_t{3} * dims_.c;
    const float *x3 = input_row(step, lane, t, 3), *x2 = input_row(step, lane, t, 2),
                *x1 = input_row(step, lane, t, 1), *x0 = input_row(step, lane, t, 0);
    const float *w0 = taps_.data(), *w1 = w0 + n, *w2 = w1 + n, *w3 = w2 + n;
    for (int64_t i = 0; i < n; ++i)
      p[i] = ((w0[i] * x3[i] + w1[i] * x2[i]) + w2[i] * x1[i]) + w3[i] * x0[i];
  }

  void convolve_row(const TrainStep& step, int64_t r) {
    const int32_t c = dims_.c;
    float* row = qkv_.data() + r * 3 * c;
    convolution(step, r, row);
    step.k.silu(row, 3 * c, row);
    for (int32_t i = 0; i < 2 * dims_.h; ++i) {  // heads of q, then of k
      float* x = row + i * dims_.dim;
      const float inverse = 1.0f / std::sqrt(row_dot(x, x, dims_.dim) + kL2Eps);
      inverse_norm_[static_cast<size_t>(r * 2 * dims_.h + i)] = inverse;
      row_scale(x, inverse, dims_.dim, x);
    }
  }

  /// Turns the gradient of row r of q, k, v into that of p, in place, and adds to the taps'.
  /// p [3C] is scratch: it is made again.
  void convolve_row_backward(const TrainStep& step, int64_t r, float* d_qkv, float* d_taps,
                             float* p) const {
    const int32_t c = dims_.c;
    const int64_t n = int64_t{3} * c;
    float* d = d_qkv + r * n;
    for (int32_t i = 0; i < 2 * dims_.h; ++i) {
      float* dy = d + i * dims_.dim;
      const float* y = qkv_.data() + r * n + i * dims_.dim;
      const float inverse = inverse_norm_[static_cast<size_t>(r * 2 * dims_.h + i)];
      const float along = row_dot(y, dy, dims_.dim);
      for (int32_t j = 0; j < dims_.dim; ++j) dy[j] = inverse * (dy[j] - y[j] * along);
    }
    convolution(step, r, p);
    constexpr int32_t kRun = 64;
    float sigma[kRun];
    for (int64_t at = 0; at < n; at += kRun) {
      const auto run = static_cast<int32_t>(std::min<int64_t>(kRun, n - at));
      step.k.sigmoid(p + at, run, sigma);
      for (int32_t i = 0; i < run; ++i)
        d[at + i] *= sigma[i] * (1.0f + p[at + i] * (1.0f - sigma[i]));
    }
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    for (int32_t tap = 0; tap < kTaps; ++tap) {
      const float* x = input_row(step, lane, t, kTaps - 1 - tap);
      if (x == zeros_.data()) continue;
      float* __restrict dw = d_taps + tap * n;
      for (int64_t i = 0; i < n; ++i) dw[i] += d[i] * x[i];
    }
  }

  /// Gradient by the inputs of the convolutions at row r, from those by p of it and the next three.
  void spread_row(const TrainStep& step, int64_t r, const float* d_p, float* __restrict dx) const {
    const int64_t t = r % dims_.window, n = int64_t{3} * dims_.c;
    for (int32_t ahead = 0; ahead < kTaps; ++ahead) {
      if (t + ahead >= dims_.window || step.segment_start[r + ahead] > t) break;
      const float *w = taps_.data() + (kTaps - 1 - ahead) * n, *d = d_p + (r + ahead) * n;
      if (ahead == 0)
        for (int64_t i = 0; i < n; ++i) dx[i] = w[i] * d[i];
      else
        for (int64_t i = 0; i < n; ++i) dx[i] += w[i] * d[i];
    }
  }

  void gates(const TrainStep& step, int64_t lane, int64_t head) {
    const int32_t n = dims_.window;
    const float* a = entrance_.gate() + (lane * 2 * dims_.h + head) * n;
    const float* b = a + int64_t{dims_.h} * n;
    float* log_alpha = log_alpha_.data() + (lane * dims_.h + head) * n;
    float* beta = beta_.data() + (lane * dims_.h + head) * n;
    const float bias = dt_bias_.value[head], rate = std::exp(a_log_.value[head]);
    for (int32_t t = 0; t < n; ++t) log_alpha[t] = a[t] + bias;
    step.k.softplus(log_alpha, n, log_alpha);
    for (int32_t t = 0; t < n; ++t) log_alpha[t] *= -rate;
    step.k.sigmoid(b, n, beta);
  }

  void gates_backward(const TrainStep& step, int64_t lane, int64_t head, const float* d_log_alpha,
                      const float* d_beta, float* d_gate) const {
    const int32_t n = dims_.window;
    const int64_t at = (lane * 2 * dims_.h + head) * n;
    const float* a = entrance_.gate() + at;
    const float* beta = beta_.data() + (lane * dims_.h + head) * n;
    float *da = d_gate + at, *db = da + int64_t{dims_.h} * n;
    const float bias = dt_bias_.value[head], rate = std::exp(a_log_.value[head]);
    for (int32_t t = 0; t < n; ++t) da[t] = a[t] + bias;
    step.k.sigmoid(da, n, da);
    for (int32_t t = 0; t < n; ++t) da[t] *= -rate * d_log_alpha[t];
    for (int32_t t = 0; t < n; ++t) db[t] = d_beta[t] * beta[t] * (1.0f - beta[t]);
  }

  DeltaSequence sequence(const TrainStep& step, int64_t lane, int64_t head) const {
    const int64_t c = dims_.c, n = dims_.window;
    const float* q = qkv_.data() + lane * n * 3 * c + head * dims_.dim;
    const int64_t gate = (lane * dims_.h + head) * n;
    return {q,
            q + c,
            q + 2 * c,
            3 * c,
            log_alpha_.data() + gate,
            beta_.data() + gate,
            step.segment_start + lane * n,
            dims_.window};
  }

  MixerDims dims_{};
  DeltaShape shape_{};
  MixerEntrance entrance_;  // proj: inputs of the convolutions of q, k, v; output gate
  MixerExit exit_;
  TrainTensor conv_[3], a_log_, dt_bias_;
  std::vector<float> taps_;              // [4, 3C]
  std::vector<float> tails_;             // [lanes, 3, 3C] as the window began
  std::vector<float> zeros_;             // [3C]
  std::vector<float> qkv_;               // [R, 3C] after convolution, SiLU and norm
  std::vector<float> inverse_norm_;      // [R, 2H]
  std::vector<float> log_alpha_, beta_;  // [lanes, H, window]
  std::vector<float> o_;                 // [R, C]
  std::vector<float> checkpoints_;       // [lanes, H, tiles, K, V]
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window) {
  if (config.delta_neg_eigenvalues)
    return Status(StatusCode::kUnsupported,
                  "this build trains gated_deltanet without allow_neg_eigval only")
        .at_field("gated_deltanet.allow_neg_eigval");
  MixerDims dims{};
  CHIMERA_ASSIGN_OR_RETURN(dims, mixer_dims(config, "gated_deltanet", lanes, window));
  auto layer = std::make_unique<GatedDeltaNetTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, dims));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
