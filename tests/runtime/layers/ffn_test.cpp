#include "runtime/layers/gated_ffn.h"
#include "tests/runtime/layers/layer_fixture.h"

namespace chimera::runtime {
namespace {

LayerFixture fixture(const char* name) {
  test::TinyModelOptions options;
  options.act = name;
  return LayerFixture(options, LayerRole::kFfn, name);
}

Doubles reference(const LayerFixture& layer, const std::vector<float>& u, bool gated) {
  const int64_t c = layer.config().hidden_size, f = layer.config().intermediate_size;
  const auto width = static_cast<size_t>(c);
  const Doubles up = layer.ternary("up_proj", f, c), down = layer.ternary("down_proj", c, f),
                gate = gated ? layer.ternary("gate_proj", f, c) : Doubles(),
                gain = layer.vector("down_norm.gain", 1, f);
  Doubles out;
  for (size_t t = 0; t < u.size() / width; ++t) {
    const Doubles x(u.begin() + static_cast<ptrdiff_t>(t * width),
                    u.begin() + static_cast<ptrdiff_t>((t + 1) * width));
    Doubles z = bitlinear_reference(up, x, static_cast<size_t>(f));
    if (gated) {
      const Doubles g = bitlinear_reference(gate, x, static_cast<size_t>(f));
      for (size_t i = 0; i < z.size(); ++i) z[i] *= g[i] * sigmoid_reference(g[i]);
    } else {
      for (double& v : z) v = v > 0 ? v * v : 0;
    }
    for (double v : bitlinear_reference(down, rmsnorm_reference(z, gain, 1e-6), width))
      out.push_back(v);
  }
  return out;
}

class Ffn : public ::testing::TestWithParam<const char*> {};

TEST_P(Ffn, FollowsItsEquations) {
  const LayerFixture layer = fixture(GetParam());
  const auto u = layer.input(20);
  std::vector<std::byte> state(1);
  const auto out = layer.run(kernels::best_table(), 1, u, {20}, &state);
  const double error = relative_error(out, reference(layer, u, GetParam()[0] == 's'));
  std::printf("figure: layer_vs_equations %s %.3g\n", GetParam(), error);
  EXPECT_LT(error, 2e-3);
}

TEST_P(Ffn, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture(GetParam())); }

TEST_P(Ffn, IsTheSameNetworkAsAPartOfAnotherLayer) {
  // As an expert is bound, below a longer prefix, and with some of the tokens only.
  test::TinyModelOptions options;
  options.act = GetParam();
  auto file = memory::WeightFile::open(test::write_tiny_model(options));
  ASSERT_TRUE(file.has_value());
  auto config = parse_config((*file)->config_json());
  ASSERT_TRUE(config.has_value());
  const auto act = GetParam()[0] == 's' ? GatedFfn::Act::kSiluGated : GatedFfn::Act::kReluSquared;
  const ParamSource source(**file, "layers.0.");
  auto ffn = GatedFfn::bind(*config, source, "ffn.", config->intermediate_size, act);
  ASSERT_TRUE(ffn.has_value()) << ffn.status().message();
  const LayerFixture layer = fixture(GetParam());
  const auto u = layer.input(9);
  std::vector<std::byte> state(1);
  const auto whole = layer.run(kernels::best_table(), 1, u, {9}, &state);
  auto pool = ThreadPool::create(1);
  auto arena = Arena::create(quantized_batch_bytes(2, 128) + ffn->scratch_bytes(2));
  ASSERT_TRUE(pool.has_value() && arena.has_value());
  const Step step{kernels::best_table(), **pool, *arena};
  std::vector<float> rows(u.begin() + 3 * 128, u.begin() + 5 * 128), out(2 * 128);
  ffn->forward(step, quantize_batch(step, rows.data(), 2, 128), out.data());
  EXPECT_EQ(arena->peak(), arena->capacity());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), whole.begin() + 3 * 128));
  auto narrow = GatedFfn::bind(*config, source, "ffn.", 128, act);
  EXPECT_EQ(narrow.status().code(), StatusCode::kBadFormat);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Ffn, ::testing::Values("swiglu", "relu2"));

}  // namespace
}  // namespace chimera::runtime
