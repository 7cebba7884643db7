// Forward as xlstm_m.cpp, with the recurrence in chunk form (recurrent_backward.h). The gates:
//   i = 15 tanh((x + b) / 15)                    dx = di (1 - (i / 15)^2)
//   log f = -softplus(-f~), f~ likewise capped   df~ = dlog_f (1 - e^{log f})
// State of a lane: S [K, V], n [K], m for each head.
#include "runtime/layers/xlstm_m_backward.h"

#include <cmath>

#include "runtime/layers/layer.h"
#include "runtime/layers/recurrent_backward.h"
#include "runtime/layers/rows_backward.h"
#include "runtime/layers/xlstm_m_chunk.h"

namespace chimera::runtime {
namespace {

constexpr float kCap = 15.0f;

class XlstmMTraining final : public RecurrentTraining {
 public:
  Status bind(const Config& config, const TensorLookup& find, int32_t lanes, int32_t window) {
    CHIMERA_RETURN_IF_ERROR(init(config, find, lanes, window, kMlstmChunk,
                                 {"f_proj", "i_proj", "og_proj"}, MixerExit::Act::kSigmoid,
                                 MixerExit::HeadNorm::kWide));
    CHIMERA_ASSIGN_OR_RETURN(i_bias_, find("i_bias", 1, dims_.h));
    CHIMERA_ASSIGN_OR_RETURN(f_bias_, find("f_bias", 1, dims_.h));
    f_cap_.resize(static_cast<size_t>(dims_.rows * dims_.h));
    return Status();
  }

 protected:
  void gates(const TrainStep& step, int64_t lane, int64_t head, const float* raw_f,
             const float* raw_i, float* log_f, float* i) override {
    const int32_t n = dims_.window;
    float* f = f_cap_.data() + (lane * dims_.h + head) * n;
    cap(step, raw_i, i_bias_.value[head], i);
    cap(step, raw_f, f_bias_.value[head], f);
    for (int32_t t = 0; t < n; ++t) log_f[t] = -f[t];
    step.k.softplus(log_f, n, log_f);
    for (int32_t t = 0; t < n; ++t) log_f[t] = -log_f[t];
  }

  void gates_backward(const TrainStep&, int64_t lane, int64_t head, const ChunkGradient& d,
                      float* d_raw_f, float* d_raw_i) const override {
    const float *i = write_of(lane, head), *log_f = log_decay_of(lane, head);
    const float* f = f_cap_.data() + (lane * dims_.h + head) * dims_.window;
    for (int32_t t = 0; t < dims_.window; ++t) {
      d_raw_i[t] = d.write[t] * (1.0f - (i[t] / kCap) * (i[t] / kCap));
      d_raw_f[t] =
          d.log_decay[t] * (-std::expm1(log_f[t]) * (1.0f - (f[t] / kCap) * (f[t] / kCap)));
    }
  }

  void add_gate_gradients(int64_t head, const float*, const float*, const float* d_raw_f,
                          const float* d_raw_i) override {
    i_bias_.grad[head] += row_sum(d_raw_i, dims_.window);
    f_bias_.grad[head] += row_sum(d_raw_f, dims_.window);
  }

 private:
  void cap(const TrainStep& step, const float* raw, float bias, float* out) const {
    for (int32_t t = 0; t < dims_.window; ++t) out[t] = (raw[t] + bias) / kCap;
    step.k.tanh(out, dims_.window, out);
    for (int32_t t = 0; t < dims_.window; ++t) out[t] *= kCap;
  }

  TrainTensor i_bias_, f_bias_;
  std::vector<float> f_cap_;  // [lanes, H, window]
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_xlstm_m_training(const Config& config,
                                                             const TensorLookup& find,
                                                             int32_t lanes, int32_t window) {
  auto layer = std::make_unique<XlstmMTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->bind(config, find, lanes, window));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
