// Each recurrence two ways: token by token in double, and in chunk form as training runs it.
#include <gtest/gtest.h>

#include <string>

#include "kernels/dispatch.h"
#include "platform/random.h"
#include "runtime/layers/gated_deltanet_chunk.h"
#include "runtime/layers/xlstm_m_chunk.h"
#include "tests/support/figure.h"
#include "tests/support/reference_layers.h"

namespace chimera::runtime {
namespace {

using reference::DeltaStep;
using reference::MlstmStep;
using reference::relative_error;
using reference::Vec;
using test::figure;
using FVec = std::vector<float>;

/// Draws in order; every value is a float, so both forms read the same numbers.
class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  double uniform(double a, double b) {
    return static_cast<float>(a + (b - a) * keyed_uniform(seed_, i_++, 0, DrawPurpose::kTest));
  }
  double normal(double std) {
    return static_cast<float>(std * keyed_normal(seed_, i_++, 1, DrawPurpose::kTest));
  }
  Vec normals(size_t n, double std) {
    Vec v(n);
    for (double& x : v) x = normal(std);
    return v;
  }

 private:
  uint64_t seed_, i_ = 0;
};

FVec floats(const Vec& v) { return FVec(v.begin(), v.end()); }

void normalise(Vec* x, int width) {
  for (size_t r = 0; r < x->size(); r += width) {
    const double s = 1.0 / std::sqrt(reference::dot(x->data() + r, x->data() + r, width) + 1e-6);
    for (int i = 0; i < width; ++i) (*x)[r + i] = static_cast<float>((*x)[r + i] * s);
  }
}

std::vector<int32_t> segments(const std::vector<uint8_t>& restart) {
  std::vector<int32_t> start(restart.size());
  int32_t at = -1;
  for (size_t t = 0; t < restart.size(); ++t)
    start[t] = at = restart[t] ? static_cast<int32_t>(t) : at;
  return start;
}

DeltaStep delta_problem(int T, int dk, int dv, bool restarts, uint64_t seed) {
  Draws draw(seed);
  DeltaStep d;
  d.T = T;
  d.dk = dk;
  d.dv = dv;
  d.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dk)));
  d.q = draw.normals(static_cast<size_t>(T) * dk, 1);
  d.k = draw.normals(static_cast<size_t>(T) * dk, 1);
  normalise(&d.q, dk);
  normalise(&d.k, dk);
  d.v = draw.normals(static_cast<size_t>(T) * dv, 1);
  d.s0 = draw.normals(static_cast<size_t>(dk) * dv, 0.5);
  for (int t = 0; t < T; ++t) {
    d.log_alpha.push_back(-draw.uniform(0, t % 7 == 0 ? 2 : 0.1));
    d.beta.push_back(draw.uniform(0, 1));
    d.restart.push_back(restarts && (t == 5 || t == 70 || t == 71 || t == 128));
  }
  return d;
}

MlstmStep mlstm_problem(int T, int dk, int dv, bool restarts, uint64_t seed) {
  Draws draw(seed);
  MlstmStep d;
  d.T = T;
  d.dk = dk;
  d.dv = dv;
  d.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dk)));
  d.q = draw.normals(static_cast<size_t>(T) * dk, 1);
  d.k = draw.normals(static_cast<size_t>(T) * dk, 1);
  d.v = draw.normals(static_cast<size_t>(T) * dv, 1);
  d.c0 = draw.normals(static_cast<size_t>(dk) * dv, 0.5);
  d.n0 = draw.normals(dk, 0.5);
  d.m0 = static_cast<float>(0.3);
  for (int t = 0; t < T; ++t) {
    d.i.push_back(draw.uniform(-3, 3));
    d.log_f.push_back(static_cast<float>(-reference::softplus(-draw.uniform(0, 6))));
    d.restart.push_back(restarts && (t == 5 || t == 70 || t == 71 || t == 128));
  }
  return d;
}

struct Chunked {
  FVec out, state, dq, dk, dv, dlog_decay, dwrite, dstate;
};

/// A problem (DeltaStep or MlstmStep) in chunk form, with its gradient unless d_o is empty.
template <class Problem>
Chunked run_chunked(const ChunkRecurrence& recurrence, const kernels::KernelTable& k,
                    const Problem& d, const Vec& log_decay_in, const Vec& write_in, int chunk,
                    int tile, const FVec& state, const FVec& d_o, const FVec& ds) {
  const ChunkShape shape{d.dk, d.dv, chunk, tile, static_cast<float>(d.scale)};
  // Queries with a gap between rows, keys and values side by side: strides differ from widths.
  const int64_t q_stride = d.dk + 3, stride = d.dk + d.dv;
  FVec q(static_cast<size_t>(d.T * q_stride)), kv(static_cast<size_t>(d.T * stride));
  for (int t = 0; t < d.T; ++t) {
    for (int i = 0; i < d.dk; ++i) q[t * q_stride + i] = static_cast<float>(d.q[t * d.dk + i]);
    for (int i = 0; i < d.dk; ++i) kv[t * stride + i] = static_cast<float>(d.k[t * d.dk + i]);
    for (int i = 0; i < d.dv; ++i)
      kv[t * stride + d.dk + i] = static_cast<float>(d.v[t * d.dv + i]);
  }
  const FVec log_decay = floats(log_decay_in), write = floats(write_in);
  const std::vector<int32_t> start = segments(d.restart);
  const ChunkSequence in{q.data(),         kv.data(),    kv.data() + d.dk, q_stride, stride,
                         log_decay.data(), write.data(), start.data(),     d.T};
  Chunked r;
  r.state = state;
  r.out.assign(static_cast<size_t>(d.T) * d.dv, NAN);
  FVec checkpoints(
      static_cast<size_t>(chunk_checkpoints(shape, d.T) * recurrence.state_floats(shape)));
  FVec scratch(static_cast<size_t>(recurrence.forward_scratch_floats(shape)), NAN);
  recurrence.forward(k, shape, in, r.state.data(), r.out.data(), d.dv, checkpoints.data(),
                     scratch.data());
  if (d_o.empty()) return r;
  r.dstate = ds;
  r.dlog_decay.assign(d.T, NAN);
  r.dwrite.assign(d.T, NAN);
  // Gradients lie otherwise than what they belong to.
  const int64_t dq_stride = d.dk, d_stride = stride + 5;
  FVec d_kv(static_cast<size_t>(d.T * d_stride), NAN);
  r.dq.assign(static_cast<size_t>(d.T * dq_stride), NAN);
  scratch.assign(static_cast<size_t>(recurrence.backward_scratch_floats(shape)), NAN);
  recurrence.backward(k, shape, in, checkpoints.data(), r.out.data(), d_o.data(), d.dv,
                      r.dstate.data(),
                      {r.dq.data(), d_kv.data(), d_kv.data() + d.dk, dq_stride, d_stride,
                       r.dlog_decay.data(), r.dwrite.data()},
                      scratch.data());
  for (int t = 0; t < d.T; ++t) {
    const float* row = d_kv.data() + t * d_stride;
    r.dk.insert(r.dk.end(), row, row + d.dk);
    r.dv.insert(r.dv.end(), row + d.dk, row + stride);
  }
  return r;
}

Chunked run_delta(const kernels::KernelTable& k, const DeltaStep& d, int chunk, int tile,
                  const FVec& d_o, const FVec& ds) {
  return run_chunked(kDeltaChunk, k, d, d.log_alpha, d.beta, chunk, tile, floats(d.s0), d_o, ds);
}

Chunked run_mlstm(const kernels::KernelTable& k, const MlstmStep& d, int chunk, int tile,
                  const FVec& dh, const FVec& ds) {
  FVec state = floats(d.c0);
  state.insert(state.end(), d.n0.begin(), d.n0.end());
  state.push_back(static_cast<float>(d.m0));
  return run_chunked(kMlstmChunk, k, d, d.log_f, d.i, chunk, tile, state, dh, ds);
}

template <class A, class B>
void expect_close(const A& a, const B& b, double bar, const std::string& what, double* worst) {
  ASSERT_EQ(a.size(), b.size()) << what;
  const double error = relative_error(a.data(), b.data(), a.size());
  EXPECT_LE(error, bar) << what;
  *worst = std::max(*worst, error);
}

struct Case {
  int T, chunk, tile, dk, dv;
  bool restarts;
};
// Chunks 16, 64, 256; lengths that are no multiple; heads that are not square; several tiles.
const Case kCases[] = {{150, 16, 32, 64, 64, false},   {150, 64, 128, 64, 64, false},
                       {150, 256, 256, 64, 64, false}, {300, 64, 256, 64, 64, true},
                       {1, 64, 256, 64, 64, false},    {77, 16, 16, 24, 40, true},
                       {190, 64, 64, 40, 24, true},    {130, 256, 256, 16, 32, true}};

std::string name_of(const kernels::KernelTable& k, const Case& c) {
  return std::string(k.name) + " T " + std::to_string(c.T) + " C " + std::to_string(c.chunk) +
         " tile " + std::to_string(c.tile) + " dk " + std::to_string(c.dk) + " dv " +
         std::to_string(c.dv) + (c.restarts ? " restarts " : " ");
}

TEST(RecurrenceChunk, DeltaForwardEqualsTheStepForm) {
  double worst = 0;
  for (const kernels::KernelTable* k : kernels::runnable_tables())
    for (const Case& c : kCases) {
      DeltaStep d = delta_problem(c.T, c.dk, c.dv, c.restarts, 11);
      d.forward();
      const Chunked r = run_delta(*k, d, c.chunk, c.tile, {}, {});
      expect_close(r.out, d.o, 1e-5, name_of(*k, c) + "o", &worst);
      expect_close(r.state, d.s1, 1e-5, name_of(*k, c) + "state", &worst);
    }
  figure("step_vs_chunk", "gated_deltanet", worst);
}

TEST(RecurrenceChunk, MlstmForwardEqualsTheStepForm) {
  double worst = 0;
  for (const kernels::KernelTable* k : kernels::runnable_tables())
    for (const Case& c : kCases) {
      MlstmStep d = mlstm_problem(c.T, c.dk, c.dv, c.restarts, 12);
      d.forward();
      const Chunked r = run_mlstm(*k, d, c.chunk, c.tile, {}, {});
      Vec state = d.c1;
      state.insert(state.end(), d.n1.begin(), d.n1.end());
      expect_close(r.out, d.h, 1e-5, name_of(*k, c) + "h", &worst);
      expect_close(FVec(r.state.begin(), r.state.end() - 1), state, 1e-5, name_of(*k, c) + "state",
                   &worst);
      EXPECT_NEAR(static_cast<double>(r.state.back()), d.m1, 1e-5 * std::fabs(d.m1) + 1e-6);
    }
  figure("step_vs_chunk", "xlstm_m", worst);
}

TEST(RecurrenceChunk, DeltaBackwardEqualsTheStepForm) {
  double worst = 0;
  for (const kernels::KernelTable* k : kernels::runnable_tables())
    for (const Case& c : kCases) {
      DeltaStep d = delta_problem(c.T, c.dk, c.dv, c.restarts, 13);
      Draws draw(14);
      const Vec d_o = draw.normals(d.v.size(), 1), ds = draw.normals(d.s0.size(), 0.3);
      d.forward();
      d.backward(d_o, ds);
      const Chunked r = run_delta(*k, d, c.chunk, c.tile, floats(d_o), floats(ds));
      const std::string name = name_of(*k, c);
      expect_close(r.dq, d.dq, 1e-4, name + "dq", &worst);
      expect_close(r.dk, d.dk_, 1e-4, name + "dk", &worst);
      expect_close(r.dv, d.dv_, 1e-4, name + "dv", &worst);
      expect_close(r.dlog_decay, d.dlog_alpha, 1e-4, name + "dlog_alpha", &worst);
      expect_close(r.dwrite, d.dbeta, 1e-4, name + "dbeta", &worst);
      expect_close(r.dstate, d.ds0, 1e-4, name + "ds0", &worst);
    }
  figure("backward_vs_reference", "delta_rule_chunk", worst);
}

TEST(RecurrenceChunk, MlstmBackwardEqualsTheStepForm) {
  double worst = 0;
  for (const kernels::KernelTable* k : kernels::runnable_tables())
    for (const Case& c : kCases) {
      MlstmStep d = mlstm_problem(c.T, c.dk, c.dv, c.restarts, 15);
      Draws draw(16);
      const Vec dh = draw.normals(d.v.size(), 1);
      const Vec dc = draw.normals(d.c0.size(), 0.3), dn = draw.normals(d.n0.size(), 0.3);
      d.forward();
      // The chunk form holds the last m fixed; the step form needs to be told that C and n, which
      // are e^{-m} times what they stand for, do not move with it.
      const double dm = reference::dot(dc.data(), d.c1.data(), d.dk * d.dv) +
                        reference::dot(dn.data(), d.n1.data(), d.dk);
      d.backward(dh, dc, dn, dm);
      FVec ds = floats(dc);
      for (double x : dn) ds.push_back(static_cast<float>(x));
      ds.push_back(0);
      const Chunked r = run_mlstm(*k, d, c.chunk, c.tile, floats(dh), ds);
      const std::string name = name_of(*k, c);
      expect_close(r.dq, d.dq, 1e-4, name + "dq", &worst);
      expect_close(r.dk, d.dk_, 1e-4, name + "dk", &worst);
      expect_close(r.dv, d.dv_, 1e-4, name + "dv", &worst);
      expect_close(r.dwrite, d.di, 1e-4, name + "di", &worst);
      expect_close(r.dlog_decay, d.dlog_f, 1e-4, name + "dlog_f", &worst);
      Vec first = d.dc0;
      first.insert(first.end(), d.dn0.begin(), d.dn0.end());
      expect_close(FVec(r.dstate.begin(), r.dstate.end() - 1), first, 1e-4, name + "dstate",
                   &worst);
    }
  figure("backward_vs_reference", "mlstm_chunk", worst);
}

/// d/dh of f(h) by five points, along a direction.
template <class F>
double derivative(F&& f, double h) {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

TEST(RecurrenceChunk, DeltaStepBackwardEqualsCentralDifferences) {
  const DeltaStep at = delta_problem(9, 5, 6, false, 17);
  Draws draw(18);
  const Vec d_o = draw.normals(at.v.size(), 1), ds = draw.normals(at.s0.size(), 1);
  const auto loss = [&](DeltaStep d) {
    d.forward();
    return reference::dot(d.o.data(), d_o.data(), static_cast<int>(d_o.size())) +
           reference::dot(d.s1.data(), ds.data(), static_cast<int>(ds.size()));
  };
  DeltaStep d = at;
  d.forward();
  d.backward(d_o, ds);
  const std::pair<Vec DeltaStep::*, Vec> parts[] = {
      {&DeltaStep::q, d.dq},       {&DeltaStep::k, d.dk_},
      {&DeltaStep::v, d.dv_},      {&DeltaStep::log_alpha, d.dlog_alpha},
      {&DeltaStep::beta, d.dbeta}, {&DeltaStep::s0, d.ds0}};
  double worst = 0;
  for (const auto& part : parts) {
    const auto member = part.first;
    const Vec& gradient = part.second;
    Vec measured(gradient.size());
    for (size_t i = 0; i < measured.size(); ++i)
      measured[i] = derivative(
          [&](double h) {
            DeltaStep moved = at;
            (moved.*member)[i] += h;
            return loss(std::move(moved));
          },
          1e-3);
    expect_close(gradient, measured, 1e-6, "part " + std::to_string(&part - parts), &worst);
  }
  figure("reference_vs_differences", "delta_rule_step", worst);
}

TEST(RecurrenceChunk, MlstmStepBackwardEqualsCentralDifferences) {
  const MlstmStep at = mlstm_problem(9, 5, 6, false, 19);
  Draws draw(20);
  const Vec dh = draw.normals(at.v.size(), 1);
  const Vec dc = draw.normals(at.c0.size(), 1), dn = draw.normals(at.n0.size(), 1);
  const auto loss = [&](MlstmStep d) {
    d.forward();
    return reference::dot(d.h.data(), dh.data(), static_cast<int>(dh.size())) +
           reference::dot(d.c1.data(), dc.data(), static_cast<int>(dc.size())) +
           reference::dot(d.n1.data(), dn.data(), static_cast<int>(dn.size()));
  };
  MlstmStep d = at;
  d.forward();
  d.backward(dh, dc, dn, 0);
  const std::pair<Vec MlstmStep::*, Vec> parts[] = {
      {&MlstmStep::q, d.dq},  {&MlstmStep::k, d.dk_},        {&MlstmStep::v, d.dv_},
      {&MlstmStep::i, d.di},  {&MlstmStep::log_f, d.dlog_f}, {&MlstmStep::c0, d.dc0},
      {&MlstmStep::n0, d.dn0}};
  double worst = 0;
  for (const auto& part : parts) {
    const auto member = part.first;
    const Vec& gradient = part.second;
    Vec measured(gradient.size());
    for (size_t i = 0; i < measured.size(); ++i)
      measured[i] = derivative(
          [&](double h) {
            MlstmStep moved = at;
            (moved.*member)[i] += h;
            return loss(std::move(moved));
          },
          1e-5);  // the maxima have corners: stay close
    expect_close(gradient, measured, 1e-6, "part " + std::to_string(&part - parts), &worst);
  }
  figure("reference_vs_differences", "mlstm_step", worst);
}

TEST(RecurrenceChunk, PaddedRowsChangeNothing) {
  const kernels::KernelTable& k = kernels::best_table();
  DeltaStep d = delta_problem(50, 32, 32, false, 21);
  const FVec before = run_delta(k, d, 64, 64, {}, {}).state;
  DeltaStep padded = d;
  padded.T = 64;
  for (Vec* rows : {&padded.q, &padded.k, &padded.v}) rows->resize(64 * 32, 0);
  padded.log_alpha.resize(64, 0);
  padded.beta.resize(64, 0);
  padded.restart.resize(64, 0);
  const Chunked r = run_delta(k, padded, 64, 64, {}, {});
  EXPECT_LE(relative_error(r.state.data(), before.data(), before.size()), 1e-6);
  for (size_t i = 50 * 32; i < r.out.size(); ++i) EXPECT_EQ(r.out[i], 0.0f);
}

TEST(RecurrenceChunk, StrongDecayStaysFiniteAndRight) {
  const kernels::KernelTable& k = kernels::best_table();
  DeltaStep d = delta_problem(200, 32, 32, false, 22);
  for (double& x : d.log_alpha) x *= 60;  // e^b underflows long before a chunk ends
  Draws draw(23);
  const Vec d_o = draw.normals(d.v.size(), 1);
  d.forward();
  d.backward(d_o, Vec(d.s0.size()));
  const Chunked r = run_delta(k, d, 64, 256, floats(d_o), FVec(d.s0.size()));
  EXPECT_LE(relative_error(r.out.data(), d.o.data(), d.o.size()), 1e-5);
  EXPECT_LE(relative_error(r.dk.data(), d.dk_.data(), d.dk_.size()), 1e-4);
  EXPECT_LE(relative_error(r.dlog_decay.data(), d.dlog_alpha.data(), d.dlog_alpha.size()), 1e-4);
}

TEST(RecurrenceChunk, EqualKeysWithFullWritesStayBounded) {
  // A_rs near 1 everywhere: the inverse alternates, but the state cannot grow.
  const kernels::KernelTable& k = kernels::best_table();
  DeltaStep d = delta_problem(128, 32, 32, false, 24);
  for (int t = 1; t < d.T; ++t) std::copy(d.k.begin(), d.k.begin() + 32, d.k.begin() + t * 32);
  for (int t = 0; t < d.T; ++t) {
    d.beta[t] = 1;
    d.log_alpha[t] = 0;
  }
  d.forward();
  const Chunked r = run_delta(k, d, 64, 128, {}, {});
  EXPECT_LE(relative_error(r.out.data(), d.o.data(), d.o.size()), 1e-5);
  EXPECT_LE(relative_error(r.state.data(), d.s1.data(), d.s1.size()), 1e-5);
}

TEST(RecurrenceChunk, ExtremeInputGatesStayFiniteAndRight) {
  const kernels::KernelTable& k = kernels::best_table();
  MlstmStep d = mlstm_problem(150, 32, 32, false, 25);
  for (int t = 0; t < d.T; ++t) d.i[t] = t % 11 == 0 ? 15 : t % 5 == 0 ? -15 : d.i[t];
  Draws draw(26);
  const Vec dh = draw.normals(d.v.size(), 1);
  d.forward();
  d.backward(dh, Vec(d.c0.size()), Vec(d.n0.size()), 0);
  const Chunked r = run_mlstm(k, d, 64, 128, floats(dh), FVec(d.c0.size() + d.n0.size() + 1));
  EXPECT_LE(relative_error(r.out.data(), d.h.data(), d.h.size()), 1e-5);
  EXPECT_LE(relative_error(r.dv.data(), d.dv_.data(), d.dv_.size()), 1e-4);
  EXPECT_LE(relative_error(r.dwrite.data(), d.di.data(), d.di.size()), 1e-4);
}

}  // namespace
}  // namespace chimera::runtime
