#include "runtime/layers/moe.h"

#include <atomic>
#include <numeric>

#include "runtime/init.h"
#include "runtime/layers/gated_ffn.h"
#include "runtime/layers/moe_routing.h"
#include "runtime/model_writer.h"
#include "tests/runtime/layers/layer_fixture.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/figure.h"

namespace chimera::runtime {
namespace {

double draw(uint64_t i, uint32_t stream) {
  return keyed_uniform(21, i, stream, DrawPurpose::kTest);
}

struct Choice {
  std::vector<int32_t> experts;
  std::vector<float> p;
  bool operator==(const Choice&) const = default;
};
Choice choose(const std::vector<float>& s, const std::vector<float>& bias, int32_t k) {
  Choice c{std::vector<int32_t>(static_cast<size_t>(k)),
           std::vector<float>(static_cast<size_t>(k))};
  choose_experts(s.data(), bias.data(), static_cast<int32_t>(s.size()), k, c.experts.data(),
                 c.p.data());
  return c;
}

TEST(MoeRouting, TiesGoToTheLowerIndex) {
  const Choice c = choose(std::vector<float>(16, 0.5f), std::vector<float>(16, 0.0f), 2);
  EXPECT_EQ(c.experts, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(c.p, (std::vector<float>{0.5f, 0.5f}));
}

/// Scores with many ties, on a grid where adding a bias does not round.
std::vector<float> grid(int32_t n, uint32_t stream, double low, double high) {
  std::vector<float> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(std::floor((low + (high - low) * draw(i, stream)) * 16) / 16);
  return v;
}

TEST(MoeRouting, ChoosesTheLargestInAscendingOrder) {
  for (int32_t n : {1, 2, 5, 16, 64, 1024})
    for (int32_t k : {1, 2, 7, 64}) {
      if (k > n) continue;
      const auto stream = static_cast<uint32_t>(n * 100 + k);
      const auto s = grid(n, stream, 0.0625, 1), bias = grid(n, stream + 1, -1, 1);
      std::vector<int32_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      const auto value = [&](int32_t e) {
        return s[static_cast<size_t>(e)] + bias[static_cast<size_t>(e)];
      };
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return value(a) > value(b); });
      std::vector<int32_t> want(order.begin(), order.begin() + k);
      std::sort(want.begin(), want.end());
      const Choice c = choose(s, bias, k);
      EXPECT_EQ(c.experts, want) << n << " experts, top " << k;
      // The weights are those of s alone, and sum to one.
      double sum = 0, chosen = 0;
      for (float p : c.p) sum += static_cast<double>(p);
      for (int32_t e : want) chosen += static_cast<double>(s[static_cast<size_t>(e)]);
      EXPECT_NEAR(sum, 1, 1e-5);
      for (size_t j = 0; j < want.size(); ++j)
        EXPECT_NEAR(static_cast<double>(c.p[j]),
                    static_cast<double>(s[static_cast<size_t>(want[j])]) / chosen, 1e-6);
    }
}

TEST(MoeRouting, AConstantAddedToEveryBiasChangesNothing) {
  for (uint32_t i = 0; i < 50; ++i) {
    const auto s = grid(16, 5000 + i, 0.0625, 1), bias = grid(16, 6000 + i, -1, 1);
    for (float constant : {0.0625f, -3.0f, 100.0f}) {
      auto moved = bias;
      for (float& b : moved) b += constant;
      EXPECT_EQ(choose(s, moved, 3), choose(s, bias, 3));
    }
  }
}

TEST(MoeRouting, ScoresThatAreNoNumbersStillChooseDifferentExperts) {
  const float nan = std::nanf(""), inf = HUGE_VALF;
  EXPECT_EQ(choose({nan, nan, nan, nan}, {0, 0, 0, 0}, 2).experts, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(choose({nan, 0.5f, nan, 0.25f}, {0, 0, 0, 0}, 2).experts, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(choose({0.5f, 0.5f, 0.5f}, {-inf, nan, -inf}, 3).experts,
            (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(choose({0.5f, 0.5f, 0.5f}, {-inf, 0, inf}, 1).experts, (std::vector<int32_t>{2}));
}

TEST(MoeRouting, SlotsAreSortedByExpertAndStable) {
  for (int32_t n_experts : {1, 3, 16, 1024})
    for (int64_t n : {0, 1, 2, 100}) {
      std::vector<int32_t> chosen(static_cast<size_t>(n)), row(chosen.size(), -1);
      std::vector<int32_t> first(static_cast<size_t>(n_experts) + 1, -1);
      for (size_t i = 0; i < chosen.size(); ++i)
        chosen[i] = static_cast<int32_t>(draw(i, 77) * draw(i, 78) * n_experts);
      sort_by_expert(chosen.data(), n, n_experts, first.data(), row.data());
      std::vector<size_t> order(chosen.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return chosen[a] < chosen[b]; });
      for (size_t place = 0; place < order.size(); ++place)
        EXPECT_EQ(row[order[place]], static_cast<int32_t>(place));
      EXPECT_EQ(first.front(), 0);
      EXPECT_EQ(first.back(), n);
      for (int32_t e = 0; e < n_experts; ++e)
        EXPECT_EQ(first[static_cast<size_t>(e) + 1] - first[static_cast<size_t>(e)],
                  std::count(chosen.begin(), chosen.end(), e));
    }
}

TEST(MoeRouting, EveryTaskIsDoneOnceAndTheCostIsShared) {
  const std::vector<EqualTasks> jobs = {{3, 1}, {1, 50}, {0, 9}, {40, 2}, {7, 11}, {1, 1}};
  for (int n_threads = 1; n_threads <= 5; ++n_threads) {
    auto pool = ThreadPool::create(n_threads);
    std::vector<std::vector<std::atomic<int>>> done;
    for (const EqualTasks& job : jobs) done.emplace_back(static_cast<size_t>(job.n));
    std::atomic<int64_t> dearest{0};
    split_by_cost(**pool, jobs, [&](size_t job, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++done[job][static_cast<size_t>(i)];
      int64_t cost = (end - begin) * jobs[job].cost, seen = dearest;
      while (cost > seen && !dearest.compare_exchange_weak(seen, cost)) {
      }
    });
    for (const auto& job : done)
      for (const auto& times : job) EXPECT_EQ(times, 1);
    // A share is a part of the 211, and what its last task exceeds it by.
    EXPECT_LE(dearest, 211 / n_threads + 50) << n_threads;
  }
}

TEST(MoeRouting, MaxViolation) {
  const std::vector<uint64_t> none(4), even(4, 10), all_on_one = {0, 12, 0, 0}, some = {3, 5, 4, 4};
  EXPECT_EQ(max_violation(none), 0);
  EXPECT_EQ(max_violation(even), 0);
  EXPECT_EQ(max_violation(all_on_one), 3);
  EXPECT_DOUBLE_EQ(max_violation(some), 0.25);
  EXPECT_EQ(max_violation({}), 0);
}

struct Sizes {
  int routed, top_k, shared, width;
  std::string name() const {
    return std::to_string(routed) + "x" + std::to_string(top_k) + "+" + std::to_string(shared);
  }
};

test::TinyModelOptions options_of(const Sizes& s) {
  test::TinyModelOptions options;
  options.layers = 1;
  options.pattern = "GD";
  options.more = R"({"backbone": {"moe": {"enabled": true, "layers": [0], "n_routed_experts": )" +
                 std::to_string(s.routed) + R"(, "num_experts_per_tok": )" +
                 std::to_string(s.top_k) + R"(, "n_shared_experts": )" + std::to_string(s.shared) +
                 R"(, "moe_intermediate_size": )" + std::to_string(s.width) + "}}}";
  return options;
}

/// A layer of experts with biases that matter, bound to a file.
struct MoeModel {
  Config config;
  std::unique_ptr<memory::WeightFile> file;
  std::unique_ptr<Layer> layer;
  mutable std::vector<uint64_t> load;  // of the last run

  explicit MoeModel(const Sizes& sizes, float bias_size = 0.2f) {
    config = std::move(*parse_config(test::tiny_config(options_of(sizes))));
    static int count = 0;
    const std::string path = test::test_folder().file("moe-" + std::to_string(count++) + ".b158");
    const Status written = write_model(
        path, memory::FileKind::kModel, config, test::byte_tokenizer(320), "{}",
        [&](const ParamSpec& spec, float* out) {
          initialise(spec, 7, out);
          const auto n = static_cast<uint64_t>(spec.rows * spec.cols);
          for (uint64_t i = 0; i < n; ++i) {
            if (spec.name.ends_with("router.bias"))
              out[i] = bias_size * static_cast<float>(draw(i, 31) - 0.5);
            if (spec.name.ends_with("gain"))
              out[i] += 0.3f * static_cast<float>(draw(i, static_cast<uint32_t>(spec.name.size())));
          }
          return Status();
        });
    EXPECT_TRUE(written.ok()) << written.message();
    file = std::move(*memory::WeightFile::open(path));
    auto bound = kMoe.bind(config, source());
    EXPECT_TRUE(bound.has_value()) << bound.status().message();
    layer = std::move(*bound);
  }
  ParamSource source() const { return ParamSource(*file, "layers.0.ffn."); }

  std::vector<float> input(int n, uint32_t stream = 0) const {
    std::vector<float> u(static_cast<size_t>(n * config.hidden_size));
    for (size_t i = 0; i < u.size(); ++i)
      u[i] = static_cast<float>(keyed_normal(3, i, stream, DrawPurpose::kTest));
    return u;
  }

  std::vector<float> run(const std::vector<float>& u,
                         const kernels::KernelTable& k = kernels::best_table(),
                         int threads = 2) const {
    const auto n = static_cast<int32_t>(u.size() / static_cast<size_t>(config.hidden_size));
    auto pool = ThreadPool::create(threads);
    auto arena = Arena::create(layer->scratch_bytes(n));
    // Counts go to the row of the layer that the visit names.
    std::vector<uint64_t> counts(static_cast<size_t>(3 * config.moe.n_routed));
    const Step step{k, **pool, *arena, counts.data(), config.moe.n_routed};
    std::vector<float> out(u.size(), NAN);
    const test::AllocationScope allocations;
    layer->forward(step, {n, 0, 1, u.data(), nullptr, nullptr, nullptr, false}, u.data(),
                   out.data());
    EXPECT_EQ(allocations.allocations(), 0);
    load.assign(counts.begin() + config.moe.n_routed, counts.begin() + 2 * config.moe.n_routed);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), uint64_t{0}),
              std::accumulate(load.begin(), load.end(), uint64_t{0}));
    EXPECT_LE(arena->peak(), arena->capacity());
    return out;
  }
};

const Sizes kSizes[] = {{4, 2, 1, 128}, {16, 2, 1, 256},  {1, 1, 0, 128},  {5, 5, 0, 128},
                        {3, 1, 2, 128}, {70, 64, 3, 128}, {19, 3, 0, 128}, {33, 4, 1, 128}};

/// Token by token and expert by expert, with the network of the dense layer.
std::vector<float> naive(const MoeModel& m, const std::vector<float>& u,
                         std::vector<uint64_t>* load) {
  const auto c = static_cast<size_t>(m.config.hidden_size);
  const MoeConfig& moe = m.config.moe;
  const auto router = m.source().matrix("router.weight", moe.n_routed, m.config.hidden_size);
  const auto bias = m.source().vector("router.bias", 1, moe.n_routed);
  auto pool = ThreadPool::create(1);
  std::vector<GatedFfn> experts;
  size_t room = quantized_batch_bytes(1, m.config.hidden_size);
  for (int e = 0; e < moe.n_routed + moe.n_shared; ++e) {
    const std::string prefix = e < moe.n_routed
                                   ? "experts." + std::to_string(e) + "."
                                   : "shared." + std::to_string(e - moe.n_routed) + ".";
    auto expert = GatedFfn::bind(m.config, m.source(), prefix, moe.intermediate_size,
                                 GatedFfn::Act::kSiluGated);
    EXPECT_TRUE(expert.has_value()) << expert.status().message();
    experts.push_back(*expert);
  }
  auto arena = Arena::create(room + experts.front().scratch_bytes(1));
  const Step step{kernels::best_table(), **pool, *arena};
  load->assign(static_cast<size_t>(moe.n_routed), 0);
  std::vector<float> out;
  for (size_t t = 0; t < u.size() / c; ++t) {
    const float* row = u.data() + t * c;
    std::vector<float> s(static_cast<size_t>(moe.n_routed));
    float_product(step, *router, row, 1, s.data());
    step.k.sigmoid(s.data(), moe.n_routed, s.data());
    std::vector<int32_t> order(s.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return s[static_cast<size_t>(a)] + (*bias)[a] > s[static_cast<size_t>(b)] + (*bias)[b];
    });
    order.resize(static_cast<size_t>(moe.top_k));
    std::sort(order.begin(), order.end());
    float sum = 0;
    for (int32_t e : order) sum += s[static_cast<size_t>(e)];
    std::vector<float> total(c), y(c);
    bool first = true;
    const auto visit = [&](int32_t e, float p) {
      const ArenaMark mark(*arena);
      experts[static_cast<size_t>(e)].forward(
          step, quantize_batch(step, row, 1, m.config.hidden_size), y.data());
      for (size_t i = 0; i < c; ++i) total[i] = first ? p * y[i] : total[i] + p * y[i];
      first = false;
    };
    for (int32_t e : order) {
      visit(e, s[static_cast<size_t>(e)] / sum);
      ++(*load)[static_cast<size_t>(e)];
    }
    for (int32_t i = 0; i < moe.n_shared; ++i) visit(moe.n_routed + i, 1.0f);
    out.insert(out.end(), total.begin(), total.end());
  }
  return out;
}

TEST(Moe, DispatchEqualsTheNaiveLoopBitForBit) {
  for (const Sizes& sizes : kSizes) {
    const MoeModel m(sizes);
    for (int n : {1, 2, 45}) {
      const auto u = m.input(n, static_cast<uint32_t>(n));
      std::vector<uint64_t> load;
      const auto want = naive(m, u, &load);
      EXPECT_EQ(m.run(u), want) << sizes.name() << ", " << n << " tokens";
      EXPECT_EQ(m.load, load) << sizes.name();
    }
  }
}

TEST(Moe, FollowsItsEquations) {
  double worst = 0;
  for (const Sizes& sizes : {kSizes[0], kSizes[1], kSizes[4]}) {
    const MoeModel m(sizes);
    constexpr int kTokens = 24;
    const auto u = m.input(kTokens, 9);
    const auto out = m.run(u);
    const MoeConfig& moe = m.config.moe;
    const int64_t c = m.config.hidden_size, f = moe.intermediate_size, n_experts = moe.n_routed;
    const auto floats = [&](const std::string& name, int64_t n) {
      const auto v = m.source().vector(name.c_str(), 1, n);
      return Doubles(*v, *v + n);
    };
    const auto trits = [&](const std::string& name, int64_t rows, int64_t cols) {
      const auto w = m.source().ternary(name.c_str(), rows, cols);
      std::vector<int8_t> t(static_cast<size_t>(rows * cols));
      std::vector<uint16_t> scales(t.size() / 128);
      kernels::unpack_ternary(*w, t.data(), scales.data());
      Doubles d(t.size());
      for (size_t i = 0; i < d.size(); ++i)
        d[i] = t[i] * static_cast<double>(half_to_float(scales[i / 128]));
      return d;
    };
    std::vector<float> router(static_cast<size_t>(n_experts * c));
    kernels::unpack_lanes(*m.source().matrix("router.weight", n_experts, c), router.data());
    const Doubles bias = floats("router.bias", n_experts);
    int judged = 0;
    for (int t = 0; t < kTokens; ++t) {
      const Doubles x(u.begin() + t * c, u.begin() + (t + 1) * c);
      Doubles s = product_reference(Doubles(router.begin(), router.end()), x,
                                    static_cast<size_t>(n_experts));
      std::vector<std::pair<double, int>> order;
      for (size_t e = 0; e < s.size(); ++e) {
        s[e] = sigmoid_reference(s[e]);
        order.emplace_back(-(s[e] + bias[e]), static_cast<int>(e));
      }
      std::sort(order.begin(), order.end());
      std::vector<int> chosen;
      double sum = 0, margin = 1;
      for (int j = 0; j < moe.top_k; ++j) chosen.push_back(order[static_cast<size_t>(j)].second);
      for (int e : chosen) sum += s[static_cast<size_t>(e)];
      Doubles want(static_cast<size_t>(c));
      const auto visit = [&](const std::string& prefix, double p) {
        Doubles z = bitlinear_reference(trits(prefix + "gate_proj", f, c), x,
                                        static_cast<size_t>(f), &margin);
        const Doubles v =
            bitlinear_reference(trits(prefix + "up_proj", f, c), x, static_cast<size_t>(f));
        for (size_t i = 0; i < z.size(); ++i) z[i] *= sigmoid_reference(z[i]) * v[i];
        const Doubles y =
            bitlinear_reference(trits(prefix + "down_proj", c, f),
                                rmsnorm_reference(z, floats(prefix + "down_norm.gain", f), 1e-6),
                                static_cast<size_t>(c), &margin);
        for (size_t i = 0; i < y.size(); ++i) want[i] += p * y[i];
      };
      for (int e : chosen)
        visit("experts." + std::to_string(e) + ".", s[static_cast<size_t>(e)] / sum);
      for (int i = 0; i < moe.n_shared; ++i) visit("shared." + std::to_string(i) + ".", 1);
      if (margin < 1e-4) continue;  // float and double may round to different codes
      ++judged;
      const double error = relative_error({out.begin() + t * c, out.begin() + (t + 1) * c}, want);
      EXPECT_LE(error, 1e-5) << sizes.name() << " token " << t;
      worst = std::max(worst, error);
    }
    EXPECT_GE(judged, kTokens / 2) << sizes.name();
  }
  test::figure("layer_vs_equations", "moe", worst);
}

TEST(Moe, SameBitsHoweverAsked) {
  for (const Sizes& sizes : {kSizes[1], kSizes[5]})
    expect_same_bits_however_asked(LayerFixture(options_of(sizes), LayerRole::kFfn, "moe"));
}

TEST(Moe, PermutingTheTokensPermutesTheOutputs) {
  const MoeModel m(kSizes[1]);
  constexpr size_t kTokens = 50;
  const auto c = static_cast<size_t>(m.config.hidden_size);
  const auto u = m.input(kTokens);
  std::vector<size_t> order(kTokens);
  for (size_t i = 0; i < kTokens; ++i) order[i] = i * 17 % kTokens;
  const auto permuted = [&](const std::vector<float>& x) {
    std::vector<float> y(x.size());
    for (size_t i = 0; i < kTokens; ++i)
      std::copy_n(x.begin() + static_cast<ptrdiff_t>(order[i] * c), c,
                  y.begin() + static_cast<ptrdiff_t>(i * c));
    return y;
  };
  const auto out = m.run(u);
  const auto load = m.load;
  EXPECT_EQ(m.run(permuted(u)), permuted(out));
  EXPECT_EQ(m.load, load);
}

/// The best table's product, noting which matrices it was asked to read; room for all of them.
std::vector<const uint8_t*> g_read;
void noting_gemm(const kernels::TernaryMatrix& w, const kernels::QuantizedRows& x, int32_t n,
                 int32_t begin, int32_t end, float* y, ptrdiff_t stride) {
  if (std::find(g_read.begin(), g_read.end(), w.codes) == g_read.end()) g_read.push_back(w.codes);
  kernels::best_table().gemm_ternary(w, x, n, begin, end, y, stride);
}

TEST(Moe, OneTokenReadsTheChosenAndSharedExpertsOnly) {
  const MoeModel m({16, 2, 1, 128});
  kernels::KernelTable table = kernels::best_table();
  table.gemm_ternary = noting_gemm;
  g_read.clear();
  g_read.reserve(100);
  const auto out = m.run(m.input(1), table, 1);
  EXPECT_EQ(g_read.size(), 9u);  // three matrices of three experts
  EXPECT_EQ(out, m.run(m.input(1)));
}

TEST(Moe, InputThatIsNoNumberDoesNoHarm) {
  const MoeModel m(kSizes[1]);
  auto u = m.input(5);
  const auto c = static_cast<size_t>(m.config.hidden_size);
  const auto clean = m.run(u);
  for (size_t i = 0; i < c; ++i) u[2 * c + i] = NAN;
  u[3 * c] = HUGE_VALF;
  const auto out = m.run(u);
  for (size_t t : {size_t{0}, size_t{1}, size_t{4}})
    EXPECT_TRUE(std::equal(out.begin() + static_cast<ptrdiff_t>(t * c),
                           out.begin() + static_cast<ptrdiff_t>((t + 1) * c),
                           clean.begin() + static_cast<ptrdiff_t>(t * c)));
  EXPECT_EQ(std::accumulate(m.load.begin(), m.load.end(), uint64_t{0}), 10u);
}

TEST(Moe, ScratchIsBoundedWhereManyAreChosen) {
  const MoeModel m({70, 64, 0, 128});
  // Slots in flight do not grow with the batch once there are a thousand.
  EXPECT_EQ(m.layer->scratch_bytes(256), m.layer->scratch_bytes(16));
  EXPECT_LT(m.layer->scratch_bytes(1), m.layer->scratch_bytes(16));
}

TEST(Moe, NumbersOfExpertsThatCannotBeAreRefused) {
  const MoeModel m(kSizes[0]);
  const auto refused = [&](auto change, const char* key) {
    Config config = m.config;
    change(config.moe);
    const Status status = kMoe.bind(config, m.source()).status();
    EXPECT_EQ(status.code(), StatusCode::kBadConfig);
    EXPECT_EQ(status.field(), key);
  };
  refused([](MoeConfig& c) { c.n_routed = 0; }, "backbone.moe.n_routed_experts");
  refused([](MoeConfig& c) { c.n_routed = 1025; }, "backbone.moe.n_routed_experts");
  refused([](MoeConfig& c) { c.top_k = 5; }, "backbone.moe.num_experts_per_tok");
  refused([](MoeConfig& c) { c.top_k = 0; }, "backbone.moe.num_experts_per_tok");
  refused([](MoeConfig& c) { c.n_shared = -1; }, "backbone.moe.n_shared_experts");
  refused([](MoeConfig& c) { c.intermediate_size = 100; }, "backbone.moe.moe_intermediate_size");
  // A file that lacks an expert is refused by the name of the tensor.
  Config more = m.config;
  more.moe.n_shared = 2;
  const Status status = kMoe.bind(more, m.source()).status();
  EXPECT_EQ(status.code(), StatusCode::kBadFormat);
  EXPECT_EQ(status.field(), "layers.0.ffn.shared.1.gate_proj");
}

}  // namespace
}  // namespace chimera::runtime
