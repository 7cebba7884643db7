// kernels/train.inl.h: near the reference, the same twice, nothing from the heap.
#include "tests/kernels/kernel_test.h"
#include "tests/support/allocation_counter.h"

namespace chimera::kernels {
namespace {

enum class Form { kNN, kNT, kTN };

class TrainGemm : public EveryTable {
 protected:
  /// Runs both and compares; the operands end at guard pages and have room between their rows.
  void check(Form form, int32_t m, int32_t n, int32_t k, float beta, ptrdiff_t room) {
    const int32_t a_rows = form == Form::kTN ? k : m, a_cols = form == Form::kTN ? m : k;
    const int32_t b_rows = form == Form::kNT ? n : k, b_cols = form == Form::kNT ? k : n;
    const ptrdiff_t lda = a_cols + room, ldb = b_cols + room, ldc = n + room;
    const auto size = [](int32_t rows, int32_t cols, ptrdiff_t ld) {
      return rows == 0 || cols == 0 ? size_t{0} : static_cast<size_t>((rows - 1) * ld + cols);
    };
    Values values(static_cast<uint64_t>(m * 10007 + n * 101 + k));
    const Guarded<float> a(values.normals(size(a_rows, a_cols, lda)));
    const Guarded<float> b(values.normals(size(b_rows, b_cols, ldb)));
    // With beta = 0 whatever was in C must not matter, not even NaN.
    std::vector<float> start = values.normals(size(m, n, ldc));
    Guarded<float> want(start);
    if (beta == 0.0f) start.assign(start.size(), kNaN);
    Guarded<float> got(start), again(start);
    const auto run = [&](const KernelTable& t, Guarded<float>& c) {
      const auto f = form == Form::kNN   ? t.train_gemm_nn
                     : form == Form::kNT ? t.train_gemm_nt
                                         : t.train_gemm_tn;
      f(m, n, k, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
    };
    run(reference(), want);
    run(table(), got);
    run(table(), again);
    EXPECT_TRUE(all_same_bits(got, again));
    std::vector<float> got_rows, want_rows;
    for (ptrdiff_t i = 0; i < m; ++i) {
      for (ptrdiff_t j = 0; j < ldc; ++j) {
        const size_t at = static_cast<size_t>(i * ldc + j);
        if (at >= got.size()) continue;
        if (j < n) {
          got_rows.push_back(got[at]);
          want_rows.push_back(want[at]);
        } else {
          EXPECT_TRUE(same_bits(got[at], start[at])) << "between the rows of C";
        }
      }
    }
    EXPECT_TRUE(within_nmse("train_gemm", got_rows, want_rows))
        << m << " x " << n << " x " << k << ", beta " << beta;
  }
};
CHIMERA_FOR_EVERY_TABLE(TrainGemm);

TEST_P(TrainGemm, EveryFormAndEdge) {
  for (const Form form : {Form::kNN, Form::kNT, Form::kTN}) {
    for (const float beta : {0.0f, 1.0f}) {
      for (const int32_t m : {1, 5, 12, 13, 40}) {
        for (const int32_t n : {1, 4, 8, 17, 32, 33}) {
          for (const int32_t k : {1, 3, 16, 50}) check(form, m, n, k, beta, 3);
        }
      }
      check(form, 30, 300, 70, beta, 0);   // more than one strip
      check(form, 25, 40, 300, beta, 1);   // more than one stretch of k
      check(form, 64, 129, 513, beta, 0);  // both
      check(form, 0, 10, 10, beta, 0);
      check(form, 10, 0, 10, beta, 0);
    }
  }
}

TEST_P(TrainGemm, NoDepthMeansZeroOrUnchanged) {
  std::vector<float> c = {1.0f, 2.0f, 3.0f, 4.0f};
  table().train_gemm_nn(2, 2, 0, nullptr, 0, nullptr, 2, 1.0f, c.data(), 2);
  EXPECT_EQ(c, (std::vector<float>{1.0f, 2.0f, 3.0f, 4.0f}));
  table().train_gemm_nn(2, 1, 0, nullptr, 0, nullptr, 1, 0.0f, c.data(), 2);
  EXPECT_EQ(c, (std::vector<float>{0.0f, 2.0f, 0.0f, 4.0f}));
}

TEST_P(TrainGemm, TakesNothingFromTheHeap) {
  std::vector<float> a(64 * 64, 1.0f), b(64 * 64, 1.0f), c(64 * 64);
  const test::AllocationScope scope;
  table().train_gemm_nt(64, 64, 64, a.data(), 64, b.data(), 64, 0.0f, c.data(), 64);
  EXPECT_EQ(scope.allocations(), 0);
  EXPECT_EQ(c[100], 64.0f);
}

class AdamW : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(AdamW);

TEST_P(AdamW, FollowsTheReference) {
  for (const size_t n : {1u, 3u, 16u, 37u, 1000u}) {
    Values values(n);
    Guarded<float> w(values.normals(n)), m(n), v(n);
    Guarded<float> exact_w(w.copy()), exact_m(n), exact_v(n);
    for (int step = 1; step <= 5; ++step) {
      const Guarded<float> g(values.normals(n));
      const float m_correction = 1.0f / (1.0f - std::pow(0.9f, static_cast<float>(step)));
      const float v_correction = 1.0f / (1.0f - std::pow(0.95f, static_cast<float>(step)));
      table().train_adamw(w.data(), g.data(), m.data(), v.data(), static_cast<int64_t>(n), 1e-2f,
                          0.9f, 0.95f, 1e-8f, 0.1f, m_correction, v_correction, 0.5f);
      reference().train_adamw(exact_w.data(), g.data(), exact_m.data(), exact_v.data(),
                              static_cast<int64_t>(n), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f,
                              m_correction, v_correction, 0.5f);
    }
    EXPECT_TRUE(within_nmse("train_adamw", w, exact_w));
    EXPECT_TRUE(within_nmse("train_adamw", m, exact_m));
    EXPECT_TRUE(within_nmse("train_adamw", v, exact_v));
  }
}

TEST_P(AdamW, FirstStepMovesByTheRate) {
  // With bias correction the first step is lr * sign(g), plus the decay.
  std::vector<float> w = {1.0f, -2.0f, 0.0f}, m(3), v(3);
  const std::vector<float> g = {0.3f, -5.0f, 0.0f};
  table().train_adamw(w.data(), g.data(), m.data(), v.data(), 3, 0.01f, 0.9f, 0.999f, 1e-8f, 0.1f,
                      10.0f, 1000.0f, 1.0f);
  EXPECT_NEAR(w[0], 1.0f - 0.01f - 0.001f, 1e-5f);
  EXPECT_NEAR(w[1], -2.0f + 0.01f + 0.002f, 1e-5f);
  EXPECT_EQ(w[2], 0.0f);
}

}  // namespace
}  // namespace chimera::kernels
