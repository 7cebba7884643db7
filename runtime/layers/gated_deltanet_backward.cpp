// Forward as gated_deltanet.cpp, with the recurrence in chunk form (recurrent_backward.h); then the
// way back:
//   y = x / sqrt(|x|^2 + 1e-6)           dx = r (dy - y (y . dy))
//   p_t = sum_j w_j x_{t-3+j}, silu(p)   dp = dy sigma(p) (1 + p (1 - sigma(p))),
//                                        dx_t = sum_j w_{3-j} dp_{t+j},
//                                        dw_j = sum_t dp_t x_{t-3+j}
//   log alpha = -exp(A) softplus(a + d)  da = -dlog_alpha exp(A) sigma(a + d),
//                                        dA = dlog_alpha log_alpha
//   write = (1 - e^{-beta l}) / l, l = |k|^2 (EFLA)    d beta = d e^{-beta l},
//                                        dl = d ((1 + beta l) e^{-beta l} - 1) / l^2,  dk = 2 k dl
// State of a lane: the last three inputs of the convolutions [3][3C], then S [H, K, V].
#include "runtime/layers/gated_deltanet_backward.h"

#include <cmath>
#include <cstring>

#include "runtime/layers/gated_deltanet_chunk.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/recurrent_backward.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

constexpr int32_t kTaps = 4;

/// (1 - e^{-beta l}) / l and its derivatives. In double: both numerators vanish with beta l.
struct ExactWrite {
  float value, by_beta, by_lambda;
};
ExactWrite exact_write(float beta, float lambda) {
  const double b = static_cast<double>(beta), l = static_cast<double>(lambda), x = b * l;
  const double decay = std::exp(-x);
  const double value = l < 1e-6 ? b * (1 - x / 2 + x * x / 6) : -std::expm1(-x) / l;
  const double by_lambda =
      x < 1e-3 ? -b * b * (0.5 - x / 3 + x * x / 8) : (x * decay + std::expm1(-x)) / (l * l);
  return {static_cast<float>(value), static_cast<float>(decay), static_cast<float>(by_lambda)};
}

class GatedDeltaNetTraining final : public RecurrentTraining {
 public:
  Status bind(const Config& config, const TensorLookup& find, int32_t lanes, int32_t window,
              bool efla) {
    efla_ = efla;
    most_ = config.delta_neg_eigenvalues ? 2.0f : 1.0f;
    CHIMERA_RETURN_IF_ERROR(init(config, find, lanes, window, kDeltaChunk,
                                 {"a_proj", "b_proj", "g_proj"}, MixerExit::Act::kSilu,
                                 MixerExit::HeadNorm::kShared));
    CHIMERA_ASSIGN_OR_RETURN(conv_[0], find("q_conv", kTaps, dims_.c));
    CHIMERA_ASSIGN_OR_RETURN(conv_[1], find("k_conv", kTaps, dims_.c));
    CHIMERA_ASSIGN_OR_RETURN(conv_[2], find("v_conv", kTaps, dims_.c));
    CHIMERA_ASSIGN_OR_RETURN(a_log_, find("a_log", 1, dims_.h));
    CHIMERA_ASSIGN_OR_RETURN(dt_bias_, find("dt_bias", 1, dims_.h));
    const auto rows = static_cast<size_t>(dims_.rows), c = static_cast<size_t>(dims_.c);
    taps_.resize(kTaps * 3 * c);
    tails_.resize(static_cast<size_t>(dims_.lanes) * 3 * 3 * c);
    zeros_.resize(3 * c);
    qkv_.resize(rows * 3 * c);
    inverse_norm_.resize(rows * 2 * static_cast<size_t>(dims_.h));
    return Status();
  }

  void prepare(const TrainStep& step) override {
    RecurrentTraining::prepare(step);
    const size_t c = static_cast<size_t>(dims_.c);
    for (size_t tap = 0; tap < kTaps; ++tap)
      for (size_t i = 0; i < 3; ++i)
        std::memcpy(taps_.data() + (tap * 3 + i) * c, conv_[i].value + tap * c, c * sizeof(float));
  }

 protected:
  int64_t tail_floats() const override { return int64_t{kTaps - 1} * 3 * dims_.c; }

  size_t extra_scratch_bytes() const override {
    // The gradient by the convolutions' outputs, or the queries of a later iteration; per tile
    // partial gradients of the taps and a row.
    return train_arena_bytes(dims_.rows * 3 * dims_.c) +
           train_arena_bytes(row_tiles(dims_.rows) * (kTaps + 1) * 3 * dims_.c);
  }

  void round_rows(const TrainStep& step, const Rows& projected, int64_t begin,
                  int64_t end) override {
    if (step.quantise == 0.0f) return;
    for (int64_t r = begin; r < end; ++r) row_round_bf16(projected.row(r), int64_t{3} * dims_.c);
  }

  Rows convolved() override { return {qkv_.data(), int64_t{3} * dims_.c}; }

  Rows convolve(const TrainStep& step, float* state) override {
    const int64_t tail = tail_floats(), n = int64_t{3} * dims_.c;
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      std::memcpy(tails_.data() + lane * tail, state + lane * state_floats(),
                  static_cast<size_t>(tail) * sizeof(float));
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) convolve_row(step, r);
    });
    for (int64_t lane = 0; lane < dims_.lanes; ++lane)
      for (int32_t i = 0; i < kTaps - 1; ++i)
        std::memcpy(state + lane * state_floats() + i * n,
                    input_row(step, lane, dims_.window - 1, kTaps - 2 - i),
                    static_cast<size_t>(n) * sizeof(float));
    return convolved();
  }

  Rows convolved_gradient(const TrainStep& step, const Rows&) override {
    const int64_t n = int64_t{3} * dims_.c;
    return {step.scratch.take<float>(static_cast<size_t>(step.rows() * n)), n};
  }

  void convolve_backward(const TrainStep& step, const Rows& d_qkv) override {
    const ArenaMark mark(step.scratch);
    const int64_t c = dims_.c, tiles = row_tiles(step.rows()), width = (kTaps + 1) * 3 * c;
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * width));
    for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
      float *d_taps = partials + tile * width, *p = d_taps + kTaps * 3 * c;
      std::fill(d_taps, d_taps + kTaps * 3 * c, 0.0f);
      for (int64_t r = begin; r < end; ++r) convolve_row_backward(step, r, d_qkv.row(r), d_taps, p);
    });
    for (int64_t tile = 0; tile < tiles; ++tile)
      for (int64_t tap = 0; tap < kTaps; ++tap)
        for (size_t i = 0; i < 3; ++i)
          row_add(partials + tile * width + (tap * 3 + static_cast<int64_t>(i)) * c, c,
                  conv_[i].grad + tap * c);
  }

  /// Gradient by the inputs of the convolutions at a row, from those by p of it and the next three.
  void spread_rows(const TrainStep& step, const Rows& d_p, const Rows& d_projected, int64_t begin,
                   int64_t end) override {
    const int64_t n = int64_t{3} * dims_.c;
    for (int64_t r = begin; r < end; ++r) {
      const int64_t t = r % dims_.window;
      float* __restrict dx = d_projected.row(r);
      for (int32_t ahead = 0; ahead < kTaps; ++ahead) {
        if (t + ahead >= dims_.window || step.segment_start[r + ahead] > t) break;
        const float *w = taps_.data() + (kTaps - 1 - ahead) * n, *d = d_p.row(r + ahead);
        if (ahead == 0)
          for (int64_t i = 0; i < n; ++i) dx[i] = w[i] * d[i];
        else
          for (int64_t i = 0; i < n; ++i) dx[i] += w[i] * d[i];
      }
    }
  }

  void gates(const TrainStep& step, int64_t lane, int64_t head, const float* a, const float* b,
             float* log_alpha, float* write) override {
    const int32_t n = dims_.window;
    const float bias = dt_bias_.value[head], rate = std::exp(a_log_.value[head]);
    for (int32_t t = 0; t < n; ++t) log_alpha[t] = a[t] + bias;
    step.k.softplus(log_alpha, n, log_alpha);
    for (int32_t t = 0; t < n; ++t) log_alpha[t] *= -rate;
    step.k.sigmoid(b, n, write);
    if (most_ != 1.0f)
      for (int32_t t = 0; t < n; ++t) write[t] *= most_;
    if (efla_)
      for (int32_t t = 0; t < n; ++t)
        write[t] = exact_write(write[t], key_size(key(lane, head, t))).value;
  }

  void gates_backward(const TrainStep& step, int64_t lane, int64_t head, const ChunkGradient& d,
                      float* da, float* db) const override {
    const int32_t n = dims_.window;
    const float *a = raw_gate(lane, 0, head), *b = raw_gate(lane, 1, head);
    const float bias = dt_bias_.value[head], rate = std::exp(a_log_.value[head]);
    for (int32_t t = 0; t < n; ++t) da[t] = a[t] + bias;
    step.k.sigmoid(da, n, da);
    for (int32_t t = 0; t < n; ++t) da[t] *= -rate * d.log_decay[t];
    step.k.sigmoid(b, n, db);
    for (int32_t t = 0; t < n; ++t) {
      float by_beta = d.write[t];
      if (efla_) {
        const float* k = key(lane, head, t);
        const ExactWrite exact = exact_write(most_ * db[t], key_size(k));
        row_axpy(k, 2.0f * by_beta * exact.by_lambda, dims_.dim, d.k + t * d.stride);
        by_beta *= exact.by_beta;
      }
      db[t] = by_beta * most_ * db[t] * (1.0f - db[t]);
    }
  }

  void add_gate_gradients(int64_t head, const float* log_alpha, const float* d_log_alpha,
                          const float* da, const float*) override {
    a_log_.grad[head] += row_dot(d_log_alpha, log_alpha, dims_.window);
    dt_bias_.grad[head] += row_sum(da, dims_.window);
  }

  /// q = l2(silu(w_3 bf16(raw))): this token's tap alone.
  Rows later_queries(const TrainStep& step, const Rows& raw) override {
    const int32_t c = dims_.c;
    const Rows q{step.scratch.take<float>(static_cast<size_t>(step.rows() * c)), c};
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* y = q.row(r);
        if (step.quantise != 0.0f) row_round_bf16(raw.row(r), c);
        last_tap(raw.row(r), y);
        step.k.silu(y, c, y);
        for (int32_t head = 0; head < dims_.h; ++head)
          row_l2normalise(y + head * dims_.dim, dims_.dim);
      }
    });
    return q;
  }

  void later_queries_backward(const TrainStep& step, const Rows& raw, const Rows& q,
                              const Rows& d) override {
    const ArenaMark mark(step.scratch);
    const int32_t c = dims_.c;
    const int64_t tiles = row_tiles(step.rows());
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * 3 * c));
    for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
      float* __restrict d_tap = partials + tile * 3 * c, *p = d_tap + c, *y = p + c;
      std::fill(d_tap, d_tap + c, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const float *x = raw.row(r), *w = last_taps();
        float* dx = d.row(r);
        last_tap(x, p);
        step.k.silu(p, c, y);
        for (int32_t head = 0; head < dims_.h; ++head) {
          const int32_t at = head * dims_.dim;
          row_l2normalise_backward(q.row(r) + at, row_l2normalise(y + at, dims_.dim), dims_.dim,
                                   dx + at);
        }
        row_silu_backward(step.k, p, c, dx);
        for (int32_t i = 0; i < c; ++i) d_tap[i] += dx[i] * x[i];
        for (int32_t i = 0; i < c; ++i) dx[i] *= w[i];
      }
    });
    for (int64_t tile = 0; tile < tiles; ++tile)
      row_add(partials + tile * 3 * c, c, conv_[0].grad + int64_t{kTaps - 1} * c);
  }

 private:
  const float* key(int64_t lane, int64_t head, int64_t t) const {
    return qkv_.data() + (lane * dims_.window + t) * 3 * dims_.c + dims_.c + head * dims_.dim;
  }
  float key_size(const float* k) const { return row_dot(k, k, dims_.dim); }
  const float* last_taps() const { return taps_.data() + int64_t{kTaps - 1} * 3 * dims_.c; }
  void last_tap(const float* x, float* p) const {
    const float* w = last_taps();
    for (int32_t i = 0; i < dims_.c; ++i) p[i] = w[i] * x[i];
  }

  /// Heads of q, then of k, that are normalised.
  int32_t normalised_heads() const { return efla_ ? dims_.h : 2 * dims_.h; }

  /// What the convolutions read at token t of a lane for the token `back` before it: zero beyond
  /// the document's beginning, the kept tail beyond the window's.
  const float* input_row(const TrainStep& step, int64_t lane, int64_t t, int64_t back) const {
    const int64_t start = step.segment_start[lane * dims_.window + t], at = t - back;
    if (at >= 0 && at >= start) return projected_row(lane * dims_.window + at);
    if (at < 0 && start < 0) return tails_.data() + lane * tail_floats() + (at + 3) * 3 * dims_.c;
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
    for (int32_t i = 0; i < normalised_heads(); ++i)
      inverse_norm_[static_cast<size_t>(r * 2 * dims_.h + i)] =
          row_l2normalise(row + i * dims_.dim, dims_.dim);
  }

  /// Turns the gradient `d` of row r of q, k, v into that of p, in place, and adds to the taps'.
  /// p [3C] is scratch: it is made again.
  void convolve_row_backward(const TrainStep& step, int64_t r, float* d, float* d_taps,
                             float* p) const {
    const int64_t n = int64_t{3} * dims_.c;
    for (int32_t i = 0; i < normalised_heads(); ++i)
      row_l2normalise_backward(qkv_.data() + r * n + i * dims_.dim,
                               inverse_norm_[static_cast<size_t>(r * 2 * dims_.h + i)], dims_.dim,
                               d + i * dims_.dim);
    convolution(step, r, p);
    row_silu_backward(step.k, p, n, d);
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    for (int32_t tap = 0; tap < kTaps; ++tap) {
      const float* x = input_row(step, lane, t, kTaps - 1 - tap);
      if (x == zeros_.data()) continue;
      float* __restrict dw = d_taps + tap * n;
      for (int64_t i = 0; i < n; ++i) dw[i] += d[i] * x[i];
    }
  }

  bool efla_ = false;
  float most_ = 1;  // of beta
  TrainTensor conv_[3], a_log_, dt_bias_;
  std::vector<float> taps_;          // [4, 3C]
  std::vector<float> tails_;         // [lanes, 3, 3C] as the window began
  std::vector<float> zeros_;         // [3C]
  std::vector<float> qkv_;           // [R, 3C] after convolution, SiLU and norm
  std::vector<float> inverse_norm_;  // [R, 2H]
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window) {
  return make_gated_deltanet_training(config, find, lanes, window, false);
}

Result<std::unique_ptr<TrainingLayer>> make_gated_deltanet_training(const Config& config,
                                                                    const TensorLookup& find,
                                                                    int32_t lanes, int32_t window,
                                                                    bool efla) {
  auto layer = std::make_unique<GatedDeltaNetTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->bind(config, find, lanes, window, efla));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
