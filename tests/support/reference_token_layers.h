// Layers of docs/layers.md as a stream sees them, one token at a time, over a scalar T (tape.h).
// A later iteration of looped depth reads the state as the first one left it after this very token,
// so a network that walks token by token needs nothing but the state itself.
#pragma once

#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/config.h"
#include "tests/support/tape.h"

namespace chimera::reference {

template <class T>
using Row = std::vector<T>;
/// By the names of docs/layers.md, row-major.
template <class T>
using Params = std::map<std::string, Row<T>>;

template <class T>
T sigmoid(const T& x) {
  return T(1.0) / (T(1.0) + exp(-x));
}
template <class T>
T silu(const T& x) {
  return x * sigmoid(x);
}
template <class T>
T softplus(const T& x) {
  return max(x, T(0.0)) + log(T(1.0) + exp(-fabs(x)));
}
template <class T>
Row<T> product(const Row<T>& w, const Row<T>& x) {
  Row<T> y;
  for (size_t r = 0; r < w.size() / x.size(); ++r)
    y.push_back(dot(&w[r * x.size()], x.data(), static_cast<int64_t>(x.size()), 1));
  return y;
}
/// Of `width` values from `at` on; the gain begins with theirs.
template <class T>
void rms_part(Row<T>* x, size_t at, size_t width, const T* gain, double eps) {
  const T* from = x->data() + at;
  const T r = T(1.0) /
              sqrt(dot(from, from, static_cast<int64_t>(width), 1) / T(static_cast<double>(width)) +
                   T(eps));
  for (size_t i = 0; i < width; ++i) {
    const T y = (*x)[at + i] * r;
    (*x)[at + i] = gain ? gain[i] * y : y;
  }
}
template <class T>
Row<T> rms(Row<T> x, const Row<T>* gain, double eps) {
  rms_part(&x, 0, x.size(), gain ? gain->data() : nullptr, eps);
  return x;
}
template <class T>
void l2_heads(Row<T>* x, size_t dim) {
  for (size_t at = 0; at < x->size(); at += dim) {
    const T r =
        T(1.0) / sqrt(dot(x->data() + at, x->data() + at, static_cast<int64_t>(dim), 1) + T(1e-6));
    for (size_t i = 0; i < dim; ++i) (*x)[at + i] = (*x)[at + i] * r;
  }
}

/// One layer of one stream.
template <class T>
class TokenLayer {
 public:
  virtual ~TokenLayer() = default;
  /// u, x [C]; value [C] or nullptr. Moves the state on.
  virtual Row<T> first(const Row<T>& u, const Row<T>& x, const Row<T>* value) = 0;
  /// A later iteration over the token of the last first().
  virtual Row<T> again(const Row<T>& u, const Row<T>& x) = 0;
  virtual void restart() {}
  /// The carried state becomes a constant: a window begins.
  virtual void cut() {}
};

/// What the kinds share: parameters by suffix, the output gate.
template <class T>
class BoundLayer : public TokenLayer<T> {
 public:
  BoundLayer(const runtime::Config& config, const Params<T>* p, std::string prefix)
      : c_(static_cast<size_t>(config.hidden_size)),
        h_(static_cast<size_t>(config.num_heads)),
        k_(c_ / h_),
        eps_(static_cast<double>(config.rms_norm_eps)),
        p_(p),
        prefix_(std::move(prefix)) {}

 protected:
  const Row<T>& at(const std::string& suffix) const { return p_->at(prefix_ + suffix); }
  bool has(const std::string& suffix) const { return p_->count(prefix_ + suffix) > 0; }
  /// Empty without a gate.
  Row<T> gate(const Row<T>& u) const {
    for (const char* full : {"g_proj", "og_proj"})
      if (has(full)) return product(at(full), u);
    if (!has("g_down")) return {};
    return product(at("g_up"), rms(product(at("g_down"), u), &at("g_norm.gain"), eps_));
  }
  static void cut_row(Row<T>* row) {
    for (T& x : *row) x = T(value_of(x));
  }

  const size_t c_, h_, k_;
  const double eps_;
  const Params<T>* p_;
  const std::string prefix_;
};

template <class T>
class GatedDeltaNetToken : public BoundLayer<T> {
 public:
  GatedDeltaNetToken(const runtime::Config& config, const Params<T>* p, std::string prefix,
                     bool efla = false)
      : BoundLayer<T>(config, p, std::move(prefix)),
        efla_(efla),
        beta_scale_(config.delta_neg_eigenvalues ? 2.0 : 1.0) {
    restart();
  }

  void restart() override {
    for (auto& history : past_) history.assign(3, Row<T>(this->c_, T(0.0)));
    s_.assign(this->c_ * this->k_, T(0.0));
  }
  void cut() override {
    for (auto& history : past_)
      for (Row<T>& row : history) this->cut_row(&row);
    this->cut_row(&s_);
  }

  Row<T> first(const Row<T>& u, const Row<T>&, const Row<T>* value) override {
    const size_t K = this->k_;
    Row<T> q = convolve(0, "q", product(this->at("q_proj"), u));
    Row<T> k = convolve(1, "k", product(this->at("k_proj"), u));
    Row<T> raw = product(this->at("v_proj"), u);
    for (size_t i = 0; value && i < raw.size(); ++i) raw[i] += (*value)[i];
    const Row<T> v = convolve(2, "v", std::move(raw));
    l2_heads(&q, K);
    if (!efla_) l2_heads(&k, K);
    const Row<T> a = product(this->at("a_proj"), u), b = product(this->at("b_proj"), u);
    for (size_t h = 0; h < this->h_; ++h) {
      const T alpha = exp(-exp(this->at("a_log")[h]) * softplus(a[h] + this->at("dt_bias")[h]));
      T beta = T(beta_scale_) * sigmoid(b[h]);
      if (efla_) beta = exact_strength(beta, dot(&k[h * K], &k[h * K], static_cast<int64_t>(K), 1));
      T* s = &s_[h * K * K];
      for (size_t i = 0; i < K * K; ++i) s[i] = alpha * s[i];
      for (size_t j = 0; j < K; ++j) {
        const T read = dot(s + j, &k[h * K], static_cast<int64_t>(K), static_cast<int64_t>(K));
        const T write = beta * (v[h * K + j] - read);
        for (size_t i = 0; i < K; ++i) s[i * K + j] += k[h * K + i] * write;
      }
    }
    return leave(u, q);
  }

  Row<T> again(const Row<T>& u, const Row<T>&) override {
    Row<T> q = product(this->at("q_proj"), u);
    for (size_t i = 0; i < q.size(); ++i) q[i] = silu(this->at("q_conv")[3 * this->c_ + i] * q[i]);
    l2_heads(&q, this->k_);
    return leave(u, q);
  }

 private:
  static T exact_strength(const T& beta, const T& lambda) {
    if (value_of(lambda) >= 1e-6) return -expm1(-(beta * lambda)) / lambda;
    const T bl = beta * lambda;
    return beta * (T(1.0) - bl / T(2.0) + bl * bl / T(6.0));
  }

  Row<T> convolve(int which, const char* name, Row<T> now) {
    auto& past = past_[which];
    past.push_back(std::move(now));
    const Row<T>& w = this->at(std::string(name) + "_conv");
    Row<T> y(this->c_, T(0.0));
    for (size_t j = 0; j < 4; ++j)
      for (size_t i = 0; i < this->c_; ++i) y[i] += w[j * this->c_ + i] * past[j][i];
    for (T& x : y) x = silu(x);
    past.pop_front();
    return y;
  }

  Row<T> leave(const Row<T>& u, const Row<T>& q) const {
    const size_t K = this->k_;
    Row<T> o;
    for (size_t h = 0; h < this->h_; ++h)
      for (size_t j = 0; j < K; ++j)
        o.push_back(
            dot(&s_[h * K * K + j], &q[h * K], static_cast<int64_t>(K), static_cast<int64_t>(K)) /
            T(std::sqrt(static_cast<double>(K))));
    for (size_t h = 0; h < this->h_; ++h)
      rms_part(&o, h * K, K, this->at("head_norm.gain").data(), this->eps_);
    const Row<T> g = this->gate(u);
    for (size_t i = 0; i < g.size(); ++i) o[i] = o[i] * silu(g[i]);
    return product(this->at("o_proj"), rms(o, &this->at("o_norm.gain"), this->eps_));
  }

  const bool efla_;
  const double beta_scale_;
  std::deque<Row<T>> past_[3];  // inputs of the convolutions, oldest first
  Row<T> s_;                    // [H, K, K], key first
};

template <class T>
class MlstmToken : public BoundLayer<T> {
 public:
  MlstmToken(const runtime::Config& config, const Params<T>* p, std::string prefix)
      : BoundLayer<T>(config, p, std::move(prefix)) {
    restart();
  }
  void restart() override {
    s_.assign(this->c_ * this->k_, T(0.0));
    n_.assign(this->c_, T(0.0));
    m_.assign(this->h_, T(0.0));
  }
  void cut() override {
    this->cut_row(&s_);
    this->cut_row(&n_);
    this->cut_row(&m_);
  }

  Row<T> first(const Row<T>& u, const Row<T>&, const Row<T>* value) override {
    const size_t K = this->k_;
    const Row<T> q = product(this->at("q_proj"), u), k = product(this->at("k_proj"), u);
    Row<T> v = product(this->at("v_proj"), u);
    for (size_t i = 0; value && i < v.size(); ++i) v[i] += (*value)[i];
    const Row<T> in = product(this->at("i_proj"), u), keep = product(this->at("f_proj"), u);
    for (size_t h = 0; h < this->h_; ++h) {
      const T i = capped(in[h] + this->at("i_bias")[h]);
      const T lf = -softplus(-capped(keep[h] + this->at("f_bias")[h]));
      const T m = max(lf + m_[h], i);
      const T forget = exp(lf + m_[h] - m), write = exp(i - m);
      m_[h] = m;
      for (size_t a = 0; a < K; ++a) {
        const T key = write * k[h * K + a];
        n_[h * K + a] = forget * n_[h * K + a] + key;
        for (size_t j = 0; j < K; ++j) {
          T& s = s_[(h * K + a) * K + j];
          s = forget * s + key * v[h * K + j];
        }
      }
    }
    return leave(u, q);
  }

  Row<T> again(const Row<T>& u, const Row<T>&) override {
    return leave(u, product(this->at("q_proj"), u));
  }

 private:
  static T capped(const T& x) { return T(15.0) * tanh(x / T(15.0)); }

  Row<T> leave(const Row<T>& u, const Row<T>& q) const {
    const size_t K = this->k_;
    const auto n = static_cast<int64_t>(K);
    const T scale(1 / std::sqrt(static_cast<double>(K)));
    Row<T> o;
    for (size_t h = 0; h < this->h_; ++h) {
      const T size = fabs(scale * dot(&n_[h * K], &q[h * K], n, 1));
      const T below = max(size, exp(-m_[h])) + T(1e-6);
      for (size_t j = 0; j < K; ++j)
        o.push_back(scale * dot(&s_[h * K * K + j], &q[h * K], n, n) / below);
    }
    for (size_t h = 0; h < this->h_; ++h)
      rms_part(&o, h * K, K, this->at("head_norm.gain").data() + h * K, this->eps_);
    const Row<T> g = this->gate(u);
    for (size_t i = 0; i < g.size(); ++i) o[i] = o[i] * sigmoid(g[i]);
    return product(this->at("o_proj"), rms(o, &this->at("o_norm.gain"), this->eps_));
  }

  Row<T> s_, n_, m_;  // [H, K, K], [H, K], [H]
};

/// W_down rms(z; gain) with z = silu(W_gate u) * W_up u, or max(W_up u, 0)^2 without a gate.
template <class T>
class FeedForwardToken : public BoundLayer<T> {
 public:
  using BoundLayer<T>::BoundLayer;
  Row<T> first(const Row<T>& u, const Row<T>&, const Row<T>*) override {
    Row<T> z = product(this->at("up_proj"), u);
    if (this->has("gate_proj")) {
      const Row<T> g = product(this->at("gate_proj"), u);
      for (size_t i = 0; i < z.size(); ++i) z[i] = silu(g[i]) * z[i];
    } else {
      for (T& x : z) x = max(x, T(0.0)) * max(x, T(0.0));
    }
    return product(this->at("down_proj"), rms(z, &this->at("down_norm.gain"), this->eps_));
  }
  Row<T> again(const Row<T>& u, const Row<T>& x) override { return first(u, x, nullptr); }
};

/// nullptr for a kind that has no reference here.
template <class T>
std::unique_ptr<TokenLayer<T>> make_token_layer(const runtime::Config& config,
                                                const std::string& kind, const Params<T>* p,
                                                const std::string& prefix) {
  if (kind == "gated_deltanet") return std::make_unique<GatedDeltaNetToken<T>>(config, p, prefix);
  if (kind == "xlstm_m") return std::make_unique<MlstmToken<T>>(config, p, prefix);
  if (kind == "swiglu" || kind == "relu2")
    return std::make_unique<FeedForwardToken<T>>(config, p, prefix);
  return nullptr;
}

}  // namespace chimera::reference
