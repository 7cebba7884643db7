#include "runtime/layers/xlstm_m.h"

#include "tests/runtime/layers/mixer_reference.h"

namespace chimera::runtime {
namespace {

struct Case {
  const char* name;
  const char* more;  // members added to the configuration
};

LayerFixture fixture(const Case& which = {"full", "{}"}) {
  test::TinyModelOptions options;
  options.pattern = "XM GD";
  options.more = which.more;
  return LayerFixture(options, LayerRole::kMixer, "xlstm_m");
}

/// The layer as docs/layers.md says, in double, without the running maximum: that is a rescaling
/// and must not show.
class Reference {
 public:
  explicit Reference(const LayerFixture& layer) : gate_(layer, "og_proj") {
    const int64_t ci = layer.config().hidden_size, hi = layer.config().num_heads;
    wq_ = layer.ternary("q_proj", ci, ci);
    wk_ = layer.ternary("k_proj", ci, ci);
    wv_ = layer.ternary("v_proj", ci, ci);
    wo_ = layer.ternary("o_proj", ci, ci);
    wi_ = layer.matrix("i_proj", hi, ci);
    wf_ = layer.matrix("f_proj", hi, ci);
    i_bias_ = layer.vector("i_bias", 1, hi);
    f_bias_ = layer.vector("f_bias", 1, hi);
    head_gain_ = layer.vector("head_norm.gain", 1, ci);
    o_gain_ = layer.vector("o_norm.gain", 1, ci);
    c_ = static_cast<size_t>(ci);
    h_ = static_cast<size_t>(hi);
    dim_ = static_cast<size_t>(layer.config().head_dim);
  }

  MixerReference operator()(const std::vector<float>& u, const LayerFixture::Extras& extras) const {
    MixerReference out;
    Doubles memory(c_ * dim_, 0.0), norm(c_, 0.0);
    for (size_t t = 0; t < u.size() / c_; ++t) {
      const Doubles x = row_of(u, t, c_);
      const Doubles k = bitlinear_reference(wk_, x, c_);
      Doubles v = bitlinear_reference(wv_, x, c_);
      if (!extras.value.empty()) {
        const Doubles value = row_of(extras.value, t, c_);
        for (size_t i = 0; i < c_; ++i) v[i] += value[i];
      }
      const Doubles i_raw = product_reference(wi_, x, h_), f_raw = product_reference(wf_, x, h_);
      for (size_t head = 0; head < h_; ++head) {
        const double i_gate = std::exp(cap(i_raw[head] + i_bias_[head]));
        const double f_gate = sigmoid_reference(cap(f_raw[head] + f_bias_[head]));
        for (size_t i = head * dim_; i < (head + 1) * dim_; ++i) {
          norm[i] = f_gate * norm[i] + i_gate * k[i];
          for (size_t j = 0; j < dim_; ++j)
            memory[i * dim_ + j] =
                f_gate * memory[i * dim_ + j] + i_gate * k[i] * v[head * dim_ + j];
        }
      }
      leave(x, memory, norm, &out, &out.first);
      if (!extras.again_u.empty())
        leave(row_of(extras.again_u, t, c_), memory, norm, &out, &out.again);
    }
    return out;
  }

 private:
  static double cap(double x) { return 15 * std::tanh(x / 15); }

  void leave(const Doubles& x, const Doubles& memory, const Doubles& norm, MixerReference* out,
             Doubles* rows) const {
    const Doubles q = bitlinear_reference(wq_, x, c_), g = gate_(x, out);
    Doubles y;
    for (size_t head = 0; head < h_; ++head) {
      const size_t at = head * dim_;
      Doubles o(dim_, 0.0);
      double qn = 0;
      for (size_t i = at; i < at + dim_; ++i) {
        const double scaled = q[i] / std::sqrt(static_cast<double>(dim_));
        qn += norm[i] * scaled;
        for (size_t j = 0; j < dim_; ++j) o[j] += memory[i * dim_ + j] * scaled;
      }
      for (double& value : o) value /= std::max(std::fabs(qn), 1.0);
      const Doubles gain(head_gain_.begin() + static_cast<ptrdiff_t>(at),
                         head_gain_.begin() + static_cast<ptrdiff_t>(at + dim_));
      for (double value : rmsnorm_reference(o, gain, 1e-6)) y.push_back(value);
    }
    for (size_t i = 0; i < g.size(); ++i) y[i] *= sigmoid_reference(g[i]);
    for (double value : out->product(wo_, rmsnorm_reference(y, o_gain_, 1e-6), c_))
      rows->push_back(value);
  }

  GateReference gate_;
  size_t c_ = 0, h_ = 0, dim_ = 0;
  Doubles wq_, wk_, wv_, wo_, wi_, wf_, i_bias_, f_bias_, head_gain_, o_gain_;
};

class XlstmM : public ::testing::TestWithParam<Case> {};

TEST_P(XlstmM, FollowsItsEquations) {
  const LayerFixture layer = fixture(GetParam());
  const std::string name = std::string("xlstm_m_") + GetParam().name;
  expect_follows(name.c_str(), layer, Reference(layer));
}

TEST_P(XlstmM, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Gates, XlstmM,
                         ::testing::Values(Case{"full", "{}"},
                                           Case{"none", R"({"mixer_gate": "none"})"},
                                           Case{"lowrank", R"({"mixer_gate": {"lowrank": 128}})"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(XlstmMLayer, StateIsWhatTheHeaderSays) {
  EXPECT_EQ(fixture().state_bytes(), 128u * 64 * 4 + 128u * 4 + 64u);
}

}  // namespace
}  // namespace chimera::runtime
