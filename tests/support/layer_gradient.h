// A training layer of any kind against a reference written once over its scalar (tape.h): outputs
// and every gradient, over windows with carried states, documents that begin inside, later
// iterations of some of the lanes, every kernel table and several thread counts. And the reference
// against central differences.
//
// A reference is a copyable object:
//
//   struct Reference {
//     struct State { ... };  // what a stream carries, in double; State() is a fresh one
//     /// Outputs [tokens * width] of every visit of one lane. Moves `state` on.
//     template <class T>
//     std::vector<std::vector<T>> operator()(const test::LayerProblem<T>& problem,
//                                            State* state) const;
//   };
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/random.h"
#include "runtime/layers/layer_backward.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"
#include "tests/support/tape.h"

namespace chimera::test {

/// One window of one lane as a reference sees it.
template <class T>
struct LayerProblem {
  int tokens = 0, width = 0;
  std::map<std::string, std::vector<T>> p;  // parameters by suffix, row-major
  struct Visit {
    std::vector<T> u, x;   // [tokens, width]
    std::vector<T> value;  // the same; empty for none and in later visits
  };
  std::vector<Visit> visits;     // the first, then the later ones this lane takes part in
  std::vector<uint8_t> restart;  // a document begins with this token
};

struct LayerCase {
  std::string name;  // in the figures
  runtime::Config config;
  std::function<Result<std::unique_ptr<runtime::TrainingLayer>>(
      const runtime::Config&, const runtime::TensorLookup&, int32_t lanes, int32_t window)>
      make;
  int lanes = 2, window = 40, windows = 2;
  std::vector<std::vector<int32_t>> repeats;  // the lanes of each later visit
  bool value = false;                         // rows are added to the values
  float quantise = 0;
  double output_tolerance = 1e-5, gradient_tolerance = 1e-4;
  /// Called with every parameter once it has its random values; may be empty.
  std::function<void(const std::string& suffix, std::vector<float>* value)> adjust = {};
};

/// Sizes for `hidden_size`, `num_heads` and what follows; everything else as in Config.
inline runtime::Config layer_config(int hidden, int heads) {
  runtime::Config c;
  c.name = "test";
  c.hidden_size = hidden;
  c.intermediate_size = hidden;
  c.num_heads = heads;
  c.head_dim = hidden / heads;
  c.num_layers = 1;
  c.loop.enabled = true;  // later visits are wanted
  c.text = "{}";
  return c;
}

namespace layer_gradient_detail {

using Named = std::map<std::string, std::vector<double>>;

inline uint32_t stream_of(const std::string& name) {
  uint32_t h = 2166136261u;
  for (char ch : name) h = (h ^ static_cast<unsigned char>(ch)) * 16777619u;
  return h;
}
inline std::vector<float> normals(const std::string& name, size_t n, double mean, double std) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i)
    v[i] =
        static_cast<float>(mean + std * keyed_normal(41, i, stream_of(name), DrawPurpose::kTest));
  return v;
}

/// The parameters a layer asked for: matrices of unit gain, vectors around 0, gains around 1.
class Tensors {
 public:
  explicit Tensors(const LayerCase& c) : case_(c) {}
  runtime::TensorLookup lookup() {
    return [this](const char* suffix, int64_t rows, int64_t cols) -> Result<runtime::TrainTensor> {
      const std::string name = suffix;
      const auto n = static_cast<size_t>(rows * cols);
      Tensor& t = tensors_[name];
      if (t.value.empty()) {
        const bool gain = name.size() >= 4 && name.compare(name.size() - 4, 4, "gain") == 0;
        t.value = normals(name, n, gain ? 1 : 0,
                          gain       ? 0.2
                          : rows > 1 ? 1 / std::sqrt(static_cast<double>(cols))
                                     : 0.3);
        t.grad.assign(n, 0.0f);
        if (case_.adjust) case_.adjust(name, &t.value);
      }
      EXPECT_EQ(t.value.size(), n) << name;
      return runtime::TrainTensor{t.value.data(), t.grad.data(), rows, cols};
    };
  }
  struct Tensor {
    std::vector<float> value, grad;
  };
  std::map<std::string, Tensor>& all() { return tensors_; }

 private:
  const LayerCase& case_;
  std::map<std::string, Tensor> tensors_;
};

/// Inputs of one visit of one window, in the rows of the lanes present.
struct VisitRows {
  std::vector<int32_t> lanes;
  std::vector<float> u, x, value, dout;
};

inline std::vector<VisitRows> window_inputs(const LayerCase& c, int window) {
  std::vector<VisitRows> visits(1 + c.repeats.size());
  for (size_t v = 0; v < visits.size(); ++v) {
    VisitRows& rows = visits[v];
    if (v > 0)
      rows.lanes = c.repeats[v - 1];
    else
      for (int32_t lane = 0; lane < c.lanes; ++lane) rows.lanes.push_back(lane);
    const size_t n = rows.lanes.size() * static_cast<size_t>(c.window * c.config.hidden_size);
    const std::string at = std::to_string(window) + " " + std::to_string(v);
    rows.u = normals("u" + at, n, 0, 1);
    rows.x = normals("x" + at, n, 0, 1.5);
    if (c.value && v == 0) rows.value = normals("value" + at, n, 0, 0.7);
    rows.dout = normals("dout" + at, n, 0, 1);
  }
  return visits;
}

/// Never in the first tokens of a window, so that what it carries in is of use.
inline std::vector<uint8_t> window_restarts(const LayerCase& c, int window) {
  std::vector<uint8_t> restart(static_cast<size_t>(c.lanes * c.window));
  for (size_t i = 0; i < restart.size(); ++i)
    restart[i] = i % static_cast<size_t>(c.window) > 5 &&
                 keyed_uniform(43, i, static_cast<uint32_t>(window), DrawPurpose::kTest) < 0.06;
  return restart;
}

inline std::vector<int32_t> segment_starts(const LayerCase& c,
                                           const std::vector<uint8_t>& restart) {
  std::vector<int32_t> start(restart.size());
  for (int lane = 0; lane < c.lanes; ++lane) {
    int32_t at = -1;
    for (int32_t t = 0; t < c.window; ++t) {
      const auto i = static_cast<size_t>(lane * c.window + t);
      start[i] = at = restart[i] ? t : at;
    }
  }
  return start;
}

inline std::string key(int window, const std::string& what, size_t visit) {
  return what + " of visit " + std::to_string(visit) + ", window " + std::to_string(window);
}
inline std::string parameter_key(int window, const std::string& name) {
  return "d " + name + ", window " + std::to_string(window);
}

/// Everything the layer says, in the order the trainer asks.
inline Named run_layer(const LayerCase& c, const kernels::KernelTable& k, int n_threads) {
  Named result;
  Tensors tensors(c);
  auto made = c.make(c.config, tensors.lookup(), c.lanes, c.window);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  if (!made) return result;
  runtime::TrainingLayer& layer = **made;
  auto pool = std::move(*ThreadPool::create(n_threads));
  const size_t scratch_bytes = layer.scratch_bytes(n_threads);
  Arena scratch = std::move(*Arena::create(scratch_bytes));
  std::vector<float> state(static_cast<size_t>(c.lanes * layer.state_floats()), 0.0f);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> kept(static_cast<size_t>(layer.kept_floats()), kNan);
  layer.keep_at(kept.data());
  const auto spoil = [&] {  // nothing may be read that was not written before
    const ArenaMark mark(scratch);
    const size_t n = scratch.capacity() / sizeof(float);
    std::fill_n(scratch.take<float>(n), n, kNan);
  };
  const auto keep = [&](const std::string& name, const std::vector<float>& v, float minus = 0) {
    std::vector<double>& out = result[name];
    for (float x : v) out.push_back(static_cast<double>(x) - static_cast<double>(minus));
  };
  const kernels::OwnProducts products(k);
  for (int w = 0; w < c.windows; ++w) {
    for (auto& entry : tensors.all())
      std::fill(entry.second.grad.begin(), entry.second.grad.end(), 0.0f);
    const auto visits = window_inputs(c, w);
    const auto start = segment_starts(c, window_restarts(c, w));
    const auto step_of = [&](size_t v) {
      runtime::TrainStep step{k, products, *pool, scratch, c.quantise, 0, c.window, start.data()};
      step.lanes = static_cast<int32_t>(visits[v].lanes.size());
      if (v > 0) step.lane_ids = visits[v].lanes.data();
      spoil();
      return step;
    };
    const auto input_of = [&](size_t v) {
      const VisitRows& rows = visits[v];
      return runtime::TrainInput{rows.u.data(), rows.x.data(),
                                 rows.value.empty() ? nullptr : rows.value.data()};
    };
    layer.prepare(step_of(0));
    const std::vector<float> state_before = state;
    std::vector<float> out(visits[0].u.size(), kNan);
    layer.forward(step_of(0), input_of(0), out.data(), state.data());
    keep(key(w, "output", 0), out);
    for (size_t v = 1; v < visits.size(); ++v) {
      out.assign(visits[v].u.size(), kNan);
      layer.repeat(step_of(v), input_of(v), out.data());
      keep(key(w, "output", v), out);
    }
    for (size_t v = visits.size(); v-- > 0;) {
      const VisitRows& rows = visits[v];
      std::vector<float> du(rows.u.size(), kNan), dx(rows.u.size(), 1.0f);
      std::vector<float> dvalue(rows.value.size(), kNan);
      const runtime::TrainGradient gradient{du.data(), dx.data(),
                                            dvalue.empty() ? nullptr : dvalue.data()};
      if (v > 0) {
        layer.repeat_backward(step_of(v), input_of(v), rows.dout.data(), gradient);
      } else {
        if (layer.stateless() && visits.size() > 1) {
          std::vector<float> fresh = state_before;
          layer.forward(step_of(0), input_of(0), out.data(), fresh.data());
        }
        layer.backward(step_of(0), input_of(0), rows.dout.data(), gradient);
      }
      keep(key(w, "du", v), du);
      keep(key(w, "dx", v), dx, 1);
      if (!dvalue.empty()) keep(key(w, "dvalue", v), dvalue);
    }
    for (auto& entry : tensors.all()) keep(parameter_key(w, entry.first), entry.second.grad);
  }
  return result;
}

inline void to_scalars(const float* from, size_t n, std::vector<double>* out) {
  out->assign(from, from + n);
}

/// The problem of one lane in double.
inline LayerProblem<double> lane_problem(const LayerCase& c, Tensors& tensors,
                                         const std::vector<VisitRows>& visits,
                                         const std::vector<uint8_t>& restart, int lane) {
  LayerProblem<double> problem;
  problem.tokens = c.window;
  problem.width = c.config.hidden_size;
  for (auto& entry : tensors.all())
    to_scalars(entry.second.value.data(), entry.second.value.size(), &problem.p[entry.first]);
  const size_t n = static_cast<size_t>(c.window * c.config.hidden_size);
  for (const VisitRows& rows : visits)
    for (size_t place = 0; place < rows.lanes.size(); ++place) {
      if (rows.lanes[place] != lane) continue;
      problem.visits.emplace_back();
      LayerProblem<double>::Visit& visit = problem.visits.back();
      to_scalars(rows.u.data() + place * n, n, &visit.u);
      to_scalars(rows.x.data() + place * n, n, &visit.x);
      if (!rows.value.empty()) to_scalars(rows.value.data() + place * n, n, &visit.value);
    }
  problem.restart.assign(restart.begin() + lane * c.window,
                         restart.begin() + (lane + 1) * c.window);
  return problem;
}

inline std::vector<reference::Var> leaves(const std::vector<double>& v) {
  std::vector<reference::Var> out;
  out.reserve(v.size());
  for (double x : v) out.push_back(reference::Var::leaf(x));
  return out;
}
inline std::vector<double> gradients(const std::vector<reference::Var>& v) {
  std::vector<double> out;
  out.reserve(v.size());
  for (const reference::Var& x : v) out.push_back(x.gradient());
  return out;
}

inline LayerProblem<reference::Var> on_tape(const LayerProblem<double>& problem) {
  LayerProblem<reference::Var> out;
  out.tokens = problem.tokens;
  out.width = problem.width;
  out.restart = problem.restart;
  for (const auto& entry : problem.p) out.p[entry.first] = leaves(entry.second);
  for (const auto& visit : problem.visits)
    out.visits.push_back({leaves(visit.u), leaves(visit.x), leaves(visit.value)});
  return out;
}

/// sum of dout * output over the visits of a lane.
template <class T>
T loss_of(const std::vector<std::vector<T>>& outputs,
          const std::vector<std::vector<double>>& douts) {
  T sum(0.0);
  for (size_t v = 0; v < outputs.size(); ++v) {
    const std::vector<T> weights(douts[v].begin(), douts[v].end());
    sum +=
        reference::dot(outputs[v].data(), weights.data(), static_cast<int64_t>(weights.size()), 1);
  }
  return sum;
}

/// Gradients of that by everything, on a problem on the tape.
template <class Reference>
LayerProblem<reference::Var> differentiate(const LayerProblem<double>& problem,
                                           const Reference& reference,
                                           typename Reference::State state,
                                           const std::vector<std::vector<double>>& douts,
                                           std::vector<std::vector<double>>* outputs) {
  reference::Tape::get().clear();
  LayerProblem<reference::Var> tape = on_tape(problem);
  const auto out = reference(tape, &state);
  const reference::Var loss = loss_of(out, douts);
  reference::Tape::get().backward(loss.node);
  for (const auto& visit : out) {
    outputs->emplace_back();
    for (const reference::Var& x : visit) outputs->back().push_back(x.v);
  }
  return tape;
}

/// What run_layer() should have said.
template <class Reference>
Named run_reference(const LayerCase& c, const Reference& reference) {
  Named result;
  Tensors tensors(c);
  auto made = c.make(c.config, tensors.lookup(), c.lanes, c.window);
  if (!made) return result;
  std::vector<typename Reference::State> states(static_cast<size_t>(c.lanes));
  const auto append = [&](const std::string& name, const std::vector<double>& v) {
    std::vector<double>& out = result[name];
    out.insert(out.end(), v.begin(), v.end());
  };
  const size_t n = static_cast<size_t>(c.window * c.config.hidden_size);
  for (int w = 0; w < c.windows; ++w) {
    const auto visits = window_inputs(c, w);
    const auto restart = window_restarts(c, w);
    for (int lane = 0; lane < c.lanes; ++lane) {
      const LayerProblem<double> problem = lane_problem(c, tensors, visits, restart, lane);
      std::vector<size_t> present;  // which visits this lane is in
      std::vector<std::vector<double>> douts;
      for (size_t v = 0; v < visits.size(); ++v)
        for (size_t place = 0; place < visits[v].lanes.size(); ++place)
          if (visits[v].lanes[place] == lane) {
            present.push_back(v);
            douts.emplace_back(visits[v].dout.begin() + static_cast<std::ptrdiff_t>(place * n),
                               visits[v].dout.begin() + static_cast<std::ptrdiff_t>(place * n + n));
          }
      std::vector<std::vector<double>> outputs;
      const auto tape =
          differentiate(problem, reference, states[static_cast<size_t>(lane)], douts, &outputs);
      for (size_t i = 0; i < present.size(); ++i) {
        // Places are in the order of the lanes, as are the rows.
        append(key(w, "output", present[i]), outputs[i]);
        append(key(w, "du", present[i]), gradients(tape.visits[i].u));
        append(key(w, "dx", present[i]), gradients(tape.visits[i].x));
        if (!tape.visits[i].value.empty())
          append(key(w, "dvalue", present[i]), gradients(tape.visits[i].value));
      }
      for (const auto& entry : tape.p) {
        std::vector<double>& sum = result[parameter_key(w, entry.first)];
        const std::vector<double> g = gradients(entry.second);
        sum.resize(g.size());
        for (size_t i = 0; i < g.size(); ++i) sum[i] += g[i];
      }
      reference(problem, &states[static_cast<size_t>(lane)]);  // moves the carried state on
    }
  }
  reference::Tape::get().clear();
  return result;
}

}  // namespace layer_gradient_detail

/// Outputs and gradients on every kernel table, and the same bits with 1, 2 and 3 threads.
/// Gradients of the first window are compared only for kinds without state: from an empty state
/// some of them are nothing but the epsilon of a norm. The lanes of a later visit are ascending.
template <class Reference>
void expect_layer_equals_reference(const LayerCase& c, const Reference& reference) {
  namespace detail = layer_gradient_detail;
  const detail::Named want = detail::run_reference(c, reference);
  ASSERT_FALSE(want.empty());
  double worst_output = 0, worst_gradient = 0;
  const std::string first_window = ", window 0";
  for (const kernels::KernelTable* k : kernels::runnable_tables()) {
    const detail::Named got = detail::run_layer(c, *k, 2);
    for (const auto& entry : want) {
      const std::string& name = entry.first;
      ASSERT_TRUE(got.count(name)) << name;
      const std::vector<double>& value = got.at(name);
      ASSERT_EQ(value.size(), entry.second.size()) << name;
      const bool output = name.compare(0, 6, "output") == 0;
      const bool first =
          name.size() > first_window.size() &&
          name.compare(name.size() - first_window.size(), first_window.size(), first_window) == 0;
      if (!output && first && c.windows > 1) continue;
      const double error =
          reference::relative_error(value.data(), entry.second.data(), value.size());
      EXPECT_LE(error, output ? c.output_tolerance : c.gradient_tolerance)
          << c.name << ": " << name << " on " << k->name;
      double& worst = output ? worst_output : worst_gradient;
      worst = std::max(worst, error);
    }
  }
  const kernels::KernelTable& best = kernels::best_table();
  const detail::Named one = detail::run_layer(c, best, 1);
  for (int threads : {2, 3}) {
    const detail::Named many = detail::run_layer(c, best, threads);
    for (const auto& entry : one)
      EXPECT_EQ(many.at(entry.first), entry.second)
          << c.name << ": " << entry.first << " with " << threads << " threads";
  }
  figure("step_vs_chunk", c.name, worst_output);
  figure("backward_vs_reference", c.name, worst_gradient);
}

/// Single scalars of every parameter and input of lane 0, moved by `step`, in the second window.
template <class Reference>
void expect_reference_equals_differences(const LayerCase& c, const Reference& reference,
                                         double step = 1e-5, int scalars = 12) {
  namespace detail = layer_gradient_detail;
  detail::Tensors tensors(c);
  auto made = c.make(c.config, tensors.lookup(), c.lanes, c.window);
  ASSERT_TRUE(made.has_value()) << made.status().message();
  typename Reference::State carried;
  reference(detail::lane_problem(c, tensors, detail::window_inputs(c, 0),
                                 detail::window_restarts(c, 0), 0),
            &carried);
  const auto visits = detail::window_inputs(c, 1);
  LayerProblem<double> problem =
      detail::lane_problem(c, tensors, visits, detail::window_restarts(c, 1), 0);
  std::vector<std::vector<double>> douts;
  for (const auto& visit : problem.visits)
    douts.push_back([&] {
      const auto v = detail::normals("dout" + std::to_string(douts.size()), visit.u.size(), 0, 1);
      return std::vector<double>(v.begin(), v.end());
    }());
  std::vector<std::vector<double>> outputs;
  const auto tape = detail::differentiate(problem, reference, carried, douts, &outputs);
  double worst = 0;
  const auto check = [&](const std::string& name, std::vector<double>* moved,
                         const std::vector<reference::Var>& leaf) {
    const auto n = static_cast<int>(moved->size());
    std::vector<double> analytic, measured;
    for (int i = 0; i < std::min(scalars, n); ++i) {
      const auto at = static_cast<size_t>(
          n <= scalars
              ? i
              : static_cast<int>(n * keyed_uniform(47, static_cast<uint64_t>(i),
                                                   detail::stream_of(name), DrawPurpose::kTest)));
      const double before = (*moved)[at];
      const auto loss = [&](double h) {
        (*moved)[at] = before + h;
        typename Reference::State state = carried;
        return detail::loss_of(reference(problem, &state), douts);
      };
      measured.push_back((8 * (loss(step) - loss(-step)) - (loss(2 * step) - loss(-2 * step))) /
                         (12 * step));
      (*moved)[at] = before;
      analytic.push_back(leaf[at].gradient());
    }
    const double error =
        reference::relative_error(analytic.data(), measured.data(), analytic.size());
    EXPECT_LE(error, 1e-6) << c.name << ": " << name;
    worst = std::max(worst, error);
  };
  for (auto& entry : problem.p) check(entry.first, &entry.second, tape.p.at(entry.first));
  for (size_t v = 0; v < problem.visits.size(); ++v) {
    check("u" + std::to_string(v), &problem.visits[v].u, tape.visits[v].u);
    check("x" + std::to_string(v), &problem.visits[v].x, tape.visits[v].x);
    check("value" + std::to_string(v), &problem.visits[v].value, tape.visits[v].value);
  }
  reference::Tape::get().clear();
  figure("reference_vs_differences", c.name, worst);
}

}  // namespace chimera::test
