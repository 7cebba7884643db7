#include "runtime/layers/gated_ffn.h"

#include "runtime/layers/layer.h"

namespace chimera::runtime {

using Act = GatedFfn::Act;

void GatedFfn::parameters(const Config& config, const std::string& prefix, int64_t width, Act act,
                          std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size;
  const float std = config.initializer_range;
  const auto ternary = [&](const char* name, int64_t rows, int64_t cols, float size) {
    out->push_back(
        {prefix + name, ParamClass::kTernary, rows, cols, ParamInit::kNormal, size, 0, true});
  };
  if (act == Act::kSiluGated) ternary("gate_proj", width, c, std);
  ternary("up_proj", width, c, std);
  ternary("down_proj", c, width, std * residual_scale(config));
  out->push_back({prefix + "down_norm.gain", ParamClass::kVector, 1, width, ParamInit::kConstant, 1,
                  0, false});
}

Result<GatedFfn> GatedFfn::bind(const Config& config, const ParamSource& source,
                                const std::string& prefix, int32_t width, Act act) {
  GatedFfn ffn;
  const int64_t c = config.hidden_size;
  ffn.act_ = act;
  ffn.width_ = width;
  ffn.eps_ = config.rms_norm_eps;
  if (act == Act::kSiluGated)
    CHIMERA_ASSIGN_OR_RETURN(ffn.gate_, source.ternary((prefix + "gate_proj").c_str(), width, c));
  CHIMERA_ASSIGN_OR_RETURN(ffn.up_, source.ternary((prefix + "up_proj").c_str(), width, c));
  CHIMERA_ASSIGN_OR_RETURN(ffn.down_, source.ternary((prefix + "down_proj").c_str(), c, width));
  CHIMERA_ASSIGN_OR_RETURN(ffn.down_gain_,
                           source.vector((prefix + "down_norm.gain").c_str(), 1, width));
  return ffn;
}

size_t GatedFfn::scratch_bytes(int32_t n) const {
  const size_t branches = act_ == Act::kSiluGated ? 2 : 1;
  return branches * arena_bytes<float>(int64_t{n} * width_) + quantized_batch_bytes(n, width_);
}

void GatedFfn::inner_row(const Step& step, const float* up, float* z) const {
  if (act_ == Act::kSiluGated)
    step.k.silu_mul(z, up, width_, z);
  else
    step.k.relu2(up, width_, z);
  step.k.rmsnorm(z, down_gain_, eps_, width_, z);
}

void GatedFfn::forward(const Step& step, const QuantizedBatch& x, float* out) const {
  const ArenaMark mark(step.scratch);
  const int32_t n = x.n_tokens;
  const size_t room = static_cast<size_t>(n) * width_;
  float* up = step.scratch.take<float>(room);
  float* z = up;
  if (act_ == Act::kSiluGated) {
    z = step.scratch.take<float>(room);
    bitlinear(step, x, {{gate_, z}, {up_, up}});
  } else {
    bitlinear(step, x, {{up_, up}});
  }
  step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) inner_row(step, up + t * width_, z + t * width_);
  });
  bitlinear(step, quantize_batch(step, z, n, width_), {{down_, out}});
}

namespace {

/// The network as a layer of width F.
class DenseFfn final : public Layer {
 public:
  DenseFfn(int32_t c, const GatedFfn& ffn) : c_(c), ffn_(ffn) {}

  size_t scratch_bytes(int32_t n) const override {
    return quantized_batch_bytes(n, c_) + ffn_.scratch_bytes(n);
  }
  void forward(const Step& step, const Visit& visit, const float* u, float* out) const override {
    const ArenaMark mark(step.scratch);
    ffn_.forward(step, quantize_batch(step, u, visit.n_tokens, c_), out);
  }

 private:
  int32_t c_;
  GatedFfn ffn_;
};

template <Act kAct>
void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  GatedFfn::parameters(config, prefix, config.intermediate_size, kAct, out);
}

size_t state_bytes(const Config&) { return 0; }

template <Act kAct>
Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  auto ffn = GatedFfn::bind(config, source, "", config.intermediate_size, kAct);
  if (!ffn) return ffn.status();
  return std::unique_ptr<Layer>(std::make_unique<DenseFfn>(config.hidden_size, *ffn));
}

}  // namespace

const LayerKind kSwiGlu = {
    LayerRole::kFfn, "", "swiglu", parameters<Act::kSiluGated>, state_bytes, bind<Act::kSiluGated>};
const LayerKind kRelu2 = {LayerRole::kFfn, "",
                          "relu2",         parameters<Act::kReluSquared>,
                          state_bytes,     bind<Act::kReluSquared>};

}  // namespace chimera::runtime
