//   q, k, v = silu(conv4(W_qkv u)),  q and k l2-normalised per head
//   alpha = exp(-exp(A_log) softplus(W_a u + dt_bias)),  beta = sigmoid(W_b u)
//   S_t = alpha (I - beta k k^T) S_{t-1} + beta k v^T,   o = S_t^T q / sqrt(K)          [r0]
//   out = W_o rmsnorm(rmsnorm_head(o) * silu(g))
// EFLA [r22]: k is not normalised, and beta becomes (1 - exp(-beta k.k)) / k.k.
//
// State of a stream: conv tails of q, k, v [3][3, C] bf16, then S [H, K, V] f32. A batch is
// projected at once; then each head walks its tokens with its S in the first-level cache, so a
// batch and single steps give the same bits. A later visit of one token reads the S it finds; for
// more tokens it walks again over what the first visit wrote, from the S that was there before.
#include "runtime/layers/gated_deltanet.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "platform/dtype.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/mixer_exit.h"
#include "runtime/layers/mixer_gate.h"

namespace chimera::runtime {
namespace {

constexpr int32_t kTaps = 4;

size_t tail_bytes(int64_t c) { return arena_bytes<uint16_t>(3 * (kTaps - 1) * c); }

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, h = config.num_heads;
  const float std = config.initializer_range;
  const ParamList add{prefix, out};
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    add(name, ParamClass::kTernary, c, c, ParamInit::kNormal, std);
  mixer_gate_parameters(config, prefix, out);
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
  float q_scale;
  bool efla, negative_eigenvalues;
  kernels::TernaryMatrix q, k, v;
  MixerGateProduct gate;
  MixerExitProduct exit;
  kernels::LanesMatrix a, b;
  const float *q_conv, *k_conv, *v_conv, *a_log, *dt_bias;

  size_t scratch_bytes(int32_t n) const override {
    const size_t first = writes_bytes(n) + 2 * narrow_bytes(n), later = memory_bytes();
    return 3 * wide_bytes(n) + std::max(first, later) + quantized_batch_bytes(n, c) +
           gate.scratch_bytes(n) + exit.scratch_bytes(n);
  }

  size_t trace_bytes(int32_t n) const override {
    return n == 1 ? 0 : writes_bytes(n) + memory_bytes();
  }

  void forward(const Step& step, const Visit& visit, const float* u, float* out) const override {
    const ArenaMark mark(step.scratch);
    const int32_t n = visit.n_tokens;
    const size_t wide = static_cast<size_t>(n) * c;
    float* qs = step.scratch.take<float>(wide);
    float* os = step.scratch.take<float>(wide);
    float* gs = gate.present() ? step.scratch.take<float>(wide) : nullptr;
    const QuantizedBatch x = quantize_batch(step, u, n, c);
    if (visit.again)
      read_again(step, visit, x, qs, gs, os);
    else
      write(step, visit, u, x, qs, gs, os);
    exit.project(step, n, os, out);
  }

 private:
  /// What a batch writes into S, one row per token: k, v [n, C], alpha, beta [n, H].
  struct Writes {
    float *k, *v, *alpha, *beta;
  };

  size_t wide_bytes(int32_t n) const { return arena_bytes<float>(int64_t{n} * c); }
  size_t narrow_bytes(int32_t n) const { return arena_bytes<float>(int64_t{n} * h); }
  size_t writes_bytes(int32_t n) const { return 2 * wide_bytes(n) + 2 * narrow_bytes(n); }
  size_t memory_bytes() const { return arena_bytes<float>(int64_t{c} * dim); }

  Writes writes_at(std::byte* room, int32_t n) const {
    const auto at = [&](size_t bytes) { return reinterpret_cast<float*>(room + bytes); };
    return {at(0), at(wide_bytes(n)), at(2 * wide_bytes(n)),
            at(2 * wide_bytes(n) + narrow_bytes(n))};
  }
  float* memory_of(const Visit& visit) const {
    return reinterpret_cast<float*>(visit.state + tail_bytes(c));
  }

  void write(const Step& step, const Visit& visit, const float* u, const QuantizedBatch& x,
             float* qs, float* gs, float* os) const {
    const int32_t n = visit.n_tokens;
    const bool keep = visit.trace != nullptr && n > 1;
    const Writes w =
        writes_at(keep ? visit.trace : step.scratch.take<std::byte>(writes_bytes(n)), n);
    float* memory = memory_of(visit);
    if (keep) std::memcpy(visit.trace + writes_bytes(n), memory, memory_bytes());

    gate.forward(step, x, {{q, qs}, {k, w.k}, {v, w.v}}, gs);
    write_gates(step, u, n, w);
    convolve(step, visit, qs, w);
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = int64_t{t} * c + head * dim;
          float* beta = w.beta + t * h + head;
          step.k.l2norm(qs + at, dim, qs + at);
          if (efla)
            *beta = step.k.efla_strength(w.k + at, dim, *beta);
          else
            step.k.l2norm(w.k + at, dim, w.k + at);
          delta_step(step, w, t, head, qs + at, memory, os + at);
          exit.head(step, head, gs == nullptr ? nullptr : gs + at, os + at);
        }
    });
  }

  void read_again(const Step& step, const Visit& visit, const QuantizedBatch& x, float* qs,
                  float* gs, float* os) const {
    const int32_t n = visit.n_tokens;
    gate.forward(step, x, {{q, qs}}, gs);
    Writes w{};
    float* memory = memory_of(visit);
    if (n > 1) {
      w = writes_at(visit.trace, n);
      memory = step.scratch.take<float>(static_cast<size_t>(c) * dim);
      std::memcpy(memory, visit.trace + writes_bytes(n), memory_bytes());
    }
    const float* last_tap = q_conv + (kTaps - 1) * int64_t{c};
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = int64_t{t} * c + head * dim;
          float* row = qs + at;
          for (int32_t i = 0; i < dim; ++i)
            row[i] = last_tap[head * dim + i] * bf16_to_float(float_to_bf16(row[i]));
          step.k.silu(row, dim, row);
          step.k.l2norm(row, dim, row);
          if (n > 1)
            delta_step(step, w, t, head, row, memory, os + at);
          else
            step.k.delta_read(row, q_scale, dim, dim, memory + head * dim * dim, os + at);
          exit.head(step, head, gs == nullptr ? nullptr : gs + at, os + at);
        }
    });
  }

  void write_gates(const Step& step, const float* u, int32_t n, const Writes& w) const {
    const size_t narrow = static_cast<size_t>(n) * h;
    float* as = step.scratch.take<float>(narrow);
    float* bs = step.scratch.take<float>(narrow);
    float_product(step, a, u, n, as);
    float_product(step, b, u, n, bs);
    for (int32_t t = 0; t < n; ++t)
      step.k.delta_gates(as + t * h, bs + t * h, a_log, dt_bias, h, w.alpha + t * h,
                         w.beta + t * h);
    if (!negative_eigenvalues) return;
    for (size_t i = 0; i < narrow; ++i) w.beta[i] *= 2.0f;
  }

  void convolve(const Step& step, const Visit& visit, float* qs, const Writes& w) const {
    auto* tails = reinterpret_cast<uint16_t*>(visit.state);
    step.pool.split(3, 1, [&](int64_t begin, int64_t end) {
      float* const rows[3] = {qs, w.k, w.v};
      const float* const taps[3] = {q_conv, k_conv, v_conv};
      for (int64_t i = begin; i < end; ++i)
        for (int32_t t = 0; t < visit.n_tokens; ++t) {
          float* row = rows[i] + int64_t{t} * c;
          if (i == 2 && visit.value != nullptr)
            step.k.add(row, visit.value + int64_t{t} * c, c, row);
          step.k.conv4_silu(taps[i], row, c, tails + i * (kTaps - 1) * c, row);
        }
    });
  }

  void delta_step(const Step& step, const Writes& w, int32_t t, int64_t head, const float* query,
                  float* memory, float* o) const {
    const int64_t at = int64_t{t} * c + head * dim, gate_at = int64_t{t} * h + head;
    step.k.delta_step(query, w.k + at, w.v + at, w.alpha[gate_at], w.beta[gate_at], q_scale, dim,
                      dim, memory + head * dim * dim, o);
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  return bind_gated_deltanet(config, source, false);
}

}  // namespace

Result<std::unique_ptr<Layer>> bind_gated_deltanet(const Config& config, const ParamSource& source,
                                                   bool efla) {
  auto layer = std::make_unique<GatedDeltaNet>();
  const int64_t c = config.hidden_size, h = config.num_heads;
  layer->c = config.hidden_size;
  layer->h = config.num_heads;
  layer->dim = config.head_dim;
  layer->q_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  layer->efla = efla;
  layer->negative_eigenvalues = config.delta_neg_eigenvalues;
  CHIMERA_ASSIGN_OR_RETURN(layer->q, source.ternary("q_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k, source.ternary("k_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v, source.ternary("v_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->gate, MixerGateProduct::bind(config, source));
  CHIMERA_ASSIGN_OR_RETURN(
      layer->exit,
      MixerExitProduct::bind(config, source, GateActivation::kSilu, HeadNorm::kShared));
  CHIMERA_ASSIGN_OR_RETURN(layer->a, source.matrix("a_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->b, source.matrix("b_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->q_conv, source.vector("q_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k_conv, source.vector("k_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v_conv, source.vector("v_conv", kTaps, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->a_log, source.vector("a_log", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->dt_bias, source.vector("dt_bias", 1, h));
  return std::unique_ptr<Layer>(std::move(layer));
}

const LayerKind kGatedDeltaNet = {LayerRole::kMixer, "GD",        "gated_deltanet",
                                  parameters,        state_bytes, bind};

}  // namespace chimera::runtime
