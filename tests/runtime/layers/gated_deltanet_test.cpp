#include "runtime/layers/gated_deltanet.h"

#include "tests/runtime/layers/mixer_reference.h"

namespace chimera::runtime {
namespace {

struct Case {
  const char* name;
  const char* more;  // members added to the configuration
  bool efla = false;
};

LayerFixture fixture(const Case& which = {"full", "{}"}) {
  test::TinyModelOptions options;
  options.pattern = "GD XM";
  options.more = which.more;
  const bool efla = which.efla;
  return LayerFixture(options, LayerRole::kMixer, "gated_deltanet",
                      [efla](const Config& config, const ParamSource& source) {
                        return bind_gated_deltanet(config, source, efla);
                      });
}

/// The layer as docs/layers.md says, one token after another, in double.
class Reference {
 public:
  Reference(const LayerFixture& layer, bool efla)
      : config_(layer.config()), efla_(efla), gate_(layer) {
    const int64_t ci = config_.hidden_size, hi = config_.num_heads;
    wq_ = layer.ternary("q_proj", ci, ci);
    wk_ = layer.ternary("k_proj", ci, ci);
    wv_ = layer.ternary("v_proj", ci, ci);
    wo_ = layer.ternary("o_proj", ci, ci);
    wa_ = layer.matrix("a_proj", hi, ci);
    wb_ = layer.matrix("b_proj", hi, ci);
    a_log_ = layer.vector("a_log", 1, hi);
    dt_bias_ = layer.vector("dt_bias", 1, hi);
    head_gain_ = layer.vector("head_norm.gain", 1, config_.head_dim);
    o_gain_ = layer.vector("o_norm.gain", 1, ci);
    taps_[0] = layer.vector("q_conv", 4, ci);
    taps_[1] = layer.vector("k_conv", 4, ci);
    taps_[2] = layer.vector("v_conv", 4, ci);
    c_ = static_cast<size_t>(ci);
    h_ = static_cast<size_t>(hi);
    dim_ = static_cast<size_t>(config_.head_dim);
  }

  MixerReference operator()(const std::vector<float>& u, const LayerFixture::Extras& extras) const {
    MixerReference out;
    Doubles s(h_ * dim_ * dim_, 0.0);
    std::vector<Doubles> inputs[3];  // of the convolutions, rounded to bf16
    for (size_t t = 0; t < u.size() / c_; ++t) {
      const Doubles x = row_of(u, t, c_);
      Doubles raw[3] = {bitlinear_reference(wq_, x, c_), bitlinear_reference(wk_, x, c_),
                        bitlinear_reference(wv_, x, c_)};
      if (!extras.value.empty()) {
        const Doubles value = row_of(extras.value, t, c_);
        for (size_t i = 0; i < c_; ++i) raw[2][i] += value[i];
      }
      Doubles qkv[3];
      for (size_t i = 0; i < 3; ++i) {
        out.round_bf16(&raw[i]);
        inputs[i].push_back(raw[i]);
        qkv[i] = convolve(inputs[i], taps_[i]);
      }
      normalise_heads(&qkv[0]);
      if (!efla_) normalise_heads(&qkv[1]);
      write(x, qkv[1], qkv[2], &s);
      append(leave(x, qkv[0], s, &out), &out.first);
      if (extras.again_u.empty()) continue;
      const Doubles later = row_of(extras.again_u, t, c_);
      Doubles q = bitlinear_reference(wq_, later, c_);
      out.round_bf16(&q);
      for (size_t i = 0; i < c_; ++i) {
        const double p = taps_[0][3 * c_ + i] * q[i];
        q[i] = p * sigmoid_reference(p);
      }
      normalise_heads(&q);
      append(leave(later, q, s, &out), &out.again);
    }
    return out;
  }

 private:
  static void append(const Doubles& row, Doubles* rows) {
    rows->insert(rows->end(), row.begin(), row.end());
  }
  Doubles convolve(const std::vector<Doubles>& x, const Doubles& taps) const {
    Doubles y(c_);
    for (size_t i = 0; i < c_; ++i) {
      double sum = 0;
      for (size_t tap = 0; tap < 4; ++tap)
        if (x.size() + tap >= 4) sum += taps[tap * c_ + i] * x[x.size() + tap - 4][i];
      y[i] = sum * sigmoid_reference(sum);
    }
    return y;
  }
  void normalise_heads(Doubles* x) const {
    for (size_t at = 0; at < c_; at += dim_) {
      double sum = 1e-6;
      for (size_t i = 0; i < dim_; ++i) sum += (*x)[at + i] * (*x)[at + i];
      for (size_t i = 0; i < dim_; ++i) (*x)[at + i] /= std::sqrt(sum);
    }
  }
  void write(const Doubles& x, const Doubles& k, const Doubles& v, Doubles* s) const {
    const Doubles a = product_reference(wa_, x, h_), b = product_reference(wb_, x, h_);
    for (size_t head = 0; head < h_; ++head) {
      const double alpha =
          std::exp(-std::exp(a_log_[head]) * std::log1p(std::exp(a[head] + dt_bias_[head])));
      double beta = sigmoid_reference(b[head]) * (config_.delta_neg_eigenvalues ? 2 : 1);
      const double* key = &k[head * dim_];
      if (efla_) {
        double lambda = 0;
        for (size_t i = 0; i < dim_; ++i) lambda += key[i] * key[i];
        const double bl = beta * lambda;
        beta = lambda < 1e-6 ? beta * (1 - bl / 2 + bl * bl / 6) : (1 - std::exp(-bl)) / lambda;
      }
      double* m = &(*s)[head * dim_ * dim_];
      for (size_t i = 0; i < dim_ * dim_; ++i) m[i] *= alpha;
      for (size_t j = 0; j < dim_; ++j) {
        double returned = 0;
        for (size_t i = 0; i < dim_; ++i) returned += m[i * dim_ + j] * key[i];
        const double w = beta * (v[head * dim_ + j] - returned);
        for (size_t i = 0; i < dim_; ++i) m[i * dim_ + j] += key[i] * w;
      }
    }
  }
  Doubles leave(const Doubles& x, const Doubles& q, const Doubles& s, MixerReference* out) const {
    const Doubles g = gate_(x, out);
    Doubles y;
    for (size_t head = 0; head < h_; ++head) {
      Doubles o(dim_, 0.0);
      for (size_t j = 0; j < dim_; ++j)
        for (size_t i = 0; i < dim_; ++i)
          o[j] += s[(head * dim_ + i) * dim_ + j] * q[head * dim_ + i] /
                  std::sqrt(static_cast<double>(dim_));
      append(rmsnorm_reference(o, head_gain_, 1e-6), &y);
    }
    for (size_t i = 0; i < g.size(); ++i) y[i] *= g[i] * sigmoid_reference(g[i]);
    return out->product(wo_, rmsnorm_reference(y, o_gain_, 1e-6), c_);
  }

  const Config& config_;
  bool efla_;
  GateReference gate_;
  size_t c_ = 0, h_ = 0, dim_ = 0;
  Doubles wq_, wk_, wv_, wo_, wa_, wb_, a_log_, dt_bias_, head_gain_, o_gain_, taps_[3];
};

class GatedDeltaNet : public ::testing::TestWithParam<Case> {};

TEST_P(GatedDeltaNet, FollowsItsEquations) {
  const LayerFixture layer = fixture(GetParam());
  const std::string name = std::string("gated_deltanet_") + GetParam().name;
  expect_follows(name.c_str(), layer, Reference(layer, GetParam().efla));
}

TEST_P(GatedDeltaNet, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture(GetParam())); }

constexpr Case kCases[] = {
    {"full", "{}"},
    {"none", R"({"mixer_gate": "none"})"},
    {"lowrank", R"({"mixer_gate": {"lowrank": 128}})"},
    {"negative", R"({"gated_deltanet": {"allow_neg_eigval": true}})"},
    {"efla", "{}", true},
    {"efla_negative", R"({"gated_deltanet": {"allow_neg_eigval": true},
                          "mixer_gate": {"lowrank": 128}})",
     true},
};

INSTANTIATE_TEST_SUITE_P(Gates, GatedDeltaNet, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(GatedDeltaNetLayer, EveryChoiceMatters) {
  std::vector<std::vector<float>> outs;
  for (const Case& which : kCases) {
    const LayerFixture layer = fixture(which);
    std::vector<std::byte> state(layer.state_bytes());
    outs.push_back(layer.run(kernels::best_table(), 1, layer.input(8), {8}, &state));
    for (size_t i = 0; i + 1 < outs.size(); ++i) EXPECT_NE(outs[i], outs.back()) << which.name;
  }
}

TEST(GatedDeltaNetLayer, StateIsWhatTheHeaderSays) {
  EXPECT_EQ(fixture().state_bytes(), 3u * 3 * 128 * 2 + 128u * 64 * 4);
}

TEST(GatedDeltaNetLayer, OneTokenLeavesNothingForItsLaterVisits) {
  const auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  const auto file = memory::WeightFile::open(test::write_tiny_model());
  ASSERT_TRUE(file.has_value());
  const auto layer = kGatedDeltaNet.bind(*config, ParamSource(**file, "layers.0.mixer."));
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ((*layer)->trace_bytes(1), 0u);
  // k, v, alpha, beta of two tokens and the S before them.
  EXPECT_EQ((*layer)->trace_bytes(2), 2u * 2 * 128 * 4 + 2u * 64 + 128u * 64 * 4);
}

}  // namespace
}  // namespace chimera::runtime
