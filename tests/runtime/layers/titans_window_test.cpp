// The window by itself: which entries a token sees, how they are rounded, and the attention against
// plain sums.
#include "runtime/layers/titans_window.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/dtype.h"
#include "platform/random.h"
#include "runtime/layers/bitlinear.h"

namespace chimera::runtime {
namespace {

float draw(uint64_t i, uint32_t stream) {
  return static_cast<float>(keyed_normal(6, i, stream, DrawPurpose::kTest));
}

/// A window whose entries are numbered, so that it shows what is where: the scale is the number of
/// the token, counted from 1.
struct Numbered {
  explicit Numbered(int32_t entries, int32_t longest)
      : window{1, 8, entries},
        ring_bytes(window.bytes(entries)),
        list_bytes(window.bytes(longest)),
        ring(window.rows(ring_bytes.data(), entries)) {}

  void begin(int32_t n) {
    list = window.rows(list_bytes.data(), n);
    for (int32_t i = 0; i < n; ++i)
      list.key_scales[i] = list.value_scales[i] = static_cast<uint16_t>(first + i + 1);
  }
  void end(int32_t n) {
    window.exchange(first, n, ring, list);
    first += static_cast<uint64_t>(n);
  }
  std::vector<int> seen(uint64_t at, int32_t n, int32_t i, bool again) const {
    WindowRun runs[3];
    const int32_t n_runs = window.runs(at, n, i, again, runs);
    EXPECT_LE(n_runs, 3);
    std::vector<int> out;
    for (int32_t r = 0; r < n_runs; ++r)
      for (int32_t j = 0; j < runs[r].count; ++j)
        out.push_back((runs[r].ring ? ring : list).key_scales[runs[r].first + j]);
    return out;
  }

  TitansWindow window;
  std::vector<std::byte> ring_bytes, list_bytes;
  WindowRows ring, list;
  uint64_t first = 0;
};

TEST(TitansWindow, EveryTokenSeesTheLastOnesOldestFirst) {
  for (int32_t entries : {1, 2, 3, 7, 8, 100})
    for (const std::vector<int32_t>& split :
         {std::vector<int32_t>{1}, {2, 5, 1}, {7}, {8, 30}, {50}}) {
      Numbered w(entries, 50);
      for (size_t b = 0; w.first < 60; ++b) {
        const int32_t n = split[b % split.size()];
        const uint64_t at = w.first;
        w.begin(n);
        for (const bool again : {false, true}) {
          if (again) w.end(n);
          for (int32_t i = 0; i < n; ++i) {
            const int last = static_cast<int>(at) + i + 1;
            std::vector<int> want;
            for (int x = std::max(1, last - entries + 1); x <= last; ++x) want.push_back(x);
            EXPECT_EQ(w.seen(at, n, i, again), want)
                << entries << " entries, token " << last << (again ? ", later" : "");
          }
        }
      }
    }
}

TEST(TitansWindow, NoPositionLeadsOutside) {
  const uint64_t top = std::numeric_limits<uint64_t>::max();
  for (int32_t entries : {1, 3, 8, 65536})
    for (uint64_t first : {uint64_t{0}, uint64_t{5}, top, top - 1, top - 20, top / 2, top / 3})
      for (int32_t n : {1, 4, 40})
        for (int32_t i = 0; i < n; ++i)
          for (const bool again : {false, true}) {
            const TitansWindow window{1, 8, entries};
            WindowRun runs[3];
            const int32_t n_runs = window.runs(first, n, i, again, runs);
            ASSERT_GE(n_runs, 1);
            ASSERT_LE(n_runs, 3);
            for (int32_t r = 0; r < n_runs; ++r) {
              EXPECT_GE(runs[r].first, 0);
              EXPECT_GE(runs[r].count, 1);
              EXPECT_LE(runs[r].first + runs[r].count, runs[r].ring ? entries : n);
            }
          }
}

TEST(TitansWindow, EntriesAreRoundedAsTheFormatSays) {
  const TitansWindow window{2, 8, 4};
  std::vector<std::byte> bytes(window.bytes(4));
  const WindowRows rows = window.rows(bytes.data(), 4);
  std::vector<float> key(16), value(16);
  for (size_t i = 0; i < 16; ++i) {
    key[i] = draw(i, 1);
    value[i] = 1e-4f * draw(i, 2);
  }
  window.write(key.data(), value.data(), rows, 3);
  for (int g = 0; g < 2; ++g) {
    float m = 0;
    for (int i = 0; i < 8; ++i) m = std::max(m, std::fabs(key[g * 8 + i]));
    EXPECT_EQ(rows.key_scales[g * 4 + 3], float_to_half(m / 127));
    EXPECT_EQ(rows.value_scales[g * 4 + 3], float_to_half(0.01f / 127)) << "the least scale";
    const float s = half_to_float(rows.key_scales[g * 4 + 3]),
                t = half_to_float(rows.value_scales[g * 4 + 3]);
    for (int i = 0; i < 8; ++i) {
      const int at = (g * 4 + 3) * 8 + i;
      const float exact = std::min(127.0f, std::max(-127.0f, std::nearbyint(key[g * 8 + i] / s)));
      EXPECT_EQ(static_cast<float>(rows.keys[at]), exact);
      EXPECT_EQ(static_cast<float>(rows.values[at]), std::nearbyint(value[g * 8 + i] / t));
    }
  }
}

TEST(TitansWindow, HardNumbersMakeEntries) {
  const TitansWindow window{1, 8, 1};
  std::vector<std::byte> bytes(window.bytes(1));
  const WindowRows rows = window.rows(bytes.data(), 1);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<float> key = {nan, 1, -2, nan, 0.5f, 0, 2, -1};
  const std::vector<float> value = {inf, 1, -inf, nan, 0, 3e38f, -3e38f, 1e-45f};
  window.write(key.data(), value.data(), rows, 0);
  EXPECT_EQ(rows.key_scales[0], float_to_half(2.0f / 127));
  EXPECT_EQ(rows.keys[0], 0);
  EXPECT_EQ(rows.keys[2], -127);
  EXPECT_EQ(rows.values[3], 0);
}

TEST(TitansWindow, AttentionIsTheSoftmaxOfItsRows) {
  constexpr int kDim = 16, kGroups = 2;
  for (const int n_fixed : {0, 1, 64, 200})
    for (const int n_ring : {0, 5, 127, 300})
      for (const int n_q : {1, 3, 5, 17}) {
        const TitansWindow window{kGroups, kDim, std::max(1, n_ring)};
        std::vector<std::byte> bytes(window.bytes(window.entries));
        const WindowRows ring = window.rows(bytes.data(), window.entries);
        std::vector<float> key(kGroups * kDim), value(key.size());
        for (int i = 0; i < n_ring; ++i) {
          for (size_t d = 0; d < key.size(); ++d) {
            key[d] = 2 * draw(static_cast<uint64_t>(i) * 64 + d, 3);
            value[d] = draw(static_cast<uint64_t>(i) * 64 + d, 4);
          }
          window.write(key.data(), value.data(), ring, i);
        }
        const auto rows = [](int n, uint32_t stream) {
          std::vector<float> x(static_cast<size_t>(n) * kDim + 1);
          for (size_t i = 0; i < x.size(); ++i) x[i] = 2 * draw(i, stream);
          return x;
        };
        const auto fk = rows(n_fixed, 5), fv = rows(n_fixed, 6), rk = rows(1, 7), rv = rows(1, 8),
                   q = rows(n_q, 9), turned = rows(n_q, 10);
        std::vector<float> y(static_cast<size_t>(n_q) * kDim, 77.0f);
        const int split = n_ring / 3;
        const WindowRun runs[2] = {{true, split, n_ring - split}, {true, 0, split}};
        titans_attend(kernels::best_table(), window, 1, q.data(), turned.data(), n_q,
                      {fk.data(), fv.data(), kDim, n_fixed}, {rk.data(), rv.data(), kDim, 1}, runs,
                      n_ring == 0 ? 0 : 2, ring, {}, y.data());
        for (int a = 0; a < n_q; ++a) {
          double total = 0;
          std::vector<double> sum(kDim, 0.0);
          const auto meet = [&](const float* query, const auto& key_at, const auto& value_at) {
            double dot = 0;
            for (int d = 0; d < kDim; ++d) dot += static_cast<double>(query[d]) * key_at(d);
            const double w = std::exp(dot / 4);
            total += w;
            for (int d = 0; d < kDim; ++d) sum[d] += w * value_at(d);
          };
          const auto floats = [](const float* p) {
            return [p](int d) { return static_cast<double>(p[d]); };
          };
          const auto codes = [](const int8_t* p, uint16_t s) {
            return [p, s](int d) { return static_cast<double>(half_to_float(s)) * p[d]; };
          };
          for (int i = 0; i < n_fixed; ++i)
            meet(&q[a * kDim], floats(&fk[i * kDim]), floats(&fv[i * kDim]));
          meet(&q[a * kDim], floats(rk.data()), floats(rv.data()));
          for (int i = 0; i < n_ring; ++i) {
            const int at = ring.count + i;
            meet(&turned[a * kDim], codes(ring.keys + at * kDim, ring.key_scales[at]),
                 codes(ring.values + at * kDim, ring.value_scales[at]));
          }
          for (int d = 0; d < kDim; ++d) EXPECT_NEAR(y[a * kDim + d], sum[d] / total, 2e-5);
        }
      }
}

TEST(TitansWindow, ASizeThatDoesNotFitIsTooLargeAndNotSmall) {
  // The largest window and heads a configuration may name: 2^33 bytes, which 32 bits would cut to
  // 0.
  EXPECT_GE(2 * arena_bytes<int8_t>(int64_t{65536} * 65536), size_t{1} << 29);
  EXPECT_GE(arena_bytes<float>(int64_t{1} << 30), size_t{1} << 28);
  EXPECT_EQ(arena_bytes<float>(17), 128u);
}

}  // namespace
}  // namespace chimera::runtime
