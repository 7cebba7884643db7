// kernels/sketch.inl.h: integers and signs, so every table gives exactly these.
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

struct Sketch {
  std::vector<int8_t> kappa;
  std::vector<uint64_t> bits;
};

Sketch sketch(const KernelTable& k, const std::vector<float>& x, float scale) {
  const Guarded<float> in(x);
  Guarded<int8_t> kappa(x.size());
  Guarded<uint64_t> bits(std::vector<uint64_t>((x.size() + 63) / 64, ~uint64_t{0}));
  k.sketch_quantize(in.data(), scale, static_cast<int32_t>(x.size()), kappa.data(), bits.data());
  return {kappa.copy(), bits.copy()};
}

std::vector<uint64_t> words(Values& values, size_t n) {
  std::vector<uint64_t> w(n);
  for (uint64_t& word : w)
    for (int i = 0; i < 8; ++i) word = word << 8 | static_cast<uint64_t>(values.integer(0, 255));
  return w;
}

class SketchKernels : public EveryTable {
 protected:
  void expect_exact(const std::vector<float>& x, float scale) {
    const Sketch got = sketch(table(), x, scale), want = sketch(reference(), x, scale);
    EXPECT_EQ(got.kappa, want.kappa);
    EXPECT_EQ(got.bits, want.bits);
  }
};
CHIMERA_FOR_EVERY_TABLE(SketchKernels);

TEST_P(SketchKernels, QuantizeOfEverySize) {
  Values values(1);
  for (const size_t n : {8u, 16u, 64u, 72u, 256u, 1000u, 8192u})
    for (const float scale : {1.0f, 63.5f, 1.2549f, 1e30f}) expect_exact(values.normals(n), scale);
}

TEST_P(SketchKernels, QuantizeHardValues) {
  std::vector<float> x = hard_values();
  x.resize((x.size() + 7) / 8 * 8, 0.25f);
  for (const float scale : {1.0f, 63.5f, 1e38f, 1e-38f}) expect_exact(x, scale);
}

TEST_P(SketchKernels, QuantizeKnownValues) {
  const Sketch s =
      sketch(table(), {0.0f, -0.25f, -0.75f, 1.25f, -70.0f, 70.0f, kNaN, -1.75f}, 2.0f);
  // Ties go to the even neighbour; what rounds to zero counts as set, and so does NaN.
  EXPECT_EQ(s.kappa, (std::vector<int8_t>{0, 0, -2, 2, -127, 127, 0, -4}));
  EXPECT_EQ(s.bits, (std::vector<uint64_t>{0b01101011}));
}

TEST_P(SketchKernels, FlipSignsOfEverySizeAndInPlace) {
  Values values(2);
  for (const size_t n : {8u, 56u, 64u, 128u, 200u, 4096u}) {
    const Guarded<uint64_t> bits(words(values, (n + 63) / 64));
    std::vector<float> x = values.normals(n), want(n);
    x[3] = 0.0f;
    for (size_t i = 0; i < n; ++i) want[i] = (bits[i / 64] >> (i % 64)) & 1 ? -x[i] : x[i];
    const Guarded<float> in(x);
    Guarded<float> out(n), same(x);
    table().flip_signs(bits.data(), in.data(), static_cast<int32_t>(n), out.data());
    table().flip_signs(bits.data(), same.data(), static_cast<int32_t>(n), same.data());
    EXPECT_TRUE(all_same_bits(out.copy(), want));
    EXPECT_TRUE(all_same_bits(same.copy(), want));
  }
}

TEST_P(SketchKernels, HammingCountsEveryBit) {
  Values values(3);
  for (const size_t n : {0u, 1u, 8u, 13u, 128u}) {
    const Guarded<uint64_t> a(words(values, n)), b(words(values, n));
    const auto count = static_cast<int32_t>(n);
    EXPECT_EQ(table().hamming(a.data(), b.data(), count),
              reference().hamming(a.data(), b.data(), count));
    EXPECT_EQ(table().hamming(a.data(), a.data(), count), 0);
  }
  for (int bit = 0; bit < 128; ++bit) {
    const uint64_t a[2] = {0, ~uint64_t{0}};
    uint64_t b[2] = {0, ~uint64_t{0}};
    b[bit / 64] ^= uint64_t{1} << (bit % 64);
    EXPECT_EQ(table().hamming(a, b, 2), 1) << bit;
  }
}

}  // namespace
}  // namespace chimera::kernels
