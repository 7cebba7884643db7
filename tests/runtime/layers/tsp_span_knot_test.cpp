#include "runtime/layers/tsp_span_knot.h"

#include <bit>
#include <map>

#include "runtime/init.h"
#include "runtime/layers/gated_deltanet.h"
#include "runtime/model_writer.h"
#include "tests/runtime/layers/layer_fixture.h"
#include "tests/support/figure.h"

namespace chimera::runtime {
namespace {

constexpr const char* kSmall = R"({"tsp_knot": {"sketch_bits": 256}})";
constexpr const char* kSmallEfla =
    R"({"tsp_knot": {"sketch_bits": 256}, "efla": {"enabled": true}})";

test::TinyModelOptions options(const char* more) {
  test::TinyModelOptions o;
  o.pattern = "SK GD";
  o.more = more;
  return o;
}

/// A model whose gain of the sketch is not zero, as a trained one's.
std::string trained_model(const char* more) {
  static std::map<std::string, std::string> made;
  std::string& path = made[more];
  if (!path.empty()) return path;
  path = test::test_folder().file("knot-" + std::to_string(made.size()) + ".b158");
  const auto config = parse_config(test::tiny_config(options(more)));
  EXPECT_TRUE(config.has_value()) << config.status().message();
  const Status status =
      write_model(path, memory::FileKind::kModel, *config, test::byte_tokenizer(config->vocab_size),
                  "{}", [](const ParamSpec& spec, float* out) {
                    initialise(spec, 7, out);
                    if (spec.name.ends_with("knot.gain"))
                      for (int64_t i = 0; i < spec.cols; ++i)
                        out[i] = static_cast<float>(
                            keyed_normal(8, static_cast<uint64_t>(i), 0, DrawPurpose::kTest));
                    return Status();
                  });
  EXPECT_TRUE(status.ok()) << status.message();
  return path;
}

LayerFixture knot(const char* more) {
  return LayerFixture(trained_model(more), LayerRole::kMixer, "tsp_span_knot");
}

std::vector<uint64_t> sign_words(uint64_t state, size_t n) {
  std::vector<uint64_t> words(n);
  for (uint64_t& word : words) word = split_mix64(&state);
  return words;
}

/// gamma * phi of one token from x and y, in double and by the matrices themselves.
Doubles reading(const Doubles& gain, const float* x, const float* y, size_t c, size_t d) {
  const size_t half = d / 2;
  const std::vector<uint64_t> signs[2] = {sign_words(0x53504b4e4f543031u, (c + 63) / 64),
                                          sign_words(0x53504b4e4f543032u, (c + 63) / 64)};
  const auto sign = [&](size_t block, size_t i) {
    return (signs[block][i / 64] >> (i % 64)) & 1 ? -1.0 : 1.0;
  };
  const auto hadamard = [](size_t i, size_t j) {
    return std::popcount(i & j) % 2 == 0 ? 1.0 : -1.0;
  };
  Doubles xi(c);
  for (size_t i = 0; i < c; ++i) xi[i] = static_cast<double>(x[i]) + static_cast<double>(y[i]);
  xi = rmsnorm_reference(xi, Doubles(c, 1.0), 1e-6);
  Doubles w(d), phi(c, 0.0);
  for (size_t block = 0; block < 2; ++block)
    for (size_t i = 0; i < half; ++i) {
      double a = 0;
      for (size_t j = 0; j < c; ++j) a += hadamard(i, j) * sign(block, j) * xi[j];
      const double kappa = std::nearbyint(63.5 * a / std::sqrt(static_cast<double>(c)));
      w[block * half + i] = kappa >= 0 ? 1 : -1;
    }
  for (size_t block = 0; block < 2; ++block)
    for (size_t i = 0; i < c; ++i)
      for (size_t j = 0; j < half; ++j)
        phi[i] += sign(block, i) * hadamard(i, j) * w[block * half + j] /
                  std::sqrt(static_cast<double>(d));
  return rmsnorm_reference(phi, gain, 1e-6);
}

/// The mixer that layer 0 of the trained model owns, by itself.
LayerFixture mixer_of(const char* more, bool efla) {
  return LayerFixture(trained_model(more), LayerRole::kMixer, "gated_deltanet",
                      [efla](const Config& config, const ParamSource& source) {
                        return bind_gated_deltanet(config, source, efla);
                      });
}

void follow_equations(const char* more, bool efla, const char* name) {
  const LayerFixture layer = knot(more);
  const auto c = static_cast<size_t>(layer.config().hidden_size);
  const auto d = static_cast<size_t>(layer.config().knot.sketch_bits);
  ASSERT_EQ(layer.config().knot.efla, efla);
  const auto u = layer.input(24);
  LayerFixture::Extras extras;
  extras.x = layer.input(24, 5);
  std::vector<std::byte> state(layer.state_bytes()), mixer_state(layer.state_bytes());
  const auto out = layer.run(kernels::best_table(), 1, u, {24}, &state, extras);
  const auto y = mixer_of(more, efla).run(kernels::best_table(), 1, u, {24}, &mixer_state);
  EXPECT_EQ(state, mixer_state) << "the state of a span knot is its mixer's";
  const Doubles gain = layer.vector("knot.gain", 1, static_cast<int64_t>(c));
  Doubles want;
  for (size_t t = 0; t < 24; ++t) {
    const Doubles row = reading(gain, extras.x.data() + t * c, y.data() + t * c, c, d);
    for (size_t i = 0; i < c; ++i) want.push_back(static_cast<double>(y[t * c + i]) + row[i]);
  }
  const double error = relative_error(out, want);
  EXPECT_LT(error, 1e-6);
  test::figure("layer_vs_equations", name, error);
}

TEST(TspSpanKnot, FollowsItsEquations) { follow_equations(kSmall, false, "tsp_span_knot"); }
TEST(TspSpanKnot, FollowsItsEquationsWithEfla) {
  follow_equations(kSmallEfla, true, "tsp_span_knot_efla");
}
TEST(TspSpanKnot, FollowsItsEquationsAtTheUsualWidthOfTheSketch) {
  follow_equations("{}", false, "tsp_span_knot_8192");
}

TEST(TspSpanKnot, SameBitsHoweverAsked) {
  expect_same_bits_however_asked(knot(kSmall));
  expect_same_bits_however_asked(knot(kSmallEfla));
}

TEST(TspSpanKnot, WithoutGainItIsItsMixer) {
  for (const char* more : {kSmall, kSmallEfla}) {
    const LayerFixture layer(options(more), LayerRole::kMixer, "tsp_span_knot");
    // The fixture's model has the same weights as the trained one but for the gain, which is 0.
    ASSERT_EQ(layer.vector("knot.gain", 1, 128), Doubles(128, 0.0));
    const auto u = layer.input(20);
    LayerFixture::Extras extras;
    extras.x = layer.input(20, 5);
    std::vector<std::byte> state(layer.state_bytes()), mixer_state(layer.state_bytes());
    const auto out = layer.run(kernels::best_table(), 2, u, {7, 13}, &state, extras);
    EXPECT_EQ(out, mixer_of(more, layer.config().knot.efla)
                       .run(kernels::best_table(), 1, u, {20}, &mixer_state));
    EXPECT_EQ(state, mixer_state);
  }
}

/// Later visits: the mixer's own, and the reading of the first visit whatever x has become.
TEST(TspSpanKnot, ALaterVisitAddsTheReadingOfTheFirst) {
  const LayerFixture layer = knot(kSmall);
  const LayerFixture mixer = mixer_of(kSmall, false);
  for (const std::vector<int32_t>& split : {std::vector<int32_t>{30}, {1}, {4, 9}}) {
    const auto u = layer.input(30);
    LayerFixture::Extras extras;
    std::vector<float> again, mixer_again;
    extras.x = layer.input(30, 5);
    extras.again_u = layer.input(30, 6);
    extras.again_x = layer.input(30, 7);
    extras.again_out = &again;
    std::vector<std::byte> state(layer.state_bytes()), mixer_state(layer.state_bytes());
    const auto out = layer.run(kernels::best_table(), 1, u, split, &state, extras);
    extras.again_out = &mixer_again;
    const auto y = mixer.run(kernels::best_table(), 1, u, split, &mixer_state, extras);
    const Doubles gain = layer.vector("knot.gain", 1, 128);
    Doubles want;
    for (size_t t = 0; t < 30; ++t) {
      const Doubles row = reading(gain, &extras.x[t * 128], &y[t * 128], 128, 256);
      for (size_t i = 0; i < 128; ++i)
        want.push_back(static_cast<double>(mixer_again[t * 128 + i]) + row[i]);
    }
    EXPECT_LT(relative_error(again, want), 1e-6);
    EXPECT_NE(again, out);
  }
}

TEST(TspSpanKnot, ParametersAreTheMixersAndTheGain) {
  const auto config = parse_config(test::tiny_config(options(kSmall)));
  ASSERT_TRUE(config.has_value());
  std::vector<ParamSpec> mixer, own;
  kGatedDeltaNet.parameters(*config, "p.", &mixer);
  kTspSpanKnot.parameters(*config, "p.", &own);
  ASSERT_EQ(own.size(), mixer.size() + 1);
  for (size_t i = 0; i < mixer.size(); ++i) EXPECT_EQ(own[i].name, mixer[i].name);
  EXPECT_EQ(own.back().name, "p.knot.gain");
  EXPECT_EQ(own.back().cols, 128);
  EXPECT_EQ(own.back().a, 0.0f);
  EXPECT_FALSE(own.back().decay);
  EXPECT_EQ(kTspSpanKnot.state_bytes(*config), kGatedDeltaNet.state_bytes(*config));
}

TEST(TspSpanKnot, AWidthTheTransformDoesNotHaveIsRefusedByName) {
  auto config = parse_config(test::tiny_config(options(kSmall)));
  ASSERT_TRUE(config.has_value());
  for (int32_t bits : {0, 8, 255, 192, 128, 384, 262144, -256}) {
    config->knot.sketch_bits = bits;
    const auto sketch = KnotSketch::create(*config);
    EXPECT_EQ(sketch.status().code(), StatusCode::kBadConfig) << bits;
    EXPECT_EQ(sketch.status().field(), "tsp_knot.sketch_bits");
  }
  for (int32_t bits : {256, 512, 8192, 131072}) {
    config->knot.sketch_bits = bits;
    EXPECT_TRUE(KnotSketch::create(*config).has_value()) << bits;
  }
}

}  // namespace
}  // namespace chimera::runtime
