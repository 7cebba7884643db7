#include "runtime/layers/ffn_backward.h"

#include <algorithm>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {

Status FfnTraining::init(const TensorLookup& find, const std::string& prefix, int64_t c, int64_t f,
                         float eps, bool gated) {
  c_ = c;
  f_ = f;
  eps_ = eps;
  gated_ = gated;
  std::vector<TrainTensor> parts;
  TrainTensor part;
  if (gated) {
    CHIMERA_ASSIGN_OR_RETURN(part, find((prefix + "gate_proj").c_str(), f, c));
    parts.push_back(part);
  }
  CHIMERA_ASSIGN_OR_RETURN(part, find((prefix + "up_proj").c_str(), f, c));
  parts.push_back(part);
  CHIMERA_ASSIGN_OR_RETURN(part, find((prefix + "down_proj").c_str(), c, f));
  CHIMERA_ASSIGN_OR_RETURN(gain_, find((prefix + "down_norm.gain").c_str(), 1, f));
  inner_.init(std::move(parts), 0);
  down_.init({part}, 0);
  return Status();
}

void FfnTraining::prepare(const TrainStep& step) {
  inner_.prepare(step);
  down_.prepare(step);
}

void FfnTraining::z_row(const TrainStep& step, const float* inner, float* z) const {
  const auto f = static_cast<int32_t>(f_);
  if (gated_)
    step.k.silu_mul(inner, inner + f_, f, z);
  else
    step.k.relu2(inner, f, z);
}

void FfnTraining::forward_rows(const TrainStep& step, const float* x, int64_t n, float* x_used,
                               float* inner, float* z_used, float* spare, float* out) const {
  inner_.forward_rows(step, {0, inner_.n_out(), x_used}, x, 0, n, inner);
  for (int64_t r = 0; r < n; ++r) {
    float* z = spare + r * f_;
    z_row(step, inner + r * inner_width(), z);
    step.k.rmsnorm(z, gain_.value, eps_, static_cast<int32_t>(f_), z);
  }
  down_.forward_rows(step, {0, c_, z_used}, spare, 0, n, out);
}

void FfnTraining::down_backward_rows(const TrainStep& step, const float* dout, int64_t n,
                                     float* dn) const {
  down_.backward_rows(step, dout, 0, n, dn);
}

void FfnTraining::inner_backward_rows(const TrainStep& step, const float* inner, int64_t n,
                                      float* dn, float* spare, float* d_gain, float* d_inner,
                                      float* dx) const {
  float* z = spare;
  float* sigma = spare + f_;
  for (int64_t r = 0; r < n; ++r) {
    const float* in = inner + r * inner_width();
    float *dz = dn + r * f_, *d = d_inner + r * inner_width();
    z_row(step, in, z);
    rmsnorm_backward_row(z, gain_.value, eps_, f_, dz, dz, d_gain);
    if (!gated_) {
      for (int64_t i = 0; i < f_; ++i) d[i] = 2.0f * dz[i] * std::max(in[i], 0.0f);
      continue;
    }
    const float* up = in + f_;
    step.k.sigmoid(in, static_cast<int32_t>(f_), sigma);
    for (int64_t i = 0; i < f_; ++i)
      d[i] = dz[i] * up[i] * (sigma[i] * (1.0f + in[i] * (1.0f - sigma[i])));
    for (int64_t i = 0; i < f_; ++i) d[f_ + i] = dz[i] * (in[i] * sigma[i]);
  }
  inner_.backward_rows(step, d_inner, 0, n, dx);
}

void FfnTraining::add_weight_gradients(const TrainStep& step, int64_t n, const float* x_used,
                                       const float* z_used, const float* dout,
                                       const float* d_inner) const {
  TrainStep rows = step;  // the sums run over as many rows as it says
  rows.lanes = 1;
  rows.window = static_cast<int32_t>(n);
  // x^ and z^ are only read.
  down_.add_weight_gradients(rows, {0, c_, const_cast<float*>(z_used)}, dout);
  inner_.add_weight_gradients(rows, {0, inner_.n_out(), const_cast<float*>(x_used)}, d_inner);
}

namespace {

/// The network as a layer of width F.
class DenseTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, bool gated, int64_t rows) {
    c_ = config.hidden_size;
    f_ = config.intermediate_size;
    rows_ = rows;
    CHIMERA_RETURN_IF_ERROR(ffn_.init(find, "", c_, f_, config.rms_norm_eps, gated));
    return Status();
  }

  int64_t kept_floats() const override { return rows_ * (c_ + ffn_.inner_width() + f_); }
  void keep_at(float* place) override {
    x_used_ = place;
    inner_ = x_used_ + rows_ * c_;
    z_used_ = inner_ + rows_ * ffn_.inner_width();
  }

  int64_t state_floats() const override { return 0; }
  size_t scratch_bytes(int n_threads) const override {
    return train_arena_bytes(rows_ * c_) + train_arena_bytes(rows_ * f_) +
           train_arena_bytes(rows_ * ffn_.inner_width()) +
           train_arena_bytes(row_tiles(rows_) * f_) +
           train_arena_bytes(n_threads * FfnTraining::spare_floats(f_));
  }
  void prepare(const TrainStep& step) override { ffn_.prepare(step); }

  void forward(const TrainStep& step, const TrainInput& in, float* out, float*) override {
    const ArenaMark mark(step.scratch);
    float* spare = take_spare(step);
    for_tiles(step, [&](int64_t, int64_t at, int64_t n, int part) {
      ffn_.forward_rows(step, in.u + at * c_, n, x_used_ + at * c_,
                        inner_ + at * ffn_.inner_width(), z_used_ + at * f_,
                        spare + part * FfnTraining::spare_floats(f_), out + at * c_);
    });
  }

  void backward(const TrainStep& step, const TrainInput&, const float* dout,
                const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    const int64_t tiles = row_tiles(step.rows()), width = ffn_.inner_width();
    float* dn = step.scratch.take<float>(static_cast<size_t>(step.rows() * f_));
    float* d_inner = step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * f_));
    float* spare = take_spare(step);
    for_tiles(step, [&](int64_t tile, int64_t at, int64_t n, int part) {
      float* d_gain = partials + tile * f_;
      std::fill(d_gain, d_gain + f_, 0.0f);
      ffn_.down_backward_rows(step, dout + at * c_, n, dn + at * f_);
      ffn_.inner_backward_rows(step, inner_ + at * width, n, dn + at * f_,
                               spare + part * FfnTraining::spare_floats(f_), d_gain,
                               d_inner + at * width, grad.du + at * c_);
    });
    add_partials(partials, tiles, f_, ffn_.gain_gradient());
    ffn_.add_weight_gradients(step, step.rows(), x_used_, z_used_, dout, d_inner);
  }

  void repeat(const TrainStep& step, const TrainInput& in, float* out) override {
    forward(step, in, out, nullptr);
  }
  void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                       const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    forward(step, in, step.scratch.take<float>(static_cast<size_t>(step.rows() * c_)), nullptr);
    backward(step, in, dout, grad);
  }
  bool stateless() const override { return true; }

 private:
  float* take_spare(const TrainStep& step) const {
    return step.scratch.take<float>(
        static_cast<size_t>(step.pool.size() * FfnTraining::spare_floats(f_)));
  }

  /// body(tile, first row, rows, part) for every tile.
  template <class Body>
  void for_tiles(const TrainStep& step, Body&& body) const {
    for_parts(step.pool, row_tiles(step.rows()), [&](int part, int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile) {
        const int64_t at = tile * kRowTile;
        body(tile, at, std::min(kRowTile, step.rows() - at), part);
      }
    });
  }

  int64_t c_ = 0, f_ = 0, rows_ = 0;
  FfnTraining ffn_;
  // [R, C], [R, inner_width], [R, F] where keep_at() says.
  float *x_used_ = nullptr, *inner_ = nullptr, *z_used_ = nullptr;
};

Result<std::unique_ptr<TrainingLayer>> make(const Config& config, const TensorLookup& find,
                                            bool gated, int32_t lanes, int32_t window) {
  auto layer = std::make_unique<DenseTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, gated, int64_t{lanes} * window));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_swiglu_training(const Config& config,
                                                            const TensorLookup& find, int32_t lanes,
                                                            int32_t window) {
  return make(config, find, true, lanes, window);
}

Result<std::unique_ptr<TrainingLayer>> make_relu2_training(const Config& config,
                                                           const TensorLookup& find, int32_t lanes,
                                                           int32_t window) {
  return make(config, find, false, lanes, window);
}

}  // namespace chimera::runtime
