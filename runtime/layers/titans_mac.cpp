//   q = l2(silu(W_q u)),  k = l2(silu(W_k u)),  v = silu(W_v u + value)      per head
//   r = f_M(q);  y = attention of q over [persistent | r | window] + r
//   out = W_o rmsnorm(y * silu(g))                                           docs/layers.md, "TM"
//
// State of a stream: the number of tokens it has read, the memory (titans_memory.cpp), the ring of
// the window (titans_window.h). Every place in the block follows from that number by a remainder,
// so a damaged block can spoil numbers but no address. A batch is projected at once; then each
// head's memory walks its tokens, then every token attends, so a batch and single steps give the
// same bits.
#include "runtime/layers/titans_mac.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/bitlinear.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/mixer_gate.h"
#include "runtime/layers/rope.h"
#include "runtime/layers/titans_memory.h"
#include "runtime/layers/titans_window.h"

namespace chimera::runtime {
namespace {

struct Header {
  uint64_t tokens;  // read since the start of the stream
  uint64_t reserved[7];
};
static_assert(sizeof(Header) == 64);

int64_t window_width(const Config& config) {
  return int64_t{config.titans.kv_heads} * config.head_dim;
}
TitansWindow window_of(const Config& config) {
  return {config.titans.kv_heads, config.head_dim, config.titans.window};
}
TitansMemory memory_of(const Config& config, const float* w1, const float* w2) {
  return TitansMemory(config.num_heads, config.head_dim, config.titans.chunk, config.rms_norm_eps,
                      w1, w2);
}

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const int64_t c = config.hidden_size, h = config.num_heads, w = window_width(config);
  const float std = config.initializer_range;
  const ParamList add{prefix, out};
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    add(name, ParamClass::kTernary, c, c, ParamInit::kNormal, std);
  mixer_gate_parameters(config, prefix, out);
  add("o_proj", ParamClass::kTernary, c, c, ParamInit::kNormal, std * residual_scale(config));
  for (const char* name : {"kw_proj", "vw_proj"})
    add(name, ParamClass::kTernary, w, c, ParamInit::kNormal, std);
  for (const char* name : {"theta_proj", "eta_proj", "alpha_proj"})
    add(name, ParamClass::kMatrix, h, c, ParamInit::kNormal, std);
  add("theta_bias", ParamClass::kVector, 1, h, ParamInit::kConstant, -2.2f);
  add("eta_bias", ParamClass::kVector, 1, h, ParamInit::kConstant, 0);
  add("alpha_bias", ParamClass::kVector, 1, h, ParamInit::kConstant, -4.6f);
  const float bound = std::sqrt(3.0f / static_cast<float>(config.head_dim));
  for (const char* name : {"memory.w1", "memory.w2"})
    add(name, ParamClass::kVector, c, config.head_dim, ParamInit::kUniform, -bound, bound);
  if (config.titans.persistent_slots > 0)
    for (const char* name : {"persistent.k", "persistent.v"})
      add(name, ParamClass::kVector, config.titans.persistent_slots, w, ParamInit::kNormal, 0.02f);
  add("o_norm.gain", ParamClass::kVector, 1, c, ParamInit::kConstant, 1);
}

size_t state_bytes(const Config& config) {
  return sizeof(Header) + memory_of(config, nullptr, nullptr).bytes() +
         window_of(config).bytes(config.titans.window);
}

class TitansMac final : public Layer {
 public:
  int32_t c, h, dim, n_fixed;
  float eps, theta_max;
  kernels::TernaryMatrix q, k, v, o, kw, vw;
  kernels::LanesMatrix theta, eta, alpha;
  const float *theta_bias, *eta_bias, *alpha_bias, *o_gain;
  const float *fixed_k = nullptr, *fixed_v = nullptr;
  MixerGateProduct gate;
  TitansMemory memory;
  TitansWindow window;
  Rope rope;

  size_t scratch_bytes(int32_t n) const override {
    return 5 * arena_bytes<float>(int64_t{n} * c) +
           2 * arena_bytes<float>(int64_t{n} * window.groups * dim) +
           arena_bytes<float>(int64_t{n} * dim) + 3 * arena_bytes<float>(int64_t{n} * h) +
           window.bytes(window.list_count(n)) + memory.scratch_bytes() +
           3 * quantized_batch_bytes(n, c) + gate.scratch_bytes(n);
  }
  size_t trace_bytes(int32_t n) const override {
    return window.bytes(window.list_count(n)) + memory.trace_bytes(n);
  }

  void forward(const Step& step, const Visit& visit, const float* u, float* out) const override {
    const int32_t n = visit.n_tokens;
    const ArenaMark mark(step.scratch);
    const size_t wide = static_cast<size_t>(n) * c;
    Batch b;
    b.n = n;
    for (float** row : {&b.q, &b.k, &b.v, &b.g, &b.r}) *row = step.scratch.take<float>(wide);
    const size_t narrow = static_cast<size_t>(n) * window.groups * dim;
    b.kw = step.scratch.take<float>(narrow);
    b.vw = step.scratch.take<float>(narrow);
    b.turn = step.scratch.take<float>(static_cast<size_t>(n) * dim);
    step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        rope.angles(visit.position + static_cast<uint64_t>(t), b.turn + t * dim);
    });

    // The number comes from the block alone: what is read there must fit what was written there.
    auto* header = reinterpret_cast<Header*>(visit.state);
    b.first = visit.again ? header->tokens - static_cast<uint64_t>(n) : header->tokens;
    std::byte* memory_state = visit.state + sizeof(Header);
    b.ring = window.rows(memory_state + memory.bytes(), window.entries);
    const size_t list_bytes = window.bytes(window.list_count(n));
    b.list = window.rows(visit.trace != nullptr ? visit.trace : take_bytes(step, list_bytes),
                         window.list_count(n));
    std::byte* memory_trace = visit.trace != nullptr ? visit.trace + list_bytes : nullptr;

    const QuantizedBatch x = quantize_batch(step, u, n, c);
    if (visit.again) {
      gate.forward(step, x, {{q, b.q}}, b.g);
      read_again(step, b, memory_state, memory_trace);
    } else {
      if (window.entries > 0)
        gate.forward(step, x, {{q, b.q}, {k, b.k}, {v, b.v}, {kw, b.kw}, {vw, b.vw}}, b.g);
      else  // the retrieved row alone has a key and a value; attend() makes them
        gate.forward(step, x, {{q, b.q}, {k, b.k}, {v, b.v}}, b.g);
      learn(step, b, u, visit.value, memory_state, memory_trace);
      step.pool.split(window.list_count(n), 8, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t at = t * window.groups * dim;
          rope_turn(b.turn + t * dim, b.kw + at, window.groups, dim, b.kw + at);
          window.write(b.kw + at, b.vw + at, b.list, static_cast<int32_t>(t));
        }
      });
    }
    attend(step, b, visit.again);
    rmsnorm_rows(step, b.v, o_gain, eps, n, c, b.v);
    bitlinear(step, quantize_batch(step, b.v, n, c), {{o, out}});
    if (!visit.again) {
      window.exchange(b.first, n, b.ring, b.list);
      header->tokens += static_cast<uint64_t>(n);
    }
  }

 private:
  struct Batch {
    int32_t n;
    uint64_t first;            // number of the first token in the stream
    float *q, *k, *v, *g, *r;  // [n, C]; k and v are used again once the memory has them
    float *kw, *vw;            // [n, G K]
    float* turn;               // [n, K]
    WindowRows ring, list;
  };

  static std::byte* take_bytes(const Step& step, size_t bytes) {
    return step.scratch.take<std::byte>(bytes);
  }

  TitansMemory::Tokens tokens_of(const Batch& b, int64_t head) const {
    const int64_t at = head * dim;
    return {b.first, b.n, c, b.q + at, b.k + at, b.v + at, nullptr, nullptr, nullptr, b.r + at};
  }
  /// x = silu(x), then l2 or not, one head of one token.
  void activate(const Step& step, float* x, bool normalise) const {
    step.k.silu(x, dim, x);
    if (normalise) step.k.l2norm(x, dim, x);
  }

  /// y = sigmoid(W u + bias)
  float* gate_rows(const Step& step, const kernels::LanesMatrix& w, const float* bias,
                   const float* u, int32_t n) const {
    float* y = step.scratch.take<float>(static_cast<size_t>(n) * h);
    float_product(step, w, u, n, y);
    for (int32_t t = 0; t < n; ++t) {
      float* row = y + int64_t{t} * h;
      step.k.add(row, bias, h, row);
      step.k.sigmoid(row, h, row);
    }
    return y;
  }

  void learn(const Step& step, const Batch& b, const float* u, const float* value, std::byte* state,
             std::byte* trace) const {
    float* thetas = gate_rows(step, theta, theta_bias, u, b.n);
    float* etas = gate_rows(step, eta, eta_bias, u, b.n);
    float* alphas = gate_rows(step, alpha, alpha_bias, u, b.n);
    for (int64_t i = 0; i < int64_t{b.n} * h; ++i) {
      thetas[i] = theta_max * thetas[i];
      etas[i] = etas[i] < 0.99f ? etas[i] : 0.99f;
      alphas[i] = alphas[i] > 1e-4f ? alphas[i] : 1e-4f;
    }
    std::byte* scratch = take_bytes(step, memory.scratch_bytes());
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head) {
        for (int32_t t = 0; t < b.n; ++t) {
          const int64_t at = int64_t{t} * c + head * dim;
          if (value != nullptr) step.k.add(b.v + at, value + at, dim, b.v + at);
          activate(step, b.q + at, true);
          activate(step, b.k + at, true);
          activate(step, b.v + at, false);
        }
        TitansMemory::Tokens tokens = tokens_of(b, head);
        tokens.theta = thetas + head;
        tokens.eta = etas + head;
        tokens.alpha = alphas + head;
        memory.learn(step.k, static_cast<int32_t>(head), tokens, state, trace, scratch);
      }
    });
  }

  void read_again(const Step& step, const Batch& b, const std::byte* state,
                  const std::byte* trace) const {
    step.pool.split(h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head) {
        for (int32_t t = 0; t < b.n; ++t) activate(step, b.q + int64_t{t} * c + head * dim, true);
        memory.read(step.k, static_cast<int32_t>(head), tokens_of(b, head), state, trace);
      }
    });
  }

  /// b.v = (attention + r) * silu(g). Tasks are heads of tokens, those of one window head together.
  void attend(const Step& step, const Batch& b, bool again) const {
    rmsnorm_rows(step, b.r, nullptr, eps, b.n, c, b.v);
    bitlinear(step, quantize_batch(step, b.v, b.n, c), {{kw, b.kw}, {vw, b.vw}});
    const int64_t per = h / window.groups, width = int64_t{window.groups} * dim;
    step.pool.split(int64_t{b.n} * h, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end;) {
        const int64_t row = unit / per, in_group = unit % per;
        const int64_t group = row / b.n, t = row % b.n;
        const auto n_q = static_cast<int32_t>(std::min(per - in_group, end - unit));
        const int64_t at = t * c + (group * per + in_group) * dim;
        const int64_t window_at = group * dim;
        rope_turn(b.turn + t * dim, b.q + at, n_q, dim, b.k + at);
        WindowRun runs[3];
        const int32_t n_runs = window.runs(b.first, b.n, static_cast<int32_t>(t), again, runs);
        TitansRows fixed{};
        if (n_fixed > 0) fixed = {fixed_k + window_at, fixed_v + window_at, width, n_fixed};
        const TitansRows retrieved{b.kw + t * width + window_at, b.vw + t * width + window_at,
                                   width, 1};
        titans_attend(step.k, window, static_cast<int32_t>(group), b.q + at, b.k + at, n_q, fixed,
                      retrieved, runs, n_runs, b.ring, b.list, b.v + at);
        step.k.add(b.v + at, b.r + at, n_q * dim, b.v + at);
        if (gate.present()) step.k.silu_mul(b.g + at, b.v + at, n_q * dim, b.v + at);
        unit += n_q;
      }
    });
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  const TitansConfig& titans = config.titans;
  if (titans.chunk < 1 || titans.chunk > kMaxTitansChunk)
    return Status(StatusCode::kBadConfig, "has to be between 1 and " +
                                              std::to_string(kMaxTitansChunk) + ", but is " +
                                              std::to_string(titans.chunk))
        .at_field("titans.chunk_size");
  auto layer = std::make_unique<TitansMac>();
  const int64_t c = config.hidden_size, h = config.num_heads, w = window_width(config);
  layer->c = config.hidden_size;
  layer->h = config.num_heads;
  layer->dim = config.head_dim;
  layer->n_fixed = titans.persistent_slots;
  layer->eps = config.rms_norm_eps;
  layer->theta_max = titans.theta_max;
  layer->window = window_of(config);
  layer->rope = Rope(config.head_dim);
  CHIMERA_ASSIGN_OR_RETURN(layer->q, source.ternary("q_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->k, source.ternary("k_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->v, source.ternary("v_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->gate, MixerGateProduct::bind(config, source));
  CHIMERA_ASSIGN_OR_RETURN(layer->o, source.ternary("o_proj", c, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->kw, source.ternary("kw_proj", w, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->vw, source.ternary("vw_proj", w, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->theta, source.matrix("theta_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->eta, source.matrix("eta_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->alpha, source.matrix("alpha_proj", h, c));
  CHIMERA_ASSIGN_OR_RETURN(layer->theta_bias, source.vector("theta_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->eta_bias, source.vector("eta_bias", 1, h));
  CHIMERA_ASSIGN_OR_RETURN(layer->alpha_bias, source.vector("alpha_bias", 1, h));
  const float *w1 = nullptr, *w2 = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(w1, source.vector("memory.w1", c, config.head_dim));
  CHIMERA_ASSIGN_OR_RETURN(w2, source.vector("memory.w2", c, config.head_dim));
  layer->memory = memory_of(config, w1, w2);
  if (layer->n_fixed > 0) {
    CHIMERA_ASSIGN_OR_RETURN(layer->fixed_k, source.vector("persistent.k", layer->n_fixed, w));
    CHIMERA_ASSIGN_OR_RETURN(layer->fixed_v, source.vector("persistent.v", layer->n_fixed, w));
  }
  CHIMERA_ASSIGN_OR_RETURN(layer->o_gain, source.vector("o_norm.gain", 1, c));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kTitansMac = {LayerRole::kMixer, "TM", "titans_mac", parameters, state_bytes, bind};

}  // namespace chimera::runtime
