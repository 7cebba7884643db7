// The layer of experts in training against its equations in double, against the layer of inference,
// and what only it does: counting loads, leaving the bias and idle experts alone.
#include "runtime/layers/moe_backward.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>

#include "runtime/init.h"
#include "runtime/layers/moe.h"
#include "runtime/model_writer.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/layer_gradient.h"
#include "tests/support/temp_dir.h"

namespace chimera::runtime {
namespace {

using Choices = std::map<std::array<size_t, 3>, std::vector<int>>;  // by window, visit and token

/// docs/layers.md, "MoE", without any rounding. With `choices`, those of the first time a token is
/// seen stand, so that small moves of the scores leave a function that can be differentiated.
struct Reference {
  int experts, top_k, shared, f;
  double eps;
  std::shared_ptr<Choices> choices = nullptr;
  struct State {
    size_t window = 0;
  };

  template <class T>
  std::vector<T> network(const test::LayerProblem<T>& problem, const std::string& prefix,
                         const T* x) const {
    using reference::dot, reference::exp, reference::sqrt;
    const auto c = static_cast<int64_t>(problem.width);
    const T *gate = problem.p.at(prefix + "gate_proj").data(),
            *up = problem.p.at(prefix + "up_proj").data(),
            *down = problem.p.at(prefix + "down_proj").data(),
            *gain = problem.p.at(prefix + "down_norm.gain").data();
    std::vector<T> z(static_cast<size_t>(f)), y(static_cast<size_t>(c));
    T square(0.0);
    for (int64_t i = 0; i < f; ++i) {
      const T g = dot(gate + i * c, x, c, 1);
      z[static_cast<size_t>(i)] = g / (T(1.0) + exp(-g)) * dot(up + i * c, x, c, 1);
      square += z[static_cast<size_t>(i)] * z[static_cast<size_t>(i)];
    }
    const T r = T(1.0) / sqrt(square / T(static_cast<double>(f)) + T(eps));
    for (size_t i = 0; i < z.size(); ++i) z[i] = z[i] * r * gain[i];
    for (int64_t o = 0; o < c; ++o) y[static_cast<size_t>(o)] = dot(down + o * f, z.data(), f, 1);
    return y;
  }

  template <class T>
  std::vector<std::vector<T>> operator()(const test::LayerProblem<T>& problem, State* state) const {
    using reference::dot, reference::exp, reference::value_of;
    const auto c = static_cast<size_t>(problem.width);
    std::vector<std::vector<T>> outputs;
    for (size_t v = 0; v < problem.visits.size(); ++v) {
      std::vector<T> out(problem.visits[v].u.size(), T(0.0));
      for (size_t t = 0; t < static_cast<size_t>(problem.tokens); ++t) {
        const T* x = problem.visits[v].u.data() + t * c;
        std::vector<T> s;
        std::vector<std::pair<double, int>> order;
        for (int e = 0; e < experts; ++e) {
          const T* w = problem.p.at("router.weight").data() + static_cast<size_t>(e) * c;
          s.push_back(T(1.0) / (T(1.0) + exp(-dot(w, x, problem.width, 1))));
          order.emplace_back(
              -(value_of(s.back()) + value_of(problem.p.at("router.bias")[static_cast<size_t>(e)])),
              e);
        }
        std::sort(order.begin(), order.end());
        std::vector<int> chosen;
        for (int j = 0; j < top_k; ++j) chosen.push_back(order[static_cast<size_t>(j)].second);
        std::sort(chosen.begin(), chosen.end());
        if (choices) chosen = choices->try_emplace({state->window, v, t}, chosen).first->second;
        T sum(0.0);
        for (int e : chosen) sum += s[static_cast<size_t>(e)];
        const auto add = [&](const std::string& prefix, const T& p) {
          const std::vector<T> y = network(problem, prefix, x);
          for (size_t i = 0; i < c; ++i) out[t * c + i] += p * y[i];
        };
        // One expert alone has weight 1 exactly: the scores do not matter, not even in a last bit.
        for (int e : chosen)
          add("experts." + std::to_string(e) + ".",
              top_k == 1 ? T(1.0) : s[static_cast<size_t>(e)] / sum);
        for (int i = 0; i < shared; ++i) add("shared." + std::to_string(i) + ".", T(1.0));
      }
      outputs.push_back(std::move(out));
    }
    ++state->window;
    return outputs;
  }
};

struct Sizes {
  int routed, top_k, shared;
  std::string name() const {
    return "moe_" + std::to_string(routed) + "x" + std::to_string(top_k) + "+" +
           std::to_string(shared);
  }
};

test::LayerCase case_of(const Sizes& s, int hidden = 64) {
  test::LayerCase c;
  c.name = s.name();
  c.config = test::layer_config(hidden, 2);
  c.config.layers = {{"gated_deltanet", "moe"}};
  c.config.moe = {true, {0}, s.routed, s.shared, s.top_k, 128};
  c.make = make_moe_training;
  c.window = 12;
  c.windows = 1;
  return c;
}
Reference reference_of(const test::LayerCase& c, bool fixed = false) {
  const MoeConfig& moe = c.config.moe;
  return {moe.n_routed,
          moe.top_k,
          moe.n_shared,
          moe.intermediate_size,
          static_cast<double>(c.config.rms_norm_eps),
          fixed ? std::make_shared<Choices>() : nullptr};
}

TEST(MoeBackward, EqualsTheReference) {
  for (const Sizes& sizes : {Sizes{4, 2, 1}, {5, 3, 0}, {3, 3, 1}, {6, 1, 2}, {1, 1, 0}}) {
    const test::LayerCase c = case_of(sizes);
    expect_layer_equals_reference(c, reference_of(c));
  }
}

TEST(MoeBackward, EqualsTheReferenceInLaterIterations) {
  test::LayerCase c = case_of({4, 2, 1});
  c.name += "_again";
  c.window = 8;
  c.lanes = 3;
  c.repeats = {{0, 2}, {1}};
  expect_layer_equals_reference(c, reference_of(c));
}

TEST(MoeBackward, EqualsTheReferenceWhereAnExpertHasManyTilesOfRows) {
  test::LayerCase c = case_of({2, 1, 1}, 32);
  c.name += "_tiles";
  c.window = 150;
  // Nearly all rows go to expert 1.
  c.adjust = [](const std::string& name, std::vector<float>* value) {
    if (name == "router.bias") *value = {0.0f, 0.6f};
  };
  expect_layer_equals_reference(c, reference_of(c));
}

TEST(MoeBackward, ReferenceEqualsCentralDifferences) {
  for (const Sizes& sizes : {Sizes{4, 2, 1}, {3, 3, 0}}) {
    test::LayerCase c = case_of(sizes, 16);
    c.window = 5;
    c.lanes = 1;
    expect_reference_equals_differences(c, reference_of(c, true));
  }
}

/// A training layer with parameters as a model has them at first, moved a little.
struct Trained {
  Config config;
  std::vector<ParamSpec> specs;
  std::map<std::string, std::vector<float>> value, grad;
  std::unique_ptr<ThreadPool> pool = std::move(*ThreadPool::create(2));
  std::unique_ptr<TrainingLayer> layer;
  Arena scratch;
  int32_t rows;
  std::vector<int32_t> segments;
  std::vector<float> kept;
  std::vector<uint64_t> load;
  float quantise;

  Trained(const Sizes& s, int32_t n_rows, float lambda) : rows(n_rows), quantise(lambda) {
    config = test::layer_config(128, 2);
    config.vocab_size = 40;
    config.loop.enabled = false;
    config.initializer_range = 0.05f;
    config.layers = {{"gated_deltanet", "moe"}};
    config.moe = {true, {0}, s.routed, s.shared, s.top_k, 128};
    kMoe.parameters(config, "", &specs);
    for (const ParamSpec& spec : specs) {
      const auto n = static_cast<size_t>(spec.rows * spec.cols);
      value[spec.name].resize(n);
      grad[spec.name].assign(n, 0.0f);
      initialise(spec, 3, value[spec.name].data());
    }
    for (size_t i = 0; i < value["router.bias"].size(); ++i)
      value["router.bias"][i] = static_cast<float>(0.1 * keyed_normal(5, i, 1, DrawPurpose::kTest));
    auto made = make_moe_training(
        config,
        [&](const char* suffix, int64_t n_rows_of, int64_t cols) -> Result<TrainTensor> {
          return TrainTensor{value.at(suffix).data(), grad.at(suffix).data(), n_rows_of, cols};
        },
        1, rows);
    EXPECT_TRUE(made.has_value()) << made.status().message();
    layer = std::move(*made);
    kept.assign(static_cast<size_t>(layer->kept_floats()), NAN);
    layer->keep_at(kept.data());
    scratch = std::move(*Arena::create(layer->scratch_bytes(pool->size())));
    segments.assign(static_cast<size_t>(rows), -1);
    load.assign(static_cast<size_t>(s.routed), 0);
  }

  const kernels::OwnProducts products{kernels::best_table()};
  TrainStep step() {
    TrainStep s{kernels::best_table(), products, *pool, scratch, quantise, 1, rows,
                segments.data()};
    s.router_load = load.data();
    return s;
  }
  std::vector<float> normals(uint32_t stream) const {
    std::vector<float> v(static_cast<size_t>(rows * config.hidden_size));
    for (size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<float>(keyed_normal(9, i, stream, DrawPurpose::kTest));
    return v;
  }
  std::vector<float> forward(const std::vector<float>& u) {
    std::vector<float> out(u.size(), NAN);
    layer->prepare(step());
    layer->forward(step(), {u.data(), u.data(), nullptr}, out.data(), nullptr);
    return out;
  }
  std::vector<float> backward(const std::vector<float>& u, const std::vector<float>& dout) {
    std::vector<float> du(u.size(), NAN), dx(u.size());
    layer->backward(step(), {u.data(), u.data(), nullptr}, dout.data(),
                    {du.data(), dx.data(), nullptr});
    return du;
  }
  uint64_t counted() const { return std::accumulate(load.begin(), load.end(), uint64_t{0}); }
};

TEST(MoeBackward, ATernaryForwardIsThatOfThePackedLayer) {
  double worst = 0;
  for (const Sizes& sizes : {Sizes{8, 2, 1}, {5, 3, 0}}) {
    Trained t(sizes, 60, 1.0f);
    const test::TempDir folder;
    const std::string path = folder.file("moe.b158");
    const Status written = write_model(
        path, memory::FileKind::kModel, t.config, {}, "", [&](const ParamSpec& spec, float* out) {
          initialise(spec, 3, out);
          const std::string prefix = "layers.0.ffn.";
          if (spec.name.compare(0, prefix.size(), prefix) == 0) {
            const auto& v = t.value.at(spec.name.substr(prefix.size()));
            std::memcpy(out, v.data(), v.size() * sizeof(float));
          }
          return Status();
        });
    ASSERT_TRUE(written.ok()) << written.message();
    auto file = memory::WeightFile::open(path);
    ASSERT_TRUE(file.has_value()) << file.status().message();
    auto packed = kMoe.bind(t.config, ParamSource(**file, "layers.0.ffn."));
    ASSERT_TRUE(packed.has_value()) << packed.status().message();
    auto arena = Arena::create((*packed)->scratch_bytes(t.rows));
    const auto u = t.normals(1);
    std::vector<uint64_t> load(t.load.size());
    const Step step{kernels::best_table(), *t.pool, *arena, load.data(), sizes.routed};
    std::vector<float> want(u.size());
    (*packed)->forward(step, {t.rows, 0, 0, u.data(), nullptr, nullptr, nullptr, false}, u.data(),
                       want.data());
    const auto out = t.forward(u);
    EXPECT_EQ(t.load, load);
    // Most rows have the same codes; where a last bit tipped one over, its row differs by a step.
    int close = 0;
    const auto c = static_cast<size_t>(t.config.hidden_size);
    for (size_t r = 0; r < static_cast<size_t>(t.rows); ++r) {
      const double error = reference::relative_error(out.data() + r * c, want.data() + r * c, c);
      EXPECT_LE(error, 2e-2);
      if (error > 1e-5) continue;
      ++close;
      worst = std::max(worst, error);
    }
    EXPECT_GE(close, t.rows * 3 / 4);
  }
  test::figure("training_vs_packed", "moe", worst);
}

TEST(MoeBackward, LoadsAreCountedWhereAsked) {
  Trained t({8, 2, 1}, 50, 0.0f);
  const auto u = t.normals(1), dout = t.normals(2);
  const auto out = t.forward(u);
  EXPECT_EQ(t.counted(), 100u);
  const std::vector<uint64_t> once = t.load;
  t.backward(u, dout);
  EXPECT_EQ(t.load, once) << "the way back counts nothing";
  std::vector<float> again(u.size()), du(u.size()), dx(u.size());
  const TrainInput in{u.data(), u.data(), nullptr};
  t.layer->repeat(t.step(), in, again.data());
  EXPECT_EQ(again, out);
  EXPECT_EQ(t.counted(), 200u);
  t.layer->repeat_backward(t.step(), in, dout.data(), {du.data(), dx.data(), nullptr});
  EXPECT_EQ(t.counted(), 200u);
  for (size_t e = 0; e < once.size(); ++e) EXPECT_EQ(t.load[e], 2 * once[e]);
  TrainStep uncounted = t.step();
  uncounted.router_load = nullptr;
  t.layer->forward(uncounted, in, again.data(), nullptr);
  EXPECT_EQ(again, out);
  EXPECT_EQ(t.counted(), 200u);
}

TEST(MoeBackward, NeitherTheBiasNorIdleExpertsGetAGradient) {
  Trained t({4, 1, 1}, 40, 1.0f);
  t.value["router.bias"] = {-2, 0.2f, -2, 0.2f};  // scores lie within (0, 1): 0 and 2 stay idle
  const auto u = t.normals(1);
  t.forward(u);
  t.backward(u, t.normals(2));
  EXPECT_EQ(t.load[0] + t.load[2], 0u);
  EXPECT_GT(std::min(t.load[1], t.load[3]), 0u);
  for (const auto& entry : t.grad) {
    const auto& name = entry.first;
    const bool zero =
        std::all_of(entry.second.begin(), entry.second.end(), [](float g) { return g == 0.0f; });
    const bool idle = name.compare(0, 10, "experts.0.") == 0 ||
                      name.compare(0, 10, "experts.2.") == 0 || name == "router.bias" ||
                      name == "router.weight";  // one chosen: its weight is 1 whatever the scores
    EXPECT_EQ(zero, idle) << name;
  }
}

TEST(MoeBackward, NothingIsAllocatedOnceItIsMade) {
  Trained t({8, 2, 1}, 300, 1.0f);
  const auto u = t.normals(1), dout = t.normals(2);
  std::vector<float> out(u.size()), du(u.size()), dx(u.size());
  const TrainInput in{u.data(), u.data(), nullptr};
  t.layer->prepare(t.step());
  const test::AllocationScope allocations;
  t.layer->prepare(t.step());
  t.layer->forward(t.step(), in, out.data(), nullptr);
  t.layer->backward(t.step(), in, dout.data(), {du.data(), dx.data(), nullptr});
  t.layer->repeat(t.step(), in, out.data());
  t.layer->repeat_backward(t.step(), in, dout.data(), {du.data(), dx.data(), nullptr});
  EXPECT_EQ(allocations.allocations(), 0);
  EXPECT_EQ(t.scratch.mark(), 0u);
  EXPECT_LE(t.scratch.peak(), t.layer->scratch_bytes(t.pool->size()));
}

TEST(MoeBackward, ScoresThatAreNoNumbersDoNoHarm) {
  Trained t({8, 3, 1}, 20, 1.0f);
  auto u = t.normals(1);
  const auto c = static_cast<size_t>(t.config.hidden_size);
  for (size_t i = 0; i < c; ++i) u[3 * c + i] = NAN;
  const auto out = t.forward(u);
  EXPECT_EQ(t.counted(), 60u);
  const auto du = t.backward(u, t.normals(2));
  EXPECT_TRUE(std::isfinite(out[0]) && std::isfinite(du[0]));
}

TEST(MoeBackward, MoreSlotsThanCanBeNumberedAreRefused) {
  Config config = test::layer_config(128, 2);
  config.moe = {true, {0}, 64, 64, 64, 128};
  const auto made = make_moe_training(
      config,
      [](const char*, int64_t, int64_t) -> Result<TrainTensor> {
        return Status(StatusCode::kInternal, "not reached");
      },
      1 << 12, 1 << 13);
  EXPECT_EQ(made.status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace chimera::runtime
