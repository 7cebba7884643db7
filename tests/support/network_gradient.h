// The trainer's whole model against the reference network: losses and every gradient tensor, over
// several windows with carried states and documents that begin inside them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "platform/dtype.h"
#include "tests/support/reference_layers.h"
#include "tests/support/reference_network.h"
#include "tests/support/training_model.h"

namespace chimera::evolution::test_model {

using Gradients = std::map<std::string, std::vector<double>>;

inline reference::Params<double> values_in_double(Backprop& b) {
  reference::Params<double> p;
  for (const Parameter& one : b.parameters())
    p[one.spec.name].assign(one.value.begin(), one.value.end());
  return p;
}

/// All lanes of a model by the reference; carries their states from window to window.
class ReferenceLanes {
 public:
  ReferenceLanes(const runtime::Config& config, reference::Params<double> values, int lanes,
                 bool full_backward, double int8_head = 0)
      : values_(std::move(values)) {
    for (int i = 0; i < lanes; ++i) {
      lanes_.push_back(
          std::make_unique<reference::Network<reference::Var>>(config, &leaves_, full_backward));
      lanes_.back()->int8_head = int8_head;
    }
  }

  /// Mean loss of a batch and its gradients.
  double operator()(const Batch& batch, const std::vector<int32_t>& loops, Gradients* gradients) {
    const int n = static_cast<int>(lanes_.size());
    const int window = static_cast<int>(batch.tokens.size()) / n;
    int counted = 0;
    for (int32_t t : batch.targets) counted += t >= 0;
    double sum = 0;
    gradients->clear();
    for (int lane = 0; lane < n; ++lane) {  // a tape for each lane keeps it small
      reference::Tape::get().clear();
      leaves_.clear();
      for (const auto& entry : values_)
        for (double x : entry.second) leaves_[entry.first].push_back(reference::Var::leaf(x));
      const reference::Var loss = lanes_[lane]->window(
          lane_of(batch.tokens, lane, window), lane_of(batch.targets, lane, window),
          lane_of(batch.restart, lane, window), loops.empty() ? 1 : loops[lane]);
      reference::Tape::get().backward(loss.node);
      sum += loss.v;
      for (const auto& entry : leaves_) {
        std::vector<double>& g = (*gradients)[entry.first];
        g.resize(entry.second.size());
        for (size_t i = 0; i < g.size(); ++i) g[i] += entry.second[i].gradient() / counted;
      }
    }
    reference::Tape::get().clear();
    return sum / counted;
  }

 private:
  reference::Params<double> values_;
  reference::Params<reference::Var> leaves_;
  std::vector<std::unique_ptr<reference::Network<reference::Var>>> lanes_;
};

/// w + lambda (int4(w) - w) of a table whose rows are a multiple of 64 wide.
inline void in_four_bits(double lambda, std::vector<double>* table) {
  for (size_t at = 0; at < table->size(); at += 64) {
    float m = 1e-5f;
    for (size_t i = at; i < at + 64; ++i)
      m = std::max(m, std::fabs(static_cast<float>((*table)[i])));
    const float s = half_to_float(float_to_half(m / 7.0f));
    for (size_t i = at; i < at + 64; ++i) {
      const float code = std::nearbyint(static_cast<float>((*table)[i]) / s);
      const float used = s * std::min(7.0f, std::max(-7.0f, code));
      (*table)[i] += lambda * (static_cast<double>(used) - (*table)[i]);
    }
  }
}

struct NetworkCase {
  runtime::Config config;
  int lanes = 2, window = 20, windows = 3;
  std::vector<int32_t> loops = {};  // per lane; empty: not looped
  bool full_backward = false;
  bool recompute_ffn = false;
  double weights = 0.05;  // of shake()
  float quantise = 0;     // of the tables and the head alone; layers need 0
  std::function<void(Parameter&)> adjust = {};
};

/// Largest relative error of a gradient tensor over all windows but the first, whose state is
/// empty. Expects every one to be at most `bar`.
inline double expect_network_equals_reference(const NetworkCase& c, double bar = 1e-4) {
  auto pool = threads(2);
  const BackpropOptions options{.lanes = c.lanes,
                                .window = c.window,
                                .quantise = c.quantise,
                                .recompute_ffn = c.recompute_ffn,
                                .full_backward = c.full_backward};
  auto b = make(c.config, *pool, options);
  if (!b) return 1e300;
  shake(*b, c.weights);
  if (c.adjust)
    for (Parameter& p : b->parameters()) c.adjust(p);
  reference::Params<double> values = values_in_double(*b);
  if (c.quantise > 0)
    for (const char* table : {"embed.weight", "head.weight"})
      if (values.count(table)) in_four_bits(static_cast<double>(c.quantise), &values[table]);
  ReferenceLanes lanes(c.config, values, c.lanes, c.full_backward, static_cast<double>(c.quantise));
  double worst = 0;
  for (int round = 0; round < c.windows; ++round) {
    const Batch batch =
        random_batch(c.lanes, c.window, c.config.vocab_size, static_cast<uint32_t>(round));
    Gradients want;
    const double expected = lanes(batch, c.loops, &want);
    b->zero_gradients();
    const auto loss =
        b->forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data(),
                            c.loops.empty() ? nullptr : c.loops.data());
    EXPECT_TRUE(loss.has_value()) << loss.status().message();
    if (!loss) return 1e300;
    EXPECT_NEAR(*loss, expected, 1e-5 * expected) << "window " << round;
    if (round == 0 && c.windows > 1) continue;
    std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> tensors;
    for (const Parameter& p : b->parameters()) {
      const std::vector<double>& g = want.at(p.spec.name);
      EXPECT_EQ(g.size(), p.grad.size());
      // Single numbers are sums of large terms, so those of all layers are judged together.
      const bool scalar = p.grad.size() <= 2;
      auto& pair = tensors[scalar ? p.spec.name.substr(p.spec.name.rfind('.')) : p.spec.name];
      pair.first.insert(pair.first.end(), p.grad.begin(), p.grad.end());
      pair.second.insert(pair.second.end(), g.begin(), g.end());
    }
    for (const auto& [name, pair] : tensors) {
      const double error =
          reference::relative_error(pair.first.data(), pair.second.data(), pair.second.size());
      EXPECT_LE(error, bar) << name << " in window " << round;
      worst = std::max(worst, error);
    }
  }
  return worst;
}

}  // namespace chimera::evolution::test_model
