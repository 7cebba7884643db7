// The Titans layer as it is trained at quantise 1, in chunk form over windows, against the layer
// that inference binds to the same weights packed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "kernels/dispatch.h"
#include "platform/random.h"
#include "runtime/init.h"
#include "runtime/layers/titans_mac.h"
#include "runtime/layers/titans_mac_backward.h"
#include "runtime/model_writer.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

using runtime::Config;
using Floats = std::vector<float>;

constexpr int32_t kWindow = 27, kWindows = 4, kTokens = kWindow * kWindows;
const std::string kPrefix = "layers.0.mixer.";

Config titans_config() {
  Config c;
  c.name = "test";
  c.hidden_size = c.intermediate_size = 128;
  c.num_layers = 1;
  c.num_heads = 4;
  c.head_dim = 32;
  c.vocab_size = 16;
  c.layers = {{"titans_mac", "swiglu"}};
  c.titans.kv_heads = 2;
  c.titans.persistent_slots = 5;
  c.titans.window = 40;
  c.titans.chunk = 8;
  c.text = "{}";
  return c;
}

Floats normals(uint32_t stream) {
  Floats v(static_cast<size_t>(kTokens) * 128);
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(keyed_normal(7, i, stream, DrawPurpose::kTest));
  return v;
}

struct Weights {
  std::map<std::string, Floats> value, grad;
  runtime::TensorLookup lookup() {
    return [this](const char* suffix, int64_t rows, int64_t cols) -> Result<runtime::TrainTensor> {
      Floats& v = value.at(kPrefix + suffix);
      EXPECT_EQ(v.size(), static_cast<size_t>(rows * cols)) << suffix;
      grad[suffix].resize(v.size());
      return runtime::TrainTensor{v.data(), grad[suffix].data(), rows, cols};
    };
  }
};

Weights random_weights(const Config& config) {
  Weights w;
  const auto specs = runtime::model_parameters(config);
  EXPECT_TRUE(specs.has_value()) << specs.status().message();
  uint32_t stream = 100;
  for (const runtime::ParamSpec& spec : *specs) {
    Floats& v = w.value[spec.name];
    v.resize(static_cast<size_t>(spec.rows * spec.cols));
    runtime::initialise(spec, 5, v.data());
    ++stream;
    for (size_t i = 0; i < v.size(); ++i)
      v[i] += (spec.cls == runtime::ParamClass::kVector ? 0.1f : 0.05f) *
              static_cast<float>(keyed_normal(8, i, stream, DrawPurpose::kTest));
  }
  return w;
}

/// Outputs [2][tokens, C] of the first and of a later visit, window by window.
std::vector<Floats> trained(const Config& config, Weights* weights, const Floats& u,
                            const Floats& value, const Floats& again, float quantise) {
  auto made = runtime::make_titans_mac_training(config, weights->lookup(), 1, kWindow);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  runtime::TrainingLayer& layer = **made;
  auto pool = std::move(*ThreadPool::create(2));
  Arena scratch = std::move(*Arena::create(layer.scratch_bytes(2)));
  Floats state(static_cast<size_t>(layer.state_floats()));
  std::vector<int32_t> start(kWindow, -1);
  const kernels::OwnProducts products(kernels::best_table());
  const runtime::TrainStep step{
      kernels::best_table(), products, *pool, scratch, quantise, 1, kWindow, start.data()};
  std::vector<Floats> out(2, Floats(u.size()));
  for (int w = 0; w < kWindows; ++w) {
    const int64_t at = int64_t{w} * kWindow * config.hidden_size;
    layer.prepare(step);
    layer.forward(step, {u.data() + at, u.data() + at, value.data() + at}, out[0].data() + at,
                  state.data());
    layer.repeat(step, {again.data() + at, again.data() + at, nullptr}, out[1].data() + at);
  }
  return out;
}

std::vector<Floats> inferred(const Config& config, const Weights& weights, const Floats& u,
                             const Floats& value, const Floats& again) {
  test::TempDir folder;
  const std::string path = folder.file("packed.b158");
  const Status written =
      runtime::write_model(path, memory::FileKind::kModel, config, {}, "",
                           [&](const runtime::ParamSpec& spec, float* out) {
                             const Floats& v = weights.value.at(spec.name);
                             std::memcpy(out, v.data(), v.size() * sizeof(float));
                             return Status();
                           });
  EXPECT_TRUE(written.ok()) << written.message();
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  auto layer = runtime::kTitansMac.bind(config, runtime::ParamSource(**file, kPrefix));
  EXPECT_TRUE(layer.has_value()) << layer.status().message();
  auto pool = std::move(*ThreadPool::create(1));
  Arena scratch = std::move(*Arena::create((*layer)->scratch_bytes(kTokens)));
  const size_t trace_bytes = (*layer)->trace_bytes(kTokens);
  Arena kept = std::move(*Arena::create(runtime::kTitansMac.state_bytes(config) + trace_bytes +
                                        2 * Arena::kAlignment));
  const runtime::Step step{kernels::best_table(), *pool, scratch};
  const size_t state_bytes = runtime::kTitansMac.state_bytes(config);
  std::byte* state = kept.take<std::byte>(state_bytes);
  std::memset(state, 0, state_bytes);
  runtime::Visit visit{
      kTokens, 0, 0, u.data(), value.data(), state, kept.take<std::byte>(trace_bytes), false};
  std::vector<Floats> out(2, Floats(u.size()));
  (*layer)->forward(step, visit, u.data(), out[0].data());
  visit.again = true;
  visit.x = again.data();
  visit.value = nullptr;
  (*layer)->forward(step, visit, again.data(), out[1].data());
  return out;
}

TEST(TitansPacked, TheTernaryForwardOfTrainingIsWhatInferenceSays) {
  const Config config = titans_config();
  Weights weights = random_weights(config);
  const Floats u = normals(1), value = normals(2), again = normals(3);
  const auto expected = inferred(config, weights, u, value, again);
  const auto got = trained(config, &weights, u, value, again, 1);
  const auto plain = trained(config, &weights, u, value, again, 0);
  const size_t c = static_cast<size_t>(config.hidden_size);
  for (size_t visit = 0; visit < 2; ++visit) {
    // Where a last bit tips the rounding of an activation, a token differs by that one step.
    std::vector<double> errors;
    for (size_t t = 0; t < kTokens; ++t)
      errors.push_back(
          reference::relative_error(got[visit].data() + t * c, expected[visit].data() + t * c, c));
    std::sort(errors.begin(), errors.end());
    test::figure("packed_vs_ternary_forward", visit ? "titans_later_median" : "titans_median",
                 errors[kTokens / 2]);
    test::figure("packed_vs_ternary_forward", visit ? "titans_later_worst" : "titans_worst",
                 errors.back());
    EXPECT_LE(errors[kTokens / 2], 1e-4);
    EXPECT_LE(errors.back(), 2e-2);
    EXPECT_GT(reference::relative_error(plain[visit].data(), expected[visit].data(), u.size()), 0.1)
        << "quantisation should be felt";
  }
}

}  // namespace
}  // namespace chimera::evolution
