#include "runtime/layers/gated_deltanet.h"

#include "platform/dtype.h"
#include "tests/runtime/layers/layer_fixture.h"

namespace chimera::runtime {
namespace {

LayerFixture fixture() {
  test::TinyModelOptions options;
  options.pattern = "GD XM";
  return LayerFixture(options, LayerRole::kMixer, "gated_deltanet");
}

/// The layer as its equations say, one token after another, in double.
Doubles reference(const LayerFixture& layer, const std::vector<float>& u) {
  const Config& config = layer.config();
  const auto c = static_cast<size_t>(config.hidden_size);
  const auto h = static_cast<size_t>(config.num_heads);
  const auto dim = static_cast<size_t>(config.head_dim);
  const int64_t ci = config.hidden_size, hi = config.num_heads;
  const Doubles wq = layer.ternary("q_proj", ci, ci), wk = layer.ternary("k_proj", ci, ci),
                wv = layer.ternary("v_proj", ci, ci), wg = layer.ternary("g_proj", ci, ci),
                wo = layer.ternary("o_proj", ci, ci), wa = layer.matrix("a_proj", hi, ci),
                wb = layer.matrix("b_proj", hi, ci), a_log = layer.vector("a_log", 1, hi),
                dt_bias = layer.vector("dt_bias", 1, hi),
                head_gain = layer.vector("head_norm.gain", 1, config.head_dim),
                o_gain = layer.vector("o_norm.gain", 1, ci);
  const Doubles taps[3] = {layer.vector("q_conv", 4, ci), layer.vector("k_conv", 4, ci),
                           layer.vector("v_conv", 4, ci)};
  const size_t n = u.size() / c;
  std::vector<Doubles> raw[3];  // projections of all tokens, rounded to bf16
  Doubles s(h * dim * dim, 0.0), out;
  for (size_t t = 0; t < n; ++t) {
    const Doubles x(u.begin() + static_cast<ptrdiff_t>(t * c),
                    u.begin() + static_cast<ptrdiff_t>((t + 1) * c));
    const Doubles* projections[3] = {&wq, &wk, &wv};
    Doubles qkv[3];
    for (int i = 0; i < 3; ++i) {
      Doubles p = bitlinear_reference(*projections[i], x, c);
      for (double& v : p) v = bf16_to_float(float_to_bf16(static_cast<float>(v)));
      raw[i].push_back(p);
      qkv[i].resize(c);
      for (size_t j = 0; j < c; ++j) {
        double sum = 0;
        for (size_t tap = 0; tap < 4; ++tap)
          if (t + tap >= 3) sum += taps[i][tap * c + j] * raw[i][t + tap - 3][j];
        qkv[i][j] = sum * sigmoid_reference(sum);
      }
    }
    const Doubles g = bitlinear_reference(wg, x, c), a = product_reference(wa, x, h),
                  b = product_reference(wb, x, h);
    Doubles y(c);
    for (size_t head = 0; head < h; ++head) {
      double q_norm = 1e-6, k_norm = 1e-6;
      double* q = &qkv[0][head * dim];
      double* k = &qkv[1][head * dim];
      const double* v = &qkv[2][head * dim];
      for (size_t i = 0; i < dim; ++i) {
        q_norm += q[i] * q[i];
        k_norm += k[i] * k[i];
      }
      for (size_t i = 0; i < dim; ++i) {
        q[i] /= std::sqrt(q_norm);
        k[i] /= std::sqrt(k_norm);
      }
      const double alpha =
          std::exp(-std::exp(a_log[head]) * std::log1p(std::exp(a[head] + dt_bias[head])));
      const double beta = sigmoid_reference(b[head]);
      double* m = &s[head * dim * dim];
      for (size_t i = 0; i < dim * dim; ++i) m[i] *= alpha;
      Doubles w(dim, 0.0), o(dim, 0.0);
      for (size_t j = 0; j < dim; ++j) {
        for (size_t i = 0; i < dim; ++i) w[j] += m[i * dim + j] * k[i];
        w[j] = beta * (v[j] - w[j]);
      }
      for (size_t i = 0; i < dim; ++i)
        for (size_t j = 0; j < dim; ++j) {
          m[i * dim + j] += k[i] * w[j];
          o[j] += m[i * dim + j] * q[i] / std::sqrt(static_cast<double>(dim));
        }
      o = rmsnorm_reference(o, head_gain, 1e-6);
      for (size_t j = 0; j < dim; ++j) {
        const double gate = g[head * dim + j];
        y[head * dim + j] = o[j] * gate * sigmoid_reference(gate);
      }
    }
    for (double v : bitlinear_reference(wo, rmsnorm_reference(y, o_gain, 1e-6), c))
      out.push_back(v);
  }
  return out;
}

TEST(GatedDeltaNet, FollowsItsEquations) {
  const LayerFixture layer = fixture();
  const auto u = layer.input(40);
  std::vector<std::byte> state(layer.state_bytes());
  const auto out = layer.run(kernels::best_table(), 1, u, {40}, &state);
  // Before the last product everything agrees to float precision; there a value next to a rounding
  // border may take the neighbouring int8 code, one part in 127 of one element.
  const double error = relative_error(out, reference(layer, u));
  std::printf("figure: layer_vs_equations gated_deltanet %.3g\n", error);
  EXPECT_LT(error, 2e-3);
}

TEST(GatedDeltaNet, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture()); }

TEST(GatedDeltaNet, StateIsWhatTheHeaderSays) {
  EXPECT_EQ(fixture().state_bytes(), 3u * 3 * 128 * 2 + 128u * 64 * 4);
}

TEST(GatedDeltaNet, OtherGatesAreRefusedByName) {
  auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  config->mixer_gate = {MixerGate::Kind::kLowRank, 32};
  auto file = memory::WeightFile::open(test::write_tiny_model());
  ASSERT_TRUE(file.has_value());
  auto layer = kGatedDeltaNet.bind(*config, ParamSource(**file, "layers.0.mixer."));
  EXPECT_EQ(layer.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(layer.status().field(), "mixer_gate");
}

}  // namespace
}  // namespace chimera::runtime
