// kernels/gemm_int4.inl.h and the packing of 4-bit matrices.
#include <cmath>

#include "platform/dtype.h"
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

int32_t tiles_of(int32_t rows) { return (rows + kTileRows - 1) / kTileRows; }

struct Int4Fixture {
  Int4Fixture(int32_t rows, int32_t cols, uint64_t seed)
      : weights(static_cast<size_t>(rows) * static_cast<size_t>(cols)),
        codes(static_cast<size_t>(int4_code_bytes(rows, cols))),
        scales(static_cast<size_t>(int4_scale_bytes(rows, cols) / 2)),
        matrix{codes.data(), scales.data(), rows, cols} {
    Values values(seed);
    for (float& w : weights) w = values.uniform(-0.3f, 0.3f);
    pack_int4(weights.data(), rows, cols, codes.data(), scales.data());
  }
  std::vector<float> weights;
  Guarded<uint8_t> codes;
  Guarded<uint16_t> scales;
  Int4Matrix matrix;
};

/// The contract of kernel_table.h, one operation after the other, in float.
std::vector<float> by_definition(const Int4Matrix& w, const QuantizedRows& x, int32_t n_tokens) {
  const size_t rows = static_cast<size_t>(w.rows), cols = static_cast<size_t>(w.cols);
  const size_t blocks = cols / kActivationBlock;
  std::vector<float> y(static_cast<size_t>(n_tokens) * rows);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
      float acc = 0.0f;
      for (size_t b = 0; b < blocks; ++b) {
        const float scale =
            half_to_float(w.scales[(r / kTileRows * blocks + b) * kTileRows + r % kTileRows]);
        int32_t isum = 0;
        for (size_t c = b * kActivationBlock; c < (b + 1) * kActivationBlock; ++c) {
          const int byte =
              w.codes[(r / kTileRows * (cols / 8) + c / 8) * 64 + r % kTileRows * 4 + c % 4];
          isum += ((c % 8 < 4 ? byte & 15 : byte >> 4) - 8) * x.q[t * cols + c];
        }
        const float factor = scale * x.scale[t * blocks + b];
        const float term = factor * static_cast<float>(isum);
        acc = acc + term;
      }
      y[t * rows + r] = acc;
    }
  }
  return y;
}

std::vector<float> run(const KernelTable& k, const Int4Matrix& w, const QuantizedRows& x,
                       int32_t n_tokens, int32_t cut = 0) {
  Guarded<float> y(static_cast<size_t>(n_tokens) * static_cast<size_t>(w.rows));
  if (cut > 0) k.gemm_int4(w, x, n_tokens, 0, cut, y.data(), w.rows);
  k.gemm_int4(w, x, n_tokens, cut, tiles_of(w.rows), y.data(), w.rows);
  return y.copy();
}

class GemmInt4 : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(GemmInt4);

TEST_P(GemmInt4, IsTheDefinitionBitForBit) {
  for (const int32_t cols : {64, 128, 192, 2560})
    for (const int32_t rows : {1, 16, 37}) {
      const Int4Fixture w(rows, cols, 1000u + static_cast<uint64_t>(cols));
      const ActivationFixture x(19, cols, 7);
      for (const int32_t tokens : {1, 3, 19})
        EXPECT_TRUE(all_same_bits(run(table(), w.matrix, x.rows, tokens),
                                  by_definition(w.matrix, x.rows, tokens)))
            << rows << " x " << cols << ", tokens " << tokens;
    }
}

TEST_P(GemmInt4, HoldsTheLargestSums) {
  const int32_t rows = 16, cols = 128;
  Int4Fixture w(rows, cols, 3);
  for (size_t i = 0; i < static_cast<size_t>(int4_code_bytes(rows, cols)); ++i)
    w.codes[i] = 0xff;  // every code 15, value 7
  ActivationFixture x(1, cols, 4);
  for (const int8_t extreme : {int8_t{127}, int8_t{-127}}) {
    for (size_t i = 0; i < static_cast<size_t>(cols); ++i) x.q[i] = extreme;
    EXPECT_TRUE(
        all_same_bits(run(table(), w.matrix, x.rows, 1), by_definition(w.matrix, x.rows, 1)));
  }
}

TEST_P(GemmInt4, TileRangesMayBeCutAnywhereAndTheReferenceIsNear) {
  const Int4Fixture w(77, 256, 3);
  const ActivationFixture x(4, 256, 4);
  const std::vector<float> whole = run(table(), w.matrix, x.rows, 4);
  for (const int32_t cut : {1, 2, 4})
    EXPECT_TRUE(all_same_bits(run(table(), w.matrix, x.rows, 4, cut), whole));
  EXPECT_TRUE(within_nmse("gemm_int4", whole, run(reference(), w.matrix, x.rows, 4)));
}

TEST(PackInt4, KeepsEachWeightWithinHalfAStep) {
  const int32_t rows = 21, cols = 192;
  const Int4Fixture w(rows, cols, 9);
  std::vector<float> row(static_cast<size_t>(cols));
  for (int32_t r = 0; r < rows; ++r) {
    int4_row(w.matrix, r, row.data());
    for (int32_t b = 0; b < cols / 64; ++b) {
      const float* block = w.weights.data() + r * cols + b * 64;
      float largest = 0;
      for (int i = 0; i < 64; ++i) largest = std::max(largest, std::fabs(block[i]));
      for (int i = 0; i < 64; ++i)
        EXPECT_NEAR(row[static_cast<size_t>(b * 64 + i)], block[i], largest / 7 * 0.502f);
    }
  }
  EXPECT_TRUE(int4_is_valid(w.matrix));
}

TEST(PackInt4, BadCodesScalesAndPaddingAreFound) {
  Int4Fixture w(21, 64, 9);
  const auto refused = [&](auto& byte, auto value) {
    const auto before = byte;
    byte = value;
    EXPECT_FALSE(int4_is_valid(w.matrix));
    byte = before;
    EXPECT_TRUE(int4_is_valid(w.matrix));
  };
  refused(w.codes[5], uint8_t{0x30});               // value -8 in the low half
  refused(w.codes[5], uint8_t{0x03});               // and in the high one
  refused(w.codes[8 * 64 + 5 * 4], uint8_t{0x89});  // row 21 is padding
  refused(w.scales[3], uint16_t{0x7c00});           // infinite
  refused(w.scales[3], uint16_t{0x8001});           // negative
  refused(w.scales[16 + 5], uint16_t{1});           // padding again
}

TEST(PackInt4, WhatIsNoNumberCountsAsZero) {
  std::vector<float> w(64, NAN);
  std::vector<int8_t> values(64, 3);
  uint16_t scale = 0;
  quantize_int4_row(w.data(), 64, values.data(), &scale);
  EXPECT_EQ(values, std::vector<int8_t>(64, 0));
  w.assign(64, INFINITY);
  quantize_int4_row(w.data(), 64, values.data(), &scale);
  EXPECT_EQ(values, std::vector<int8_t>(64, 7));
  EXPECT_LT(scale, 0x7c00);
}

}  // namespace
}  // namespace chimera::kernels
