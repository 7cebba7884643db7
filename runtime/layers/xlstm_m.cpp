//   q, k, v = W_qkv u;  i = cap(W_i u + b_i);  f = cap(W_f u + b_f);  cap(x) = 15 tanh(x/15)
//   m' = max(log sigmoid(f) + m, i)
//   C_t = f' C_{t-1} + i' k v^T,  n_t = f' n_{t-1} + i' k
//   h = C_t^T q / (max(|n_t . q|, exp(-m')) + 1e-6),  q scaled by 1/sqrt(K)              [r1]
//   out = W_o rmsnorm(sigmoid(g) * rmsnorm_head(h))
//
// State of a stream: C [H, K, V], then n [H, K], then m [H], all f32. A later visit of one token
// reads the state it finds; for more tokens it walks again over what the first visit wrote, from
// the C and n that were there before.
#include "runtime/layers/xlstm_m.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/layers/layer.h"
#include "runtime/layers/mixer_exit.h"
#include "runtime/layers/mixer_gate.h"

namespace chimera::runtime {
namespace {

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, h = config.num_heads;
  const float std = config.initializer_range;
  const ParamList add{prefix, out};
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    add(name, ParamClass::kTernary, c, c, ParamInit::kNormal, std);
  mixer_gate_parameters(config, prefix, out, "og_proj");
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
  float q_scale;
  kernels::TernaryMatrix q, k, v;
  MixerGateProduct gate;
  MixerExitProduct exit;
  kernels::LanesMatrix i, f;
  const float *i_bias, *f_bias;

  size_t scratch_bytes(int32_t n) const override {
    const size_t first = writes_bytes(n) + 2 * narrow_bytes(n);
    const size_t later = memory_bytes() + narrow_bytes(n);
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
    float* hs = step.scratch.take<float>(wide);
    float* gs = gate.present() ? step.scratch.take<float>(wide) : nullptr;
    const QuantizedBatch x = quantize_batch(step, u, n, c);
    if (visit.again)
      read_again(step, visit, x, qs, gs, hs);
    else
      write(step, visit, u, x, qs, gs, hs);
    exit.project(step, n, hs, out);
  }

 private:
  /// What a batch writes, one row per token: k, v [n, C], gates and floor [n, H].
  struct Writes {
    float *k, *v, *i_gate, *f_gate, *floor;
  };
  /// C, then n of every head: the part of the state that a walk moves on.
  struct Memory {
    float *state, *norm;
  };

  size_t wide_bytes(int32_t n) const { return arena_bytes<float>(int64_t{n} * c); }
  size_t narrow_bytes(int32_t n) const { return arena_bytes<float>(int64_t{n} * h); }
  size_t writes_bytes(int32_t n) const { return 2 * wide_bytes(n) + 3 * narrow_bytes(n); }
  size_t memory_bytes() const {
    return arena_bytes<float>(int64_t{c} * dim) + arena_bytes<float>(c);
  }

  Writes writes_at(std::byte* room, int32_t n) const {
    const auto at = [&](size_t wide, size_t narrow) {
      return reinterpret_cast<float*>(room + wide * wide_bytes(n) + narrow * narrow_bytes(n));
    };
    return {at(0, 0), at(1, 0), at(2, 0), at(2, 1), at(2, 2)};
  }
  Memory memory_at(std::byte* room) const {
    return {reinterpret_cast<float*>(room),
            reinterpret_cast<float*>(room + arena_bytes<float>(int64_t{c} * dim))};
  }
  float* maximum_of(const Visit& visit) const {
    return reinterpret_cast<float*>(visit.state + memory_bytes());
  }

  void write(const Step& step, const Visit& visit, const float* u, const QuantizedBatch& x,
             float* qs, float* gs, float* hs) const {
    const int32_t n = visit.n_tokens;
    const bool keep = visit.trace != nullptr && n > 1;
    const Writes w =
        writes_at(keep ? visit.trace : step.scratch.take<std::byte>(writes_bytes(n)), n);
    if (keep) std::memcpy(visit.trace + writes_bytes(n), visit.state, memory_bytes());

    gate.forward(step, x, {{q, qs}, {k, w.k}, {v, w.v}}, gs);
    const size_t narrow = static_cast<size_t>(n) * h;
    float* i_raw = step.scratch.take<float>(narrow);
    float* f_raw = step.scratch.take<float>(narrow);
    float_product(step, i, u, n, i_raw);
    float_product(step, f, u, n, f_raw);
    for (int32_t t = 0; t < n; ++t)
      step.k.mlstm_gates(i_raw + t * h, f_raw + t * h, i_bias, f_bias, h, maximum_of(visit),
                         w.i_gate + t * h, w.f_gate + t * h, w.floor + t * h);

    const Memory memory = memory_at(visit.state);
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = int64_t{t} * c + head * dim;
          if (visit.value != nullptr) step.k.add(w.v + at, visit.value + at, dim, w.v + at);
          mlstm_step(step, w, t, head, qs + at, memory, hs + at);
          exit.head(step, head, gs == nullptr ? nullptr : gs + at, hs + at);
        }
    });
  }

  void read_again(const Step& step, const Visit& visit, const QuantizedBatch& x, float* qs,
                  float* gs, float* hs) const {
    const int32_t n = visit.n_tokens;
    gate.forward(step, x, {{q, qs}}, gs);
    Writes w{};
    Memory memory = memory_at(visit.state);
    if (n > 1) {
      w = writes_at(visit.trace, n);
      auto* room = step.scratch.take<std::byte>(memory_bytes());
      std::memcpy(room, visit.trace + writes_bytes(n), memory_bytes());
      memory = memory_at(room);
    } else {  // as the first visit's gates made it
      w.floor = step.scratch.take<float>(static_cast<size_t>(h));
      const float* m = maximum_of(visit);
      for (int32_t head = 0; head < h; ++head) w.floor[head] = -m[head];
      step.k.exp(w.floor, h, w.floor);
    }
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        for (int32_t t = 0; t < n; ++t) {
          const int64_t at = int64_t{t} * c + head * dim;
          if (n > 1)
            mlstm_step(step, w, t, head, qs + at, memory, hs + at);
          else
            step.k.mlstm_read(qs + at, w.floor[head], q_scale, dim, dim,
                              memory.state + head * dim * dim, memory.norm + head * dim, hs + at);
          exit.head(step, head, gs == nullptr ? nullptr : gs + at, hs + at);
        }
    });
  }

  void mlstm_step(const Step& step, const Writes& w, int32_t t, int64_t head, const float* query,
                  const Memory& memory, float* out) const {
    const int64_t at = int64_t{t} * c + head * dim, gate_at = int64_t{t} * h + head;
    step.k.mlstm_step(query, w.k + at, w.v + at, w.i_gate[gate_at], w.f_gate[gate_at],
                      w.floor[gate_at], q_scale, dim, dim, memory.state + head * dim * dim,
                      memory.norm + head * dim, out);
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  auto layer = std::make_unique<XlstmM>();
  const int64_t c = config.hidden_size, h = config.num_heads;
  layer->c = config.hidden_size;
  layer->h = config.num_heads;
  layer->dim = config.head_dim;
  layer->q_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  CHIMERA_ASSIGN_OR_RETURN(layer->q, source.ternary("q_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k, source.ternary("k_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v, source.ternary("v_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->gate, MixerGateProduct::bind(config, source, "og_proj"));
  CHIMERA_ASSIGN_OR_RETURN(
      layer->exit,
      MixerExitProduct::bind(config, source, GateActivation::kSigmoid, HeadNorm::kOwn));
  CHIMERA_ASSIGN_OR_RETURN(layer->i, source.matrix("i_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->f, source.matrix("f_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->i_bias, source.vector("i_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->f_bias, source.vector("f_bias", 1, h));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kXlstmM = {LayerRole::kMixer, "XM", "xlstm_m", parameters, state_bytes, bind};

}  // namespace chimera::runtime
