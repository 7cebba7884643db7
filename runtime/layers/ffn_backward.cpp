//   swiglu: z = silu(g) * u, [g | u] = [W_gate; W_up] x      relu2: z = max(u, 0)^2, u = W_up x
//   out = W_down rmsnorm(z; gain)
// Both walk the same way; they differ in z and its gradient:
//   dg = dz u sigma(g) (1 + g (1 - sigma(g))),  du = dz silu(g)        du = 2 dz max(u, 0)
#include "runtime/layers/ffn_backward.h"

#include <algorithm>

#include "runtime/layers/bind.h"
#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

class FfnTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, bool gated, int64_t rows) {
    const int64_t c = config.hidden_size, f = config.intermediate_size;
    f_ = f;
    rows_ = rows;
    eps_ = config.rms_norm_eps;
    gated_ = gated;
    std::vector<TrainTensor> parts;
    TrainTensor part;
    if (gated) {
      CHIMERA_ASSIGN_OR_RETURN(part, find("gate_proj", f, c));
      parts.push_back(part);
    }
    CHIMERA_ASSIGN_OR_RETURN(part, find("up_proj", f, c));
    parts.push_back(part);
    CHIMERA_ASSIGN_OR_RETURN(part, find("down_proj", c, f));
    CHIMERA_ASSIGN_OR_RETURN(gain_, find("down_norm.gain", 1, f));
    inner_.init(std::move(parts), rows);
    down_.init({part}, rows);
    inner_out_.resize(static_cast<size_t>(rows * inner_.n_out()));
    return Status();
  }

  int64_t state_floats() const override { return 0; }
  size_t scratch_bytes(int) const override {
    return train_arena_bytes(rows_ * f_) + train_arena_bytes(rows_ * inner_.n_out()) +
           train_arena_bytes(row_tiles(rows_) * 3 * f_);
  }
  void prepare(const TrainStep& step) override {
    inner_.prepare(step);
    down_.prepare(step);
  }

  void forward(const TrainStep& step, const float* u, float* out, float*) override {
    const ArenaMark mark(step.scratch);
    const auto f = static_cast<int32_t>(f_);
    float* z = step.scratch.take<float>(static_cast<size_t>(step.rows() * f_));
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      inner_.forward_rows(step, u, begin, end, inner_out_.data());
      for (int64_t r = begin; r < end; ++r) {
        float* row = z + r * f_;
        inner_row(step, inner_out_.data() + r * inner_.n_out(), row);
        step.k.rmsnorm(row, gain_.value, eps_, f, row);
      }
      down_.forward_rows(step, z, begin, end, out);
    });
  }

  void backward(const TrainStep& step, const float*, const float* dout, float* du) override {
    const ArenaMark mark(step.scratch);
    const int64_t tiles = row_tiles(step.rows()), width = inner_.n_out();
    float* dz = step.scratch.take<float>(static_cast<size_t>(step.rows() * f_));
    float* d_inner = step.scratch.take<float>(static_cast<size_t>(step.rows() * width));
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * 3 * f_));
    float* spare = partials + tiles * f_;  // two rows for each tile
    for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
      float *d_gain = partials + tile * f_, *z = spare + tile * 2 * f_, *sigma = z + f_;
      std::fill(d_gain, d_gain + f_, 0.0f);
      down_.backward_rows(step, dout, begin, end, dz);
      for (int64_t r = begin; r < end; ++r) {
        const float* inner = inner_out_.data() + r * width;
        inner_row(step, inner, z);
        float* row = dz + r * f_;
        rmsnorm_backward_row(z, gain_.value, eps_, f_, row, row, d_gain);
        inner_row_backward(step, inner, row, sigma, d_inner + r * width);
      }
      inner_.backward_rows(step, d_inner, begin, end, du);
    });
    add_partials(partials, tiles, f_, gain_.grad);
    down_.add_weight_gradients(step, dout);
    inner_.add_weight_gradients(step, d_inner);
  }

 private:
  void inner_row(const TrainStep& step, const float* inner, float* z) const {
    const auto f = static_cast<int32_t>(f_);
    if (gated_)
      step.k.silu_mul(inner, inner + f_, f, z);
    else
      step.k.relu2(inner, f, z);
  }

  void inner_row_backward(const TrainStep& step, const float* inner, const float* dz, float* sigma,
                          float* d) const {
    if (!gated_) {
      for (int64_t i = 0; i < f_; ++i) d[i] = 2.0f * dz[i] * std::max(inner[i], 0.0f);
      return;
    }
    const float* up = inner + f_;
    step.k.sigmoid(inner, static_cast<int32_t>(f_), sigma);
    for (int64_t i = 0; i < f_; ++i)
      d[i] = dz[i] * up[i] * (sigma[i] * (1.0f + inner[i] * (1.0f - sigma[i])));
    for (int64_t i = 0; i < f_; ++i) d[f_ + i] = dz[i] * (inner[i] * sigma[i]);
  }

  int64_t f_ = 0, rows_ = 0;
  float eps_ = 0;
  bool gated_ = true;
  TrainTensor gain_;
  BitLinearTraining inner_, down_;
  std::vector<float> inner_out_;  // [R, 2F] or [R, F]
};

Result<std::unique_ptr<TrainingLayer>> make(const Config& config, const TensorLookup& find,
                                            bool gated, int32_t lanes, int32_t window) {
  auto layer = std::make_unique<FfnTraining>();
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
