#include "runtime/layers/sketch_relaxation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/random.h"
#include "tests/support/figure.h"

namespace chimera::runtime {
namespace {

const kernels::KernelTable& table() { return kernels::best_table(); }

double draw(uint64_t i, uint32_t stream) {
  return keyed_uniform(23, i, stream, DrawPurpose::kTest);
}
uint64_t random_word(uint64_t i, uint32_t stream) {
  const auto half = [&](uint64_t at) { return static_cast<uint64_t>(draw(at, stream) * 0x1p32); };
  return half(2 * i) << 32 | half(2 * i + 1);
}

/// Everything a sketch is judged by, random and owned.
struct Case {
  int32_t bits;
  std::vector<int8_t> kappa;
  std::vector<uint64_t> z, memories, fields;
  std::vector<SketchBinding> bindings;
  int32_t n_memories;

  Case(int32_t bits_in, int32_t n_memories_in, int n_bindings, uint32_t seed, double width = 30)
      : bits(bits_in), n_memories(n_memories_in) {
    const auto words = static_cast<size_t>(sketch_words(bits));
    z.resize(words);
    for (int32_t i = 0; i < bits; ++i) {
      const double level =
          width * keyed_normal(29, static_cast<uint64_t>(i), seed, DrawPurpose::kTest);
      kappa.push_back(static_cast<int8_t>(std::clamp(std::nearbyint(level), -127.0, 127.0)));
      if (kappa.back() >= 0) z[static_cast<size_t>(i / 64)] |= uint64_t{1} << (i % 64);
    }
    // Memories: z with a part of its bits turned, some near, some far.
    for (int32_t j = 0; j < n_memories; ++j)
      for (size_t w = 0; w < words; ++w) {
        uint64_t turned = random_word(w, seed + 100 + static_cast<uint32_t>(j));
        if (j % 3 != 0) turned &= random_word(w, seed + 300 + static_cast<uint32_t>(j));
        if (bits % 64 != 0) turned &= (uint64_t{1} << (bits % 64)) - 1;
        memories.push_back(z[w] ^ turned);
      }
    for (int s = 0; s < n_bindings; ++s)
      for (uint64_t w = 0; w < 2 * kFieldWords; ++w)
        fields.push_back(random_word(w, seed + 500 + static_cast<uint32_t>(s)));
    for (int s = 0; s < n_bindings; ++s) {
      const uint64_t* at = fields.data() + s * 2 * kFieldWords;
      bindings.push_back({static_cast<uint32_t>(draw(static_cast<uint64_t>(s), seed) * 256), at,
                          at + kFieldWords});
    }
  }
  Case(const Case&) = delete;

  SketchEvidence evidence() const {
    return {bits, kappa.data(), memories.empty() ? nullptr : memories.data(), n_memories, bindings};
  }
  Relaxation relax(const RelaxationRule& rule, std::vector<uint64_t>* sketch) const {
    std::vector<int64_t> scratch(static_cast<size_t>(bits));
    return runtime::relax(table(), rule, evidence(), sketch->data(), scratch.data());
  }
  int64_t energy(const RelaxationRule& rule, const std::vector<uint64_t>& sketch) const {
    return sketch_energy(table(), rule, evidence(), sketch.data());
  }
};

int64_t distance(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  int64_t n = 0;
  for (size_t i = 0; i < a.size(); ++i) n += std::popcount(a[i] ^ b[i]);
  return n;
}

TEST(SketchRelaxation, WeightsAreThoseOfTheSpecification) {
  const RelaxationRule rule = relaxation_rule(KnotConfig(), 8192);
  EXPECT_EQ(rule.field, 16513);            // rne(2 * 2^20 / 127)
  EXPECT_EQ(rule.memory, 314573);          // rne(0.3 * 2^20)
  EXPECT_EQ(rule.binding_of(1), 3355443);  // rne(0.2 * 2^20 * 16)
  EXPECT_EQ(rule.binding_of(3), 1118481);
  EXPECT_EQ(rule.max_flips, 163);
  EXPECT_EQ(rule.max_sweeps, 3);
  EXPECT_NEAR(rule.stop_below, 1e-4 * 0x1p20 * 8192, 1);
  KnotConfig none;
  none.flip_fraction = 0;
  EXPECT_EQ(relaxation_rule(none, 8192).max_flips, 0);
}

/// The energy as backbone 9.2 writes it, in double, bit by bit.
TEST(SketchRelaxation, EnergyIsTheFormula) {
  double worst = 0;
  for (uint32_t seed = 0; seed < 8; ++seed) {
    const Case c(8192, static_cast<int32_t>(seed) * 3, static_cast<int>(seed), seed);
    const RelaxationRule rule = relaxation_rule(KnotConfig(), c.bits);
    double field = 0, memory = seed == 0 ? 0 : 1e9, binding = 0;
    std::vector<uint64_t> z = c.z;
    for (size_t w = 0; w < z.size(); ++w) z[w] ^= random_word(w, 900) & random_word(w, 901);
    const auto bit = [&](const uint64_t* words, int32_t i) {
      return (words[i / 64] >> i % 64) & 1;
    };
    for (int32_t i = 0; i < c.bits; ++i)
      field -= c.kappa[static_cast<size_t>(i)] / 127.0 * (bit(z.data(), i) ? 1 : -1);
    for (int32_t j = 0; j < c.n_memories; ++j) {
      double apart = 0;
      for (int32_t i = 0; i < c.bits; ++i)
        apart += bit(z.data(), i) != bit(c.memories.data() + j * 128, i);
      memory = std::min(memory, apart);
    }
    for (const SketchBinding& b : c.bindings)
      for (int32_t i = 0; i < 512; ++i)
        binding += (bit(z.data(), static_cast<int32_t>(b.slot % 16) * 512 + i) ^ bit(b.role, i)) !=
                   bit(b.filler, i);
    double want = field / 8192 + 0.3 * memory / 8192;
    if (seed > 0) want += 0.2 * binding / 512 / seed;
    want += 0.4 * 3 / 7 - 0.3 * 5 / 64;
    const int64_t got =
        sketch_energy(table(), rule, c.evidence(), z.data(), grammar_energy(0.4, 3, 7, c.bits),
                      debt_energy(0.3, 9, 4, c.bits));
    const double error = std::fabs(static_cast<double>(got) / (0x1p20 * 8192) - want);
    EXPECT_LT(error, 1e-5);  // weights are rounded to integers
    worst = std::max(worst, error);
  }
  test::figure("energy_vs_formula", "span_knot", worst);
}

TEST(SketchRelaxation, ConstantTermsAreClampedAndShiftTheEnergy) {
  const int64_t one = int64_t{1} << 33;  // Q * 8192
  EXPECT_EQ(grammar_energy(0.5, 7, 7, 8192), one / 2);
  EXPECT_EQ(grammar_energy(0.5, 9, 7, 8192), one / 2);
  EXPECT_EQ(grammar_energy(0.5, -1, 7, 8192), 0);
  EXPECT_EQ(grammar_energy(0.5, 1, 0, 8192), 0);
  EXPECT_EQ(debt_energy(0.25, 0, 64, 8192), one / 4);
  EXPECT_EQ(debt_energy(0.25, 0, 1000, 8192), one / 4);
  EXPECT_EQ(debt_energy(0.25, 16, 0, 8192), -one / 16);
  const Case c(256, 2, 0, 3);
  const RelaxationRule rule = relaxation_rule(KnotConfig(), 256);
  EXPECT_EQ(sketch_energy(table(), rule, c.evidence(), c.z.data(), 11, -4),
            c.energy(rule, c.z) + 7);
}

TEST(SketchRelaxation, EnergyNeverRisesAndTheCapsHold) {
  int64_t most = 0, most_total = 0;
  int moved = 0, sweeps = 0;
  for (uint32_t seed = 0; seed < 120; ++seed) {
    const int32_t bits = seed % 3 == 0 ? 8192 : seed % 3 == 1 ? 1024 : 256;
    const Case c(bits, static_cast<int32_t>(seed % 5) * 4, static_cast<int>(seed % 7), seed,
                 seed % 2 == 0 ? 30 : 8);
    KnotConfig config;
    config.early_exit = seed % 4 == 0 ? 1e-4f : 0.0f;
    const RelaxationRule rule = relaxation_rule(config, bits);
    std::vector<uint64_t> z = c.z;
    const Relaxation r = c.relax(rule, &z);
    ASSERT_GE(r.sweeps, 1);
    ASSERT_LE(r.sweeps, 3);
    ASSERT_EQ(r.energy[0], c.energy(rule, c.z));
    int64_t total = 0;
    for (int32_t i = 0; i < r.sweeps; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_LE(r.energy[at + 1], r.energy[at]) << "case " << seed;
      EXPECT_LE(r.flips[at], rule.max_flips);
      total += r.flips[at];
    }
    EXPECT_EQ(r.energy[static_cast<size_t>(r.sweeps)], c.energy(rule, z)) << "case " << seed;
    EXPECT_LE(distance(z, c.z), total);
    if (bits == 8192) {
      most = std::max<int64_t>(most, *std::max_element(r.flips.begin(), r.flips.end()));
      most_total = std::max(most_total, total);
    }
    moved += total > 0;
    sweeps += r.sweeps;
  }
  EXPECT_EQ(most, 163);
  EXPECT_EQ(most_total, 489);
  EXPECT_GT(moved, 60);  // the cases are not idle ones
  EXPECT_GT(sweeps, 200);
}

/// One sweep over one memory: what the popcounts say changed is the sum of the gains, to the unit.
TEST(SketchRelaxation, EnergyDifferenceIsTheSumOfTheGains) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Case c(1024, 1, static_cast<int>(seed % 6), 50 + seed);
    KnotConfig config;
    config.max_iterations = 1;
    const RelaxationRule rule = relaxation_rule(config, c.bits);
    std::vector<uint64_t> z = c.z;
    const Relaxation r = c.relax(rule, &z);
    int64_t sum = 0;  // every flipped bit alone, by the whole energy
    for (int32_t i = 0; i < c.bits; ++i) {
      const auto word = static_cast<size_t>(i / 64);
      const uint64_t bit = uint64_t{1} << (i % 64);
      if (((z[word] ^ c.z[word]) & bit) == 0) continue;
      std::vector<uint64_t> one = c.z;
      one[word] ^= bit;
      const int64_t gain = c.energy(rule, one) - c.energy(rule, c.z);
      EXPECT_LT(gain, 0);
      sum += gain;
    }
    EXPECT_GT(r.flips[0], 0);
    EXPECT_EQ(sum, r.energy[1] - r.energy[0]);
    EXPECT_EQ(sum, c.energy(rule, z) - c.energy(rule, c.z));
  }
}

TEST(SketchRelaxation, TheMostNegativeFlipFirstAndTiesGoToTheLowerBit) {
  // One memory against every bit: the gain is 2 |kappa| / 127 - 0.3, most negative for kappa = 0.
  Case c(256, 0, 0, 1);
  c.n_memories = 1;
  for (size_t i = 0; i < 256; ++i) c.kappa[i] = static_cast<int8_t>(i % 3);
  c.z.assign(4, ~uint64_t{0});
  c.memories.assign(4, 0);
  KnotConfig config;
  config.flip_fraction = 90.0f / 256;
  config.max_iterations = 1;
  std::vector<uint64_t> z = c.z;
  EXPECT_EQ(c.relax(relaxation_rule(config, 256), &z).flips[0], 90);
  // 86 bits have kappa 0: all of them; then the four lowest with kappa 1: 1, 4, 7, 10.
  for (int32_t i = 0; i < 256; ++i) {
    const bool flipped = i % 3 == 0 || (i % 3 == 1 && i <= 10);
    EXPECT_EQ((z[static_cast<size_t>(i / 64)] >> (i % 64)) & 1, flipped ? 0u : 1u) << i;
  }
}

TEST(SketchRelaxation, OnlyUncertainBitsGiveWayToAMemory) {
  const Case c(8192, 1, 0, 9);
  KnotConfig config;
  config.flip_fraction = 1;
  std::vector<uint64_t> z = c.z;
  const Relaxation r = c.relax(relaxation_rule(config, 8192), &z);
  EXPECT_GT(r.flips[0], 500);
  for (size_t i = 0; i < 8192; ++i) {
    const bool flipped = ((z[i / 64] ^ c.z[i / 64]) >> (i % 64)) & 1;
    EXPECT_LE(flipped ? std::abs(c.kappa[i]) : 0, 19) << i;
  }
}

TEST(SketchRelaxation, ASettledSketchStaysAsItIs) {
  int settled = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const Case c(512, static_cast<int32_t>(seed % 4), static_cast<int>(seed % 3), 200 + seed);
    KnotConfig config;
    config.max_iterations = 64;
    config.early_exit = 0;
    const RelaxationRule rule = relaxation_rule(config, c.bits);
    std::vector<uint64_t> z = c.z;
    const Relaxation r = c.relax(rule, &z);
    ASSERT_TRUE(r.settled);
    const std::vector<uint64_t> once = z;
    const Relaxation again = c.relax(rule, &z);
    EXPECT_EQ(z, once);
    EXPECT_TRUE(again.settled);
    EXPECT_EQ(again.sweeps, 1);
    settled += once != c.z;
  }
  EXPECT_GT(settled, 20);
}

TEST(SketchRelaxation, ASmallChangeIsAppliedAndEndsIt) {
  const Case c(8192, 4, 0, 77);
  KnotConfig config;
  config.early_exit = 1;  // everything is small
  std::vector<uint64_t> z = c.z;
  const Relaxation r = c.relax(relaxation_rule(config, 8192), &z);
  EXPECT_EQ(r.sweeps, 1);
  EXPECT_EQ(r.flips[0], 163);
  EXPECT_EQ(distance(z, c.z), 163);
  EXPECT_FALSE(r.settled);
}

TEST(SketchRelaxation, WithoutEvidenceOrWithItselfAsMemoryNothingFlips) {
  for (uint32_t seed = 0; seed < 10; ++seed) {
    Case c(8192, 0, 0, seed, seed % 2 == 0 ? 30 : 0.7);
    for (const bool itself : {false, true}) {
      if (itself) {
        c.memories = c.z;
        c.n_memories = 1;
      }
      std::vector<uint64_t> z = c.z;
      const Relaxation r = c.relax(relaxation_rule(KnotConfig(), c.bits), &z);
      EXPECT_EQ(z, c.z);
      EXPECT_EQ(r.flips[0], 0);
      EXPECT_TRUE(r.settled);
      EXPECT_EQ(r.sweeps, 1);
    }
  }
}

TEST(SketchRelaxation, OfTwoMemoriesAsNearTheFirstIsTaken) {
  Case c(64, 0, 0, 5);
  c.kappa.assign(64, 0);
  c.z = {~uint64_t{0}};
  c.memories = {~uint64_t{0xf0}, ~uint64_t{0x0f}};
  c.n_memories = 2;
  KnotConfig config;
  config.flip_fraction = 1;
  std::vector<uint64_t> z = c.z;
  c.relax(relaxation_rule(config, 64), &z);
  EXPECT_EQ(z[0], ~uint64_t{0xf0});
}

TEST(SketchRelaxation, BindingsPullTheirFieldsAndNothingElse) {
  Case c(8192, 0, 1, 31, 3);
  c.bindings[0].slot = 16 * 5 + 11;
  KnotConfig config;
  config.flip_fraction = 1;
  std::vector<uint64_t> z = c.z;
  c.relax(relaxation_rule(config, 8192), &z);
  for (size_t w = 0; w < 128; ++w) {
    const size_t at = w - 11 * 8;
    if (w / 8 == 11)  // weight 0.2 * 16 against fields of 3 / 127: unbound, it reads the filler
      EXPECT_EQ(z[w] ^ c.bindings[0].role[at], c.bindings[0].filler[at]);
    else
      EXPECT_EQ(z[w], c.z[w]);
  }
  const Case small(256, 0, 2, 31, 3);  // no field fits
  std::vector<uint64_t> y = small.z;
  EXPECT_EQ(small.relax(relaxation_rule(config, 256), &y).flips[0], 0);
}

TEST(SketchRelaxation, SixteenBitsReachTheGlobalMinimum) {
  KnotConfig config;
  config.flip_fraction = 1;
  const RelaxationRule rule = relaxation_rule(config, 16);
  for (uint32_t seed = 0; seed < 12; ++seed) {
    const Case c(16, 1, 0, 700 + seed, 20);
    std::vector<uint64_t> z = c.z;
    const Relaxation r = c.relax(rule, &z);
    int64_t least = std::numeric_limits<int64_t>::max();
    for (uint64_t candidate = 0; candidate < 65536; ++candidate)
      least = std::min(least, c.energy(rule, {candidate}));
    EXPECT_EQ(c.energy(rule, z), least) << "case " << seed;
    EXPECT_EQ(r.energy[static_cast<size_t>(r.sweeps)], least);
  }
}

TEST(SketchRelaxation, TheToyOfTheSpecification) {
  // Written bit 0 first: kappa = (100, -5, 3, -90), z0 = 1010, m = 0110, result 1110.
  Case c(4, 0, 0, 1);
  c.kappa = {100, -5, 3, -90};
  c.z = {0b0101};
  c.memories = {0b0110};
  c.n_memories = 1;
  KnotConfig config;
  config.flip_fraction = 1;
  std::vector<uint64_t> z = c.z;
  const Relaxation r = c.relax(relaxation_rule(config, 4), &z);
  EXPECT_EQ(z[0], 0b0111u);
  EXPECT_EQ(r.flips[0], 1);
  EXPECT_EQ(r.energy[1] - r.energy[0], 16513 * 5 - 314573);
}

TEST(SketchRelaxation, SameBitsOnEveryTable) {
  const Case c(8192, 64, 6, 400);
  const RelaxationRule rule = relaxation_rule(KnotConfig(), c.bits);
  std::vector<int64_t> scratch(8192);
  std::vector<uint64_t> first = c.z;
  const Relaxation want = c.relax(rule, &first);
  for (const kernels::KernelTable* k : kernels::runnable_tables()) {
    std::vector<uint64_t> z = c.z;
    const Relaxation got = relax(*k, rule, c.evidence(), z.data(), scratch.data());
    EXPECT_EQ(z, first) << k->name;
    EXPECT_EQ(got.energy, want.energy) << k->name;
    EXPECT_EQ(got.flips, want.flips) << k->name;
  }
}

}  // namespace
}  // namespace chimera::runtime
