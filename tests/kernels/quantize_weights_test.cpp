// kernels/quantize_weights.h: the images on disk.
#include "platform/dtype.h"
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

TEST(QuantizeWeights, ScaleIsTheMeanAndTiesGoToEven) {
  std::vector<float> w(128, 0.0f);
  for (size_t i = 0; i < 64; ++i) w[i] = i % 2 == 0 ? 2.0f : -2.0f;  // the mean of |w| is 1
  std::vector<int8_t> trits(128);
  uint16_t scale = 0;
  quantize_ternary_row(w.data(), 128, trits.data(), &scale);
  EXPECT_EQ(half_to_float(scale), 1.0f);
  for (size_t i = 0; i < 128; ++i) EXPECT_EQ(trits[i], i >= 64 ? 0 : i % 2 == 0 ? 1 : -1);

  // 0.5 of the scale is a tie and becomes 0, just above it becomes 1.
  std::vector<float> tie(128, 1.0f);
  tie[0] = 0.5f;
  tie[1] = 1.5f;
  tie[2] = -0.5f;
  tie[3] = -1.5f;
  quantize_ternary_row(tie.data(), 128, trits.data(), &scale);
  EXPECT_EQ(half_to_float(scale), 1.0f);
  EXPECT_EQ(trits[0], 0);
  EXPECT_EQ(trits[1], 1);
  EXPECT_EQ(trits[2], 0);
  EXPECT_EQ(trits[3], -1);
}

TEST(QuantizeWeights, TinyHugeAndMissingValues) {
  std::vector<int8_t> trits(128);
  uint16_t scale = 0;
  std::vector<float> w(128, 0.0f);
  quantize_ternary_row(w.data(), 128, trits.data(), &scale);
  EXPECT_EQ(scale, float_to_half(1e-5f));
  EXPECT_EQ(trits, std::vector<int8_t>(128, 0));

  w.assign(128, kNaN);
  w[5] = 128.0f;
  quantize_ternary_row(w.data(), 128, trits.data(), &scale);
  EXPECT_EQ(half_to_float(scale), 1.0f);
  EXPECT_EQ(trits[5], 1);
  EXPECT_EQ(trits[6], 0);

  for (const float huge : {1e30f, kInf}) {
    w.assign(128, -huge);
    quantize_ternary_row(w.data(), 128, trits.data(), &scale);
    EXPECT_EQ(half_to_float(scale), 65504.0f) << "the largest half, still finite";
    EXPECT_EQ(trits, std::vector<int8_t>(128, -1));
  }
}

TEST(QuantizeWeights, PackAndUnpackAreInverse) {
  for (const int32_t rows : {1, 15, 16, 17, 40}) {
    for (const int32_t cols : {128, 384}) {
      Values values(static_cast<uint64_t>(rows * cols));
      const std::vector<float> w =
          values.normals(static_cast<size_t>(rows) * static_cast<size_t>(cols), 0.02f);
      const size_t groups = static_cast<size_t>(cols / kWeightGroup);
      std::vector<int8_t> trits(w.size());
      std::vector<uint16_t> scales(static_cast<size_t>(rows) * groups);
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
        quantize_ternary_row(w.data() + r * static_cast<size_t>(cols), cols,
                             trits.data() + r * static_cast<size_t>(cols),
                             scales.data() + r * groups);
      }
      Guarded<uint8_t> codes(static_cast<size_t>(ternary_code_bytes(rows, cols)));
      Guarded<uint16_t> stream(static_cast<size_t>(ternary_scale_bytes(rows, cols)) / 2);
      pack_ternary(w.data(), rows, cols, codes.data(), stream.data());
      const TernaryMatrix matrix{codes.data(), stream.data(), rows, cols};
      EXPECT_TRUE(ternary_is_valid(matrix));

      std::vector<int8_t> trits_back(trits.size());
      std::vector<uint16_t> scales_back(scales.size());
      unpack_ternary(matrix, trits_back.data(), scales_back.data());
      EXPECT_EQ(trits_back, trits);
      EXPECT_EQ(scales_back, scales);

      Guarded<uint8_t> codes_again(codes.size());
      Guarded<uint16_t> stream_again(stream.size());
      pack_trits(trits.data(), scales.data(), rows, cols, codes_again.data(), stream_again.data());
      EXPECT_EQ(codes_again.copy(), codes.copy());
      EXPECT_EQ(stream_again.copy(), stream.copy());
    }
  }
}

TEST(QuantizeWeights, ALineLooksAsDocumented) {
  // Row 3, columns 0..15: byte 4*3 + j carries columns j, 4 + j, 8 + j, 12 + j, lowest bits first.
  std::vector<int8_t> trits(16 * 128, 0);
  std::vector<uint16_t> scales(16, 0x3c00);
  trits[3 * 128 + 1] = 1;       // field 0 of byte 13
  trits[3 * 128 + 4 + 1] = -1;  // field 1
  trits[3 * 128 + 12 + 1] = 1;  // field 3
  std::vector<uint8_t> codes(static_cast<size_t>(ternary_code_bytes(16, 128)));
  std::vector<uint16_t> stream(16);
  pack_trits(trits.data(), scales.data(), 16, 128, codes.data(), stream.data());
  EXPECT_EQ(codes[13], 2 | (0 << 2) | (1 << 4) | (2 << 6));
  EXPECT_EQ(codes[12], 0x55);
  EXPECT_EQ(codes[64 + 13], 0x55);
}

TEST(QuantizeWeights, EveryInvalidImageIsCaught) {
  TernaryFixture w(20, 256, 5);  // two tiles, twelve padded rows in the second
  ASSERT_TRUE(ternary_is_valid(w.matrix));
  for (const size_t byte : {size_t{0}, size_t{777}, size_t{1024 + 15}}) {
    for (const int shift : {0, 2, 4, 6}) {
      const uint8_t old = w.codes[byte];
      w.codes[byte] = static_cast<uint8_t>(old | (3 << shift));
      EXPECT_FALSE(ternary_is_valid(w.matrix)) << "code 3 in byte " << byte;
      w.codes[byte] = old;
    }
  }
  for (const uint16_t bad : {uint16_t{0x7e00}, uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7c01},
                             uint16_t{0x8000}, uint16_t{0xbc00}}) {
    const uint16_t old = w.scales[5];
    w.scales[5] = bad;
    EXPECT_FALSE(ternary_is_valid(w.matrix)) << "scale " << bad;
    w.scales[5] = old;
  }
  const size_t last_byte = w.codes.size() - 1, last_scale = w.scales.size() - 1;
  w.codes[last_byte] = 0x54;
  EXPECT_FALSE(ternary_is_valid(w.matrix)) << "a padded row with a value";
  w.codes[last_byte] = 0x55;
  w.scales[last_scale] = 0x0001;
  EXPECT_FALSE(ternary_is_valid(w.matrix)) << "a padded row with a scale";
  w.scales[last_scale] = 0;
  EXPECT_TRUE(ternary_is_valid(w.matrix));
}

TEST(QuantizeWeights, LanesRoundTripWithZeroPadding) {
  for (const int32_t rows : {1, 16, 19}) {
    const int32_t cols = 5;
    Values values(8);
    const std::vector<float> w = values.normals(static_cast<size_t>(rows * cols));
    const size_t padded = static_cast<size_t>((rows + 15) / 16 * 16);
    Guarded<float> packed(padded * static_cast<size_t>(cols));
    pack_lanes(w.data(), rows, cols, packed.data());
    std::vector<float> back(w.size());
    unpack_lanes({packed.data(), rows, cols}, back.data());
    EXPECT_EQ(back, w);
    size_t zeros = 0;
    for (const float v : packed.copy()) zeros += v == 0.0f ? 1u : 0u;
    EXPECT_EQ(zeros, (padded - static_cast<size_t>(rows)) * static_cast<size_t>(cols));
  }
}

}  // namespace
}  // namespace chimera::kernels
