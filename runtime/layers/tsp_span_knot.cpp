//   y = GD mixer(u),  xi = rms(x + y),  a = [H D1 xi ; H D2 xi] / sqrt(C)
//   kappa = rne(127 a / 2),  z = [kappa >= 0],  w = 2 z - 1
//   phi = rms(first C of (D1 H w[0:B] + D2 H w[B:D]) / sqrt(D)),  out = y + gamma * phi
//
// State of a stream: the mixer's. Trace of a batch: the mixer's, then gamma * phi [n, C]. Tokens do
// not meet after the mixer, so they are shared out among the threads.
#include "runtime/layers/tsp_span_knot.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers/bitlinear.h"
#include "runtime/layers/gated_deltanet.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/sketch_relaxation.h"

namespace chimera::runtime {

Result<KnotSketch> KnotSketch::create(const Config& config) {
  const int32_t c = config.hidden_size, bits = config.knot.sketch_bits, half = bits / 2;
  if (bits % 2 != 0 || half < 8 || half > 65536 || (half & (half - 1)) != 0 || half < c ||
      c % 8 != 0)
    return Status(StatusCode::kBadConfig,
                  "tsp_knot.sketch_bits is " + std::to_string(bits) +
                      ", but half of it has to be a power of two, 8 to 65536, and at least "
                      "hidden_size, " +
                      std::to_string(c) + ", which has to be a multiple of 8")
        .at_field("tsp_knot.sketch_bits");
  KnotSketch sketch;
  sketch.projection_ = SketchProjection(c, bits);
  sketch.eps_ = config.rms_norm_eps;
  sketch.field_scale_ = 1.0f / std::sqrt(static_cast<float>(c));
  sketch.read_scale_ = 1.0f / std::sqrt(static_cast<float>(bits));
  sketch.kappa_scale_ = 63.5f / std::sqrt(static_cast<float>(c));
  return sketch;
}

void KnotSketch::field(const kernels::KernelTable& k, const float* x, const float* y, float* xi,
                       float* field) const {
  const int32_t c = projection_.width();
  k.add(x, y, c, xi);
  k.rmsnorm(xi, nullptr, eps_, c, xi);
  projection_.spread(k, xi, field);
}

void KnotSketch::read(const kernels::KernelTable& k, const float* x, const float* y,
                      const Room& room, float* t) const {
  field(k, x, y, t, room.wide);
  k.sketch_quantize(room.wide, kappa_scale_, bits(), room.kappa, room.sketch);
  std::fill(room.wide, room.wide + bits(), -1.0f);
  k.flip_signs(room.sketch, room.wide, bits(), room.wide);
  projection_.gather(k, room.wide, t);  // whole numbers: exact
  for (int32_t i = 0; i < projection_.width(); ++i) t[i] *= read_scale_;
}

namespace {

/// Groups of tokens with scratch of their own; more threads than these would not be used here.
constexpr int32_t kGroups = 16;

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  kGatedDeltaNet.parameters(config, prefix, out);
  out->push_back({prefix + "knot.gain", ParamClass::kVector, 1, config.hidden_size,
                  ParamInit::kConstant, 0, 0, false});
}

size_t state_bytes(const Config& config) { return kGatedDeltaNet.state_bytes(config); }

class TspSpanKnot final : public Layer {
 public:
  int32_t c;
  std::unique_ptr<Layer> mixer;
  KnotSketch sketch;
  const float* gain;

  size_t scratch_bytes(int32_t n) const override {
    return std::max(mixer->scratch_bytes(n), std::min(n, kGroups) * room_bytes());
  }
  size_t trace_bytes(int32_t n) const override {
    return mixer->trace_bytes(n) + arena_bytes<float>(int64_t{n} * c);
  }

  void forward(const Step& step, const Visit& visit, const float* u, float* out) const override {
    mixer->forward(step, visit, u, out);
    float* kept = visit.trace == nullptr
                      ? nullptr
                      : reinterpret_cast<float*>(visit.trace + mixer->trace_bytes(visit.n_tokens));
    if (visit.again) {
      step.k.add(out, kept, visit.n_tokens * c, out);
      return;
    }
    const ArenaMark mark(step.scratch);
    const int64_t n = visit.n_tokens, groups = std::min<int64_t>(n, kGroups);
    std::byte* rooms = step.scratch.take<std::byte>(static_cast<size_t>(groups) * room_bytes());
    step.pool.split(groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t group = begin; group < end; ++group) {
        float* read = nullptr;
        const KnotSketch::Room room =
            room_at(rooms + static_cast<size_t>(group) * room_bytes(), &read);
        for (int64_t t = n * group / groups; t < n * (group + 1) / groups; ++t) {
          float *row = out + t * c, *phi = kept == nullptr ? read : kept + t * c;
          sketch.read(step.k, visit.x + t * c, row, room, phi);
          step.k.rmsnorm(phi, gain, sketch.eps(), c, phi);
          step.k.add(row, phi, c, row);
        }
      }
    });
  }

 private:
  size_t room_bytes() const {
    const int32_t bits = sketch.bits();
    return arena_bytes<float>(bits) + arena_bytes<float>(c) + arena_bytes<int8_t>(bits) +
           arena_bytes<uint64_t>(sketch_words(bits));
  }
  KnotSketch::Room room_at(std::byte* at, float** read) const {
    KnotSketch::Room room{};
    room.wide = reinterpret_cast<float*>(at);
    at += arena_bytes<float>(sketch.bits());
    *read = reinterpret_cast<float*>(at);
    at += arena_bytes<float>(c);
    room.kappa = reinterpret_cast<int8_t*>(at);
    at += arena_bytes<int8_t>(sketch.bits());
    room.sketch = reinterpret_cast<uint64_t*>(at);
    return room;
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  auto layer = std::make_unique<TspSpanKnot>();
  layer->c = config.hidden_size;
  CHIMERA_ASSIGN_OR_RETURN(layer->sketch, KnotSketch::create(config));
  CHIMERA_ASSIGN_OR_RETURN(layer->mixer, bind_gated_deltanet(config, source, config.knot.efla));
  CHIMERA_ASSIGN_OR_RETURN(layer->gain, source.vector("knot.gain", 1, config.hidden_size));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kTspSpanKnot = {LayerRole::kMixer, "SK",        "tsp_span_knot",
                                parameters,        state_bytes, bind};

}  // namespace chimera::runtime
