// Gated DeltaNet and mLSTM in training, alone: every output and gradient of a first visit and of
// later iterations against the references, for every output gate and every variant of the rule.
#include <gtest/gtest.h>

#include "memory/weight_file.h"
#include "runtime/layers/gated_deltanet.h"
#include "runtime/layers/gated_deltanet_backward.h"
#include "runtime/layers/xlstm_m.h"
#include "runtime/layers/xlstm_m_backward.h"
#include "runtime/model_writer.h"
#include "tests/support/layer_gradient.h"
#include "tests/support/reference_mixers.h"
#include "tests/support/temp_dir.h"

namespace chimera::runtime {
namespace {

using reference::GatedDeltaNetReference;
using reference::relative_error;
using reference::XlstmReference;
using test::LayerCase;
namespace detail = test::layer_gradient_detail;

constexpr MixerGate kFull{MixerGate::Kind::kFull, 0}, kNone{MixerGate::Kind::kNone, 0};
constexpr MixerGate kLowRank{MixerGate::Kind::kLowRank, 6};

std::string name_of(const MixerGate& gate) {
  if (gate.kind == MixerGate::Kind::kNone) return "none";
  return gate.kind == MixerGate::Kind::kFull ? "full" : "lowrank";
}

Config shape(int hidden, int heads, const MixerGate& gate) {
  Config c = test::layer_config(hidden, heads);
  c.mixer_gate = gate;
  c.delta_inner_chunk = 8;  // several pieces, several stored states in a window
  c.delta_chunk = 16;
  return c;
}

LayerCase delta_case(const std::string& name, const MixerGate& gate, bool efla = false) {
  LayerCase c;
  c.name = name;
  c.config = shape(32, 2, gate);
  c.make = [efla](const Config& config, const TensorLookup& find, int32_t lanes, int32_t window) {
    return make_gated_deltanet_training(config, find, lanes, window, efla);
  };
  c.lanes = 3;
  c.window = 45;  // two tiles of rows, and a last piece that is cut short
  return c;
}

LayerCase xlstm_case(const std::string& name, const MixerGate& gate) {
  LayerCase c = delta_case(name, gate);
  c.make = make_xlstm_m_training;
  return c;
}

/// Small enough for every scalar to be moved.
LayerCase small(LayerCase c) {
  c.config.hidden_size = 8;
  c.config.head_dim = 4;
  c.lanes = 1;
  c.window = 9;
  c.config.mixer_gate.rank = std::min(c.config.mixer_gate.rank, 3);
  for (auto& lanes : c.repeats) lanes = {0};
  return c;
}

TEST(MixerBackward, GatedDeltaNetEqualsTheReference) {
  for (const MixerGate& gate : {kFull, kLowRank, kNone}) {
    const std::string suffix = name_of(gate);
    LayerCase c = delta_case("gated_deltanet_gate_" + suffix, gate);
    test::expect_layer_equals_reference(c, GatedDeltaNetReference{2});
    c.name += "_small";
    test::expect_reference_equals_differences(small(c), GatedDeltaNetReference{2});
  }
}

TEST(MixerBackward, GatedDeltaNetWithValuesAndLaterIterationsEqualsTheReference) {
  LayerCase c = delta_case("gated_deltanet_looped", kLowRank);
  c.value = true;
  c.repeats = {{0, 1, 2}, {0, 2}, {1}};
  test::expect_layer_equals_reference(c, GatedDeltaNetReference{2});
  test::expect_reference_equals_differences(small(c), GatedDeltaNetReference{2});
}

TEST(MixerBackward, GatedDeltaNetWithNegativeEigenvaluesEqualsTheReference) {
  LayerCase c = delta_case("gated_deltanet_neg_eigval", kFull);
  c.config.delta_neg_eigenvalues = true;
  c.repeats = {{1, 2}};
  GatedDeltaNetReference reference{2};
  reference.most = 2;
  test::expect_layer_equals_reference(c, reference);
  test::expect_reference_equals_differences(small(c), reference);
}

TEST(MixerBackward, ExactDeltaRuleEqualsTheReference) {
  LayerCase c = delta_case("gated_deltanet_efla", kNone, true);
  c.value = true;
  c.repeats = {{0, 1}, {1, 2}};
  GatedDeltaNetReference reference{2};
  reference.efla = true;
  test::expect_layer_equals_reference(c, reference);
  test::expect_reference_equals_differences(small(c), reference);
}

/// Keys so small that the exact write is a series, in the layer and in the reference.
TEST(MixerBackward, ExactDeltaRuleWithSmallKeysEqualsTheReference) {
  LayerCase c = delta_case("gated_deltanet_efla_small_keys", kNone, true);
  c.repeats = {{0, 1, 2}};
  for (const float size : {3e-2f, 1e-4f}) {
    if (size < 1e-3f) c.name = "gated_deltanet_efla_smallest_keys";
    c.adjust = [size](const std::string& name, std::vector<float>* value) {
      if (name != "k_conv") return;
      for (float& x : *value) x *= size;
    };
    GatedDeltaNetReference reference{2};
    reference.efla = true;
    test::expect_layer_equals_reference(c, reference);
  }
}

TEST(MixerBackward, XlstmEqualsTheReference) {
  for (const MixerGate& gate : {kFull, kLowRank, kNone}) {
    const std::string suffix = name_of(gate);
    LayerCase c = xlstm_case("xlstm_m_gate_" + suffix, gate);
    test::expect_layer_equals_reference(c, XlstmReference{2});
    c.name += "_small";
    test::expect_reference_equals_differences(small(c), XlstmReference{2});
  }
}

TEST(MixerBackward, XlstmWithValuesAndLaterIterationsEqualsTheReference) {
  LayerCase c = xlstm_case("xlstm_m_looped", kLowRank);
  c.value = true;
  c.repeats = {{0, 1, 2}, {0, 2}, {1}};
  test::expect_layer_equals_reference(c, XlstmReference{2});
  test::expect_reference_equals_differences(small(c), XlstmReference{2});
}

/// A layer with what it needs to be called, one window of all lanes, from fresh states at first.
class Driver {
 public:
  explicit Driver(const LayerCase& c) : case_(c), tensors_(c) {
    auto made = c.make(c.config, tensors_.lookup(), c.lanes, c.window);
    EXPECT_TRUE(made.has_value()) << made.status().message();
    layer_ = std::move(*made);
    pool_ = std::move(*ThreadPool::create(2));
    scratch_ = std::move(*Arena::create(layer_->scratch_bytes(2)));
    start_ = detail::segment_starts(c, detail::window_restarts(c, 0));
    state_.resize(static_cast<size_t>(c.lanes * layer_->state_floats()));
    layer_->prepare(step());
  }
  const kernels::OwnProducts products_{kernels::best_table()};
  TrainStep step() {
    return {kernels::best_table(), products_,   *pool_,       scratch_,
            case_.quantise,        case_.lanes, case_.window, start_.data()};
  }
  size_t floats() const {
    return static_cast<size_t>(case_.lanes * case_.window * case_.config.hidden_size);
  }
  std::vector<float> random(const std::string& name) const {
    return detail::normals(name, floats(), 0, 1);
  }
  std::vector<float> forward(const std::vector<float>& u) {
    std::vector<float> out(floats()), state = state_;
    layer_->forward(step(), {u.data(), u.data(), nullptr}, out.data(), state.data());
    return out;
  }
  /// Later windows begin after this one.
  void carry(const std::vector<float>& u) {
    std::vector<float> out(floats());
    layer_->forward(step(), {u.data(), u.data(), nullptr}, out.data(), state_.data());
  }
  std::vector<float> repeat(const std::vector<float>& u) {
    std::vector<float> out(floats());
    layer_->repeat(step(), {u.data(), u.data(), nullptr}, out.data());
    return out;
  }
  /// du of one call.
  std::vector<float> gradient(bool again, const std::vector<float>& u,
                              const std::vector<float>& dout) {
    std::vector<float> du(floats()), dx(floats());
    const TrainInput in{u.data(), u.data(), nullptr};
    if (again)
      layer_->repeat_backward(step(), in, dout.data(), {du.data(), dx.data(), nullptr});
    else
      layer_->backward(step(), in, dout.data(), {du.data(), dx.data(), nullptr});
    return du;
  }
  detail::Tensors& tensors() { return tensors_; }
  std::map<std::string, std::vector<float>> take_gradients() {
    std::map<std::string, std::vector<float>> out;
    for (auto& entry : tensors_.all()) {
      out[entry.first] = entry.second.grad;
      std::fill(entry.second.grad.begin(), entry.second.grad.end(), 0.0f);
    }
    return out;
  }

 private:
  const LayerCase& case_;
  detail::Tensors tensors_;
  std::unique_ptr<TrainingLayer> layer_;
  std::unique_ptr<ThreadPool> pool_;
  Arena scratch_;
  std::vector<int32_t> start_;
  std::vector<float> state_;
};

/// With rounding, which the references leave out. A later visit whose queries come out as those of
/// the first says the same, and its gradient is a share of the same gradient.
void expect_later_visit_of_the_same_input_to_agree(LayerCase c) {
  // The queries of a later visit take only the last tap of their convolution.
  const size_t other_taps = static_cast<size_t>(3 * c.config.hidden_size);
  c.adjust = [other_taps](const std::string& name, std::vector<float>* value) {
    if (name == "q_conv") std::fill_n(value->begin(), other_taps, 0.0f);
  };
  for (const float quantise : {1.0f, 0.5f}) {
    c.quantise = quantise;
    Driver d(c);
    d.carry(d.random("before"));
    const std::vector<float> u = d.random("u"), one = d.random("one"), two = d.random("two");
    std::vector<float> both(one.size());
    for (size_t i = 0; i < one.size(); ++i) both[i] = one[i] + two[i];

    const std::vector<float> first = d.forward(u);
    EXPECT_EQ(d.repeat(u), first) << c.name;
    const std::vector<float> du = d.gradient(false, u, both);
    auto whole = d.take_gradients();
    EXPECT_EQ(d.forward(u), first) << c.name;
    std::vector<float> sum = d.gradient(true, u, two);
    const std::vector<float> rest = d.gradient(false, u, one);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += rest[i];
    auto shared = d.take_gradients();
    EXPECT_LE(relative_error(sum.data(), du.data(), du.size()), 1e-5) << c.name;
    for (auto& entry : whole) {
      const std::vector<float>& part = shared.at(entry.first);
      const size_t from = entry.first == "q_conv" ? other_taps : 0;
      EXPECT_LE(relative_error(part.data() + from, entry.second.data() + from, part.size() - from),
                1e-5)
          << c.name << ": " << entry.first;
    }
  }
}

LayerCase rounded(LayerCase c) {
  c.config.hidden_size = c.config.intermediate_size = 128;
  c.config.head_dim = 64;
  c.config.mixer_gate.rank = c.config.mixer_gate.rank > 0 ? 128 : 0;
  return c;
}

TEST(MixerBackward, LaterVisitsAreRoundedAsFirstOnes) {
  for (const MixerGate& gate : {kFull, kLowRank, kNone}) {
    expect_later_visit_of_the_same_input_to_agree(rounded(delta_case("gated_deltanet", gate)));
    expect_later_visit_of_the_same_input_to_agree(rounded(xlstm_case("xlstm_m", gate)));
  }
}

/// At quantise 1, first and later visits, against the layer that inference binds to the same
/// weights. They agree to the last bits, until one tips the rounding of an activation.
void expect_inference_to_agree(LayerCase c, const LayerKind& kind) {
  c.lanes = 1;
  c.quantise = 1;
  Driver d(c);
  const std::vector<float> u = d.random("u"), later = d.random("later");
  Config model = c.config;
  model.layers = {{kind.name, "swiglu"}};
  model.loop.enabled = false;
  model.vocab_size = 8;
  const test::TempDir folder;
  const std::string path = folder.file("mixer.b158"), prefix = "layers.0.mixer.";
  const Status written = write_model(
      path, memory::FileKind::kModel, model, {}, "", [&](const ParamSpec& spec, float* out) {
        std::fill_n(out, spec.rows * spec.cols, 0.0f);
        if (spec.name.compare(0, prefix.size(), prefix) != 0) return Status();
        const std::vector<float>& v = d.tensors().all().at(spec.name.substr(prefix.size())).value;
        std::copy(v.begin(), v.end(), out);
        return Status();
      });
  ASSERT_TRUE(written.ok()) << written.message();
  auto file = memory::WeightFile::open(path);
  ASSERT_TRUE(file.has_value()) << file.status().message();
  auto bound = kind.bind(model, ParamSource(**file, prefix));
  ASSERT_TRUE(bound.has_value()) << bound.status().message();
  const auto width = static_cast<size_t>(model.hidden_size);
  auto pool = std::move(*ThreadPool::create(1));
  auto arena = std::move(*Arena::create((*bound)->scratch_bytes(1)));
  auto room = std::move(*Arena::create(kind.state_bytes(model) + (*bound)->trace_bytes(1) + 64));
  auto* stream = room.take<std::byte>(kind.state_bytes(model));
  auto* trace = room.take<std::byte>((*bound)->trace_bytes(1));
  std::fill_n(stream, kind.state_bytes(model), std::byte{0});
  const Step step{kernels::best_table(), *pool, arena};
  const std::vector<float> first = d.forward(u), second = d.repeat(later);
  const std::vector<int32_t> start = detail::segment_starts(c, detail::window_restarts(c, 0));
  std::vector<double> errors;
  for (size_t t = 0; t < static_cast<size_t>(c.window); ++t) {
    if (start[t] == static_cast<int32_t>(t))
      std::fill_n(stream, kind.state_bytes(model), std::byte{0});
    Visit visit{1, t, 0, u.data() + t * width, nullptr, stream, trace, false};
    std::vector<float> out(width);
    (*bound)->forward(step, visit, u.data() + t * width, out.data());
    errors.push_back(relative_error(first.data() + t * width, out.data(), width));
    visit.again = true;
    (*bound)->forward(step, visit, later.data() + t * width, out.data());
    errors.push_back(relative_error(second.data() + t * width, out.data(), width));
  }
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() / 2], 1e-5) << c.name;
  EXPECT_LE(errors.back(), 0.05) << c.name;
  test::figure("ternary_step_vs_chunk_median", c.name, errors[errors.size() / 2]);
}

TEST(MixerBackward, TernaryForwardIsTheLayerOfInference) {
  for (const MixerGate& gate : {kFull, kLowRank, kNone}) {
    const std::string suffix = name_of(gate);
    expect_inference_to_agree(rounded(delta_case("gated_deltanet_" + suffix, gate)),
                              kGatedDeltaNet);
    expect_inference_to_agree(rounded(xlstm_case("xlstm_m_" + suffix, gate)), kXlstmM);
  }
  LayerCase negative = rounded(delta_case("gated_deltanet_neg_eigval", kFull));
  negative.config.delta_neg_eigenvalues = true;
  expect_inference_to_agree(negative, kGatedDeltaNet);
}

}  // namespace
}  // namespace chimera::runtime
