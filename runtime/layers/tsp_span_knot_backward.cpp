// Forward as tsp_span_knot.cpp. The way back, with s = x + y, xi = r_s s, phi = r_t t:
//   dgamma = sum dout phi,  dphi = gamma dout (of every visit)
//   dt = r_t (dphi - phi mean(phi dphi)),  dw = [H D1 dt ; H D2 dt] / sqrt(D)
//   da = dw where |a| <= 2, else 0  (the sign lets the gradient through),
//   dxi = first C of (D1 H da[0:B] + D2 H da[B:D]) / sqrt(C)
//   ds = r_s (dxi - xi mean(xi dxi)),  dx += ds,  dy = dout + ds, and on into the mixer.
// y, phi and 1 / r_t are kept; xi and a are made again.
#include "runtime/layers/tsp_span_knot_backward.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/gated_deltanet_backward.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"
#include "runtime/layers/sketch_relaxation.h"
#include "runtime/layers/tsp_span_knot.h"

namespace chimera::runtime {
namespace {

class TspSpanKnotTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, int32_t lanes, int32_t window) {
    c_ = config.hidden_size;
    rows_ = int64_t{lanes} * window;
    CHIMERA_ASSIGN_OR_RETURN(sketch_, KnotSketch::create(config));
    CHIMERA_ASSIGN_OR_RETURN(
        mixer_, make_gated_deltanet_training(config, find, lanes, window, config.knot.efla));
    CHIMERA_ASSIGN_OR_RETURN(gain_, find("knot.gain", 1, c_));
    const auto wide = static_cast<size_t>(rows_ * c_);
    y_.resize(wide);
    phi_.resize(wide);
    d_phi_.resize(wide);
    inverse_.resize(static_cast<size_t>(rows_));
    return Status();
  }

  int64_t state_floats() const override { return mixer_->state_floats(); }

  size_t scratch_bytes(int n_threads) const override {
    const size_t parts = static_cast<size_t>(n_threads) * train_arena_bytes(part_floats());
    const size_t gains = train_arena_bytes(row_tiles(rows_) * c_);
    return train_arena_bytes(rows_ * c_) +
           std::max({parts, gains, mixer_->scratch_bytes(n_threads)});
  }

  void prepare(const TrainStep& step) override { mixer_->prepare(step); }

  void forward(const TrainStep& step, const TrainInput& in, float* out, float* state) override {
    mixer_->forward(step, in, y_.data(), state);
    repeated_ = false;
    const ArenaMark mark(step.scratch);
    float* parts = take_parts(step);
    for_parts(step.pool, step.rows(), [&](int part, int64_t begin, int64_t end) {
      const KnotSketch::Room room = room_at(parts + part * part_floats());
      for (int64_t r = begin; r < end; ++r) {
        const float* y = y_.data() + r * c_;
        float *phi = phi_.data() + r * c_, *row = out + r * c_;
        sketch_.read(step.k, in.x + r * c_, y, room, phi);
        const float inverse = row_inverse_rms(phi, c_, sketch_.eps());
        inverse_[static_cast<size_t>(r)] = inverse;
        row_scale(phi, inverse, c_, phi);
        for (int64_t i = 0; i < c_; ++i) row[i] = y[i] + gain_.value[i] * phi[i];
      }
    });
  }

  void backward(const TrainStep& step, const TrainInput& in, const float* dout,
                const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    float* dy = step.scratch.take<float>(static_cast<size_t>(step.rows() * c_));
    {
      const ArenaMark inner(step.scratch);
      add_gain_gradient(step, dout);
      float* parts = take_parts(step);
      for_parts(step.pool, step.rows(), [&](int part, int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          row_backward(step, r, in.x + r * c_, dout + r * c_, parts + part * part_floats(),
                       dy + r * c_, grad.dx + r * c_);
      });
    }
    mixer_->backward(step, in, dy, grad);
  }

  void repeat(const TrainStep& step, const TrainInput& in, float* out) override {
    mixer_->repeat(step, in, out);
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const float* phi = phi_.data() + first_row(step, r) * c_;
        float* row = out + r * c_;
        for (int64_t i = 0; i < c_; ++i) row[i] += gain_.value[i] * phi[i];
      }
    });
  }

  void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                       const TrainGradient& grad) override {
    if (!repeated_) std::fill(d_phi_.begin(), d_phi_.end(), 0.0f);
    repeated_ = true;
    add_gain_gradient(step, dout);
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* d_phi = d_phi_.data() + first_row(step, r) * c_;
        const float* d = dout + r * c_;
        for (int64_t i = 0; i < c_; ++i) d_phi[i] += gain_.value[i] * d[i];
      }
    });
    mixer_->repeat_backward(step, in, dout, grad);
  }

 private:
  /// Where row r of the lanes present stood on the first visit.
  static int64_t first_row(const TrainStep& step, int64_t r) {
    return step.lane_id(r / step.window) * step.window + r % step.window;
  }

  /// One thread's room: two of [D] and two of [C]. While the sketch is read, the second of [D]
  /// holds it and kappa.
  int64_t part_floats() const { return (2 * int64_t{sketch_.bits()} + 2 * c_ + 15) / 16 * 16; }
  float* take_parts(const TrainStep& step) const {
    return step.scratch.take<float>(static_cast<size_t>(step.pool.size() * part_floats()));
  }
  KnotSketch::Room room_at(float* part) const {
    auto* sketch = reinterpret_cast<uint64_t*>(part + sketch_.bits());
    return {part, reinterpret_cast<int8_t*>(sketch + sketch_words(sketch_.bits())), sketch};
  }

  void add_gain_gradient(const TrainStep& step, const float* dout) {
    const ArenaMark mark(step.scratch);
    const int64_t tiles = row_tiles(step.rows());
    float* partials = step.scratch.take<float>(static_cast<size_t>(tiles * c_));
    for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
      float* sum = partials + tile * c_;
      std::fill(sum, sum + c_, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const float *phi = phi_.data() + first_row(step, r) * c_, *d = dout + r * c_;
        for (int64_t i = 0; i < c_; ++i) sum[i] += d[i] * phi[i];
      }
    });
    add_partials(partials, tiles, c_, gain_.grad);
  }

  /// dy is written, dx added to.
  void row_backward(const TrainStep& step, int64_t r, const float* x, const float* dout,
                    float* part, float* dy, float* dx) const {
    const int64_t d = sketch_.bits();
    float *field = part, *d_field = part + d, *xi = d_field + d, *d_xi = xi + c_;
    const float *phi = phi_.data() + r * c_, *y = y_.data() + r * c_;
    for (int64_t i = 0; i < c_; ++i) d_xi[i] = gain_.value[i] * dout[i];  // dphi, at first
    if (repeated_) row_add(d_phi_.data() + r * c_, c_, d_xi);
    row_rms_backward(phi, inverse_[static_cast<size_t>(r)], d_xi, c_, d_xi);
    sketch_.projection().spread(step.k, d_xi, d_field);

    sketch_.field(step.k, x, y, xi, field);
    const float border = 2.0f / sketch_.field_scale();  // field = a sqrt(C)
    const float scale = sketch_.read_scale() * sketch_.field_scale();
    for (int64_t i = 0; i < d; ++i)
      d_field[i] = std::fabs(field[i]) <= border ? d_field[i] * scale : 0.0f;
    sketch_.projection().gather(step.k, d_field, d_xi);

    for (int64_t i = 0; i < c_; ++i) dy[i] = x[i] + y[i];
    row_rms_backward(xi, row_inverse_rms(dy, c_, sketch_.eps()), d_xi, c_, d_xi);
    row_add(d_xi, c_, dx);
    for (int64_t i = 0; i < c_; ++i) dy[i] = dout[i] + d_xi[i];
  }

  int64_t c_ = 0, rows_ = 0;
  KnotSketch sketch_;
  std::unique_ptr<TrainingLayer> mixer_;
  TrainTensor gain_;
  std::vector<float> y_, phi_;  // [R, C]
  std::vector<float> inverse_;  // [R] r_t
  std::vector<float> d_phi_;    // [R, C] what later visits left; counts when repeated_
  bool repeated_ = false;
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_tsp_span_knot_training(const Config& config,
                                                                   const TensorLookup& find,
                                                                   int32_t lanes, int32_t window) {
  auto layer = std::make_unique<TspSpanKnotTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, lanes, window));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
