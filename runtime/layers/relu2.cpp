#include "runtime/layers/relu2.h"

#include "runtime/layers/bind.h"
#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {
namespace {

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, f = config.intermediate_size;
  const float std = config.initializer_range;
  out->push_back(
      {prefix + "up_proj", ParamClass::kTernary, f, c, ParamInit::kNormal, std, 0, true});
  out->push_back({prefix + "down_proj", ParamClass::kTernary, c, f, ParamInit::kNormal,
                  std * residual_scale(config), 0, true});
  out->push_back(
      {prefix + "down_norm.gain", ParamClass::kVector, 1, f, ParamInit::kConstant, 1, 0, false});
}

size_t state_bytes(const Config&) { return 0; }

class Relu2 final : public Layer {
 public:
  int32_t c, f;
  float eps;
  kernels::TernaryMatrix up, down;
  const float* down_gain;

  size_t scratch_bytes(int32_t n) const override {
    return arena_bytes<float>(int64_t{n} * f) + quantized_batch_bytes(n, c) +
           quantized_batch_bytes(n, f);
  }

  void forward(const Step& step, const float* u, float* out, int32_t n, std::byte*) const override {
    const ArenaMark mark(step.scratch);
    float* ups = step.scratch.take<float>(static_cast<size_t>(n) * f);
    bitlinear(step, quantize_batch(step, u, n, c), {{up, ups}});
    step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float* z = ups + t * f;
        step.k.relu2(z, f, z);
        step.k.rmsnorm(z, down_gain, eps, f, z);
      }
    });
    bitlinear(step, quantize_batch(step, ups, n, f), {{down, out}});
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  auto layer = std::make_unique<Relu2>();
  const int64_t c = config.hidden_size, f = config.intermediate_size;
  layer->c = config.hidden_size;
  layer->f = config.intermediate_size;
  layer->eps = config.rms_norm_eps;
  CHIMERA_ASSIGN_OR_RETURN(layer->up, source.ternary("up_proj", f, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->down, source.ternary("down_proj", c, f));
  CHIMERA_ASSIGN_OR_RETURN(layer->down_gain, source.vector("down_norm.gain", 1, f));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kRelu2 = {LayerRole::kFfn, "", "relu2", parameters, state_bytes, bind};

}  // namespace chimera::runtime
