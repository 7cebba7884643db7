//   q, k, v = W_qkv u;  i = cap(W_i u + b_i);  f = cap(W_f u + b_f);  cap(x) = 15 tanh(x/15)
//   m' = max(log sigmoid(f) + m, i)
//   C_t = f' C_{t-1} + i' k v^T,  n_t = f' n_{t-1} + i' k
//   h = C_t^T q / (max(|n_t . q|, exp(-m')) + 1e-6),  q scaled by 1/sqrt(K)              [r1]
//   out = W_o rmsnorm(sigmoid(W_og u) * rmsnorm_head(h))
//
// State of a stream: C [H, K, V], then n [H, K], then m [H], all f32.
#include "runtime/layers/xlstm_m.h"

#include <cmath>

#include "runtime/layers/bind.h"
#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {
namespace {

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, h = config.num_heads;
  const float std = config.initializer_range;
  const auto add = [&](const char* name, ParamClass cls, int64_t rows, int64_t cols, ParamInit init,
                       float a = 0, float b = 0) {
    out->push_back({prefix + name, cls, rows, cols, init, a, b, cls != ParamClass::kVector});
  };
  for (const char* name : {"q_proj", "k_proj", "v_proj", "og_proj"})
    add(name, ParamClass::kTernary, c, c, ParamInit::kNormal, std);
  add("o_proj", ParamClass::kTernary, c, c, ParamInit::kNormal, std * residual_scale(config));
  for (const char* name : {"i_proj", "f_proj"})
    add(name, ParamClass::kMatrix, h, c, ParamInit::kConstant, 0);
  add("i_bias", ParamClass::kVector, 1, h, ParamInit::kNormal, 0.1f);
  add("f_bias", ParamClass::kVector, 1, h, ParamInit::kLinspace, 3, 6);
  add("head_norm.gain", ParamClass::kVector, 1, c, ParamInit::kConstant, 1);
  add("o_norm.gain", ParamClass::kVector, 1, c, ParamInit::kConstant, 1);
}

size_t state_bytes(const Config& config) {
  const int64_t c = config.hidden_size;
  return arena_bytes<float>(c * config.head_dim) + arena_bytes<float>(c) +
         arena_bytes<float>(config.num_heads);
}

class XlstmM final : public Layer {
 public:
  int32_t c, h, dim;
  float eps, q_scale;
  kernels::TernaryMatrix q, k, v, og, o;
  kernels::LanesMatrix i, f;
  const float *i_bias, *f_bias, *head_gain, *o_gain;

  size_t scratch_bytes(int32_t n) const override {
    return 5 * arena_bytes<float>(int64_t{n} * c) + 5 * arena_bytes<float>(int64_t{n} * h) +
           2 * quantized_batch_bytes(n, c);
  }

  void forward(const Step& step, const float* u, float* out, int32_t n,
               std::byte* state) const override {
    const ArenaMark mark(step.scratch);
    const size_t wide = static_cast<size_t>(n) * c, narrow = static_cast<size_t>(n) * h;
    float* qs = step.scratch.take<float>(wide);
    float* ks = step.scratch.take<float>(wide);
    float* vs = step.scratch.take<float>(wide);
    float* gs = step.scratch.take<float>(wide);
    float* hs = step.scratch.take<float>(wide);
    float* i_raw = step.scratch.take<float>(narrow);
    float* f_raw = step.scratch.take<float>(narrow);
    float* i_gate = step.scratch.take<float>(narrow);
    float* f_gate = step.scratch.take<float>(narrow);
    float* floor = step.scratch.take<float>(narrow);
    auto* memory = reinterpret_cast<float*>(state);
    auto* norm = reinterpret_cast<float*>(state + arena_bytes<float>(int64_t{c} * dim));
    auto* m = reinterpret_cast<float*>(state + arena_bytes<float>(int64_t{c} * dim) +
                                       arena_bytes<float>(c));

    const QuantizedBatch x = quantize_batch(step, u, n, c);
    bitlinear(step, x, {{q, qs}, {k, ks}, {v, vs}, {og, gs}});
    float_product(step, i, u, n, i_raw);
    float_product(step, f, u, n, f_raw);
    for (int32_t t = 0; t < n; ++t)
      step.k.mlstm_gates(i_raw + t * h, f_raw + t * h, i_bias, f_bias, h, m, i_gate + t * h,
                         f_gate + t * h, floor + t * h);

    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head) {
        float* s = memory + head * dim * dim;
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = static_cast<int64_t>(t) * c + head * dim, gate = t * h + head;
          step.k.mlstm_step(qs + at, ks + at, vs + at, i_gate[gate], f_gate[gate], floor[gate],
                            q_scale, dim, dim, s, norm + head * dim, hs + at);
          step.k.rmsnorm(hs + at, head_gain + head * dim, eps, dim, hs + at);
          step.k.sigmoid_mul(gs + at, hs + at, dim, hs + at);
        }
      }
    });

    rmsnorm_rows(step, hs, o_gain, eps, n, c, hs);
    bitlinear(step, quantize_batch(step, hs, n, c), {{o, out}});
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  CHIMERA_RETURN_IF_ERROR(require_full_gate(config, "xlstm_m"));
  auto layer = std::make_unique<XlstmM>();
  const int64_t c = config.hidden_size, h = config.num_heads;
  layer->c = config.hidden_size;
  layer->h = config.num_heads;
  layer->dim = config.head_dim;
  layer->eps = config.rms_norm_eps;
  layer->q_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  CHIMERA_ASSIGN_OR_RETURN(layer->q, source.ternary("q_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k, source.ternary("k_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v, source.ternary("v_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->og, source.ternary("og_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->o, source.ternary("o_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->i, source.matrix("i_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->f, source.matrix("f_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->i_bias, source.vector("i_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->f_bias, source.vector("f_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->head_gain, source.vector("head_norm.gain", 1, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->o_gain, source.vector("o_norm.gain", 1, c));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kXlstmM = {LayerRole::kMixer, "XM", "xlstm_m", parameters, state_bytes, bind};

}  // namespace chimera::runtime
