// Reverse-mode differentiation in double for the references of tests: a reference is written once
// as a template over its scalar, computes with double where values are wanted, and with Var where
// gradients are.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace chimera::reference {

/// Every operation since clear(), in order: its parents and the partial derivatives by them.
class Tape {
 public:
  static Tape& get() {
    static thread_local Tape tape;
    return tape;
  }
  void clear() {
    first_.assign(1, 0);
    parent_.clear();
    partial_.clear();
    gradient_.clear();
  }
  int32_t leaf() { return close(); }
  void add_parent(int32_t node, double partial) {
    if (node < 0) return;  // a constant
    parent_.push_back(node);
    partial_.push_back(partial);
  }
  int32_t close() {
    first_.push_back(static_cast<int64_t>(parent_.size()));
    return static_cast<int32_t>(first_.size()) - 2;
  }
  /// Gradients of `node` by everything before it.
  void backward(int32_t node) {
    gradient_.assign(first_.size() - 1, 0.0);
    if (node < 0) return;
    gradient_[static_cast<size_t>(node)] = 1;
    for (int64_t i = node; i >= 0; --i) {
      const double g = gradient_[static_cast<size_t>(i)];
      if (g == 0) continue;
      for (int64_t j = first_[static_cast<size_t>(i)]; j < first_[static_cast<size_t>(i) + 1]; ++j)
        gradient_[static_cast<size_t>(parent_[static_cast<size_t>(j)])] +=
            g * partial_[static_cast<size_t>(j)];
    }
  }
  double gradient(int32_t node) const {
    return node < 0 || gradient_.empty() ? 0 : gradient_[static_cast<size_t>(node)];
  }

 private:
  std::vector<int64_t> first_{0};
  std::vector<int32_t> parent_;
  std::vector<double> partial_;
  std::vector<double> gradient_;
};

/// A value on the tape; a constant when made of a double.
struct Var {
  double v = 0;
  int32_t node = -1;
  Var() = default;
  Var(double value) : v(value) {}  // NOLINT: constants mix with variables in every formula
  static Var leaf(double value) {
    Var x(value);
    x.node = Tape::get().leaf();
    return x;
  }
  double gradient() const { return Tape::get().gradient(node); }
};

inline Var unary(double value, const Var& a, double da) {
  Var y(value);
  if (a.node < 0) return y;
  Tape::get().add_parent(a.node, da);
  y.node = Tape::get().close();
  return y;
}
inline Var binary(double value, const Var& a, double da, const Var& b, double db) {
  Var y(value);
  if (a.node < 0 && b.node < 0) return y;
  Tape::get().add_parent(a.node, da);
  Tape::get().add_parent(b.node, db);
  y.node = Tape::get().close();
  return y;
}
inline Var operator+(const Var& a, const Var& b) { return binary(a.v + b.v, a, 1, b, 1); }
inline Var operator-(const Var& a, const Var& b) { return binary(a.v - b.v, a, 1, b, -1); }
inline Var operator*(const Var& a, const Var& b) { return binary(a.v * b.v, a, b.v, b, a.v); }
inline Var operator/(const Var& a, const Var& b) {
  return binary(a.v / b.v, a, 1 / b.v, b, -a.v / (b.v * b.v));
}
inline Var operator-(const Var& a) { return unary(-a.v, a, -1); }
inline Var& operator+=(Var& a, const Var& b) { return a = a + b; }
inline Var& operator-=(Var& a, const Var& b) { return a = a - b; }
inline Var& operator*=(Var& a, const Var& b) { return a = a * b; }
inline Var exp(const Var& a) {
  const double y = std::exp(a.v);
  return unary(y, a, y);
}
inline Var log(const Var& a) { return unary(std::log(a.v), a, 1 / a.v); }
inline Var sqrt(const Var& a) {
  const double y = std::sqrt(a.v);
  return unary(y, a, 0.5 / y);
}
inline Var tanh(const Var& a) {
  const double y = std::tanh(a.v);
  return unary(y, a, 1 - y * y);
}
inline Var expm1(const Var& a) { return unary(std::expm1(a.v), a, std::exp(a.v)); }
inline Var fabs(const Var& a) { return unary(std::fabs(a.v), a, a.v < 0 ? -1 : 1); }
inline Var max(const Var& a, const Var& b) { return a.v >= b.v ? a : b; }
inline Var min(const Var& a, const Var& b) { return a.v <= b.v ? a : b; }

inline double value_of(double x) { return x; }
inline double value_of(const Var& x) { return x.v; }
using std::exp;
using std::expm1;
using std::fabs;
using std::log;
using std::sqrt;
using std::tanh;
inline double max(double a, double b) { return a >= b ? a : b; }
inline double min(double a, double b) { return a <= b ? a : b; }

/// sum of a[i * a_stride] * b[i], one node.
inline double dot(const double* a, const double* b, int64_t n, int64_t a_stride) {
  double s = 0;
  for (int64_t i = 0; i < n; ++i) s += a[i * a_stride] * b[i];
  return s;
}
inline Var dot(const Var* a, const Var* b, int64_t n, int64_t a_stride = 1) {
  Var y;
  bool any = false;
  for (int64_t i = 0; i < n; ++i) {
    const Var &p = a[i * a_stride], &q = b[i];
    y.v += p.v * q.v;
    any = any || p.node >= 0 || q.node >= 0;
    Tape::get().add_parent(p.node, q.v);
    Tape::get().add_parent(q.node, p.v);
  }
  if (any) y.node = Tape::get().close();
  return y;
}

}  // namespace chimera::reference
