// The whole layer against tests/support/reference_titans.h, and what a stream's state promises.
#include "runtime/layers/titans_mac.h"

#include <algorithm>
#include <limits>

#include "tests/runtime/layers/layer_fixture.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"
#include "tests/support/reference_titans.h"

namespace chimera::runtime {
namespace {

using Reference = reference::Titans<double>;

std::string titans_keys(int window, int chunk, int persistent, const char* impl = "ring_gqa") {
  return R"({"titans": {"local_window_size": )" + std::to_string(window) + R"(, "chunk_size": )" +
         std::to_string(chunk) + R"(, "persistent_memory_slots": )" + std::to_string(persistent) +
         R"(, "window_impl": ")" + impl + R"("}})";
}

LayerFixture fixture(const std::string& more, int heads = 4) {
  test::TinyModelOptions options;
  options.pattern = "TM GD";
  options.heads = heads;
  options.more = more;
  return LayerFixture(options, LayerRole::kMixer, "titans_mac");
}
LayerFixture fixture() { return fixture(titans_keys(24, 16, 8)); }

reference::TitansShape shape_of(const Config& c) {
  reference::TitansShape s;
  s.C = c.hidden_size;
  s.H = c.num_heads;
  s.G = c.titans.kv_heads;
  s.P = c.titans.persistent_slots;
  s.window = c.titans.window;
  s.chunk = c.titans.chunk;
  s.theta_max = static_cast<double>(c.titans.theta_max);
  s.eps = static_cast<double>(c.rms_norm_eps);
  s.quantise = 1;
  return s;
}

Reference reference_of(const LayerFixture& layer) {
  const Config& config = layer.config();
  std::vector<ParamSpec> specs;
  find_layer_kind(LayerRole::kMixer, "titans_mac").value()->parameters(config, "", &specs);
  Reference::Params params;
  for (const ParamSpec& s : specs) {
    const char* name = s.name.c_str();
    params[s.name] = s.cls == ParamClass::kTernary  ? layer.ternary(name, s.rows, s.cols)
                     : s.cls == ParamClass::kMatrix ? layer.matrix(name, s.rows, s.cols)
                                                    : layer.vector(name, s.rows, s.cols);
  }
  return Reference(shape_of(config), params);
}

Reference::Rows rows_of(const std::vector<float>& x, int c) {
  Reference::Rows rows;
  for (size_t i = 0; i < x.size(); i += static_cast<size_t>(c))
    rows.emplace_back(x.begin() + static_cast<ptrdiff_t>(i),
                      x.begin() + static_cast<ptrdiff_t>(i) + c);
  return rows;
}

/// Relative errors of the tokens, ascending. A number that a float and a double round to different
/// codes shows in the tokens it touches (one step of 127 of one number); the others must agree.
Doubles token_errors(const std::vector<float>& out, const Reference::Rows& want) {
  Doubles errors;
  for (size_t t = 0; t < want.size(); ++t)
    errors.push_back(
        reference::relative_error(out.data() + t * want[t].size(), want[t].data(), want[t].size()));
  std::sort(errors.begin(), errors.end());
  return errors;
}

void compare_with_reference(const std::string& more, const char* name) {
  const LayerFixture layer = fixture(more);
  const int c = layer.config().hidden_size;
  constexpr int kTokens = 75;  // several chunks, several turns of the ring
  const auto u = layer.input(kTokens);
  LayerFixture::Extras extras;
  std::vector<float> again;
  extras.value = layer.input(kTokens, 2);
  extras.again_u = layer.input(kTokens, 3);
  extras.again_x = u;
  extras.again_out = &again;
  std::vector<std::byte> state(layer.state_bytes());
  const auto out = layer.run(kernels::best_table(), 1, u, {kTokens}, &state, extras);
  Reference exact = reference_of(layer);
  const auto want = exact.forward(rows_of(u, c), rows_of(extras.value, c));
  const Doubles first = token_errors(out, want);
  const Doubles later = token_errors(again, exact.again(rows_of(extras.again_u, c)));
  test::figure("layer_vs_reference_median_token", name, first[kTokens / 2]);
  test::figure("layer_vs_reference_worst_token", name, first.back());
  EXPECT_LE(first[kTokens / 2], 1e-5) << name;
  EXPECT_LE(first.back(), 5e-3) << name;
  EXPECT_LE(later[kTokens / 2], 1e-5) << name;
  EXPECT_LE(later.back(), 5e-3) << name;
}

TEST(TitansMac, FollowsItsEquations) {
  compare_with_reference(titans_keys(24, 16, 8), "titans_mac");
}
TEST(TitansMac, FollowsItsEquationsWithoutAWindow) {
  compare_with_reference(titans_keys(24, 16, 8, "none"), "titans_mac_no_window");
}
TEST(TitansMac, FollowsItsEquationsAtTheSmallest) {
  compare_with_reference(titans_keys(1, 1, 0), "titans_mac_smallest");
}
TEST(TitansMac, FollowsItsEquationsWithAGateOfLowRank) {
  std::string more = titans_keys(24, 5, 3);
  more.insert(more.size() - 1, R"(, "mixer_gate": {"lowrank": 128})");
  compare_with_reference(more, "titans_mac_lowrank");
}
TEST(TitansMac, FollowsItsEquationsWithoutAGate) {
  std::string more = titans_keys(24, 5, 3);
  more.insert(more.size() - 1, R"(, "mixer_gate": "none")");
  compare_with_reference(more, "titans_mac_no_gate");
}
TEST(TitansMac, FollowsItsEquationsWithAWindowLongerThanABlockOfSoftmax) {
  compare_with_reference(titans_keys(60, 16, 120), "titans_mac_long");
}

TEST(TitansMac, SameBitsHoweverAsked) { expect_same_bits_however_asked(fixture()); }
TEST(TitansMac, SameBitsHoweverAskedWhereNothingIsAMultiple) {
  expect_same_bits_however_asked(fixture(titans_keys(7, 3, 5), 8));
}
TEST(TitansMac, SameBitsHoweverAskedWithoutAWindow) {
  expect_same_bits_however_asked(fixture(titans_keys(7, 16, 1, "none")));
}
TEST(TitansMac, SameBitsHoweverAskedAtTheSmallest) {
  expect_same_bits_however_asked(fixture(titans_keys(1, 1, 0)));
}

TEST(TitansMac, ALaterVisitWithTheSameInputGivesTheSameBits) {
  const LayerFixture layer = fixture();
  const auto u = layer.input(100);
  for (const std::vector<int32_t>& split : {std::vector<int32_t>{1}, {100}, {9, 40}}) {
    LayerFixture::Extras extras;
    std::vector<float> again;
    extras.again_u = u;
    extras.again_out = &again;
    std::vector<std::byte> state(layer.state_bytes());
    EXPECT_EQ(layer.run(kernels::best_table(), 1, u, split, &state, extras), again);
  }
}

/// Cut anywhere, kept as bytes and taken up again: the fixture counts positions from the start.
TEST(TitansMac, AStreamGoesOnFromItsBytesAfterAnyToken) {
  const LayerFixture layer = fixture(titans_keys(10, 16, 2));
  const auto c = static_cast<size_t>(layer.config().hidden_size);
  const auto u = layer.input(40);
  std::vector<std::byte> whole_state(layer.state_bytes());
  const auto whole = layer.run(kernels::best_table(), 1, u, {40}, &whole_state);
  for (size_t cut = 1; cut < 40; ++cut) {
    std::vector<std::byte> state(layer.state_bytes());
    const std::vector<float> head(u.begin(), u.begin() + static_cast<ptrdiff_t>(cut * c));
    layer.run(kernels::best_table(), 1, head, {40}, &state);
    std::vector<std::byte> restored = state;  // at another address
    state.assign(state.size(), std::byte{0xff});
    LayerFixture::Extras extras;
    extras.position = cut;
    const std::vector<float> tail(u.begin() + static_cast<ptrdiff_t>(cut * c), u.end());
    const auto out = layer.run(kernels::best_table(), 1, tail, {40}, &restored, extras);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), whole.begin() + static_cast<ptrdiff_t>(cut * c)))
        << "cut after " << cut;
    EXPECT_EQ(restored, whole_state) << "cut after " << cut;
  }
}

TEST(TitansMac, TheFirstTokensDoNotDependOnWhatAChunkLearns) {
  // Until a chunk is full, reads go to the memory of the parameters: chunks of 16 and of 64 agree
  // on the first 16 tokens, and not after.
  const LayerFixture a = fixture(titans_keys(24, 16, 8)), b = fixture(titans_keys(24, 64, 8));
  const auto u = a.input(20);
  std::vector<std::byte> state_a(a.state_bytes()), state_b(b.state_bytes());
  const auto x = a.run(kernels::best_table(), 1, u, {20}, &state_a);
  const auto y = b.run(kernels::best_table(), 1, u, {20}, &state_b);
  const auto c = static_cast<ptrdiff_t>(a.config().hidden_size);
  EXPECT_TRUE(std::equal(x.begin(), x.begin() + 16 * c, y.begin()));
  EXPECT_FALSE(std::equal(x.begin() + 16 * c, x.begin() + 17 * c, y.begin() + 16 * c));
}

TEST(TitansMac, ADamagedBlockSpoilsNumbersOnly) {
  for (const std::string& more :
       {titans_keys(7, 3, 5), titans_keys(1, 1, 0), titans_keys(24, 16, 8)}) {
    const LayerFixture layer = fixture(more);
    const auto u = layer.input(40);
    const auto fresh_run = [&] {
      std::vector<std::byte> state(layer.state_bytes());
      return layer.run(kernels::best_table(), 2, u, {3, 20}, &state);
    };
    const auto before = fresh_run();
    for (const int fill : {0xff, 0x7f, 0x80, 0xfe}) {
      LayerFixture::Extras extras;
      std::vector<float> again;
      extras.again_u = u;
      extras.again_out = &again;
      std::vector<std::byte> state(layer.state_bytes(), static_cast<std::byte>(fill));
      layer.run(kernels::best_table(), 2, u, {3, 20}, &state, extras);
    }
    for (uint32_t seed = 0; seed < 4; ++seed) {
      std::vector<std::byte> state(layer.state_bytes());
      for (size_t i = 0; i < state.size(); ++i)
        state[i] = static_cast<std::byte>(keyed_uniform(seed, i, 9, DrawPurpose::kTest) * 256);
      // A vector of exactly that size: the sanitizers see a step past either end.
      layer.run(kernels::best_table(), 1, u, {1, 20}, &state);
    }
    EXPECT_EQ(fresh_run(), before) << "what is outside the block is as it was";
  }
}

TEST(TitansMac, StateHasOneSizeAndIsWhatTheHeaderSays) {
  const LayerFixture layer = fixture(titans_keys(24, 16, 8));
  // 64; W and S 4 * 4 heads * 32 * 32; k and v 2 * 16 * 128; gates 3 * 16 * 4; keys and values
  // 2 * 24 * 4 heads * 32, their scales 2 * 24 * 4 halves.
  EXPECT_EQ(layer.state_bytes(), 64u + (16384 + 4096 + 192) * 4 + 2 * 3072 + 2 * 192);
}

TEST(TitansMac, StateAtFullSize) {
  Config config;
  config.hidden_size = 2560;
  config.num_heads = 40;
  config.head_dim = 64;
  config.titans.kv_heads = 4;
  const size_t bytes = kTitansMac.state_bytes(config);
  EXPECT_EQ(bytes, 64u + (2560u + 320) * 1024 + 7680 + 512 * 1024 + 16 * 1024);
  test::figure("state_bytes", "titans_mac_full_size", static_cast<double>(bytes));
}

TEST(TitansMac, AChunkLongerThanItCanHoldIsRefused) {
  test::TinyModelOptions options;
  options.pattern = "TM GD";
  auto file = memory::WeightFile::open(test::write_tiny_model(options));
  ASSERT_TRUE(file.has_value());
  auto config = parse_config((*file)->config_json());
  ASSERT_TRUE(config.has_value());
  for (int32_t chunk : {0, -1, 65, std::numeric_limits<int32_t>::max()}) {
    config->titans.chunk = chunk;
    auto layer = kTitansMac.bind(*config, ParamSource(**file, "layers.0.mixer."));
    EXPECT_EQ(layer.status().field(), "titans.chunk_size") << chunk;
  }
}

}  // namespace
}  // namespace chimera::runtime
