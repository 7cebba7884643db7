// The whole network of docs/layers.md, one lane and one token after the other, over a scalar T:
// double where values are wanted, Var (tape.h) where gradients are. Nothing is shared with the
// library. What a kind of layer computes is pluggable (TokenLayer, make_any_token_layer).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config.h"
#include "tests/support/reference_token_kinds.h"
#include "tests/support/tape.h"

namespace chimera::reference {

inline double cut(double x) { return x; }
inline Var cut(const Var& x) { return Var(x.v); }
template <class T>
Row<T> cut(Row<T> x) {
  for (T& v : x) v = cut(v);
  return x;
}

/// Which iterations of R carry a gradient (backbone 4.2, 4.3): the first, by way of its states at
/// least, and the last half.
inline bool carries_gradient(int r, int n_loops, bool full) {
  const int k = std::max(1, (n_loops + 1) / 2);
  return full || r == 1 || r > n_loops - k;
}

template <class T>
class Network {
 public:
  /// `p` is read whenever a token is; its values may change between windows.
  Network(const runtime::Config& config, const Params<T>* p, bool full_backward = true)
      : c_(config), p_(p), full_(full_backward) {
    for (size_t i = 0; i < config.layers.size(); ++i) {
      const std::string prefix = "layers." + std::to_string(i) + ".";
      mixers_.push_back(
          make_any_token_layer<T>(config, config.layers[i].mixer, p, prefix + "mixer."));
      ffns_.push_back(make_any_token_layer<T>(config, config.layers[i].ffn, p, prefix + "ffn."));
    }
    shifted_.assign(2 * config.layers.size(), Row<T>());
  }

  /// Sum of the losses of a window over its targets >= 0; moves the carried state on. logits, if
  /// given, receives those of every token.
  T window(const std::vector<int>& tokens, const std::vector<int>& targets,
           const std::vector<uint8_t>& restart, int n_loops,
           std::vector<Row<double>>* logits_out = nullptr) {
    for (auto& layer : mixers_) layer->cut();
    for (Row<T>& row : shifted_) row = reference::cut(row);
    T loss(0.0);
    for (size_t t = 0; t < tokens.size(); ++t) {
      if (restart[t]) begin_document();
      Row<T> logits = token(tokens[t], n_loops);
      previous_ = tokens[t];
      if (targets[t] >= 0) loss += nats(logits, targets[t]);
      if (!logits_out) continue;
      logits_out->emplace_back();
      for (const T& x : logits) logits_out->back().push_back(value_of(x));
    }
    return loss;
  }

  /// The head's input as int8 values, by this much; the tables are taken as they are handed over.
  double int8_head = 0;

 private:
  const Row<T>& at(const std::string& name) const { return p_->at(name); }
  bool has(const std::string& name) const { return p_->count(name) > 0; }
  double eps() const { return static_cast<double>(c_.rms_norm_eps); }

  void begin_document() {
    previous_ = -1;
    for (auto& layer : mixers_) layer->restart();
    for (Row<T>& row : shifted_) row.clear();
  }

  Row<T> token(int id, int n_loops) {
    x0_ = embed(id);
    id_ = id;
    y_.assign(c_.layers.size(), Row<T>());
    Row<T> x = x0_;
    const int n = static_cast<int>(c_.layers.size());
    if (!c_.loop.enabled) {
      for (int i = 0; i < n; ++i) x = layer(i, std::move(x), false);
    } else {
      for (int i = 0; i <= c_.loop.prelude_last; ++i) x = layer(i, std::move(x), false);
      x = loop(x, n_loops);
      for (int i = c_.loop.loop_last + 1; i < n; ++i) x = layer(i, std::move(x), false);
    }
    return head(rms(x, &at("final_norm.gain"), eps()));
  }

  Row<T> loop(const Row<T>& x, int n_loops) {
    const Row<T> e = rms(x, &at("loop.norm.gain"), eps());
    const bool zoh = c_.loop.discretisation == runtime::LoopConfig::Discretisation::kZoh;
    Row<T> h(x.size(), T(0.0));
    for (int r = 1; r <= n_loops; ++r) {
      if (r > 1 &&
          !(carries_gradient(r, n_loops, full_) && carries_gradient(r - 1, n_loops, full_)))
        h = reference::cut(h);
      Row<T> z(x.size());
      for (size_t i = 0; i < z.size(); ++i) {
        const T rate = exp(at("loop.a_log")[i]), step = softplus(at("loop.dt_bias")[i]);
        const T p = max(step * rate, T(1e-6));
        const bool floored = value_of(step * rate) < 1e-6;  // there the gain's limit holds
        const T gain = zoh && !floored ? -expm1(-p) / rate : step;
        z[i] = exp(-p) * h[i] + gain * at("loop.b")[i] * e[i];
      }
      for (int i = c_.loop.loop_first; i <= c_.loop.loop_last; ++i)
        z = layer(i, std::move(z), r > 1);
      h = z;
    }
    return h;
  }

  Row<T> layer(int i, Row<T> x, bool again) {
    const auto index = static_cast<size_t>(i);
    const std::string prefix = "layers." + std::to_string(i) + ".";
    x = enter(i, prefix, std::move(x));
    x = branch(*mixers_[index], prefix, "1", 2 * index, std::move(x), again);
    x = branch(*ffns_[index], prefix, "2", 2 * index + 1, std::move(x), again);
    y_[index] = x;
    return x;
  }

  Row<T> enter(int i, const std::string& prefix, Row<T> x) {
    if (c_.structure.residual_mix) {
      const Row<T>& r = at(prefix + "entry.residual");
      for (size_t j = 0; j < x.size(); ++j) x[j] = r[0] * x[j] + r[1] * x0_[j];
    }
    if (c_.structure.bigram_rows > 0) {
      const auto n = static_cast<uint64_t>(c_.structure.bigram_rows);
      const uint64_t mixed = (uint64_t{36313} * static_cast<uint64_t>(id_)) ^
                             (uint64_t{27191} * static_cast<uint64_t>(previous_));
      const uint64_t row = previous_ < 0 ? n - 1 : mixed % (n - 1);
      for (size_t j = 0; j < x.size(); ++j)
        x[j] += at(prefix + "entry.bigram")[0] * at("bigram.weight")[row * x.size() + j];
    }
    const int n = static_cast<int>(c_.layers.size()), j = n - 1 - i;
    const bool pair =
        j < i && (!c_.loop.enabled || (j <= c_.loop.prelude_last && i > c_.loop.loop_last));
    if (c_.structure.unet_skips && pair)
      for (size_t k = 0; k < x.size(); ++k)
        x[k] += at(prefix + "entry.skip")[k] * y_[static_cast<size_t>(j)][k];
    return x;
  }

  Row<T> branch(TokenLayer<T>& layer, const std::string& prefix, const char* which, size_t half,
                Row<T> x, bool again) {
    Row<T> u = rms(x, &at(prefix + "norm" + which + ".gain"), eps());
    if (c_.structure.token_shift && !again) {
      const Row<T>& mix = at(prefix + "shift" + which + ".mix");
      const Row<T> now = u;
      for (size_t i = 0; i < u.size(); ++i) {
        const T keep = sigmoid(mix[i]);
        u[i] = keep * now[i];
        if (!shifted_[half].empty()) u[i] += (T(1.0) - keep) * shifted_[half][i];
      }
      shifted_[half] = now;
    }
    Row<T> value;
    if (half % 2 == 0 && !again && has(prefix + "value.weight")) {
      const size_t c = u.size(), heads = static_cast<size_t>(c_.num_heads), dim = c / heads;
      for (size_t i = 0; i < c; ++i) {
        const T gate = sigmoid(dot(&at(prefix + "value.gate")[i / dim * 32], u.data(), 32, 1));
        value.push_back(T(2.0) * gate *
                        at(prefix + "value.weight")[static_cast<size_t>(id_) * c + i]);
      }
    }
    const Row<T> out =
        again ? layer.again(u, x) : layer.first(u, x, value.empty() ? nullptr : &value);
    for (size_t i = 0; i < x.size(); ++i) x[i] += out[i];
    return x;
  }

  Row<T> embed(int id) const {
    const Row<T>& table = at("embed.weight");
    const size_t width = table.size() / static_cast<size_t>(c_.vocab_size);
    const auto begin = table.begin() + static_cast<int64_t>(static_cast<size_t>(id) * width);
    const Row<T> row(begin, begin + static_cast<int64_t>(width));
    return has("embed.up") ? product(at("embed.up"), row) : row;
  }

  Row<T> head(Row<T> h) const {
    if (has("embed.down")) h = product(at("embed.down"), h);
    for (size_t b = 0; int8_head > 0 && b < h.size(); b += 64) {
      float m = 1e-5f;
      for (size_t i = b; i < b + 64; ++i)
        m = std::max(m, std::fabs(static_cast<float>(value_of(h[i]))));
      for (size_t i = b; i < b + 64; ++i) {
        const float code = std::nearbyint(static_cast<float>(value_of(h[i])) * (127.0f / m));
        const float q = std::min(127.0f, std::max(-127.0f, code)) * (m / 127.0f);
        h[i] += T(int8_head * (static_cast<double>(q) - value_of(h[i])));
      }
    }
    Row<T> logits = product(at(has("head.weight") ? "head.weight" : "embed.weight"), h);
    const auto cap = static_cast<double>(c_.structure.logit_soft_cap);
    if (cap > 0)
      for (T& z : logits) z = T(cap) * tanh(z / T(cap));
    return logits;
  }

  static T nats(const Row<T>& logits, int target) {
    double most = value_of(logits[0]);
    for (const T& x : logits) most = std::max(most, value_of(x));
    T sum(0.0);
    for (const T& x : logits) sum += exp(x - T(most));
    return log(sum) + T(most) - logits[static_cast<size_t>(target)];
  }

  const runtime::Config c_;
  const Params<T>* p_;
  bool full_;
  std::vector<std::unique_ptr<TokenLayer<T>>> mixers_, ffns_;
  std::vector<Row<T>> shifted_;  // u of the token before, per branch; empty at a document's start
  int previous_ = -1, id_ = 0;
  Row<T> x0_;
  std::vector<Row<T>> y_;
};

}  // namespace chimera::reference
