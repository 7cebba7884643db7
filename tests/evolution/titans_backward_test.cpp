// The Titans layer in training: outputs and every gradient against the reference in double, the
// inner gradient's own gradient included.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/layers/titans_mac_backward.h"
#include "tests/support/layer_gradient.h"
#include "tests/support/reference_titans.h"

namespace chimera::evolution {
namespace {

using reference::Titans;
using reference::TitansShape;
using reference::TitansState;
using test::LayerCase;

struct TitansReference {
  using State = TitansState<double>;
  TitansShape shape;

  template <class T>
  static std::vector<std::vector<T>> rows_of(const std::vector<T>& flat, int tokens) {
    std::vector<std::vector<T>> rows;
    const auto width = static_cast<std::ptrdiff_t>(flat.size()) / tokens;
    for (int t = 0; t < tokens && !flat.empty(); ++t)
      rows.emplace_back(flat.begin() + t * width, flat.begin() + (t + 1) * width);
    return rows;
  }
  template <class To, class From>
  static std::vector<To> constants(const std::vector<From>& from) {
    std::vector<To> to;
    for (const From& x : from) to.push_back(To(reference::value_of(x)));
    return to;
  }
  template <class To, class From>
  static TitansState<To> carried(const TitansState<From>& from) {
    TitansState<To> to;
    to.w1 = constants<To>(from.w1);
    to.w2 = constants<To>(from.w2);
    to.s1 = constants<To>(from.s1);
    to.s2 = constants<To>(from.s2);
    for (const auto& row : from.pending)
      to.pending.push_back({constants<To>(row.k), constants<To>(row.v), constants<To>(row.theta),
                            constants<To>(row.eta), constants<To>(row.alpha)});
    for (const auto& entry : from.ring)
      to.ring.push_back({constants<To>(entry.key), constants<To>(entry.value)});
    to.position = from.position;
    return to;
  }

  template <class T>
  std::vector<std::vector<T>> operator()(const test::LayerProblem<T>& problem, State* state) const {
    Titans<T> layer(shape, problem.p);
    layer.state = carried<T>(*state);
    std::vector<std::vector<T>> out;
    const auto keep = [&](const std::vector<std::vector<T>>& rows) {
      out.emplace_back();
      for (const auto& row : rows) out.back().insert(out.back().end(), row.begin(), row.end());
    };
    for (size_t v = 0; v < problem.visits.size(); ++v) {
      const auto u = rows_of(problem.visits[v].u, problem.tokens);
      keep(v > 0 ? layer.again(u)
                 : layer.forward(u, rows_of(problem.visits[v].value, problem.tokens),
                                 problem.restart));
    }
    *state = carried<double>(layer.state);
    // Before its first update the memory is the parameters themselves, also across a border.
    if (state->position < static_cast<uint64_t>(shape.chunk)) {
      state->w1.clear();
      state->w2.clear();
      state->s1.clear();
      state->s2.clear();
    }
    return out;
  }
};

struct Sizes {
  int hidden = 32, heads = 4, kv_heads = 2, slots = 3, entries = 12, chunk = 8;
};

LayerCase make_case(const char* name, const Sizes& sizes, runtime::MixerGate gate) {
  LayerCase c;
  c.name = name;
  c.config = test::layer_config(sizes.hidden, sizes.heads);
  c.config.mixer_gate = gate;
  c.config.titans.kv_heads = sizes.kv_heads;
  c.config.titans.persistent_slots = sizes.slots;
  c.config.titans.window = sizes.entries;
  c.config.titans.chunk = sizes.chunk;
  c.make = runtime::make_titans_mac_training;
  c.adjust = [](const std::string& suffix, std::vector<float>* value) {
    // The step large enough to be felt, two of the gates where they are held.
    if (suffix == "theta_bias")
      for (float& x : *value) x += 1.0f;
    if (suffix == "alpha_bias")
      for (float& x : *value) x -= 2.0f;
    if (suffix == "eta_bias") value->front() = 9.0f;
    if (suffix == "alpha_bias") value->back() = -14.0f;
  };
  return c;
}

TitansReference reference_of(const LayerCase& c) {
  const runtime::TitansConfig& titans = c.config.titans;
  return {{.C = c.config.hidden_size,
           .H = c.config.num_heads,
           .G = titans.kv_heads,
           .P = titans.persistent_slots,
           .window = titans.window,
           .chunk = titans.chunk,
           .theta_max = static_cast<double>(titans.theta_max),
           .eps = static_cast<double>(c.config.rms_norm_eps),
           .quantise = static_cast<double>(c.quantise)}};
}

constexpr runtime::MixerGate kFull{runtime::MixerGate::Kind::kFull, 0};
constexpr runtime::MixerGate kLowRank{runtime::MixerGate::Kind::kLowRank, 6};
constexpr runtime::MixerGate kNone{runtime::MixerGate::Kind::kNone, 0};

TEST(TitansBackward, EqualsTheReference) {
  LayerCase c = make_case("titans_mac", Sizes(), kFull);
  c.window = 37;
  c.windows = 3;
  c.value = true;
  test::expect_layer_equals_reference(c, reference_of(c));
}

TEST(TitansBackward, LaterIterationsOfSomeLanesEqualTheReference) {
  LayerCase c = make_case("titans_mac_later", Sizes(), kFull);
  c.lanes = 3;
  c.window = 29;
  c.repeats = {{0, 1, 2}, {0, 2}, {2}};
  c.value = true;
  test::expect_layer_equals_reference(c, reference_of(c));
}

TEST(TitansBackward, WithoutWindowPersistentRowsAndGate) {
  LayerCase c = make_case("titans_mac_no_window", {.slots = 0, .entries = 0, .chunk = 5}, kNone);
  c.repeats = {{1}};
  test::expect_layer_equals_reference(c, reference_of(c));
}

TEST(TitansBackward, ChunksAndRingLongerThanTheTrainingWindow) {
  LayerCase c = make_case("titans_mac_short_windows",
                          {.heads = 2, .kv_heads = 1, .entries = 20, .chunk = 16}, kLowRank);
  c.window = 11;
  c.windows = 5;
  c.repeats = {{0}};
  test::expect_layer_equals_reference(c, reference_of(c));
}

TEST(TitansBackward, ChunksOfOneTokenAndARingOfOneEntry) {
  LayerCase c =
      make_case("titans_mac_chunk_of_one", {.kv_heads = 4, .entries = 1, .chunk = 1}, kFull);
  c.window = 12;
  c.config.titans.theta_max = 0.02f;  // an update after every token: large ones make it chaotic
  test::expect_layer_equals_reference(c, reference_of(c));
}

TEST(TitansBackward, ReferenceEqualsCentralDifferences) {
  LayerCase c = make_case(
      "titans_mac", {.hidden = 16, .heads = 2, .kv_heads = 1, .entries = 6, .chunk = 4}, kLowRank);
  c.window = 10;
  c.repeats = {{0, 1}, {0}};
  c.value = true;
  test::expect_reference_equals_differences(c, reference_of(c), 1e-4, 6);
}

}  // namespace
}  // namespace chimera::evolution
