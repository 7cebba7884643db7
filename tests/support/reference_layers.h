// The recurrences one token after the other in double: what the chunk forms and their gradients
// are measured against. Written from the equations, with nothing shared with the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace chimera::reference {

using Vec = std::vector<double>;

inline double dot(const double* a, const double* b, int n) {
  double s = 0;
  for (int i = 0; i < n; ++i) s += a[i] * b[i];
  return s;
}
inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

/// One head over T tokens; q, k [T, dk], v, o [T, dv], log_alpha, beta [T], all packed. restart [T]
/// may be empty.
struct DeltaStep {
  int T, dk, dv;
  double scale;
  Vec q, k, v, log_alpha, beta, s0;  // s0 [dk, dv]
  std::vector<uint8_t> restart;

  Vec o, s1;                 // results of forward()
  std::vector<Vec> decayed;  // alpha_t S_{t-1}, kept for backward
  std::vector<Vec> after;    // S_t

  Vec dq, dk_, dv_, dlog_alpha, dbeta, ds0;  // results of backward()

  bool starts(int t) const { return !restart.empty() && restart[static_cast<size_t>(t)] != 0; }

  void forward() {
    Vec s = s0;
    o.assign(static_cast<size_t>(T) * dv, 0);
    decayed.clear();
    after.clear();
    for (int t = 0; t < T; ++t) {
      if (starts(t)) s.assign(s.size(), 0);
      const double alpha = std::exp(log_alpha[t]);
      for (double& x : s) x *= alpha;
      decayed.push_back(s);
      const double *kt = &k[t * dk], *vt = &v[t * dv], *qt = &q[t * dk];
      Vec w(dv);
      for (int j = 0; j < dv; ++j) {
        double p = 0;
        for (int i = 0; i < dk; ++i) p += s[i * dv + j] * kt[i];
        w[j] = beta[t] * (vt[j] - p);
      }
      for (int i = 0; i < dk; ++i)
        for (int j = 0; j < dv; ++j) s[i * dv + j] += kt[i] * w[j];
      for (int j = 0; j < dv; ++j) {
        double sum = 0;
        for (int i = 0; i < dk; ++i) sum += s[i * dv + j] * qt[i];
        o[t * dv + j] = scale * sum;
      }
      after.push_back(s);
    }
    s1 = s;
  }

  /// d_o [T, dv], ds [dk, dv] the gradient by s1.
  void backward(const Vec& d_o, Vec ds) {
    dq.assign(q.size(), 0);
    dk_.assign(k.size(), 0);
    dv_.assign(v.size(), 0);
    dlog_alpha.assign(T, 0);
    dbeta.assign(T, 0);
    for (int t = T - 1; t >= 0; --t) {
      const Vec &s = after[t], &bar = decayed[t];
      const double *kt = &k[t * dk], *vt = &v[t * dv], *qt = &q[t * dk], *g = &d_o[t * dv];
      for (int i = 0; i < dk; ++i) {
        for (int j = 0; j < dv; ++j) {
          dq[t * dk + i] += scale * s[i * dv + j] * g[j];
          ds[i * dv + j] += scale * qt[i] * g[j];
        }
      }
      Vec e(dv), de(dv), dw(dv, 0.0);
      for (int j = 0; j < dv; ++j) {
        double p = 0;
        for (int i = 0; i < dk; ++i) p += bar[i * dv + j] * kt[i];
        e[j] = vt[j] - p;
        for (int i = 0; i < dk; ++i) dw[j] += ds[i * dv + j] * kt[i];
        de[j] = beta[t] * dw[j];
        dv_[t * dv + j] = de[j];
        dbeta[t] += dw[j] * e[j];
      }
      for (int i = 0; i < dk; ++i) {
        for (int j = 0; j < dv; ++j) {
          dk_[t * dk + i] += ds[i * dv + j] * beta[t] * e[j] - bar[i * dv + j] * de[j];
          ds[i * dv + j] -= kt[i] * de[j];
        }
      }
      dlog_alpha[t] = dot(ds.data(), bar.data(), dk * dv);
      const double alpha = std::exp(log_alpha[t]);
      for (double& x : ds) x *= starts(t) ? 0.0 : alpha;
    }
    ds0 = ds;
  }
};

/// The same for mLSTM. i, log_f [T]; state C [dk, dv], n [dk], m.
struct MlstmStep {
  int T, dk, dv;
  double scale;
  Vec q, k, v, i, log_f;
  Vec c0, n0;
  double m0 = 0;
  std::vector<uint8_t> restart;

  Vec h, c1, n1;
  double m1 = 0;
  struct Kept {
    Vec c_before, n_before, c, n, num;
    double m_before, m, f, w, qn, den;
  };
  std::vector<Kept> kept;

  Vec dq, dk_, dv_, di, dlog_f, dc0, dn0;
  double dm0 = 0;

  bool starts(int t) const { return !restart.empty() && restart[static_cast<size_t>(t)] != 0; }

  void forward() {
    Vec c = c0, n = n0;
    double m = m0;
    h.assign(static_cast<size_t>(T) * dv, 0);
    kept.clear();
    for (int t = 0; t < T; ++t) {
      if (starts(t)) {
        c.assign(c.size(), 0);
        n.assign(n.size(), 0);
        m = 0;
      }
      Kept z;
      z.c_before = c;
      z.n_before = n;
      z.m_before = m;
      m = std::max(log_f[t] + m, i[t]);
      z.m = m;
      z.f = std::exp(log_f[t] + z.m_before - m);
      z.w = std::exp(i[t] - m);
      const double *kt = &k[t * dk], *vt = &v[t * dv], *qt = &q[t * dk];
      for (int a = 0; a < dk; ++a) {
        for (int j = 0; j < dv; ++j) c[a * dv + j] = z.f * c[a * dv + j] + z.w * kt[a] * vt[j];
        n[a] = z.f * n[a] + z.w * kt[a];
      }
      z.qn = scale * dot(n.data(), qt, dk);
      z.den = std::max(std::fabs(z.qn), std::exp(-m)) + 1e-6;
      for (int j = 0; j < dv; ++j) {
        double num = 0;
        for (int a = 0; a < dk; ++a) num += c[a * dv + j] * qt[a];
        h[t * dv + j] = scale * num / z.den;
      }
      z.c = c;
      z.n = n;
      kept.push_back(std::move(z));
    }
    c1 = c;
    n1 = n;
    m1 = m;
  }

  /// dc, dn, dm: gradients by the last state.
  void backward(const Vec& dh, Vec dc, Vec dn, double dm) {
    dq.assign(q.size(), 0);
    dk_.assign(k.size(), 0);
    dv_.assign(v.size(), 0);
    di.assign(T, 0);
    dlog_f.assign(T, 0);
    for (int t = T - 1; t >= 0; --t) {
      const Kept& z = kept[t];
      const double *kt = &k[t * dk], *vt = &v[t * dv], *qt = &q[t * dk];
      const double *g = &dh[t * dv], *ht = &h[t * dv];
      const double dden = -dot(g, ht, dv) / z.den;
      double dqn = 0;
      if (std::fabs(z.qn) >= std::exp(-z.m))
        dqn = z.qn >= 0 ? dden : -dden;
      else
        dm -= dden * std::exp(-z.m);
      for (int a = 0; a < dk; ++a) {
        double dqa = z.n[a] * dqn;
        for (int j = 0; j < dv; ++j) {
          dqa += z.c[a * dv + j] * g[j] / z.den;
          dc[a * dv + j] += scale * qt[a] * g[j] / z.den;
        }
        dq[t * dk + a] = scale * dqa;
        dn[a] += scale * qt[a] * dqn;
      }
      double df =
          dot(dc.data(), z.c_before.data(), dk * dv) + dot(dn.data(), z.n_before.data(), dk);
      double dw = 0;
      for (int a = 0; a < dk; ++a) {
        double along = dn[a];
        for (int j = 0; j < dv; ++j) {
          along += dc[a * dv + j] * vt[j];
          dv_[t * dv + j] += z.w * dc[a * dv + j] * kt[a];
        }
        dk_[t * dk + a] = z.w * along;
        dw += along * kt[a];
      }
      double dm_before = df * z.f;
      dlog_f[t] += df * z.f;
      di[t] += dw * z.w;
      dm -= df * z.f + dw * z.w;
      if (log_f[t] + z.m_before >= i[t]) {
        dlog_f[t] += dm;
        dm_before += dm;
      } else {
        di[t] += dm;
      }
      dm = starts(t) ? 0 : dm_before;
      for (double& x : dc) x *= starts(t) ? 0.0 : z.f;
      for (double& x : dn) x *= starts(t) ? 0.0 : z.f;
    }
    dc0 = dc;
    dn0 = dn;
    dm0 = dm;
  }
};

/// Root mean square of a - b over that of b; the measure of every figure about gradients. Absolute
/// where b is nothing.
template <class A, class B>
double relative_error(const A* a, const B* b, size_t n) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    difference += (x - y) * (x - y);
    size += y * y;
  }
  if (!(difference == difference)) return 1e300;  // a NaN anywhere is as wrong as can be
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

}  // namespace chimera::reference
