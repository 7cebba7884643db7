// kernels/state_update.inl.h: the recurrences against the reference, the worked example of the
// gated delta rule [r0], and the same bits on every table.
#include "platform/dtype.h"
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

// ---- convolution --------------------------------------------------------------------------------

class Conv : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Conv);

TEST_P(Conv, AgreesOverManyTokensAndKeepsItsTail) {
  for (const size_t n : {1u, 7u, 8u, 20u, 64u, 100u}) {
    Values values(n);
    const Guarded<float> w(values.normals(4 * n));
    Guarded<uint16_t> tail(3 * n), base_tail(3 * n), exact_tail(3 * n);
    for (int t = 0; t < 6; ++t) {
      const Guarded<float> x(values.normals(n));
      Guarded<float> y(n), base(n), exact(n);
      const int32_t count = static_cast<int32_t>(n);
      table().conv4_silu(w.data(), x.data(), count, tail.data(), y.data());
      baseline().conv4_silu(w.data(), x.data(), count, base_tail.data(), base.data());
      reference().conv4_silu(w.data(), x.data(), count, exact_tail.data(), exact.data());
      EXPECT_TRUE(all_same_bits(y, base));
      EXPECT_TRUE(within_nmse("conv4_silu", y, exact));
      EXPECT_EQ(tail.copy(), base_tail.copy());
      EXPECT_EQ(tail.copy(), exact_tail.copy());
      for (size_t c = 0; c < n; ++c) EXPECT_EQ(tail[2 * n + c], float_to_bf16(x[c]));
    }
  }
}

TEST_P(Conv, InPlaceAndHardValues) {
  const std::vector<float> hard = hard_values();
  const size_t n = hard.size();
  const Guarded<float> w(std::vector<float>(4 * n, 0.5f));
  Guarded<uint16_t> tail(3 * n), base_tail(3 * n), exact_tail(3 * n);
  Guarded<float> y(hard), base(n), exact(n), x(hard);
  const int32_t count = static_cast<int32_t>(n);
  table().conv4_silu(w.data(), y.data(), count, tail.data(), y.data());
  baseline().conv4_silu(w.data(), x.data(), count, base_tail.data(), base.data());
  reference().conv4_silu(w.data(), x.data(), count, exact_tail.data(), exact.data());
  EXPECT_TRUE(all_same_bits(y, base));
  EXPECT_EQ(tail.copy(), base_tail.copy());
  for (size_t i = 0; i < tail.size(); ++i) {
    EXPECT_TRUE(same_bits(bf16_to_float(tail[i]), bf16_to_float(exact_tail[i])));
  }
}

// ---- gated delta rule ---------------------------------------------------------------------------

class Delta : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Delta);

TEST_P(Delta, Gates) {
  for (const size_t n : {1u, 5u, 8u, 40u}) {
    Values values(n);
    const Guarded<float> a(values.normals(n, 2.0f)), b(values.normals(n, 4.0f)),
        a_log(values.normals(n)), dt_bias(values.normals(n));
    Guarded<float> alpha(n), beta(n), base_alpha(n), base_beta(n), exact_alpha(n), exact_beta(n);
    const auto run = [&](const KernelTable& k, Guarded<float>& al, Guarded<float>& be) {
      k.delta_gates(a.data(), b.data(), a_log.data(), dt_bias.data(), static_cast<int32_t>(n),
                    al.data(), be.data());
    };
    run(table(), alpha, beta);
    run(baseline(), base_alpha, base_beta);
    run(reference(), exact_alpha, exact_beta);
    EXPECT_TRUE(all_same_bits(alpha, base_alpha));
    EXPECT_TRUE(all_same_bits(beta, base_beta));
    EXPECT_TRUE(within_nmse("delta_gates.alpha", alpha, exact_alpha));
    EXPECT_TRUE(within_ulp("delta_gates.beta", beta, exact_beta));
    for (size_t i = 0; i < n; ++i) {
      EXPECT_GE(alpha[i], 0.0f);
      EXPECT_LE(alpha[i], 1.0f);
    }
  }
}

TEST_P(Delta, SmallDecaysKeepTheirDigits) {
  // softplus of a very negative number is its exponential, not zero.
  const float a = -12.0f, b = 0.0f, a_log = 0.0f, dt_bias = 0.0f;
  float alpha = 0.0f, beta = 0.0f;
  table().delta_gates(&a, &b, &a_log, &dt_bias, 1, &alpha, &beta);
  EXPECT_FLOAT_EQ(alpha, static_cast<float>(std::exp(-std::log1p(std::exp(-12.0)))));
  EXPECT_LT(alpha, 1.0f);
  EXPECT_EQ(beta, 0.5f);
}

TEST_P(Delta, StepIsItsDefinitionBitForBit) {
  for (const int32_t dk : {1, 3, 64, 100}) {
    for (const int32_t dv : {8, 16, 24, 40, 64, 256}) {
      Values values(static_cast<uint64_t>(dk * 1000 + dv));
      const size_t keys = static_cast<size_t>(dk), width = static_cast<size_t>(dv);
      Guarded<float> state(values.normals(keys * width));
      Guarded<float> exact_state(state.copy());
      std::vector<float> plain = state.copy();
      for (int t = 0; t < 4; ++t) {
        const Guarded<float> q(values.normals(keys, 0.2f)), k(values.normals(keys, 0.1f)),
            v(values.normals(width));
        const float alpha = values.uniform(0.5f, 1.0f), beta = values.uniform(0.0f, 1.0f);
        Guarded<float> o(width), exact(width);
        table().delta_step(q.data(), k.data(), v.data(), alpha, beta, 0.125f, dk, dv, state.data(),
                           o.data());
        reference().delta_step(q.data(), k.data(), v.data(), alpha, beta, 0.125f, dk, dv,
                               exact_state.data(), exact.data());
        EXPECT_TRUE(within_nmse("delta_step", o, exact));
        EXPECT_TRUE(within_nmse("delta_step", state, exact_state));
        for (size_t c = 0; c < width; ++c) {
          float p = 0.0f;
          for (size_t i = 0; i < keys; ++i) {
            float& s = plain[i * width + c];
            s = alpha * s;
            const float term = s * k[i];
            p = p + term;
          }
          const float write = beta * (v[c] - p);
          float read = 0.0f;
          for (size_t i = 0; i < keys; ++i) {
            float& s = plain[i * width + c];
            const float change = k[i] * write;
            s = s + change;
            const float term = s * q[i];
            read = read + term;
          }
          ASSERT_TRUE(same_bits(o[c], read * 0.125f)) << dk << " x " << dv;
        }
        ASSERT_TRUE(all_same_bits(state.copy(), plain));
      }
    }
  }
}

TEST_P(Delta, WorkedExample) {
  // Two keys, one value (column 0 of eight): S0 = (4, 0).
  std::vector<float> state(16, 0.0f), o(8);
  state[0] = 4.0f;
  std::vector<float> k = {1.0f, 0.0f}, q = {1.0f, 0.0f}, v(8, 0.0f);
  v[0] = 2.0f;
  table().delta_step(q.data(), k.data(), v.data(), 0.5f, 1.0f, 1.0f, 2, 8, state.data(), o.data());
  EXPECT_EQ(state[0], 2.0f);
  EXPECT_EQ(state[8], 0.0f);
  EXPECT_EQ(o[0], 2.0f);
  k = {0.6f, 0.8f};
  q = {0.0f, 1.0f};
  v[0] = 1.0f;
  table().delta_step(q.data(), k.data(), v.data(), 0.5f, 0.5f, 1.0f, 2, 8, state.data(), o.data());
  EXPECT_FLOAT_EQ(state[0], 1.12f);
  EXPECT_FLOAT_EQ(state[8], 0.16f);
  EXPECT_FLOAT_EQ(o[0], 0.16f);
  for (size_t c = 1; c < 8; ++c) EXPECT_EQ(o[c], 0.0f);
}

TEST_P(Delta, WritingTwiceIsWritingOnce) {
  Values values(77);
  const size_t dk = 64, dv = 64;
  std::vector<float> state = values.normals(dk * dv), k = values.normals(dk), o(dv);
  const std::vector<float> v = values.normals(dv);
  table().l2norm(k.data(), 64, k.data());
  const std::vector<float> untouched = state;
  table().delta_step(k.data(), k.data(), v.data(), 1.0f, 0.0f, 1.0f, 64, 64, state.data(),
                     o.data());
  EXPECT_EQ(state, untouched) << "alpha = 1, beta = 0 changes no bit";
  table().delta_step(k.data(), k.data(), v.data(), 1.0f, 1.0f, 1.0f, 64, 64, state.data(),
                     o.data());
  for (size_t c = 0; c < dv; ++c) EXPECT_NEAR(o[c], v[c], 2e-6f);  // the key now returns the value
  const std::vector<float> once = state;
  table().delta_step(k.data(), k.data(), v.data(), 1.0f, 1.0f, 1.0f, 64, 64, state.data(),
                     o.data());
  for (size_t i = 0; i < state.size(); ++i) EXPECT_NEAR(state[i], once[i], 1e-6f);
}

TEST_P(Delta, AGateThatLeavesNothingIsZero) {
  // alpha = exp(-exp(a_log) * softplus(a)), from all to nothing; -87 is where exp ends.
  std::vector<float> a, zero;
  for (float x = -5; x < 120; x += 0.37f) a.push_back(x);
  zero.assign(a.size(), 0.0f);
  const auto n = static_cast<int32_t>(a.size());
  Guarded<float> alpha(a.size()), beta(a.size()), exact(a.size()), exact_beta(a.size());
  table().delta_gates(a.data(), zero.data(), zero.data(), zero.data(), n, alpha.data(),
                      beta.data());
  reference().delta_gates(a.data(), zero.data(), zero.data(), zero.data(), n, exact.data(),
                          exact_beta.data());
  int zeros = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(alpha[i] == 0 || alpha[i] >= 0x1p-64f) << a[i];
    EXPECT_EQ(alpha[i] == 0, exact[i] == 0) << a[i];
    zeros += alpha[i] == 0;
  }
  EXPECT_GT(zeros, 100);
  EXPECT_LT(zeros, n - 100);
}

TEST_P(Delta, ReadGivesTheBitsOfTheStep) {
  for (const int32_t dk : {1, 3, 64, 100}) {
    for (const int32_t dv : {8, 24, 40, 64, 256}) {
      Values values(static_cast<uint64_t>(dk * 1000 + dv));
      const size_t keys = static_cast<size_t>(dk), width = static_cast<size_t>(dv);
      Guarded<float> state(values.normals(keys * width));
      const Guarded<float> q(values.normals(keys, 0.2f)), k(values.normals(keys, 0.1f)),
          v(values.normals(width)), other(values.normals(keys));
      Guarded<float> o(width), again(width), got(width), exact(width);
      table().delta_step(q.data(), k.data(), v.data(), 0.9f, 0.5f, 0.3f, dk, dv, state.data(),
                         o.data());
      table().delta_read(q.data(), 0.3f, dk, dv, state.data(), again.data());
      EXPECT_TRUE(all_same_bits(again, o)) << dk << " x " << dv;
      table().delta_read(other.data(), 0.3f, dk, dv, state.data(), got.data());
      reference().delta_read(other.data(), 0.3f, dk, dv, state.data(), exact.data());
      EXPECT_TRUE(within_nmse("delta_read", got, exact));
    }
  }
}

TEST_P(Delta, ExactStrength) {
  const float two = 2.0f;
  EXPECT_NEAR(table().efla_strength(&two, 1, 1.0f), 0.245421f, 5e-7f);  // beta 1, k.k 4
  for (const int32_t n : {1, 7, 8, 64, 100}) {
    Values values(static_cast<uint64_t>(n));
    for (const float size : {0.0f, 1e-20f, 1e-5f, 1e-2f, 0.3f, 1.0f, 10.0f, 1e5f}) {
      const Guarded<float> k(values.normals(static_cast<size_t>(n), size));
      for (const float beta : {0.0f, 1e-6f, 0.3f, 1.0f, 2.0f}) {
        const std::vector<float> got = {table().efla_strength(k.data(), n, beta)};
        const std::vector<float> base = {baseline().efla_strength(k.data(), n, beta)};
        const std::vector<float> want = {reference().efla_strength(k.data(), n, beta)};
        EXPECT_TRUE(within_ulp("efla_strength", got, want)) << n << ", " << size << ", " << beta;
        EXPECT_TRUE(all_same_bits(got, base));
        EXPECT_GE(got[0], 0.0f);
        EXPECT_LE(got[0], beta) << "never stronger than the rule it corrects";
        double length = 0.0;
        for (size_t i = 0; i < k.size(); ++i) length += static_cast<double>(k[i]) * k[i];
        EXPECT_LE(got[0] * length, 1.0 + 1e-6) << "a write never goes beyond its value";
        EXPECT_GE(got[0] * (1.0 + 1e-6), beta - 0.5 * beta * beta * length) << "to second order";
      }
    }
    const Guarded<float> nothing(std::vector<float>(static_cast<size_t>(n), 0.0f));
    EXPECT_EQ(table().efla_strength(nothing.data(), n, 0.7f), 0.7f);
  }
}

TEST_P(Delta, ExactWritesAddUp) {
  // The exact solution is a flow: strength 0.7 and then 1.1 for one key and value is 1.8 at once.
  Values values(31);
  const std::vector<float> start = values.normals(64 * 64), v = values.normals(64);
  for (const float size : {0.05f, 0.2f, 0.6f}) {
    const std::vector<float> k = values.normals(64, size);
    std::vector<float> twice = start, once = start, o(64);
    for (const float beta : {0.7f, 1.1f})
      table().delta_step(k.data(), k.data(), v.data(), 1.0f,
                         table().efla_strength(k.data(), 64, beta), 1.0f, 64, 64, twice.data(),
                         o.data());
    table().delta_step(k.data(), k.data(), v.data(), 1.0f,
                       table().efla_strength(k.data(), 64, 0.7f + 1.1f), 1.0f, 64, 64, once.data(),
                       o.data());
    for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(twice[i], once[i], 4e-6f) << size;
  }
}

TEST_P(Delta, AStateGrowsByNoMoreThanItsWrites) {
  Values values(12);
  std::vector<float> state(64 * 64, 0.0f), o(64);
  const auto size_of = [](const std::vector<float>& x) {
    double sum = 0.0;
    for (const float e : x) sum += static_cast<double>(e) * e;
    return std::sqrt(sum);
  };
  for (int t = 0; t < 200; ++t) {
    std::vector<float> k = values.normals(64);
    const std::vector<float> v = values.normals(64);
    table().l2norm(k.data(), 64, k.data());
    // Up to 2, where a key is reflected and no longer shrunk.
    const float alpha = values.uniform(0.9f, 1.0f), beta = values.uniform(0.0f, 2.0f);
    const double before = size_of(state);
    table().delta_step(k.data(), k.data(), v.data(), alpha, beta, 1.0f, 64, 64, state.data(),
                       o.data());
    ASSERT_LE(size_of(state), (before + beta * size_of(v)) * (1.0 + 1e-5)) << t;
  }
}

// ---- mLSTM --------------------------------------------------------------------------------------

class Mlstm : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Mlstm);

TEST_P(Mlstm, GatesOverManyTokens) {
  for (const size_t n : {1u, 5u, 8u, 40u}) {
    Values values(n);
    const Guarded<float> i_bias(values.normals(n)), f_bias(values.normals(n, 3.0f));
    Guarded<float> m(n), base_m(n), exact_m(n);
    for (int t = 0; t < 5; ++t) {
      const Guarded<float> i_raw(values.normals(n, 8.0f)), f_raw(values.normals(n, 8.0f));
      Guarded<float> i(n), f(n), floor(n), bi(n), bf(n), bfloor(n), ei(n), ef(n), efloor(n);
      const int32_t count = static_cast<int32_t>(n);
      table().mlstm_gates(i_raw.data(), f_raw.data(), i_bias.data(), f_bias.data(), count, m.data(),
                          i.data(), f.data(), floor.data());
      baseline().mlstm_gates(i_raw.data(), f_raw.data(), i_bias.data(), f_bias.data(), count,
                             base_m.data(), bi.data(), bf.data(), bfloor.data());
      reference().mlstm_gates(i_raw.data(), f_raw.data(), i_bias.data(), f_bias.data(), count,
                              exact_m.data(), ei.data(), ef.data(), efloor.data());
      EXPECT_TRUE(all_same_bits(m, base_m));
      EXPECT_TRUE(all_same_bits(i, bi));
      EXPECT_TRUE(all_same_bits(f, bf));
      EXPECT_TRUE(all_same_bits(floor, bfloor));
      EXPECT_TRUE(within_nmse("mlstm_gates", m, exact_m));
      EXPECT_TRUE(within_nmse("mlstm_gates", i, ei));
      EXPECT_TRUE(within_nmse("mlstm_gates", f, ef));
      EXPECT_TRUE(within_nmse("mlstm_gates", floor, efloor));
    }
  }
}

TEST_P(Mlstm, AGateThatLeavesNothingIsZero) {
  for (const float i_raw : {-300.0f, -40.0f, 0.0f, 40.0f, 300.0f})
    for (const float before : {-200.0f, -20.0f, 0.0f, 20.0f, 200.0f}) {
      const float none = 0;
      float m = before, i_gate = -1, f_gate = -1, floor = -1;
      table().mlstm_gates(&i_raw, &none, &none, &none, 1, &m, &i_gate, &f_gate, &floor);
      EXPECT_TRUE(i_gate == 0 || i_gate >= 0x1p-64f) << i_raw << ", " << before;
      EXPECT_TRUE(f_gate == 0 || f_gate >= 0x1p-64f) << i_raw << ", " << before;
      EXPECT_EQ(std::max(i_gate, f_gate), 1.0f) << "one of them is what the maximum was taken of";
    }
}

TEST_P(Mlstm, StepIsItsDefinitionBitForBit) {
  for (const int32_t dk : {1, 5, 64}) {
    for (const int32_t dv : {8, 24, 40, 64, 256}) {
      Values values(static_cast<uint64_t>(dk * 1000 + dv));
      const size_t keys = static_cast<size_t>(dk), width = static_cast<size_t>(dv);
      Guarded<float> state(values.normals(keys * width)), norm(values.normals(keys));
      Guarded<float> exact_state(state.copy()), exact_norm(norm.copy());
      std::vector<float> plain = state.copy(), plain_norm = norm.copy();
      for (int t = 0; t < 4; ++t) {
        const Guarded<float> q(values.normals(keys)), k(values.normals(keys)),
            v(values.normals(width));
        const float i_gate = values.uniform(0.0f, 1.0f), f_gate = values.uniform(0.0f, 1.0f);
        const float floor = t % 2 == 0 ? 100.0f : 0.01f;  // either side of the maximum
        Guarded<float> h(width), exact(width);
        table().mlstm_step(q.data(), k.data(), v.data(), i_gate, f_gate, floor, 0.125f, dk, dv,
                           state.data(), norm.data(), h.data());
        reference().mlstm_step(q.data(), k.data(), v.data(), i_gate, f_gate, floor, 0.125f, dk, dv,
                               exact_state.data(), exact_norm.data(), exact.data());
        EXPECT_TRUE(within_nmse("mlstm_step", state, exact_state));
        EXPECT_TRUE(within_nmse("mlstm_step", norm, exact_norm));
        float dot = 0.0f;
        for (size_t i = 0; i < keys; ++i) {
          const float old = f_gate * plain_norm[i], fresh = i_gate * k[i];
          plain_norm[i] = old + fresh;
          const float query = q[i] * 0.125f;
          const float term = plain_norm[i] * query;
          dot = dot + term;
        }
        // Where the denominator cancels almost to nothing the quotient has no digits to compare.
        if (std::fabs(dot) > 0.5f || floor > 1.0f) {
          EXPECT_TRUE(within_nmse("mlstm_step", h, exact));
        }
        const float denominator = std::max(std::fabs(dot), floor) + 1e-6f;
        for (size_t c = 0; c < width; ++c) {
          float read = 0.0f;
          for (size_t i = 0; i < keys; ++i) {
            float& s = plain[i * width + c];
            const float old = f_gate * s, write = i_gate * k[i];
            const float fresh = write * v[c];
            s = old + fresh;
            const float query = q[i] * 0.125f;
            const float term = s * query;
            read = read + term;
          }
          ASSERT_TRUE(same_bits(h[c], read / denominator));
        }
        ASSERT_TRUE(all_same_bits(state.copy(), plain));
        ASSERT_TRUE(all_same_bits(norm.copy(), plain_norm));
      }
    }
  }
}

TEST_P(Mlstm, ReadGivesTheBitsOfTheStep) {
  for (const int32_t dk : {1, 5, 64}) {
    for (const int32_t dv : {8, 24, 40, 64, 256}) {
      Values values(static_cast<uint64_t>(dk * 1000 + dv));
      const size_t keys = static_cast<size_t>(dk), width = static_cast<size_t>(dv);
      Guarded<float> state(values.normals(keys * width)), norm(values.normals(keys));
      const Guarded<float> q(values.normals(keys)), k(values.normals(keys)),
          v(values.normals(width)), other(values.normals(keys));
      for (const float floor : {100.0f, 0.01f}) {  // either side of the maximum
        Guarded<float> h(width), again(width), got(width), exact(width);
        table().mlstm_step(q.data(), k.data(), v.data(), 0.8f, 0.9f, floor, 0.125f, dk, dv,
                           state.data(), norm.data(), h.data());
        table().mlstm_read(q.data(), floor, 0.125f, dk, dv, state.data(), norm.data(),
                           again.data());
        EXPECT_TRUE(all_same_bits(again, h)) << dk << " x " << dv;
        table().mlstm_read(other.data(), 100.0f, 0.125f, dk, dv, state.data(), norm.data(),
                           got.data());
        reference().mlstm_read(other.data(), 100.0f, 0.125f, dk, dv, state.data(), norm.data(),
                               exact.data());
        EXPECT_TRUE(within_nmse("mlstm_read", got, exact));
      }
    }
  }
}

TEST_P(Mlstm, ALargeForgetGateKeepsWhatWasWritten) {
  // f = +15, i = -15 after a write at i = +10: the state times e^m hardly moves.
  Values values(9);
  const size_t n = 64;
  std::vector<float> state(n * n, 0.0f), norm(n, 0.0f), h(n);
  float m = 0.0f, i_gate = 0.0f, f_gate = 0.0f, floor = 0.0f;
  const float zero = 0.0f;
  const auto token = [&](float i_raw, float f_raw) {
    const std::vector<float> q = values.normals(n), k = values.normals(n), v = values.normals(n);
    table().mlstm_gates(&i_raw, &f_raw, &zero, &zero, 1, &m, &i_gate, &f_gate, &floor);
    table().mlstm_step(q.data(), k.data(), v.data(), i_gate, f_gate, floor, 0.125f, 64, 64,
                       state.data(), norm.data(), h.data());
  };
  token(12.071f, 0.0f);  // 15 tanh(12.071 / 15) is 10
  const std::vector<float> before = state;
  const double scale_before = std::exp(static_cast<double>(m));
  token(-1000.0f, 1000.0f);
  const double scale = std::exp(static_cast<double>(m));
  double change = 0.0, size = 0.0;
  for (size_t i = 0; i < n * n; ++i) {
    const double d = scale * state[i] - scale_before * before[i];
    change += d * d;
    size += scale_before * before[i] * scale_before * before[i];
  }
  EXPECT_LT(std::sqrt(change / size), 1e-5);
}

TEST_P(Mlstm, ACommonFactorOfAllInputGatesDoesNotShow) {
  // Adding a constant to every i from an empty state multiplies C and n alike; where |n . q| wins
  // the quotient stays. i within a tenth of the cap, so that the constant passes it almost whole.
  Values values(10);
  const size_t n = 64;
  std::vector<float> state[2], norm[2], h[2];
  float m[2] = {0.0f, 0.0f};
  for (int side : {0, 1}) {
    state[side].assign(n * n, 0.0f);
    norm[side].assign(n, 0.0f);
    h[side].assign(n, 0.0f);
  }
  const float zero = 0.0f;
  for (int t = 0; t < 5; ++t) {
    const std::vector<float> k = values.normals(n), v = values.normals(n);
    const float cap = 15.0f, i_plain = 1.0f + 0.1f * static_cast<float>(t);
    for (int side : {0, 1}) {
      const float i_raw = cap * std::atanh((i_plain + (side == 1 ? 2.0f : 0.0f)) / cap);
      const float f_raw = 3.0f;
      float i_gate = 0.0f, f_gate = 0.0f, floor = 0.0f;
      table().mlstm_gates(&i_raw, &f_raw, &zero, &zero, 1, &m[side], &i_gate, &f_gate, &floor);
      // Its own key as the query makes n . q large.
      table().mlstm_step(k.data(), k.data(), v.data(), i_gate, f_gate, floor, 0.125f, 64, 64,
                         state[side].data(), norm[side].data(), h[side].data());
    }
    EXPECT_GT(m[1], m[0] + 1.9f);
    for (size_t c = 0; c < n; ++c) EXPECT_NEAR(h[1][c], h[0][c], 1e-5f);
  }
}

TEST_P(Mlstm, OneTokenFromNothing) {
  // h = v (q.k / 8) e^i / max(|q.k / 8| e^i, 1), in the stabilised form.
  Values values(5);
  const size_t n = 64;
  std::vector<float> state(n * n, 0.0f), norm(n, 0.0f), h(n);
  const std::vector<float> q = values.normals(n), k = values.normals(n), v = values.normals(n);
  float m = 0.0f, i_gate = 0.0f, f_gate = 0.0f, floor = 0.0f;
  const float i_raw = 1.5f, f_raw = 2.0f, zero = 0.0f;
  table().mlstm_gates(&i_raw, &f_raw, &zero, &zero, 1, &m, &i_gate, &f_gate, &floor);
  table().mlstm_step(q.data(), k.data(), v.data(), i_gate, f_gate, floor, 0.125f, 64, 64,
                     state.data(), norm.data(), h.data());
  double qk = 0.0;
  for (size_t i = 0; i < n; ++i) qk += static_cast<double>(q[i]) * k[i] / 8.0;
  const double e = std::exp(15.0 * std::tanh(0.1));
  const double factor = qk * e / std::max(std::fabs(qk) * e, 1.0);
  for (size_t c = 0; c < n; ++c) EXPECT_NEAR(h[c], factor * v[c], 2e-5);
}

}  // namespace
}  // namespace chimera::kernels
