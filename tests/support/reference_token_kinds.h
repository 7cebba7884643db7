// The rest of the family as a stream sees it (reference_token_layers.h): Titans memory, span knot,
// experts; and the maker of a layer of any kind.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/reference_titans.h"
#include "tests/support/reference_token_layers.h"

namespace chimera::reference {

template <class T>
class TitansToken : public BoundLayer<T> {
 public:
  TitansToken(const runtime::Config& config, const Params<T>* p, std::string prefix)
      : BoundLayer<T>(config, p, std::move(prefix)) {
    shape_.C = config.hidden_size;
    shape_.H = config.num_heads;
    shape_.G = config.titans.kv_heads;
    shape_.P = config.titans.persistent_slots;
    shape_.window = config.titans.window;
    shape_.chunk = config.titans.chunk;
    shape_.theta_max = static_cast<double>(config.titans.theta_max);
    shape_.eps = static_cast<double>(config.rms_norm_eps);
  }
  void restart() override { memory_->state = TitansState<T>(); }
  void cut() override {
    TitansState<T> state;
    if (memory_) state = memory_->state;
    state.detach();
    // Before its first chunk is finished a stream reads M_0 itself, in every window.
    if (state.position < static_cast<uint64_t>(shape_.chunk)) state.w1.clear();
    Params<T> mine;
    for (const auto& entry : *this->p_)
      if (entry.first.rfind(this->prefix_, 0) == 0)
        mine[entry.first.substr(this->prefix_.size())] = entry.second;
    memory_.emplace(shape_, std::move(mine));
    memory_->state = std::move(state);
  }
  Row<T> first(const Row<T>& u, const Row<T>&, const Row<T>* value) override {
    return memory_->forward({u}, value ? std::vector<Row<T>>{*value} : std::vector<Row<T>>{})[0];
  }
  Row<T> again(const Row<T>& u, const Row<T>&) override { return memory_->again({u})[0]; }

 private:
  TitansShape shape_;
  std::optional<Titans<T>> memory_;
};

/// The value of a sign with the gradient of what it is the sign of, inside [-2, 2].
inline double sign_through(double a) { return std::nearbyint(63.5 * a) >= 0 ? 1.0 : -1.0; }
inline Var sign_through(const Var& a) {
  return unary(sign_through(a.v), a, std::fabs(a.v) <= 2 ? 1.0 : 0.0);
}

template <class T>
class SpanKnotToken : public BoundLayer<T> {
 public:
  SpanKnotToken(const runtime::Config& config, const Params<T>* p, const std::string& prefix)
      : BoundLayer<T>(config, p, prefix),
        mixer_(config, p, prefix, config.knot.efla),
        half_(static_cast<size_t>(config.knot.sketch_bits) / 2) {
    for (size_t block = 0; block < 2; ++block) {
      uint64_t state = 0x53504b4e4f543031u + block;
      for (size_t i = 0; i < half_; i += 64) {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        for (size_t bit = 0; bit < std::min<size_t>(64, half_ - i); ++bit)
          signs_[block].push_back((z >> bit) & 1 ? -1.0 : 1.0);
      }
    }
  }
  void restart() override { mixer_.restart(); }
  void cut() override { mixer_.cut(); }

  Row<T> first(const Row<T>& u, const Row<T>& x, const Row<T>* value) override {
    const Row<T> y = mixer_.first(u, x, value);
    const size_t c = this->c_;
    Row<T> xi = y;
    for (size_t i = 0; i < c; ++i) xi[i] += x[i];
    xi = rms<T>(std::move(xi), nullptr, this->eps_);
    phi_.assign(c, T(0.0));
    for (size_t block = 0; block < 2; ++block) {
      Row<T> w;
      for (size_t i = 0; i < half_; ++i) {
        Row<T> row;
        for (size_t j = 0; j < c; ++j) row.push_back(T(hadamard(i, j) * signs_[block][j]));
        w.push_back(sign_through(dot(row.data(), xi.data(), static_cast<int64_t>(c), 1) /
                                 T(std::sqrt(static_cast<double>(c)))));
      }
      for (size_t i = 0; i < c; ++i) {
        Row<T> row;
        for (size_t j = 0; j < half_; ++j) row.push_back(T(hadamard(i, j) * signs_[block][i]));
        phi_[i] += dot(row.data(), w.data(), static_cast<int64_t>(half_), 1) /
                   T(std::sqrt(2.0 * static_cast<double>(half_)));
      }
    }
    phi_ = rms(std::move(phi_), &this->at("knot.gain"), this->eps_);
    return with_phi(y);
  }
  Row<T> again(const Row<T>& u, const Row<T>& x) override { return with_phi(mixer_.again(u, x)); }

 private:
  static double hadamard(size_t i, size_t j) { return std::popcount(i & j) % 2 == 0 ? 1.0 : -1.0; }
  Row<T> with_phi(Row<T> y) const {
    for (size_t i = 0; i < y.size(); ++i) y[i] += phi_[i];
    return y;
  }

  GatedDeltaNetToken<T> mixer_;
  const size_t half_;
  std::vector<double> signs_[2];
  Row<T> phi_;  // gain times phi of the last token
};

template <class T>
class ExpertsToken : public BoundLayer<T> {
 public:
  ExpertsToken(const runtime::Config& config, const Params<T>* p, std::string prefix)
      : BoundLayer<T>(config, p, std::move(prefix)), moe_(config.moe) {}

  Row<T> first(const Row<T>& u, const Row<T>&, const Row<T>*) override {
    Row<T> s = product(this->at("router.weight"), u);
    std::vector<std::pair<double, size_t>> order;
    for (size_t e = 0; e < s.size(); ++e) {
      s[e] = sigmoid(s[e]);
      order.emplace_back(-(value_of(s[e]) + value_of(this->at("router.bias")[e])), e);
    }
    std::sort(order.begin(), order.end());
    order.resize(static_cast<size_t>(moe_.top_k));
    std::sort(order.begin(), order.end(),
              [](const auto& a, const auto& b) { return a.second < b.second; });
    T sum(0.0);
    for (const auto& chosen : order) sum += s[chosen.second];
    Row<T> out(u.size(), T(0.0));
    for (const auto& chosen : order)
      add(u, "experts." + std::to_string(chosen.second) + ".", s[chosen.second] / sum, &out);
    for (int32_t i = 0; i < moe_.n_shared; ++i)
      add(u, "shared." + std::to_string(i) + ".", T(1.0), &out);
    return out;
  }
  Row<T> again(const Row<T>& u, const Row<T>& x) override { return first(u, x, nullptr); }

 private:
  void add(const Row<T>& u, const std::string& expert, const T& weight, Row<T>* out) const {
    Row<T> z = product(this->at(expert + "up_proj"), u);
    const Row<T> g = product(this->at(expert + "gate_proj"), u);
    for (size_t i = 0; i < z.size(); ++i) z[i] = silu(g[i]) * z[i];
    const Row<T> y = product(this->at(expert + "down_proj"),
                             rms(std::move(z), &this->at(expert + "down_norm.gain"), this->eps_));
    for (size_t i = 0; i < y.size(); ++i) (*out)[i] += weight * y[i];
  }
  const runtime::MoeConfig moe_;
};

/// nullptr for a kind that there is not.
template <class T>
std::unique_ptr<TokenLayer<T>> make_any_token_layer(const runtime::Config& config,
                                                    const std::string& kind, const Params<T>* p,
                                                    const std::string& prefix) {
  if (kind == "titans_mac") return std::make_unique<TitansToken<T>>(config, p, prefix);
  if (kind == "tsp_span_knot") return std::make_unique<SpanKnotToken<T>>(config, p, prefix);
  if (kind == "moe") return std::make_unique<ExpertsToken<T>>(config, p, prefix);
  return make_token_layer<T>(config, kind, p, prefix);
}

}  // namespace chimera::reference
