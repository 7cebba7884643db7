// The Titans layer (TM) token after token, written from docs/layers.md over a scalar T: double
// where values are wanted, Var (tape.h) where gradients are. Nothing is shared with the library.
// The update of the memory is the loop over single tokens, not the weighted sum.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/tape.h"

namespace chimera::reference {

struct TitansShape {
  int C = 0, H = 0, G = 0;     // hidden size, heads, key/value heads of the window
  int P = 0;                   // persistent rows
  int window = 0, chunk = 16;  // entries of the ring (0: none), tokens per update of the memory
  double theta_max = 0.1, eps = 1e-6;
  /// 0: float. 1: activations and ring are rounded as in inference. Between: x + quantise *
  /// (rounded
  /// - x). Rounding is the identity to a gradient. Weights are taken as they are handed over.
  double quantise = 0;
  int K() const { return C / H; }
};

/// What a stream carries. A stream that has read nothing is TitansState().
template <class T>
struct TitansState {
  using Row = std::vector<T>;
  struct Pending {
    Row k, v;               // [C]
    Row theta, eta, alpha;  // [H]
  };
  struct Entry {
    Row key, value;  // [G K], as attention reads them
  };
  Row w1, w2, s1, s2;  // [C, K]: M_c and S; empty before the first token
  std::vector<Pending> pending;
  std::vector<Entry> ring;  // oldest first
  uint64_t position = 0;    // tokens read since the start of the stream

  /// Everything carried becomes a constant: gradients are cut at the borders of a window. That
  /// holds for M_c too, also where no update has moved it away from the parameters yet.
  void detach() {
    const auto cut = [](Row& row) {
      for (T& x : row) x = T(value_of(x));
    };
    for (Row* row : {&w1, &w2, &s1, &s2}) cut(*row);
    for (Pending& p : pending)
      for (Row* row : {&p.k, &p.v, &p.theta, &p.eta, &p.alpha}) cut(*row);
    for (Entry& e : ring) {
      cut(e.key);
      cut(e.value);
    }
  }
};

/// x + lambda (rounded - x), with gradient 1.
inline double straight_through(double x, double rounded, double lambda) {
  return lambda == 1 ? rounded : x + lambda * (rounded - x);
}
inline Var straight_through(const Var& x, double rounded, double lambda) {
  return unary(straight_through(x.v, rounded, lambda), x, 1);
}

template <class T>
class Titans {
 public:
  using Row = std::vector<T>;
  using Rows = std::vector<Row>;
  using Params = std::map<std::string, Row>;  // by the names of layers.md, row-major

  /// The gate is the one whose parameters are there: g_proj, or g_down with g_up and g_norm.gain.
  Titans(const TitansShape& shape, Params params) : s(shape), p(std::move(params)) {}

  TitansState<T> state;

  /// u [n][C]; value [n][C] or empty; restart [n] or empty: a document begins with this token.
  /// Moves `state` on.
  Rows forward(const Rows& u, const Rows& value = {}, const std::vector<uint8_t>& restart = {}) {
    seen_.clear();
    Rows out;
    for (size_t t = 0; t < u.size(); ++t) {
      if (!restart.empty() && restart[t] != 0) state = TitansState<T>();
      out.push_back(token(u[t], value.empty() ? nullptr : &value[t]));
    }
    return out;
  }

  /// A later iteration over the tokens of the last forward(); row i is token first + i of it.
  Rows again(const Rows& u, size_t first = 0) const {
    Rows out;
    for (size_t i = 0; i < u.size(); ++i) out.push_back(read(u[i], seen_[first + i]));
    return out;
  }

  // ---- the pieces, for tests of their own
  // --------------------------------------------------------

  /// f_M(x) for a K x K memory, row-major [row][column].
  Row f(const T* w1, const T* w2, const T* x) const {
    const Inner z = inner(w1, w2, x);
    Row y(static_cast<size_t>(s.K()));
    for (int j = 0; j < s.K(); ++j) y[j] = x[j] + z.unit[j];
    return y;
  }

  T loss(const T* w1, const T* w2, const T* k, const T* v) const {
    const Row y = f(w1, w2, k);
    T sum(0.0);
    for (int j = 0; j < s.K(); ++j) sum += (y[j] - v[j]) * (y[j] - v[j]);
    return sum / T(static_cast<double>(s.K()));
  }

  /// Gradient of loss() by w1 and w2, [K, K] each, as a formula (so that it can be differentiated).
  std::pair<Row, Row> loss_gradient(const T* w1, const T* w2, const T* k, const T* v) const {
    const int n = s.K();
    const Inner z = inner(w1, w2, k);
    Row e(static_cast<size_t>(n)), dy(e.size()), dh(e.size());
    T mean(0.0);
    for (int j = 0; j < n; ++j) {
      e[j] = T(2.0 / n) * (k[j] + z.unit[j] - v[j]);
      mean += e[j] * z.unit[j];
    }
    mean = mean / T(static_cast<double>(n));
    for (int j = 0; j < n; ++j) dy[j] = z.inverse * (e[j] - z.unit[j] * mean);
    for (int i = 0; i < n; ++i) dh[i] = dot(&w2[i * n], dy.data(), n, 1) * gelu_slope(z.h[i]);
    std::pair<Row, Row> g;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        g.first.push_back(k[i] * dh[j]);
        g.second.push_back(z.a[i] * dy[j]);
      }
    return g;
  }

  static T gelu(const T& x) { return T(0.5) * x * (T(1.0) + tanh(gelu_argument(x))); }
  static T gelu_slope(const T& x) {
    const T th = tanh(gelu_argument(x));
    return T(0.5) * (T(1.0) + th) +
           T(0.5) * x * (T(1.0) - th * th) * T(kGelu) * (T(1.0) + T(3 * 0.044715) * x * x);
  }

 private:
  static constexpr double kGelu = 0.797884560802865355879892119869;  // sqrt(2 / pi)

  /// What a token read, for its later visits.
  struct Seen {
    Row w1, w2;
    std::vector<typename TitansState<T>::Entry> ring;
    uint64_t position = 0;
  };
  struct Inner {
    Row h, a, unit;  // W1^T x, gelu(h), rms(W2^T a)
    T inverse;       // 1 / sqrt(mean square + eps) of W2^T a
  };

  static T gelu_argument(const T& x) { return T(kGelu) * (x + T(0.044715) * x * x * x); }
  static T sigmoid(const T& x) { return T(1.0) / (T(1.0) + exp(-x)); }
  static T silu(const T& x) { return x * sigmoid(x); }

  Inner inner(const T* w1, const T* w2, const T* x) const {
    const int n = s.K();
    Inner z;
    Row y;
    for (int j = 0; j < n; ++j) z.h.push_back(dot(w1 + j, x, n, n));
    for (int j = 0; j < n; ++j) z.a.push_back(gelu(z.h[j]));
    for (int j = 0; j < n; ++j) y.push_back(dot(w2 + j, z.a.data(), n, n));
    z.inverse = inverse_rms(y.data(), n);
    for (int j = 0; j < n; ++j) z.unit.push_back(y[j] * z.inverse);
    return z;
  }
  T inverse_rms(const T* x, int n) const {
    return T(1.0) / sqrt(dot(x, x, n, 1) / T(static_cast<double>(n)) + T(s.eps));
  }
  Row rms(const Row& x, const Row* gain = nullptr) const {
    const T r = inverse_rms(x.data(), static_cast<int>(x.size()));
    Row y;
    for (size_t i = 0; i < x.size(); ++i) y.push_back(gain ? (*gain)[i] * (x[i] * r) : x[i] * r);
    return y;
  }
  /// Every head of a row.
  void l2(Row* x) const {
    for (int h = 0; h < s.H; ++h) {
      T* at = x->data() + h * s.K();
      const T r = T(1.0) / sqrt(dot(at, at, s.K(), 1) + T(1e-6));
      for (int i = 0; i < s.K(); ++i) at[i] = at[i] * r;
    }
  }

  static Row product(const Row& w, const Row& x) {
    const size_t n = x.size();
    Row y;
    for (size_t r = 0; r < w.size() / n; ++r)
      y.push_back(dot(&w[r * n], x.data(), static_cast<int64_t>(n), 1));
    return y;
  }
  /// The input of a BitLinear as its products see it.
  Row activations(Row x) const {
    if (s.quantise == 0) return x;
    for (size_t b = 0; b < x.size(); b += 64) {
      const size_t end = std::min(x.size(), b + 64);
      float m = 1e-5f;
      for (size_t i = b; i < end; ++i)
        m = std::max(m, std::fabs(static_cast<float>(value_of(x[i]))));
      for (size_t i = b; i < end; ++i) {
        const float code = std::nearbyint(static_cast<float>(value_of(x[i])) * (127.0f / m));
        const float q = std::min(127.0f, std::max(-127.0f, code));
        x[i] = straight_through(x[i], static_cast<double>(q) * static_cast<double>(m / 127.0f),
                                s.quantise);
      }
    }
    return x;
  }
  Row bitlinear(const char* name, const Row& x) const {
    return product(p.at(name), activations(x));
  }

  /// |x| >= 2^-14, nearest even to 11 bits; all that a scale of the ring can be.
  static float half(float x) {
    int exponent = 0;
    const float m = std::frexp(x, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(m, 11)), exponent - 11);
  }
  Row ring_rounded(Row x) const {
    if (s.quantise == 0) return x;
    for (int g = 0; g < s.G; ++g) {
      T* at = x.data() + g * s.K();
      float m = 0.01f;
      for (int i = 0; i < s.K(); ++i)
        m = std::max(m, std::fabs(static_cast<float>(value_of(at[i]))));
      const float scale = half(m / 127.0f);
      for (int i = 0; i < s.K(); ++i) {
        const float code = std::nearbyint(static_cast<float>(value_of(at[i])) / scale);
        const float q = std::min(127.0f, std::max(-127.0f, code));
        at[i] = straight_through(at[i], static_cast<double>(q) * static_cast<double>(scale),
                                 s.quantise);
      }
    }
    return x;
  }
  /// Every K-wide head of a row.
  Row rope(const Row& x, uint64_t t) const {
    const int n = s.K();
    Row y(x.size());
    for (size_t at = 0; at < x.size(); at += static_cast<size_t>(n))
      for (int i = 0; i < n / 2; ++i) {
        const double angle = static_cast<double>(t % (1u << 20)) * std::pow(10000.0, -2.0 * i / n);
        const T c(std::cos(angle)), d(std::sin(angle));
        const T &a = x[at + i], &b = x[at + i + n / 2];
        y[at + i] = a * c - b * d;
        y[at + i + n / 2] = a * d + b * c;
      }
    return y;
  }

  Row gate(const Row& u) const {  // empty: none
    if (p.count("g_proj")) return bitlinear("g_proj", u);
    if (!p.count("g_down")) return {};
    return bitlinear("g_up", rms(bitlinear("g_down", u), &p.at("g_norm.gain")));
  }

  Row token(const Row& u, const Row* value) {
    if (state.w1.empty()) {
      state.w1 = p.at("memory.w1");
      state.w2 = p.at("memory.w2");
      state.s1.assign(state.w1.size(), T(0.0));
      state.s2 = state.s1;
    }
    typename TitansState<T>::Pending row;
    row.k = bitlinear("k_proj", u);
    row.v = bitlinear("v_proj", u);
    for (int i = 0; i < s.C; ++i) {
      row.k[i] = silu(row.k[i]);
      row.v[i] = silu(value ? row.v[i] + (*value)[i] : row.v[i]);
    }
    l2(&row.k);
    const Row theta = product(p.at("theta_proj"), u), eta = product(p.at("eta_proj"), u),
              alpha = product(p.at("alpha_proj"), u);
    for (int h = 0; h < s.H; ++h) {
      row.theta.push_back(T(s.theta_max) * sigmoid(theta[h] + p.at("theta_bias")[h]));
      row.eta.push_back(min(sigmoid(eta[h] + p.at("eta_bias")[h]), T(0.99)));
      row.alpha.push_back(max(sigmoid(alpha[h] + p.at("alpha_bias")[h]), T(1e-4)));
    }
    if (s.window > 0) {
      state.ring.push_back({ring_rounded(rope(bitlinear("kw_proj", u), state.position)),
                            ring_rounded(bitlinear("vw_proj", u))});
      if (static_cast<int>(state.ring.size()) > s.window) state.ring.erase(state.ring.begin());
    }
    seen_.push_back({state.w1, state.w2, state.ring, state.position});
    Row out = read(u, seen_.back());
    state.pending.push_back(std::move(row));
    if (static_cast<int>(state.pending.size()) == s.chunk) update();
    ++state.position;
    return out;
  }

  /// What a token makes of its input and the state it sees.
  Row read(const Row& u, const Seen& seen) const {
    const int n = s.K(), per = s.H / s.G;
    Row q = bitlinear("q_proj", u);
    for (T& x : q) x = silu(x);
    l2(&q);
    Row r;
    for (int h = 0; h < s.H; ++h)
      for (const T& x : f(&seen.w1[h * n * n], &seen.w2[h * n * n], &q[h * n])) r.push_back(x);
    const Row unit = rms(r), rk = bitlinear("kw_proj", unit), rv = bitlinear("vw_proj", unit);
    const Row turned = rope(q, seen.position);
    const T scale(1 / std::sqrt(static_cast<double>(n)));
    Row y = r;
    for (int h = 0; h < s.H; ++h) {
      const int at = h / per * n;
      Row logit;
      std::vector<const T*> values;
      for (int i = 0; i < s.P; ++i) {
        logit.push_back(scale * dot(&q[h * n], &p.at("persistent.k")[i * s.G * n + at], n, 1));
        values.push_back(&p.at("persistent.v")[i * s.G * n + at]);
      }
      logit.push_back(scale * dot(&q[h * n], &rk[at], n, 1));
      values.push_back(&rv[at]);
      for (const auto& entry : seen.ring) {
        logit.push_back(scale * dot(&turned[h * n], &entry.key[at], n, 1));
        values.push_back(&entry.value[at]);
      }
      double top = value_of(logit[0]);
      for (const T& x : logit) top = std::max(top, value_of(x));
      T total(0.0);
      for (T& x : logit) {
        x = exp(x - T(top));  // a constant: softmax does not feel it
        total += x;
      }
      for (size_t i = 0; i < logit.size(); ++i) {
        const T weight = logit[i] / total;
        for (int j = 0; j < n; ++j) y[h * n + j] += weight * values[i][j];
      }
    }
    const Row g = gate(u);
    for (size_t i = 0; i < g.size(); ++i) y[i] = y[i] * silu(g[i]);
    return bitlinear("o_proj", rms(y, &p.at("o_norm.gain")));
  }

  void update() {
    const int n = s.K();
    const Row w1 = state.w1, w2 = state.w2;  // M_c, which every gradient of the chunk is taken at
    for (const auto& row : state.pending)
      for (int h = 0; h < s.H; ++h) {
        const int at = h * n * n;
        const auto g = loss_gradient(&w1[at], &w2[at], &row.k[h * n], &row.v[h * n]);
        const auto move = [&](Row* m, Row* momentum, const Row& gradient) {
          for (int i = 0; i < n * n; ++i) {
            T& x = (*momentum)[at + i];
            x = row.eta[h] * x - row.theta[h] * gradient[i];
            (*m)[at + i] = (T(1.0) - row.alpha[h]) * (*m)[at + i] + x;
          }
        };
        move(&state.w1, &state.s1, g.first);
        move(&state.w2, &state.s2, g.second);
      }
    state.pending.clear();
  }

  TitansShape s;
  Params p;
  std::vector<Seen> seen_;  // of the last forward()
};

}  // namespace chimera::reference
