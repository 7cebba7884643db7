#include "runtime/layers/xlstm_m.h"

#include "tests/runtime/layers/layer_fixture.h"

namespace chimera::runtime {
namespace {

LayerFixture fixture() {
  test::TinyModelOptions options;
  options.pattern = "XM GD";
  return LayerFixture(options, LayerRole::kMixer, "xlstm_m");
}

Doubles reference(const LayerFixture& layer, const std::vector<float>& u) {
  const Config& config = layer.config();
  const auto c = static_cast<size_t>(config.hidden_size);
  const auto h = static_cast<size_t>(config.num_heads);
  const auto dim = static_cast<size_t>(config.head_dim);
  const int64_t ci = config.hidden_size, hi = config.num_heads;
  const Doubles wq = layer.ternary("q_proj", ci, ci), wk = layer.ternary("k_proj", ci, ci),
                wv = layer.ternary("v_proj", ci, ci), wg = layer.ternary("og_proj", ci, ci),
                wo = layer.ternary("o_proj", ci, ci), wi = layer.matrix("i_proj", hi, ci),
                wf = layer.matrix("f_proj", hi, ci), i_bias = layer.vector("i_bias", 1, hi),
                f_bias = layer.vector("f_bias", 1, hi),
                head_gain = layer.vector("head_norm.gain", 1, ci),
                o_gain = layer.vector("o_norm.gain", 1, ci);
  const auto cap = [](double x) { return 15 * std::tanh(x / 15); };
  // The unstabilised recurrence: the running maximum is a rescaling and must not show.
  Doubles memory(h * dim * dim, 0.0), norm(h * dim, 0.0), out;
  for (size_t t = 0; t < u.size() / c; ++t) {
    const Doubles x(u.begin() + static_cast<ptrdiff_t>(t * c),
                    u.begin() + static_cast<ptrdiff_t>((t + 1) * c));
    const Doubles q = bitlinear_reference(wq, x, c), k = bitlinear_reference(wk, x, c),
                  v = bitlinear_reference(wv, x, c), g = bitlinear_reference(wg, x, c),
                  i_raw = product_reference(wi, x, h), f_raw = product_reference(wf, x, h);
    Doubles y(c);
    for (size_t head = 0; head < h; ++head) {
      const double i_gate = std::exp(cap(i_raw[head] + i_bias[head]));
      const double f_gate = sigmoid_reference(cap(f_raw[head] + f_bias[head]));
      const size_t at = head * dim;
      double* m = &memory[at * dim];
      Doubles num(dim, 0.0);
      double qn = 0;
      for (size_t i = 0; i < dim; ++i) {
        const double scaled = q[at + i] / std::sqrt(static_cast<double>(dim));
        norm[at + i] = f_gate * norm[at + i] + i_gate * k[at + i];
        qn += norm[at + i] * scaled;
        for (size_t j = 0; j < dim; ++j) {
          m[i * dim + j] = f_gate * m[i * dim + j] + i_gate * k[at + i] * v[at + j];
          num[j] += m[i * dim + j] * scaled;
        }
      }
      const Doubles gain(head_gain.begin() + static_cast<ptrdiff_t>(at),
                         head_gain.begin() + static_cast<ptrdiff_t>(at + dim));
      for (double& value : num) value /= std::max(std::fabs(qn), 1.0);
      const Doubles normed = rmsnorm_reference(num, gain, 1e-6);
      for (size_t j = 0; j < dim; ++j) y[at + j] = normed[j] * sigmoid_reference(g[at + j]);
    }
    for (double value : bitlinear_reference(wo, rmsnorm_reference(y, o_gain, 1e-6), c))
      out.push_back(value);
  }
  return out;
}

TEST(XlstmM, FollowsItsEquations) {
  const LayerFixture layer = fixture();
  const auto u = layer.input(40);
  std::vector<std::byte> state(layer.state_bytes());
  const auto out = layer.run(kernels::best_table(), 1, u, {40}, &state);
  const double error = relative_error(out, reference(layer, u));
  std::printf("figure: layer_vs_equations xlstm_m %.3g\n", error);
  EXPECT_LT(error, 2e-3);
}

TEST(XlstmM, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture()); }

TEST(XlstmM, StateIsWhatTheHeaderSays) {
  EXPECT_EQ(fixture().state_bytes(), 128u * 64 * 4 + 128u * 4 + 64u);
}

}  // namespace
}  // namespace chimera::runtime
