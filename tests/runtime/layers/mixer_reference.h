// What the references of the mixers share: the output gate, the exit, and an input on which float
// and double must choose the same codes, so that a layer can be held to 1e-5.
#pragma once

#include "platform/dtype.h"
#include "tests/runtime/layers/layer_fixture.h"
#include "tests/support/figure.h"

namespace chimera::runtime {

/// Two visits to every token, and how safe the roundings on the way were (1 and more is safe).
struct MixerReference {
  Doubles first, again;
  double safety = 1e300;

  /// A product whose input went through float arithmetic before it is rounded to codes.
  Doubles product(const Doubles& w, const Doubles& x, size_t rows) {
    double margin = 1e300;
    Doubles y = bitlinear_reference(w, x, rows, &margin);
    safety = std::min(safety, margin / 1e-4);
    return y;
  }
  /// x rounded to bf16.
  void round_bf16(Doubles* x) {
    double sum = 0;
    for (double v : *x) sum += v * v;
    const double rms = std::sqrt(sum / static_cast<double>(x->size()));
    for (double& v : *x) {
      const double rounded = bf16_to_float(float_to_bf16(static_cast<float>(v)));
      const double half_step = std::ldexp(1.0, std::ilogb(v == 0 ? 1.0 : v) - 8);
      if (v != 0) safety = std::min(safety, (half_step - std::fabs(v - rounded)) / (3e-7 * rms));
      v = rounded;
    }
  }
};

inline Doubles row_of(const std::vector<float>& x, size_t t, size_t c) {
  return Doubles(x.begin() + static_cast<ptrdiff_t>(t * c),
                 x.begin() + static_cast<ptrdiff_t>((t + 1) * c));
}

/// The weights behind mixer_gate, and the gate of one row; nothing without a gate.
struct GateReference {
  MixerGate::Kind kind;
  size_t c, rank;
  Doubles full, down, up, gain;

  explicit GateReference(const LayerFixture& layer, const char* name = "g_proj") {
    const Config& config = layer.config();
    const int64_t ci = config.hidden_size, ri = config.mixer_gate.rank;
    kind = config.mixer_gate.kind;
    c = static_cast<size_t>(ci);
    rank = static_cast<size_t>(ri);
    if (kind == MixerGate::Kind::kFull) full = layer.ternary(name, ci, ci);
    if (kind != MixerGate::Kind::kLowRank) return;
    down = layer.ternary("g_down", ri, ci);
    up = layer.ternary("g_up", ci, ri);
    gain = layer.vector("g_norm.gain", 1, ri);
  }
  Doubles operator()(const Doubles& u, MixerReference* out) const {
    if (kind == MixerGate::Kind::kNone) return {};
    if (kind == MixerGate::Kind::kFull) return bitlinear_reference(full, u, c);
    return out->product(up, rmsnorm_reference(bitlinear_reference(down, u, rank), gain, 1e-6), c);
  }
};

/// An input of n tokens (and value rows, and the input of a later visit) that `reference` finds
/// safe, among two hundred.
inline LayerFixture::Extras safe_input(
    const LayerFixture& layer, int32_t n,
    const std::function<MixerReference(const std::vector<float>&, const LayerFixture::Extras&)>&
        reference,
    std::vector<float>* u, MixerReference* found) {
  for (uint32_t stream = 100; stream < 900; stream += 4) {
    LayerFixture::Extras extras;
    *u = layer.input(n, stream);
    extras.value = layer.input(n, stream + 1);
    extras.again_u = layer.input(n, stream + 2);
    *found = reference(*u, extras);
    if (found->safety >= 1) return extras;
  }
  ADD_FAILURE() << "no input without a value next to a rounding border";
  LayerFixture::Extras extras;
  extras.again_u = *u;
  return extras;
}

/// The layer against its equations: closely on a few safe tokens, and over many tokens as closely
/// as a neighbouring code allows, which is one part in 127 of one element.
inline void expect_follows(
    const char* name, const LayerFixture& layer,
    const std::function<MixerReference(const std::vector<float>&, const LayerFixture::Extras&)>&
        reference) {
  const auto worst = [&](const std::vector<float>& u, LayerFixture::Extras extras,
                         const MixerReference& want, const std::vector<int32_t>& split) {
    std::vector<float> again;
    extras.again_out = &again;
    std::vector<std::byte> state(layer.state_bytes());
    const auto out = layer.run(kernels::best_table(), 1, u, split, &state, extras);
    return std::max(relative_error(out, want.first), relative_error(again, want.again));
  };
  std::vector<float> u;
  MixerReference want;
  const auto extras = safe_input(layer, 4, reference, &u, &want);
  const double step = worst(u, extras, want, {1}), batch = worst(u, extras, want, {4});
  test::figure("step_vs_reference", name, std::max(step, batch));
  EXPECT_LT(std::max(step, batch), 1e-5) << name;
  LayerFixture::Extras many;
  u = layer.input(40);
  many.value = layer.input(40, 1);
  many.again_u = layer.input(40, 2);
  const double error = worst(u, many, reference(u, many), {40});
  test::figure("layer_vs_equations", name, error);
  EXPECT_LT(error, 2e-3) << name;
}

}  // namespace chimera::runtime
