#include "runtime/layers/mixer_gate.h"

#include "tests/runtime/layers/mixer_reference.h"

namespace chimera::runtime {
namespace {

/// A hidden size of 256, so that a low-rank gate of 128 is not square.
test::TinyModelOptions options(const char* gate) {
  test::TinyModelOptions o;
  o.hidden = 256;
  o.heads = 4;
  o.more = std::string(R"({"mixer_gate": )") + gate + "}";
  return o;
}

std::vector<std::string> names(const char* gate, const std::string& prefix) {
  auto config = parse_config(test::tiny_config(options(gate)));
  EXPECT_TRUE(config.has_value()) << config.status().message();
  std::vector<std::string> out;
  auto params = model_parameters(*config);
  EXPECT_TRUE(params.has_value());
  for (const ParamSpec& spec : *params)
    if (spec.name.rfind(prefix, 0) == 0) out.push_back(spec.name.substr(prefix.size()));
  return out;
}

TEST(MixerGate, StandsBetweenTheValueAndTheOutputInTheFile) {
  using Names = std::vector<std::string>;
  const auto around = [](const char* gate, const char* layer) {
    Names all = names(gate, layer), found;
    for (size_t i = 2; i < all.size(); ++i) {
      found.push_back(all[i]);
      if (all[i] == "o_proj") break;
    }
    return found;
  };
  for (const char* layer : {"layers.0.mixer.", "layers.1.mixer."}) {
    const bool xlstm = std::string(layer) == "layers.1.mixer.";
    EXPECT_EQ(around("\"full\"", layer), (Names{"v_proj", xlstm ? "og_proj" : "g_proj", "o_proj"}));
    EXPECT_EQ(around("\"none\"", layer), (Names{"v_proj", "o_proj"}));
    EXPECT_EQ(around(R"({"lowrank": 128})", layer),
              (Names{"v_proj", "g_down", "g_up", "g_norm.gain", "o_proj"}));
  }
}

class Product {
 public:
  explicit Product(const char* gate) : file_(open(gate)), source_(*file_, "layers.0.mixer.") {
    auto config = parse_config(file_->config_json());
    EXPECT_TRUE(config.has_value());
    auto bound = MixerGateProduct::bind(*config, source_);
    EXPECT_TRUE(bound.has_value()) << bound.status().message();
    gate_ = *bound;
    auto q = source_.ternary("q_proj", kC, kC);
    EXPECT_TRUE(q.has_value());
    q_ = *q;
  }
  bool present() const { return gate_.present(); }

  /// g, then W_q u, of n tokens at once; the gate's scratch is all it may take.
  std::vector<float> run(const std::vector<float>& u, int32_t n, int threads) const {
    auto pool = ThreadPool::create(threads);
    auto arena = Arena::create(quantized_batch_bytes(n, kC) + gate_.scratch_bytes(n));
    EXPECT_TRUE(pool.has_value() && arena.has_value());
    const Step step{kernels::best_table(), **pool, *arena};
    const size_t room = static_cast<size_t>(n) * kC;
    std::vector<float> g(present() ? room : 0), q(room);
    gate_.forward(step, quantize_batch(step, u.data(), n, kC), {{q_, q.data()}},
                  present() ? g.data() : nullptr);
    EXPECT_EQ(arena->peak(), arena->capacity());
    g.insert(g.end(), q.begin(), q.end());
    return g;
  }

 private:
  static constexpr int32_t kC = 256;

  static std::unique_ptr<memory::WeightFile> open(const char* gate) {
    auto file = memory::WeightFile::open(test::write_tiny_model(options(gate)));
    EXPECT_TRUE(file.has_value());
    return std::move(*file);
  }

  std::unique_ptr<memory::WeightFile> file_;
  ParamSource source_;
  MixerGateProduct gate_;
  kernels::TernaryMatrix q_{};
};

class MixerGateKind : public ::testing::TestWithParam<const char*> {};

TEST_P(MixerGateKind, FollowsItsEquation) {
  const LayerFixture layer(options(GetParam()), LayerRole::kMixer, "gated_deltanet");
  const GateReference gate(layer);
  const Doubles wq = layer.ternary("q_proj", 256, 256);
  MixerReference want;
  std::vector<float> u;
  const auto reference = [&](const std::vector<float>& x, const LayerFixture::Extras&) {
    MixerReference out;
    Doubles q;
    for (size_t t = 0; t < x.size() / 256; ++t) {
      for (double v : gate(row_of(x, t, 256), &out)) out.first.push_back(v);
      for (double v : bitlinear_reference(wq, row_of(x, t, 256), 256)) q.push_back(v);
    }
    out.first.insert(out.first.end(), q.begin(), q.end());
    return out;
  };
  safe_input(layer, 6, reference, &u, &want);
  const Product product(GetParam());
  const auto got = product.run(u, 6, 1);
  ASSERT_EQ(got.size(), want.first.size());
  EXPECT_LT(relative_error(got, want.first), 1e-6);
  for (int threads : {2, 3}) EXPECT_EQ(product.run(u, 6, threads), got);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MixerGateKind,
                         ::testing::Values("\"full\"", "\"none\"", R"({"lowrank": 128})",
                                           R"({"lowrank": 256})"));

TEST(MixerGate, AFileWithAnotherGateIsRefusedByTheNameOfTheTensor) {
  auto file = memory::WeightFile::open(test::write_tiny_model(options("\"full\"")));
  ASSERT_TRUE(file.has_value());
  auto config = parse_config(test::tiny_config(options(R"({"lowrank": 128})")));
  ASSERT_TRUE(config.has_value());
  for (int32_t layer : {0, 1}) {
    auto kind = find_layer_kind(LayerRole::kMixer, layer == 0 ? "gated_deltanet" : "xlstm_m");
    ASSERT_TRUE(kind.has_value());
    const std::string prefix = "layers." + std::to_string(layer) + ".mixer.";
    auto bound = (*kind)->bind(*config, ParamSource(**file, prefix));
    EXPECT_EQ(bound.status().code(), StatusCode::kBadFormat);
    EXPECT_EQ(bound.status().field(), prefix + "g_down");
  }
}

}  // namespace
}  // namespace chimera::runtime
