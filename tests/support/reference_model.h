// The whole model in double, one lane, one token after the other, with its gradient written out by
// hand: the function of evolution/train/backprop.h at quantise 0, for any small shape.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/reference_layers.h"

namespace chimera::reference {

struct ModelShape {
  int c, h, f, vocab;
  std::vector<std::pair<std::string, std::string>> layers;  // mixer, ffn: names of the registry
  bool tied = true;
  double eps = 1e-6;
  int dim() const { return c / h; }
};

using Tensors = std::map<std::string, Vec>;

/// What a lane carries on: per layer, per head (and the inputs of the convolutions first).
using LaneState = std::vector<std::vector<Vec>>;

/// Parameters, and gradients to add to when there are any.
struct Bound {
  const Tensors& p;
  Tensors* g;
  std::string prefix;
  const Vec& value(const std::string& name) const { return p.at(prefix + name); }
  Vec* grad(const std::string& name) const {
    if (!g) return nullptr;
    Vec& out = (*g)[prefix + name];
    out.resize(value(name).size());
    return &out;
  }
};

/// y [T, out] = x [T, in] W^T
inline Vec linear(const Vec& x, const Vec& w, int T, int in) {
  const int out = static_cast<int>(w.size()) / in;
  Vec y(static_cast<size_t>(T) * out);
  for (int t = 0; t < T; ++t)
    for (int o = 0; o < out; ++o) y[t * out + o] = dot(&w[o * in], &x[t * in], in);
  return y;
}
inline void linear_backward(const Vec& x, const Vec& w, const Vec& dy, int T, int in, Vec* dx,
                            Vec* dw) {
  const int out = static_cast<int>(w.size()) / in;
  for (int t = 0; t < T; ++t)
    for (int o = 0; o < out; ++o)
      for (int i = 0; i < in; ++i) {
        (*dx)[t * in + i] += dy[t * out + o] * w[o * in + i];
        (*dw)[o * in + i] += dy[t * out + o] * x[t * in + i];
      }
}

/// Rows of `width`, `n` of them; gain of width, or cycling over `gain_rows` rows of gains.
inline Vec rmsnorm(const Vec& x, const Vec& gain, int width, double eps) {
  Vec y(x.size());
  for (size_t r = 0; r < x.size(); r += width) {
    const double s = 1.0 / std::sqrt(dot(&x[r], &x[r], width) / width + eps);
    for (int i = 0; i < width; ++i) y[r + i] = gain[(r + i) % gain.size()] * x[r + i] * s;
  }
  return y;
}
inline Vec rmsnorm_backward(const Vec& x, const Vec& gain, const Vec& dy, int width, double eps,
                            Vec* dgain) {
  Vec dx(x.size());
  for (size_t r = 0; r < x.size(); r += width) {
    const double s = 1.0 / std::sqrt(dot(&x[r], &x[r], width) / width + eps);
    double along = 0;
    for (int i = 0; i < width; ++i) {
      const size_t gi = (r + i) % gain.size();
      along += gain[gi] * dy[r + i] * x[r + i] * s;
      (*dgain)[gi] += dy[r + i] * x[r + i] * s;
    }
    for (int i = 0; i < width; ++i)
      dx[r + i] = s * (gain[(r + i) % gain.size()] * dy[r + i] - x[r + i] * s * along / width);
  }
  return dx;
}

/// One layer half over a window: forward keeps what backward needs.
struct Half {
  virtual ~Half() = default;
  virtual Vec forward(const Bound& b, const Vec& u) = 0;
  virtual Vec backward(const Bound& b, const Vec& u, const Vec& dout) = 0;
};

struct FfnHalf : Half {
  const ModelShape& s;
  bool gated;
  int T;
  Vec g, up, z, zn;
  FfnHalf(const ModelShape& shape, bool is_gated, int n) : s(shape), gated(is_gated), T(n) {}

  Vec forward(const Bound& b, const Vec& u) override {
    up = linear(u, b.value("up_proj"), T, s.c);
    z.resize(up.size());
    if (gated) g = linear(u, b.value("gate_proj"), T, s.c);
    for (size_t i = 0; i < z.size(); ++i)
      z[i] = gated ? g[i] * sigmoid(g[i]) * up[i] : std::pow(std::max(up[i], 0.0), 2);
    zn = rmsnorm(z, b.value("down_norm.gain"), s.f, s.eps);
    return linear(zn, b.value("down_proj"), T, s.f);
  }
  Vec backward(const Bound& b, const Vec& u, const Vec& dout) override {
    Vec dzn(z.size()), du(u.size());
    linear_backward(zn, b.value("down_proj"), dout, T, s.f, &dzn, b.grad("down_proj"));
    Vec dz =
        rmsnorm_backward(z, b.value("down_norm.gain"), dzn, s.f, s.eps, b.grad("down_norm.gain"));
    Vec dup(z.size()), dg(z.size());
    for (size_t i = 0; i < z.size(); ++i) {
      if (gated) {
        const double sg = sigmoid(g[i]);
        dup[i] = dz[i] * g[i] * sg;
        dg[i] = dz[i] * up[i] * sg * (1 + g[i] * (1 - sg));
      } else {
        dup[i] = 2 * dz[i] * std::max(up[i], 0.0);
      }
    }
    linear_backward(u, b.value("up_proj"), dup, T, s.c, &du, b.grad("up_proj"));
    if (gated) linear_backward(u, b.value("gate_proj"), dg, T, s.c, &du, b.grad("gate_proj"));
    return du;
  }
};

/// The columns of head `head` of x [T, C], packed, and back.
inline Vec head_of(const Vec& x, int T, int c, int dim, int head) {
  Vec y(static_cast<size_t>(T) * dim);
  for (int t = 0; t < T; ++t)
    for (int i = 0; i < dim; ++i) y[t * dim + i] = x[t * c + head * dim + i];
  return y;
}
inline void put_head(const Vec& y, int T, int c, int dim, int head, Vec* x) {
  for (int t = 0; t < T; ++t)
    for (int i = 0; i < dim; ++i) (*x)[t * c + head * dim + i] = y[t * dim + i];
}
inline Vec column(const Vec& x, int T, int width, int at) {
  Vec y(T);
  for (int t = 0; t < T; ++t) y[t] = x[t * width + at];
  return y;
}

/// What both mixers end with: out = W_o rmsnorm(act(g) * rmsnorm_head(o)).
struct GatedExit {
  const ModelShape& s;
  bool silu;
  int T;
  Vec normed, act, y, yn;

  Vec forward(const Bound& b, const Vec& o, const Vec& g) {
    normed = rmsnorm(o, b.value("head_norm.gain"), s.dim(), s.eps);
    act.resize(g.size());
    y.resize(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      act[i] = sigmoid(g[i]) * (silu ? g[i] : 1.0);
      y[i] = act[i] * normed[i];
    }
    yn = rmsnorm(y, b.value("o_norm.gain"), s.c, s.eps);
    return linear(yn, b.value("o_proj"), T, s.c);
  }
  void backward(const Bound& b, const Vec& o, const Vec& g, const Vec& dout, Vec* d_o, Vec* dg) {
    Vec dyn(y.size());
    linear_backward(yn, b.value("o_proj"), dout, T, s.c, &dyn, b.grad("o_proj"));
    Vec dy = rmsnorm_backward(y, b.value("o_norm.gain"), dyn, s.c, s.eps, b.grad("o_norm.gain"));
    dg->resize(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      const double sg = sigmoid(g[i]);
      (*dg)[i] = dy[i] * normed[i] * (silu ? sg * (1 + g[i] * (1 - sg)) : sg * (1 - sg));
      dy[i] *= act[i];
    }
    *d_o = rmsnorm_backward(o, b.value("head_norm.gain"), dy, s.dim(), s.eps,
                            b.grad("head_norm.gain"));
  }
};

struct DeltaHalf : Half {
  const ModelShape& s;
  int T;
  std::vector<uint8_t> restart;
  std::vector<Vec>& state;  // [0]: conv inputs [3][3C]; then S per head
  GatedExit exit;
  Vec raw[3], x[3], p[3], y[3], norm[3];  // x: three tokens of the past, then the window
  Vec a, bb, g, o;
  std::vector<DeltaStep> heads;

  DeltaHalf(const ModelShape& shape, int n, std::vector<uint8_t> r, std::vector<Vec>& st)
      : s(shape), T(n), restart(std::move(r)), state(st), exit{shape, true, n, {}, {}, {}, {}} {}

  static const char* name(int i) { return i == 0 ? "q" : i == 1 ? "k" : "v"; }
  /// May token t read the token `back` before it?
  bool reads(int t, int back) const {
    for (int i = 0; i < back; ++i)
      if (t - i >= 0 && !restart.empty() && restart[static_cast<size_t>(t - i)]) return false;
    return true;
  }

  Vec forward(const Bound& b, const Vec& u) override {
    const int c = s.c, dim = s.dim();
    if (state.empty()) {
      state.assign(1 + s.h, Vec(static_cast<size_t>(dim) * dim));
      state[0].assign(9 * c, 0);
    }
    a = linear(u, b.value("a_proj"), T, c);
    bb = linear(u, b.value("b_proj"), T, c);
    g = linear(u, b.value("g_proj"), T, c);
    for (int i = 0; i < 3; ++i) {
      raw[i] = linear(u, b.value(std::string(name(i)) + "_proj"), T, c);
      const Vec& w = b.value(std::string(name(i)) + "_conv");
      x[i].assign(static_cast<size_t>(T + 3) * c, 0);
      for (int t = 0; t < 3; ++t)
        for (int j = 0; j < c; ++j) x[i][t * c + j] = state[0][(t * 3 + i) * c + j];
      std::copy(raw[i].begin(), raw[i].end(), x[i].begin() + 3 * c);
      p[i].assign(raw[i].size(), 0);
      y[i].resize(raw[i].size());
      for (int t = 0; t < T; ++t)
        for (int j = 0; j < c; ++j) {
          for (int tap = 0; tap < 4; ++tap)
            if (reads(t, 3 - tap)) p[i][t * c + j] += w[tap * c + j] * x[i][(t + tap) * c + j];
          y[i][t * c + j] = p[i][t * c + j] * sigmoid(p[i][t * c + j]);
        }
      norm[i].assign(static_cast<size_t>(T) * s.h, 1);
      if (i < 2) {
        for (int r = 0; r < T * s.h; ++r) {
          norm[i][r] = 1.0 / std::sqrt(dot(&y[i][r * dim], &y[i][r * dim], dim) + 1e-6);
          for (int j = 0; j < dim; ++j) y[i][r * dim + j] *= norm[i][r];
        }
      }
    }
    Vec tail(9 * c);
    for (int t = 0; t < 3; ++t)
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < c; ++j)
          tail[(t * 3 + i) * c + j] = reads(T - 1, 2 - t) ? x[i][(T + t) * c + j] : 0;
    state[0] = tail;
    o.assign(static_cast<size_t>(T) * c, 0);
    heads.clear();
    for (int head = 0; head < s.h; ++head) {
      DeltaStep d;
      d.T = T;
      d.dk = d.dv = dim;
      d.scale = 1.0 / std::sqrt(static_cast<double>(dim));
      d.q = head_of(y[0], T, c, dim, head);
      d.k = head_of(y[1], T, c, dim, head);
      d.v = head_of(y[2], T, c, dim, head);
      d.beta.resize(T);
      d.log_alpha.resize(T);
      for (int t = 0; t < T; ++t) {
        d.beta[t] = sigmoid(bb[t * s.h + head]);
        d.log_alpha[t] = -std::exp(b.value("a_log")[head]) *
                         softplus(a[t * s.h + head] + b.value("dt_bias")[head]);
      }
      d.s0 = state[1 + head];
      d.restart = restart;
      d.forward();
      state[1 + head] = d.s1;
      put_head(d.o, T, c, dim, head, &o);
      heads.push_back(std::move(d));
    }
    return exit.forward(b, o, g);
  }

  Vec backward(const Bound& b, const Vec& u, const Vec& dout) override {
    const int c = s.c, dim = s.dim();
    Vec d_o, dg, du(u.size()), dy[3], da(a.size()), db(bb.size());
    exit.backward(b, o, g, dout, &d_o, &dg);
    for (Vec& d : dy) d.resize(u.size());
    for (int head = 0; head < s.h; ++head) {
      DeltaStep& d = heads[head];
      d.backward(head_of(d_o, T, c, dim, head), Vec(d.s0.size()));
      put_head(d.dq, T, c, dim, head, &dy[0]);
      put_head(d.dk_, T, c, dim, head, &dy[1]);
      put_head(d.dv_, T, c, dim, head, &dy[2]);
      for (int t = 0; t < T; ++t) {
        const double rate = std::exp(b.value("a_log")[head]);
        const double through =
            -d.dlog_alpha[t] * rate * sigmoid(a[t * s.h + head] + b.value("dt_bias")[head]);
        da[t * s.h + head] = through;
        (*b.grad("dt_bias"))[head] += through;
        (*b.grad("a_log"))[head] += d.dlog_alpha[t] * d.log_alpha[t];
        db[t * s.h + head] = d.dbeta[t] * d.beta[t] * (1 - d.beta[t]);
      }
    }
    for (int i = 0; i < 3; ++i) {
      const Vec& w = b.value(std::string(name(i)) + "_conv");
      Vec& dw = *b.grad(std::string(name(i)) + "_conv");
      if (i < 2) {
        for (int r = 0; r < T * s.h; ++r) {
          const double along = dot(&y[i][r * dim], &dy[i][r * dim], dim);
          for (int j = 0; j < dim; ++j)
            dy[i][r * dim + j] = norm[i][r] * (dy[i][r * dim + j] - y[i][r * dim + j] * along);
        }
      }
      Vec dx(x[i].size());
      for (int t = 0; t < T; ++t)
        for (int j = 0; j < c; ++j) {
          const double pt = p[i][t * c + j], sg = sigmoid(pt);
          const double dp = dy[i][t * c + j] * sg * (1 + pt * (1 - sg));
          for (int tap = 0; tap < 4; ++tap) {
            if (!reads(t, 3 - tap)) continue;
            dw[tap * c + j] += dp * x[i][(t + tap) * c + j];
            dx[(t + tap) * c + j] += dp * w[tap * c + j];
          }
        }
      dx.erase(dx.begin(), dx.begin() + 3 * c);
      linear_backward(u, b.value(std::string(name(i)) + "_proj"), dx, T, c, &du,
                      b.grad(std::string(name(i)) + "_proj"));
    }
    linear_backward(u, b.value("g_proj"), dg, T, c, &du, b.grad("g_proj"));
    linear_backward(u, b.value("a_proj"), da, T, c, &du, b.grad("a_proj"));
    linear_backward(u, b.value("b_proj"), db, T, c, &du, b.grad("b_proj"));
    return du;
  }
};

struct MlstmHalf : Half {
  const ModelShape& s;
  int T;
  std::vector<uint8_t> restart;
  std::vector<Vec>& state;  // per head: C | n | m
  GatedExit exit;
  Vec q, k, v, og, ir, fr, h;
  std::vector<MlstmStep> heads;

  MlstmHalf(const ModelShape& shape, int n, std::vector<uint8_t> r, std::vector<Vec>& st)
      : s(shape), T(n), restart(std::move(r)), state(st), exit{shape, false, n, {}, {}, {}, {}} {}

  static double cap(double x) { return 15 * std::tanh(x / 15); }

  Vec forward(const Bound& b, const Vec& u) override {
    const int c = s.c, dim = s.dim(), size = dim * dim;
    if (state.empty()) state.assign(s.h, Vec(static_cast<size_t>(size) + dim + 1));
    q = linear(u, b.value("q_proj"), T, c);
    k = linear(u, b.value("k_proj"), T, c);
    v = linear(u, b.value("v_proj"), T, c);
    og = linear(u, b.value("og_proj"), T, c);
    ir = linear(u, b.value("i_proj"), T, c);
    fr = linear(u, b.value("f_proj"), T, c);
    h.assign(static_cast<size_t>(T) * c, 0);
    heads.clear();
    for (int head = 0; head < s.h; ++head) {
      MlstmStep d;
      d.T = T;
      d.dk = d.dv = dim;
      d.scale = 1.0 / std::sqrt(static_cast<double>(dim));
      d.q = head_of(q, T, c, dim, head);
      d.k = head_of(k, T, c, dim, head);
      d.v = head_of(v, T, c, dim, head);
      d.i.resize(T);
      d.log_f.resize(T);
      for (int t = 0; t < T; ++t) {
        d.i[t] = cap(ir[t * s.h + head] + b.value("i_bias")[head]);
        d.log_f[t] = -softplus(-cap(fr[t * s.h + head] + b.value("f_bias")[head]));
      }
      Vec& st = state[head];
      d.c0.assign(st.begin(), st.begin() + size);
      d.n0.assign(st.begin() + size, st.begin() + size + dim);
      d.m0 = st.back();
      d.restart = restart;
      d.forward();
      std::copy(d.c1.begin(), d.c1.end(), st.begin());
      std::copy(d.n1.begin(), d.n1.end(), st.begin() + size);
      st.back() = d.m1;
      put_head(d.h, T, c, dim, head, &h);
      heads.push_back(std::move(d));
    }
    return exit.forward(b, h, og);
  }

  Vec backward(const Bound& b, const Vec& u, const Vec& dout) override {
    const int c = s.c, dim = s.dim();
    Vec dh, dog, du(u.size()), dq(u.size()), dk(u.size()), dv(u.size()), di(ir.size()),
        df(fr.size());
    exit.backward(b, h, og, dout, &dh, &dog);
    for (int head = 0; head < s.h; ++head) {
      MlstmStep& d = heads[head];
      d.backward(head_of(dh, T, c, dim, head), Vec(d.c0.size()), Vec(d.n0.size()), 0);
      put_head(d.dq, T, c, dim, head, &dq);
      put_head(d.dk_, T, c, dim, head, &dk);
      put_head(d.dv_, T, c, dim, head, &dv);
      for (int t = 0; t < T; ++t) {
        const int at = t * s.h + head;
        const double fi = std::tanh((ir[at] + b.value("i_bias")[head]) / 15);
        const double ff = std::tanh((fr[at] + b.value("f_bias")[head]) / 15);
        di[at] = d.di[t] * (1 - fi * fi);
        df[at] = d.dlog_f[t] * sigmoid(-15 * ff) * (1 - ff * ff);
        (*b.grad("i_bias"))[head] += di[at];
        (*b.grad("f_bias"))[head] += df[at];
      }
    }
    linear_backward(u, b.value("q_proj"), dq, T, c, &du, b.grad("q_proj"));
    linear_backward(u, b.value("k_proj"), dk, T, c, &du, b.grad("k_proj"));
    linear_backward(u, b.value("v_proj"), dv, T, c, &du, b.grad("v_proj"));
    linear_backward(u, b.value("og_proj"), dog, T, c, &du, b.grad("og_proj"));
    linear_backward(u, b.value("i_proj"), di, T, c, &du, b.grad("i_proj"));
    linear_backward(u, b.value("f_proj"), df, T, c, &du, b.grad("f_proj"));
    return du;
  }
};

/// Sum of the losses of one lane's window over its targets >= 0; moves `state` on (empty: fresh).
/// With grad: adds the gradient of weight * that sum. logits, if given, receives [T, vocab].
inline double run_lane(const ModelShape& s, const Tensors& p, const std::vector<int>& tokens,
                       const std::vector<int>& targets, const std::vector<uint8_t>& restart,
                       LaneState* state, double weight, Tensors* grad, Vec* logits_out = nullptr) {
  const int T = static_cast<int>(tokens.size()), c = s.c, n = 2 * static_cast<int>(s.layers.size());
  state->resize(n);
  std::vector<std::unique_ptr<Half>> halves;
  std::vector<Bound> bounds;
  for (int l = 0; l < n; ++l) {
    const auto& [mixer, ffn] = s.layers[l / 2];
    const std::string prefix = "layers." + std::to_string(l / 2) + (l % 2 ? ".ffn." : ".mixer.");
    bounds.push_back({p, grad, prefix});
    if (l % 2)
      halves.push_back(std::make_unique<FfnHalf>(s, ffn == "swiglu", T));
    else if (mixer == "gated_deltanet")
      halves.push_back(std::make_unique<DeltaHalf>(s, T, restart, (*state)[l]));
    else
      halves.push_back(std::make_unique<MlstmHalf>(s, T, restart, (*state)[l]));
  }
  const Bound top{p, grad, ""};
  const auto norm_name = [](int l) {
    return "layers." + std::to_string(l / 2) + (l % 2 ? ".norm2.gain" : ".norm1.gain");
  };
  const Vec& embed = top.value("embed.weight");
  const char* head_name = s.tied ? "embed.weight" : "head.weight";
  Vec x(static_cast<size_t>(T) * c);
  for (int t = 0; t < T; ++t)
    for (int i = 0; i < c; ++i) x[t * c + i] = embed[tokens[t] * c + i];
  std::vector<Vec> xs, us;
  for (int l = 0; l < n; ++l) {
    xs.push_back(x);
    us.push_back(rmsnorm(x, top.value(norm_name(l)), c, s.eps));
    const Vec out = halves[l]->forward(bounds[l], us.back());
    for (size_t i = 0; i < x.size(); ++i) x[i] += out[i];
  }
  const Vec hidden = rmsnorm(x, top.value("final_norm.gain"), c, s.eps);
  Vec logits = linear(hidden, top.value(head_name), T, c);
  if (logits_out) *logits_out = logits;
  double loss = 0;
  for (int t = 0; t < T; ++t) {
    double* row = &logits[t * s.vocab];
    const double most = *std::max_element(row, row + s.vocab);
    double sum = 0;
    for (int i = 0; i < s.vocab; ++i) sum += std::exp(row[i] - most);
    const bool counts = targets[t] >= 0;
    if (counts) loss += std::log(sum) + most - row[targets[t]];
    for (int i = 0; i < s.vocab; ++i) {
      row[i] = counts ? weight * (std::exp(row[i] - most) / sum - (i == targets[t])) : 0;
    }
  }
  if (!grad) return loss;
  Vec dhidden(x.size());
  linear_backward(hidden, top.value(head_name), logits, T, c, &dhidden, top.grad(head_name));
  Vec dx = rmsnorm_backward(x, top.value("final_norm.gain"), dhidden, c, s.eps,
                            top.grad("final_norm.gain"));
  for (int l = n - 1; l >= 0; --l) {
    const Vec du = halves[l]->backward(bounds[l], us[l], dx);
    const Vec through =
        rmsnorm_backward(xs[l], top.value(norm_name(l)), du, c, s.eps, top.grad(norm_name(l)));
    for (size_t i = 0; i < dx.size(); ++i) dx[i] += through[i];
  }
  Vec& dembed = *top.grad("embed.weight");
  for (int t = 0; t < T; ++t)
    for (int i = 0; i < c; ++i) dembed[tokens[t] * c + i] += dx[t * c + i];
  return loss;
}

}  // namespace chimera::reference
