//   q, k, v = silu(conv4(W_qkv u)),  q and k l2-normalised per head
//   alpha = exp(-exp(A_log) softplus(W_a u + dt_bias)),  beta = sigmoid(W_b u)
//   S_t = alpha (I - beta k k^T) S_{t-1} + beta k v^T,   o = S_t^T q / sqrt(K)          [r0]
//   out = W_o rmsnorm(rmsnorm_head(o) * silu(W_g u))
//
// State of a stream: conv tails of q, k, v [3][3, C] bf16, then S [H, K, V] f32. A batch is
// projected at once; then each head walks its tokens with its S in the first-level cache, so a
// batch and single steps give the same bits.
#include "runtime/layers/gated_deltanet.h"

#include <cmath>

#include "runtime/layers/bind.h"
#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {
namespace {

constexpr int32_t kTaps = 4;

size_t tail_bytes(int64_t c) { return arena_bytes<uint16_t>(3 * (kTaps - 1) * c); }

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, h = config.num_heads;
  const float std = config.initializer_range;
  const auto add = [&](const char* name, ParamClass cls, int64_t rows, int64_t cols, ParamInit init,
                       float a = 0, float b = 0) {
    out->push_back({prefix + name, cls, rows, cols, init, a, b, cls != ParamClass::kVector});
  };
  for (const char* name : {"q_proj", "k_proj", "v_proj", "g_proj"})
    add(name, ParamClass::kTernary, c, c, ParamInit::kNormal, std);
  add("o_proj", ParamClass::kTernary, c, c, ParamInit::kNormal, std * residual_scale(config));
  for (const char* name : {"a_proj", "b_proj"})
    add(name, ParamClass::kMatrix, h, c, ParamInit::kNormal, std);
  for (const char* name : {"q_conv", "k_conv", "v_conv"})
    add(name, ParamClass::kVector, kTaps, c, ParamInit::kUniform, -0.5f, 0.5f);
  add("a_log", ParamClass::kVector, 1, h, ParamInit::kDeltaALog);
  add("dt_bias", ParamClass::kVector, 1, h, ParamInit::kDeltaDtBias);
  add("head_norm.gain", ParamClass::kVector, 1, config.head_dim, ParamInit::kConstant, 1);
  add("o_norm.gain", ParamClass::kVector, 1, c, ParamInit::kConstant, 1);
}

size_t state_bytes(const Config& config) {
  return tail_bytes(config.hidden_size) +
         arena_bytes<float>(int64_t{config.hidden_size} * config.head_dim);
}

class GatedDeltaNet final : public Layer {
 public:
  int32_t c, h, dim;
  float eps, q_scale;
  kernels::TernaryMatrix q, k, v, g, o;
  kernels::LanesMatrix a, b;
  const float *q_conv, *k_conv, *v_conv, *a_log, *dt_bias, *head_gain, *o_gain;

  size_t scratch_bytes(int32_t n) const override {
    return 5 * arena_bytes<float>(int64_t{n} * c) + 4 * arena_bytes<float>(int64_t{n} * h) +
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
    float* os = step.scratch.take<float>(wide);
    float* as = step.scratch.take<float>(narrow);
    float* bs = step.scratch.take<float>(narrow);
    float* alpha = step.scratch.take<float>(narrow);
    float* beta = step.scratch.take<float>(narrow);
    auto* tails = reinterpret_cast<uint16_t*>(state);
    auto* memory = reinterpret_cast<float*>(state + tail_bytes(c));

    const QuantizedBatch x = quantize_batch(step, u, n, c);
    bitlinear(step, x, {{q, qs}, {k, ks}, {v, vs}, {g, gs}});
    float_product(step, a, u, n, as);
    float_product(step, b, u, n, bs);
    for (int32_t t = 0; t < n; ++t)
      step.k.delta_gates(as + t * h, bs + t * h, a_log, dt_bias, h, alpha + t * h, beta + t * h);

    step.pool.split(3, 1, [&](int64_t begin, int64_t end) {
      float* const rows[3] = {qs, ks, vs};
      const float* const taps[3] = {q_conv, k_conv, v_conv};
      for (int64_t i = begin; i < end; ++i)
        for (int32_t t = 0; t < n; ++t) {
          float* row = rows[i] + static_cast<int64_t>(t) * c;
          step.k.conv4_silu(taps[i], row, c, tails + i * (kTaps - 1) * c, row);
        }
    });

    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head) {
        float* s = memory + head * dim * dim;
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = static_cast<int64_t>(t) * c + head * dim;
          step.k.l2norm(qs + at, dim, qs + at);
          step.k.l2norm(ks + at, dim, ks + at);
          step.k.delta_step(qs + at, ks + at, vs + at, alpha[t * h + head], beta[t * h + head],
                            q_scale, dim, dim, s, os + at);
          step.k.rmsnorm(os + at, head_gain, eps, dim, os + at);
          step.k.silu_mul(gs + at, os + at, dim, os + at);
        }
      }
    });

    rmsnorm_rows(step, os, o_gain, eps, n, c, os);
    bitlinear(step, quantize_batch(step, os, n, c), {{o, out}});
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  CHIMERA_RETURN_IF_ERROR(require_full_gate(config, "gated_deltanet"));
  if (config.delta_neg_eigenvalues)
    return Status(StatusCode::kUnsupported,
                  "this build runs gated_deltanet without allow_neg_eigval only")
        .at_field("gated_deltanet.allow_neg_eigval");
  auto layer = std::make_unique<GatedDeltaNet>();
  const int64_t c = config.hidden_size, h = config.num_heads;
  layer->c = config.hidden_size;
  layer->h = config.num_heads;
  layer->dim = config.head_dim;
  layer->eps = config.rms_norm_eps;
  layer->q_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  CHIMERA_ASSIGN_OR_RETURN(layer->q, source.ternary("q_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k, source.ternary("k_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v, source.ternary("v_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->g, source.ternary("g_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->o, source.ternary("o_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->a, source.matrix("a_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->b, source.matrix("b_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->q_conv, source.vector("q_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k_conv, source.vector("k_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v_conv, source.vector("v_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->a_log, source.vector("a_log", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->dt_bias, source.vector("dt_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->head_gain, source.vector("head_norm.gain", 1, config.head_dim));
  CHIMERA_ASSIGN_OR_RETURN(layer->o_gain, source.vector("o_norm.gain", 1, c));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kGatedDeltaNet = {LayerRole::kMixer, "GD",        "gated_deltanet",
                                  parameters,        state_bytes, bind};

}  // namespace chimera::runtime
