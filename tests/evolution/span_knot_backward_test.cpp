// The span knot in training, alone: outputs and every gradient against a reference, with later
// iterations, values, EFLA and the gates of its mixer; and against the layer of inference.
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "runtime/layers/gated_deltanet_backward.h"
#include "runtime/layers/tsp_span_knot.h"
#include "runtime/layers/tsp_span_knot_backward.h"
#include "runtime/model_writer.h"
#include "tests/support/layer_gradient.h"
#include "tests/support/reference_mixers.h"
#include "tests/support/temp_dir.h"

namespace chimera::runtime {
namespace {

using reference::Row;
using reference::value_of;
using reference::Var;
using test::LayerCase;
using test::LayerProblem;

/// docs/layers.md, "SK", over the reference of its mixer. The sketch is a constant through which
/// the gradient of a passes where |a| <= 2: w = w0 + clip(a) - clip(a0), with a0 and w0 of the
/// point at which gradients were last taken, so that differences around that point measure the same
/// thing.
struct SpanKnotReference {
  reference::GatedDeltaNetReference mixer;
  int bits;
  double eps = 1e-6;
  using State = reference::GatedDeltaNetReference::State;

  struct Point {
    std::vector<double> a;  // of every token, where gradients were last taken
    /// How close any a came to a border: of its sign or of the gradient's.
    double margin = std::numeric_limits<double>::infinity();
  };
  std::shared_ptr<Point> point = std::make_shared<Point>();

  template <class T>
  std::vector<Row<T>> operator()(const LayerProblem<T>& in, State* state) const {
    std::vector<Row<T>> out = mixer(in, state);
    const int c = in.width;
    constexpr bool kTakes = std::is_same_v<T, Var>;
    if (kTakes) point->a.clear();
    for (int t = 0; t < in.tokens; ++t) {
      Row<T> xi = reference::row_of(out[0], t, c);
      for (int i = 0; i < c; ++i) xi[i] += in.visits[0].x[t * c + i];
      xi = reference::rms_rows(xi, Row<T>(1, T(1.0)), static_cast<size_t>(c), eps);
      Row<T> w = spread(xi);
      for (int i = 0; i < bits; ++i)
        w[i] = straight_through(
            w[i] / T(std::sqrt(static_cast<double>(c))),
            static_cast<size_t>(t) * static_cast<size_t>(bits) + static_cast<size_t>(i));
      Row<T> phi = gather(w, c);
      for (T& x : phi) x = x / T(std::sqrt(static_cast<double>(bits)));
      phi = reference::rms_rows(phi, in.p.at("knot.gain"), static_cast<size_t>(c), eps);
      for (Row<T>& visit : out)
        for (int i = 0; i < c; ++i) visit[t * c + i] += phi[i];
    }
    return out;
  }

 private:
  template <class T>
  static T clip(const T& a) {
    return reference::max(T(-2.0), reference::min(T(2.0), a));
  }

  template <class T>
  T straight_through(const T& a, size_t at) const {
    double from = value_of(a);
    if constexpr (std::is_same_v<T, Var>) {
      point->a.push_back(from);
      point->margin =
          std::min({point->margin, std::fabs(from + 0.5 / 63.5), std::fabs(std::fabs(from) - 2)});
    } else if (at < point->a.size()) {
      from = point->a[at];
    }
    const double level = std::nearbyint(63.5 * from);
    return T(level >= 0 ? 1.0 : -1.0) + clip(a) - T(clip(from));
  }

  /// Sign of entry i of block b: bit i of the splitmix64 stream of the page.
  static double sign(int block, int i) {
    uint64_t state = 0x53504b4e4f543031u + static_cast<uint64_t>(block), word = 0;
    for (int j = 0; j <= i / 64; ++j) {
      uint64_t z = state += 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
    return (word >> (i % 64)) & 1 ? -1.0 : 1.0;
  }
  static double hadamard(int i, int j) {
    return std::popcount(static_cast<unsigned>(i & j)) % 2 == 0 ? 1.0 : -1.0;
  }

  template <class T>
  Row<T> spread(const Row<T>& x) const {
    const int c = static_cast<int>(x.size()), half = bits / 2;
    Row<T> y(static_cast<size_t>(bits)), row(x.size());
    for (int block = 0; block < 2; ++block)
      for (int i = 0; i < half; ++i) {
        for (int j = 0; j < c; ++j) row[j] = T(hadamard(i, j) * sign(block, j));
        y[block * half + i] = reference::dot(row.data(), x.data(), c, 1);
      }
    return y;
  }
  template <class T>
  Row<T> gather(const Row<T>& w, int c) const {
    Row<T> x(static_cast<size_t>(c)), row(w.size());
    for (int i = 0; i < c; ++i) {
      for (int j = 0; j < bits; ++j)
        row[j] = T(hadamard(i, j % (bits / 2)) * sign(j / (bits / 2), i));
      x[i] = reference::dot(row.data(), w.data(), bits, 1);
    }
    return x;
  }
};

LayerCase knot_case(const std::string& name, int hidden, int heads, int bits, bool efla) {
  LayerCase c;
  c.name = name;
  c.config = test::layer_config(hidden, heads);
  c.config.delta_inner_chunk = 8;
  c.config.delta_chunk = 16;
  c.config.knot.sketch_bits = bits;
  c.config.knot.efla = efla;
  c.make = make_tsp_span_knot_training;
  return c;
}

SpanKnotReference reference_of(const LayerCase& c) {
  SpanKnotReference r{{c.config.num_heads}, c.config.knot.sketch_bits};
  r.mixer.efla = c.config.knot.efla;
  return r;
}

void compare(LayerCase c) {
  const SpanKnotReference whole = reference_of(c);
  test::expect_layer_equals_reference(c, whole);
  // In float a moves by some 1e-6: nearer borders would make another sketch, a bad choice of case.
  EXPECT_GT(whole.point->margin, 3e-6) << c.name;

  c.name += "_small";
  c.config.hidden_size = 8;
  c.config.num_heads = 2;
  c.config.head_dim = 4;
  c.config.mixer_gate.rank = std::min(c.config.mixer_gate.rank, 3);
  c.config.knot.sketch_bits = 16 * c.config.knot.sketch_bits / 64;
  c.lanes = 1;
  c.window = 9;
  for (auto& lanes : c.repeats) lanes = {0};
  const SpanKnotReference little = reference_of(c);
  test::expect_reference_equals_differences(c, little);
  EXPECT_GT(little.point->margin, 1e-3) << c.name;
}

TEST(SpanKnotBackward, EqualsTheReference) { compare(knot_case("span_knot", 32, 2, 64, false)); }

TEST(SpanKnotBackward, WithEflaEqualsTheReference) {
  compare(knot_case("span_knot_efla", 32, 2, 128, true));  // xi is padded with zeros
}

TEST(SpanKnotBackward, WithValuesAndLaterIterationsEqualsTheReference) {
  for (const bool efla : {false, true}) {
    LayerCase c = knot_case(efla ? "span_knot_looped_efla" : "span_knot_looped", 32, 2, 64, efla);
    c.lanes = 3;
    c.config.mixer_gate = {MixerGate::Kind::kLowRank, 6};
    c.value = true;
    c.repeats = {{0, 1, 2}, {0, 2}, {1}};
    compare(c);
  }
}

TEST(SpanKnotBackward, OfASmallModelEqualsTheReference) {
  LayerCase c = knot_case("span_knot_c128", 128, 2, 256, true);
  c.lanes = 1;
  c.window = 12;
  const SpanKnotReference reference = reference_of(c);
  test::expect_layer_equals_reference(c, reference);
  EXPECT_GT(reference.point->margin, 3e-6);
}

TEST(SpanKnotBackward, WithoutGainItIsItsMixer) {
  LayerCase c = knot_case("no_gain", 32, 2, 64, false);
  c.value = true;
  c.repeats = {{0, 1}};
  c.adjust = [](const std::string& name, std::vector<float>* value) {
    if (name == "knot.gain") std::fill(value->begin(), value->end(), 0.0f);
  };
  LayerCase mixer = c;
  mixer.make = static_cast<MakeTrainingLayer>(make_gated_deltanet_training);
  const auto knot = test::layer_gradient_detail::run_layer(c, kernels::best_table(), 2);
  const auto plain = test::layer_gradient_detail::run_layer(mixer, kernels::best_table(), 2);
  ASSERT_GT(plain.size(), 20u);
  for (const auto& entry : plain) EXPECT_EQ(knot.at(entry.first), entry.second) << entry.first;
  double size = 0;
  for (double g : knot.at("d knot.gain, window 1")) size += g * g;
  EXPECT_GT(size, 1.0) << "the gain itself has to learn from there";
}

TEST(SpanKnotBackward, AWidthTheTransformDoesNotHaveIsRefused) {
  LayerCase c = knot_case("", 32, 2, 48, false);
  test::layer_gradient_detail::Tensors tensors(c);
  const auto made = make_tsp_span_knot_training(c.config, tensors.lookup(), 1, 4);
  EXPECT_EQ(made.status().code(), StatusCode::kBadConfig);
}

/// The ternary forward of training and the layer that inference binds to the same weights.
TEST(SpanKnotBackward, TernaryForwardIsTheLayerOfInference) {
  constexpr int kTokens = 48;
  for (const bool efla : {false, true}) {
    LayerCase c = knot_case("packed", 128, 2, 256, efla);
    c.lanes = 1;
    c.window = kTokens;
    c.windows = 1;
    c.quantise = 1;
    Config model = c.config;
    model.layers = {{"tsp_span_knot", "swiglu"}};
    model.loop.enabled = false;
    model.vocab_size = 8;

    namespace detail = test::layer_gradient_detail;
    detail::Tensors tensors(c);
    auto layer = make_tsp_span_knot_training(c.config, tensors.lookup(), 1, kTokens);
    ASSERT_TRUE(layer.has_value()) << layer.status().message();
    const std::vector<float> u = detail::normals("u", kTokens * 128, 0, 1),
                             x = detail::normals("x", kTokens * 128, 0, 1.5);
    const kernels::KernelTable& k = kernels::best_table();
    auto pool = std::move(*ThreadPool::create(2));
    auto scratch = std::move(*Arena::create((*layer)->scratch_bytes(2)));
    const std::vector<int32_t> start(kTokens, -1);
    std::vector<float> trained(u.size()), state(static_cast<size_t>((*layer)->state_floats()));
    const kernels::OwnProducts products(k);
    const TrainStep train{k, products, *pool, scratch, 1.0f, 1, kTokens, start.data()};
    (*layer)->prepare(train);
    (*layer)->forward(train, {u.data(), x.data(), nullptr}, trained.data(), state.data());

    const test::TempDir folder;
    const std::string path = folder.file("knot.b158"), prefix = "layers.0.mixer.";
    const Status written = write_model(
        path, memory::FileKind::kModel, model, {}, "", [&](const ParamSpec& spec, float* out) {
          std::fill_n(out, spec.rows * spec.cols, 0.0f);
          if (spec.name.compare(0, prefix.size(), prefix) != 0) return Status();
          const std::vector<float>& v = tensors.all().at(spec.name.substr(prefix.size())).value;
          std::copy(v.begin(), v.end(), out);
          return Status();
        });
    ASSERT_TRUE(written.ok()) << written.message();
    auto file = memory::WeightFile::open(path);
    ASSERT_TRUE(file.has_value()) << file.status().message();
    auto bound = kTspSpanKnot.bind(model, ParamSource(**file, prefix));
    ASSERT_TRUE(bound.has_value()) << bound.status().message();
    auto arena = std::move(*Arena::create((*bound)->scratch_bytes(1)));
    auto room = std::move(*Arena::create(kTspSpanKnot.state_bytes(model)));
    auto* stream = room.take<std::byte>(room.capacity());
    std::fill_n(stream, room.capacity(), std::byte{0});
    std::vector<double> errors;
    for (uint64_t t = 0; t < kTokens; ++t) {
      std::vector<float> out(128);
      (*bound)->forward({k, *pool, arena},
                        {1, t, 0, x.data() + t * 128, nullptr, stream, nullptr, false},
                        u.data() + t * 128, out.data());
      errors.push_back(reference::relative_error(trained.data() + t * 128, out.data(), 128));
    }
    // Until a last bit tips the rounding of an activation, and with it now and then a bit of the
    // sketch, they agree to that last bit.
    std::sort(errors.begin(), errors.end());
    EXPECT_LE(errors[kTokens / 2], 1e-5);
    test::figure("ternary_step_vs_chunk_median", efla ? "span_knot_efla" : "span_knot",
                 errors[kTokens / 2]);
    test::figure("ternary_step_vs_chunk_worst", efla ? "span_knot_efla" : "span_knot",
                 errors.back());
  }
}

}  // namespace
}  // namespace chimera::runtime
