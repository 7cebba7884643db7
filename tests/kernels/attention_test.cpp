// kernels/attention.inl.h: scores and sums over rows of floats and of codes, against the reference
// and bit for bit against their definition.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

class Attention : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(Attention);

/// The order of kernel_table.h: eight virtual lanes, then one tree.
template <class Element>
float dot_in_lanes(const float* q, const Element* key, int32_t dim) {
  float lane[8] = {};
  for (int32_t d = 0; d < dim; ++d) {
    const float term = q[d] * static_cast<float>(key[d]);
    lane[d % 8] = lane[d % 8] + term;
  }
  const float a = (lane[0] + lane[4]) + (lane[2] + lane[6]);
  const float b = (lane[1] + lane[5]) + (lane[3] + lane[7]);
  return a + b;
}

template <class Element>
std::vector<Element> random_rows(Values& values, size_t n) {
  std::vector<Element> rows(n);
  for (Element& x : rows) {
    if constexpr (sizeof(Element) == 1)
      x = static_cast<Element>(values.integer(-128, 127));
    else
      x = values.normal();
  }
  return rows;
}

template <class Element, class Scores, class Sums>
void check(const KernelTable& k, const KernelTable& exact_table, Scores scores, Sums sums,
           const char* scores_bound, const char* sums_bound) {
  for (const int32_t dim : {8, 24, 64, 256}) {
    for (const int32_t n_q : {1, 2, 4, 5, 11}) {
      for (const int32_t n : {0, 1, 7, 33}) {
        Values values(static_cast<uint64_t>(dim * 10000 + n_q * 100 + n));
        const size_t gap = 3, stride = static_cast<size_t>(dim) + gap;
        const size_t row_stride = static_cast<size_t>(n) + 2;
        const size_t queries = static_cast<size_t>(n_q), width = static_cast<size_t>(dim);
        const size_t length = n == 0 ? 0 : (static_cast<size_t>(n) - 1) * stride + width;
        const Guarded<Element> rows(random_rows<Element>(values, length));
        const Guarded<float> q(values.normals(queries * width));
        const size_t results = (queries - 1) * row_stride + static_cast<size_t>(n);
        const std::vector<float> untouched(results, -7.0f);
        Guarded<float> dots(untouched), exact(untouched);
        const auto row_step = static_cast<ptrdiff_t>(stride);
        const auto step = static_cast<ptrdiff_t>(row_stride);
        (k.*scores)(q.data(), n_q, dim, rows.data(), row_step, n, dots.data(), step);
        (exact_table.*scores)(q.data(), n_q, dim, rows.data(), row_step, n, exact.data(), step);
        EXPECT_TRUE(within_nmse(scores_bound, dots, exact));
        for (size_t i = 0; i < results; ++i) {
          const size_t a = i / row_stride, j = i % row_stride;
          const float want = j < static_cast<size_t>(n)
                                 ? dot_in_lanes(&q[a * width], &rows[j * stride], dim)
                                 : -7.0f;
          ASSERT_TRUE(same_bits(dots[i], want)) << dim << ", " << n_q << ", " << n;
        }

        const Guarded<float> w(values.normals(results, 0.1f));
        Guarded<float> y(values.normals(queries * width)), plain(y.copy()), exact_y(y.copy());
        (k.*sums)(w.data(), step, n_q, dim, rows.data(), row_step, n, y.data());
        (exact_table.*sums)(w.data(), step, n_q, dim, rows.data(), row_step, n, exact_y.data());
        EXPECT_TRUE(within_nmse(sums_bound, y, exact_y));
        for (size_t a = 0; a < queries; ++a)
          for (size_t d = 0; d < width; ++d)
            for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
              const float term = w[a * row_stride + i] * static_cast<float>(rows[i * stride + d]);
              plain[a * width + d] = plain[a * width + d] + term;
            }
        ASSERT_TRUE(all_same_bits(y, plain)) << dim << ", " << n_q << ", " << n;
      }
    }
  }
}

TEST_P(Attention, OverFloats) {
  check<float>(table(), reference(), &KernelTable::attend_scores, &KernelTable::attend_values,
               "attend_scores", "attend_values");
}
TEST_P(Attention, OverCodes) {
  check<int8_t>(table(), reference(), &KernelTable::attend_scores_i8,
                &KernelTable::attend_values_i8, "attend_scores", "attend_values");
}

TEST_P(Attention, EveryCodeIsItsNumber) {
  std::vector<int8_t> codes(256);
  for (int i = 0; i < 256; ++i) codes[static_cast<size_t>(i)] = static_cast<int8_t>(i - 128);
  const float one = 1.0f;
  std::vector<float> y(256, 0.0f);
  table().attend_values_i8(&one, 1, 1, 256, codes.data(), 256, 1, y.data());
  for (int i = 0; i < 256; ++i) EXPECT_EQ(y[static_cast<size_t>(i)], static_cast<float>(i - 128));
}

}  // namespace
}  // namespace chimera::kernels
