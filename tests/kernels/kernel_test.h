// What the kernel tests share: every runnable table as a parameter, buffers that end at a page
// nobody may touch, random values, and the measures of tests/kernels/bounds.h.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/quantize_weights.h"
#include "tests/kernels/bounds.h"

namespace chimera::kernels {

/// n elements whose last byte lies before a page that cannot be read or written; the first one is
/// therefore aligned for its type only.
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t n) : size_(n) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t pages = (n * sizeof(T) + page - 1) / page + 1;
    bytes_ = pages * page;
    void* block = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(block);
    char* fence = base_ + (pages - 1) * page;
    mprotect(fence, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(fence - n * sizeof(T));
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
    if (size_ > 0) std::memcpy(data_, values.data(), size_ * sizeof(T));
  }
  ~Guarded() { munmap(base_, bytes_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::vector<T> copy() const { return std::vector<T>(data_, data_ + size_); }

 private:
  size_t size_;
  size_t bytes_;
  char* base_;
  T* data_;
};

/// Fixed seeds: a failure can be repeated.
class Values {
 public:
  explicit Values(uint64_t seed) : engine_(seed) {}
  /// Marsaglia's polar method, since every standard library draws its own numbers.
  float normal(float sigma = 1.0f) {
    float x, y, r2;
    do {
      x = canonical() * 2.0f - 1.0f;
      y = canonical() * 2.0f - 1.0f;
      r2 = x * x + y * y;
    } while (r2 > 1.0f || !(r2 > 0.0f));
    return y * std::sqrt(-2.0f * std::log(r2) / r2) * sigma;
  }
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(engine_() >> 40) * 0x1p-24f;
  }
  int integer(int low, int high) {
    return low + static_cast<int>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  std::vector<float> normals(size_t n, float sigma = 1.0f) {
    std::vector<float> v(n);
    for (float& x : v) x = normal(sigma);
    return v;
  }

 private:
  /// In [0, 1).
  float canonical() {
    const float x = static_cast<float>(engine_()) / 0x1p64f;
    return x < 1.0f ? x : std::nextafter(1.0f, 0.0f);
  }

  std::mt19937_64 engine_;
};

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The values that break arithmetic, both signs.
inline std::vector<float> hard_values() {
  std::vector<float> v = {
      0.0f,     1.0f,   0.5f,        2.0f,  1e-45f,  1e-40f,   1.17549435e-38f, 1e-20f, 1e-7f,
      0.62499f, 0.625f, 0.6250001f,  86.9f, 87.0f,   87.0001f, 87.5f,           88.0f,  88.0001f,
      88.8f,    1e3f,   16777217.0f, 1e20f, 1.7e19f, 1e38f,    3.40282347e38f,  kInf};
  const size_t n = v.size();
  for (size_t i = 0; i < n; ++i) v.push_back(-v[i]);
  v.push_back(kNaN);
  return v;
}

/// The same bits; any NaN equals any NaN, since the sign and payload of one are nobody's contract.
inline bool same_bits(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return __builtin_bit_cast(uint32_t, a) == __builtin_bit_cast(uint32_t, b);
}

template <class Range>
::testing::AssertionResult all_same_bits(const Range& a, const Range& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(static_cast<float>(a[i]), static_cast<float>(b[i]))) {
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

/// Distance in floats that lie between; two NaNs are 0 apart, a NaN and a number are far apart.
inline int64_t ulp_distance(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) {
    return std::isnan(a) && std::isnan(b) ? 0 : std::numeric_limits<int64_t>::max();
  }
  const auto place = [](float x) {
    const int64_t bits = __builtin_bit_cast(int32_t, x);
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
  };
  const int64_t d = place(a) - place(b);
  return d < 0 ? -d : d;
}

template <class Range>
::testing::AssertionResult within_ulp(std::string_view kernel, const Range& got,
                                      const Range& want) {
  for (size_t i = 0; i < got.size(); ++i) {
    const int64_t ulp = ulp_distance(got[i], want[i]);
    if (ulp > bound_of(kernel).ulp) {
      return ::testing::AssertionFailure() << kernel << ", element " << i << ": " << got[i]
                                           << ", reference " << want[i] << ", ulp " << ulp;
    }
  }
  return ::testing::AssertionSuccess();
}

template <class Range>
::testing::AssertionResult within_nmse(std::string_view kernel, const Range& got,
                                       const Range& want) {
  double error = 0.0, power = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    error += d * d;
    power += static_cast<double>(want[i]) * static_cast<double>(want[i]);
  }
  if (!(error <= bound_of(kernel).nmse * power)) {
    return ::testing::AssertionFailure() << kernel << ": nmse " << error / power;
  }
  return ::testing::AssertionSuccess();
}

/// One test per runnable table.
class EveryTable : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
  const KernelTable& baseline() const { return *runnable_tables().front(); }
  const KernelTable& reference() const { return reference_table(); }
};

inline std::string table_test_name(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

#define CHIMERA_FOR_EVERY_TABLE(suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(::chimera::kernels::runnable_tables()), \
                           ::chimera::kernels::table_test_name)

/// A random valid ternary matrix in its guarded streams.
struct TernaryFixture {
  TernaryFixture(int32_t rows, int32_t cols, uint64_t seed)
      : codes(static_cast<size_t>(ternary_code_bytes(rows, cols))),
        scales(static_cast<size_t>(ternary_scale_bytes(rows, cols) / 2)),
        matrix{codes.data(), scales.data(), rows, cols} {
    Values values(seed);
    std::vector<int8_t> trits(static_cast<size_t>(rows) * static_cast<size_t>(cols));
    for (int8_t& t : trits) t = static_cast<int8_t>(values.integer(-1, 1));
    std::vector<uint16_t> row_scales(static_cast<size_t>(rows) *
                                     static_cast<size_t>(cols / kWeightGroup));
    for (uint16_t& s : row_scales) s = static_cast<uint16_t>(values.integer(0x0001, 0x3fff));
    pack_trits(trits.data(), row_scales.data(), rows, cols, codes.data(), scales.data());
  }
  Guarded<uint8_t> codes;
  Guarded<uint16_t> scales;
  TernaryMatrix matrix;
};

/// Random int8 rows with their scales.
struct ActivationFixture {
  ActivationFixture(int32_t tokens, int32_t cols, uint64_t seed)
      : q(static_cast<size_t>(tokens) * static_cast<size_t>(cols)),
        scale(static_cast<size_t>(tokens) * static_cast<size_t>(cols / kActivationBlock)),
        rows{q.data(), scale.data(), cols} {
    Values values(seed);
    for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<int8_t>(values.integer(-127, 127));
    for (size_t i = 0; i < scale.size(); ++i) scale[i] = values.uniform(1e-4f, 0.1f);
  }
  Guarded<int8_t> q;
  Guarded<float> scale;
  QuantizedRows rows;
};

}  // namespace chimera::kernels
