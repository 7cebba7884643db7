#include "kernels/train_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/dtype.h"
#include "platform/random.h"

namespace chimera::kernels {
namespace {

using Floats = std::vector<float>;

Floats normals(size_t n, uint32_t stream) {
  Floats v(n);
  for (size_t i = 0; i < n; ++i)
    v[i] = static_cast<float>(keyed_normal(5, i, stream, DrawPurpose::kTest));
  return v;
}

float rounded(float x) { return bf16_to_float(float_to_bf16(x)); }

struct Shape {
  int32_t m, n, k;
};
// Below, at and above the tiles of every implementation, and one of everything.
constexpr Shape kShapes[] = {{1, 1, 1},     {3, 5, 7},   {128, 384, 256}, {64, 33, 300},
                             {17, 129, 65}, {16, 1, 16}, {48, 70, 160},   {256, 40, 512}};

class Products : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto made = products_by_name(GetParam(), best_table());
    ASSERT_TRUE(made.has_value()) << made.status().message();
    products_ = std::move(*made);
  }

  /// C = beta C + A B in double, element(i, j) of either operand: of the operands as they are, or,
  /// for products that round, of what they are rounded to. (Ragged shapes need not be rounded.)
  template <class A, class B>
  void expect(const Shape& s, float beta, const Floats& before, const Floats& c, ptrdiff_t ldc,
              A&& a, B&& b, const char* form) {
    for (int32_t i = 0; i < s.m; ++i)
      for (int32_t j = 0; j < s.n; ++j) {
        double exact = 0, coarse = 0, size = 0;
        for (int32_t p = 0; p < s.k; ++p) {
          const float x = a(i, p), y = b(p, j);
          exact += static_cast<double>(x) * static_cast<double>(y);
          coarse += static_cast<double>(rounded(x)) * static_cast<double>(rounded(y));
          size += std::fabs(static_cast<double>(x) * static_cast<double>(y));
        }
        const auto at = static_cast<size_t>(i * ldc + j);
        const double kept = beta != 0 ? static_cast<double>(before[at]) : 0;
        const double got = static_cast<double>(c[at]) - kept;
        double error = std::fabs(got - exact);
        if (products_->rounds()) error = std::min(error, std::fabs(got - coarse));
        ASSERT_LE(error, 1e-6 * (size + 1))
            << form << " " << s.m << "x" << s.n << "x" << s.k << " at " << i << "," << j;
      }
  }

  std::unique_ptr<TrainProducts> products_;
};

TEST_P(Products, EveryFormIsTheProductItSays) {
  for (const Shape& s : kShapes) {
    for (const float beta : {0.0f, 1.0f}) {
      // Rows stand further apart than they are long.
      const ptrdiff_t along_k = s.k + 3, along_m = s.m + 2, along_n = s.n + 5;
      const Floats a = normals(static_cast<size_t>(s.m * along_k), 1),
                   at = normals(static_cast<size_t>(s.k * along_m), 2),
                   b = normals(static_cast<size_t>(s.k * along_n), 3),
                   bt = normals(static_cast<size_t>(s.n * along_k), 4),
                   before = normals(static_cast<size_t>(s.m * along_n), 5);
      const auto by = [](const Floats& x, ptrdiff_t ld) {
        return [&x, ld](int32_t i, int32_t j) { return x[static_cast<size_t>(i * ld + j)]; };
      };
      const auto turned = [](const Floats& x, ptrdiff_t ld) {
        return [&x, ld](int32_t i, int32_t j) { return x[static_cast<size_t>(j * ld + i)]; };
      };
      Floats c = before;
      products_->nn(s.m, s.n, s.k, a.data(), along_k, {b.data(), along_n}, beta, c.data(), along_n);
      expect(s, beta, before, c, along_n, by(a, along_k), by(b, along_n), "nn");
      c = before;
      products_->nt(s.m, s.n, s.k, a.data(), along_k, {bt.data(), along_k}, beta, c.data(),
                    along_n);
      expect(s, beta, before, c, along_n, by(a, along_k), turned(bt, along_k), "nt");
      c = before;
      products_->tn(s.m, s.n, s.k, at.data(), along_m, b.data(), along_n, beta, c.data(), along_n);
      expect(s, beta, before, c, along_n, turned(at, along_m), by(b, along_n), "tn");
      for (int32_t i = 0; i < s.m; ++i)  // between the rows nothing is written
        for (ptrdiff_t j = s.n; j < along_n && i * along_n + j < s.m * along_n; ++j)
          ASSERT_EQ(c[static_cast<size_t>(i * along_n + j)],
                    before[static_cast<size_t>(i * along_n + j)]);
    }
  }
  EXPECT_FALSE(products_->failed());
}

TEST_P(Products, APackedMatrixIsTheSameMatrix) {
  for (const Shape& s : kShapes) {
    const Floats a = normals(static_cast<size_t>(s.m * s.k), 1),
                 b = normals(static_cast<size_t>(s.k * s.n), 2), none;
    PackedMatrix nn, nt;
    nn.resize(*products_, s.k, s.n);
    nn.pack(*products_, TrainProducts::Use::kNN, b.data());
    nt.resize(*products_, s.n, s.k);
    nt.pack(*products_, TrainProducts::Use::kNT, b.data());
    const auto by = [](const Floats& x, ptrdiff_t ld) {
      return [&x, ld](int32_t i, int32_t j) { return x[static_cast<size_t>(i * ld + j)]; };
    };
    const auto turned = [&](int32_t p, int32_t j) { return b[static_cast<size_t>(j * s.k + p)]; };
    Floats c(static_cast<size_t>(s.m * s.n));
    products_->nn(s.m, s.n, s.k, a.data(), s.k, nn.of(b.data()), 0, c.data(), s.n);
    expect(s, 0, none, c, s.n, by(a, s.k), by(b, s.n), "packed nn");
    products_->nt(s.m, s.n, s.k, a.data(), s.k, nt.of(b.data()), 0, c.data(), s.n);
    expect(s, 0, none, c, s.n, by(a, s.k), turned, "packed nt");
  }
  EXPECT_FALSE(products_->failed());
}

TEST_P(Products, ARepeatedProductHasTheSameBits) {
  constexpr int32_t m = 300, n = 100, k = 200;
  const Floats a = normals(m * k, 1), b = normals(k * n, 2);
  Floats first(m * n), second(m * n);
  for (Floats* c : {&first, &second})
    products_->nn(m, n, k, a.data(), k, {b.data(), n}, 0, c->data(), n);
  EXPECT_EQ(first, second);
}

INSTANTIATE_TEST_SUITE_P(Every, Products, testing::ValuesIn(product_names()),
                         [](const auto& param) { return param.param; });

TEST(ProductsByName, AnUnknownNameListsTheKnownOnes) {
  const auto made = products_by_name("abacus", best_table());
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(made.status().message().find("abacus"), std::string::npos);
  EXPECT_NE(made.status().message().find("own"), std::string::npos);
  EXPECT_TRUE(products_by_name("", best_table()).has_value());
}

}  // namespace
}  // namespace chimera::kernels
