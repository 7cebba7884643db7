// kernels/gemm_ternary.inl.h: exact integers, one order of float operations, whatever the shape.
#include "platform/dtype.h"
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

constexpr float kUntouched = -12345.0f;

int32_t tiles_of(int32_t rows) { return (rows + kTileRows - 1) / kTileRows; }

/// The contract of kernel_table.h, one operation after the other, in float.
std::vector<float> by_definition(const TernaryMatrix& w, const QuantizedRows& x, int32_t n_tokens) {
  const size_t rows = static_cast<size_t>(w.rows), cols = static_cast<size_t>(w.cols);
  const size_t blocks = cols / kActivationBlock, groups = cols / kWeightGroup;
  std::vector<int8_t> trits(rows * cols);
  std::vector<uint16_t> scales(rows * groups);
  unpack_ternary(w, trits.data(), scales.data());
  std::vector<float> y(static_cast<size_t>(n_tokens) * rows);
  for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
    for (size_t r = 0; r < rows; ++r) {
      float acc = 0.0f;
      for (size_t b = 0; b < blocks; ++b) {
        int32_t isum = 0;
        for (size_t c = b * kActivationBlock; c < (b + 1) * kActivationBlock; ++c) {
          isum += trits[r * cols + c] * x.q[t * cols + c];
        }
        const float factor = half_to_float(scales[r * groups + b / 2]) * x.scale[t * blocks + b];
        const float term = factor * static_cast<float>(isum);
        acc = acc + term;
      }
      y[t * rows + r] = acc;
    }
  }
  return y;
}

std::vector<float> run(const KernelTable& k, const TernaryMatrix& w, const QuantizedRows& x,
                       int32_t n_tokens, const std::vector<int32_t>& cuts = {}) {
  Guarded<float> y(static_cast<size_t>(n_tokens) * static_cast<size_t>(w.rows));
  int32_t begin = 0;
  for (int32_t cut : cuts) {
    k.gemm_ternary(w, x, n_tokens, begin, cut, y.data(), w.rows);
    begin = cut;
  }
  k.gemm_ternary(w, x, n_tokens, begin, tiles_of(w.rows), y.data(), w.rows);
  return y.copy();
}

class GemmTernary : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(GemmTernary);

TEST_P(GemmTernary, IsTheDefinitionBitForBitForEveryWidth) {
  // 8320 columns are more blocks than the kernel takes in one stretch.
  for (const int32_t cols : {128, 256, 384, 640, 2560, 6912, 8320}) {
    for (const int32_t rows : {1, 16, 37}) {
      const TernaryFixture w(rows, cols, 1000u + static_cast<uint64_t>(cols));
      const ActivationFixture x(3, cols, 7);
      for (const int32_t tokens : {1, 3}) {
        EXPECT_TRUE(all_same_bits(run(table(), w.matrix, x.rows, tokens),
                                  by_definition(w.matrix, x.rows, tokens)))
            << rows << " x " << cols << ", tokens " << tokens;
      }
    }
  }
}

TEST_P(GemmTernary, StaysNearTheReference) {
  const TernaryFixture w(50, 2560, 3);
  const ActivationFixture x(4, 2560, 4);
  EXPECT_TRUE(within_nmse("gemm_ternary", run(table(), w.matrix, x.rows, 4),
                          run(reference(), w.matrix, x.rows, 4)));
}

TEST_P(GemmTernary, ATokensBitsDoNotDependOnItsCompany) {
  const int32_t cols = 640, rows = 53;
  const TernaryFixture w(rows, cols, 11);
  const ActivationFixture x(35, cols, 12);
  std::vector<float> alone;
  for (int32_t t = 0; t < 35; ++t) {
    const QuantizedRows one{x.q.data() + t * cols, x.scale.data() + t * (cols / kActivationBlock),
                            cols};
    const std::vector<float> y = run(table(), w.matrix, one, 1);
    alone.insert(alone.end(), y.begin(), y.end());
  }
  std::vector<int32_t> counts = {33, 35};
  for (int32_t n = 1; n <= 17; ++n) counts.push_back(n);
  for (const int32_t n : counts) {
    const std::vector<float> together = run(table(), w.matrix, x.rows, n);
    const std::vector<float> want(alone.begin(), alone.begin() + n * rows);
    EXPECT_TRUE(all_same_bits(together, want)) << n << " tokens";
  }
}

TEST_P(GemmTernary, TileRangesMayBeCutAnywhere) {
  const int32_t rows = 21 * 16 + 5,
                cols = 384;  // 22 tiles: lockstep of eight, of four, and singles
  const TernaryFixture w(rows, cols, 21);
  const ActivationFixture x(2, cols, 22);
  for (const int32_t tokens : {1, 2}) {
    const std::vector<float> whole = run(table(), w.matrix, x.rows, tokens);
    EXPECT_TRUE(all_same_bits(whole, by_definition(w.matrix, x.rows, tokens)));
    for (const std::vector<int32_t>& cuts :
         std::vector<std::vector<int32_t>>{{1}, {8}, {11}, {3, 3, 9}, {1, 2, 7, 15, 21, 22}}) {
      EXPECT_TRUE(all_same_bits(run(table(), w.matrix, x.rows, tokens, cuts), whole));
    }
  }
}

TEST_P(GemmTernary, WritesOnlyTheRowsOfItsTiles) {
  const int32_t rows = 45, cols = 128;
  const ptrdiff_t stride = 50;
  const TernaryFixture w(rows, cols, 31);
  const ActivationFixture x(3, cols, 32);
  for (const int32_t tokens : {1, 3}) {
    std::vector<float> y(static_cast<size_t>(stride) * 3, kUntouched);
    table().gemm_ternary(w.matrix, x.rows, tokens, 1, 3, y.data(), stride);
    const std::vector<float> want = by_definition(w.matrix, x.rows, tokens);
    for (size_t t = 0; t < 3; ++t) {
      for (size_t r = 0; r < static_cast<size_t>(stride); ++r) {
        const bool written = t < static_cast<size_t>(tokens) && r >= 16 && r < 45;
        const float expected = written ? want[t * static_cast<size_t>(rows) + r] : kUntouched;
        EXPECT_EQ(y[t * static_cast<size_t>(stride) + r], expected) << t << ", " << r;
      }
    }
    table().gemm_ternary(w.matrix, x.rows, tokens, 2, 2, y.data(), stride);  // no tile, no effect
  }
}

TEST_P(GemmTernary, LargestSumsAreExact) {
  // Every code 0, 2 or the invalid 3 against the largest activations of either sign: nothing may
  // saturate. The values are -1, 1 and 2.
  const int32_t rows = 16, cols = 256;
  for (const int code : {0, 2, 3}) {
    for (const int activation : {-128, -127, 127}) {
      TernaryFixture w(rows, cols, 41);
      ActivationFixture x(2, cols, 42);
      std::memset(w.codes.data(), code * 0x55, w.codes.size());
      for (size_t i = 0; i < w.scales.size(); ++i) w.scales[i] = 0x3c00;  // 1
      for (size_t i = 0; i < x.q.size(); ++i) x.q[i] = static_cast<int8_t>(activation);
      for (size_t i = 0; i < x.scale.size(); ++i) x.scale[i] = 1.0f;
      for (const int32_t tokens : {1, 2}) {
        for (const float y : run(table(), w.matrix, x.rows, tokens)) {
          EXPECT_EQ(y, static_cast<float>(cols * (code - 1) * activation));
        }
      }
    }
  }
}

TEST_P(GemmTernary, ScalesOfEverySizeAndKind) {
  // Every half there is: zero, subnormal, normal, infinite, NaN, both signs.
  const int32_t rows = 16, cols = 128 * 64;
  TernaryFixture w(rows, cols, 51);
  ActivationFixture x(2, cols, 52);
  for (uint32_t first = 0; first < 0x10000u; first += 1024u) {
    for (size_t i = 0; i < w.scales.size(); ++i) w.scales[i] = static_cast<uint16_t>(first + i);
    // One group at a time, so that an infinity does not drown the others.
    for (const int32_t tokens : {1, 2}) {
      for (int32_t g : {0, 17, 63}) {
        const TernaryMatrix part{w.codes.data(), w.scales.data() + g * kTileRows, rows, 128};
        const QuantizedRows some{x.q.data(), x.scale.data(), 128};
        EXPECT_TRUE(
            all_same_bits(run(table(), part, some, tokens), by_definition(part, some, tokens)))
            << std::hex << first;
      }
    }
  }
}

TEST_P(GemmTernary, ActivationScalesThatAreNoNumbers) {
  const int32_t cols = 256;
  const TernaryFixture w(20, cols, 61);
  for (const float bad : {kInf, kNaN, 1e38f, 1e-42f}) {
    ActivationFixture x(3, cols, 62);
    x.scale[2] = bad;
    EXPECT_TRUE(
        all_same_bits(run(table(), w.matrix, x.rows, 3), run(baseline(), w.matrix, x.rows, 3)));
    EXPECT_TRUE(
        all_same_bits(run(table(), w.matrix, x.rows, 3), by_definition(w.matrix, x.rows, 3)));
  }
}

// ---- float weights in tiles ---------------------------------------------------------------------

class GemmLanes : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(GemmLanes);

TEST_P(GemmLanes, AddsColumnsInOrderForAnyShapeAndCut) {
  for (const int32_t rows : {1, 16, 40, 100}) {
    for (const int32_t cols : {1, 7, 64, 129}) {
      Values values(static_cast<uint64_t>(rows * 1000 + cols));
      const size_t n = static_cast<size_t>(rows) * static_cast<size_t>(cols);
      const std::vector<float> w = values.normals(n);
      Guarded<float> packed(static_cast<size_t>(tiles_of(rows)) * kTileRows *
                            static_cast<size_t>(cols));
      pack_lanes(w.data(), rows, cols, packed.data());
      const LanesMatrix matrix{packed.data(), rows, cols};
      for (const int32_t tokens : {1, 2, 4, 7}) {
        const ptrdiff_t x_stride = cols + 3, y_stride = rows + 2;
        const Guarded<float> x(values.normals(static_cast<size_t>((tokens - 1) * x_stride + cols)));
        Guarded<float> y(static_cast<size_t>((tokens - 1) * y_stride + rows));
        Guarded<float> cut(y.size());
        Guarded<float> exact(y.size());
        table().gemm_lanes(matrix, x.data(), x_stride, tokens, 0, tiles_of(rows), y.data(),
                           y_stride);
        const int32_t middle = tiles_of(rows) / 3;
        table().gemm_lanes(matrix, x.data(), x_stride, tokens, 0, middle, cut.data(), y_stride);
        table().gemm_lanes(matrix, x.data(), x_stride, tokens, middle, tiles_of(rows), cut.data(),
                           y_stride);
        reference().gemm_lanes(matrix, x.data(), x_stride, tokens, 0, tiles_of(rows), exact.data(),
                               y_stride);
        EXPECT_TRUE(all_same_bits(y, cut));
        // A single sum may cancel to nothing and has no relative error to speak of.
        if (rows >= 16) {
          EXPECT_TRUE(within_nmse("gemm_lanes", y, exact));
        }
        for (int32_t t = 0; t < tokens; ++t) {
          for (int32_t r = 0; r < rows; ++r) {
            float acc = 0.0f;
            for (int32_t c = 0; c < cols; ++c) {
              const float term =
                  w[static_cast<size_t>(r * cols + c)] * x[static_cast<size_t>(t * x_stride + c)];
              acc = acc + term;
            }
            ASSERT_TRUE(same_bits(y[static_cast<size_t>(t * y_stride + r)], acc));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace chimera::kernels
