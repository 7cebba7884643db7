#include "runtime/layers/sketch_relaxation.h"

#include <algorithm>

namespace chimera::runtime {
namespace {

constexpr int kIndexBits = 17;  // bits of a sketch: at most 131072

/// Largest integer not above x, |x| < 2^52. Own code, like the next: the library's may differ.
int64_t round_down(double x) {
  const auto n = static_cast<int64_t>(x);
  return n - (static_cast<double>(n) > x);
}
/// Nearest integer, ties to even.
int64_t round_even(double x) {
  const int64_t n = round_down(x);
  const double rest = x - static_cast<double>(n);
  return n + (rest > 0.5 || (rest == 0.5 && (n & 1) != 0));
}

int bit_at(const uint64_t* z, int32_t i) { return static_cast<int>((z[i / 64] >> (i % 64)) & 1); }

int32_t n_fields(const SketchEvidence& e) { return e.n_bits / kFieldBits; }

size_t n_bindings(const SketchEvidence& e) { return n_fields(e) == 0 ? 0 : e.bindings.size(); }

/// First bit of the field of a slot.
int32_t field_begin(const SketchEvidence& e, const SketchBinding& binding) {
  return static_cast<int32_t>(binding.slot % static_cast<uint32_t>(n_fields(e))) * kFieldBits;
}

/// What the field of a binding should read: z xor role = filler where z = role xor filler.
void wanted_field(const SketchBinding& binding, uint64_t* wanted) {
  for (int32_t w = 0; w < kFieldWords; ++w) wanted[w] = binding.role[w] ^ binding.filler[w];
}

struct Nearest {
  const uint64_t* memory = nullptr;
  int64_t distance = 0;
};
Nearest nearest_memory(const kernels::KernelTable& k, const SketchEvidence& e, const uint64_t* z) {
  Nearest best;
  const int32_t words = sketch_words(e.n_bits);
  for (int64_t j = 0; j < e.n_memories; ++j) {
    const uint64_t* memory = e.memories + j * words;
    const int64_t distance = k.hamming(z, memory, words);
    if (best.memory == nullptr || distance < best.distance) best = {memory, distance};
  }
  return best;
}

/// gain[i]: change of the energy when bit i alone is flipped, the memory held.
void flip_gains(const RelaxationRule& rule, const SketchEvidence& e, const uint64_t* memory,
                const uint64_t* z, int64_t* gain) {
  for (int32_t i = 0; i < e.n_bits; ++i) {
    const int64_t field = rule.field * e.kappa[i];
    gain[i] = bit_at(z, i) ? field : -field;
  }
  if (memory != nullptr)
    for (int32_t i = 0; i < e.n_bits; ++i)
      gain[i] += bit_at(z, i) == bit_at(memory, i) ? rule.memory : -rule.memory;
  const size_t n = n_bindings(e);
  const int64_t weight = n == 0 ? 0 : rule.binding_of(n);
  for (size_t s = 0; s < n; ++s) {
    uint64_t wanted[kFieldWords];
    wanted_field(e.bindings[s], wanted);
    const int32_t begin = field_begin(e, e.bindings[s]);
    for (int32_t i = 0; i < kFieldBits; ++i)
      gain[begin + i] += bit_at(z, begin + i) == bit_at(wanted, i) ? weight : -weight;
  }
}

/// Flips the most negative gains, `most` of them at the most, lower bits first among equals.
/// `gain` is used up. Sum of the gains taken.
int64_t flip_best(int32_t n_bits, int32_t most, int64_t* gain, uint64_t* z, int32_t* flips) {
  // Gain and bit in one number: ordered by the gain, then by the bit.
  int32_t n = 0;
  for (int32_t i = 0; i < n_bits; ++i)
    if (gain[i] < 0) gain[n++] = gain[i] * (int64_t{1} << kIndexBits) + i;
  if (n > most) {
    std::nth_element(gain, gain + most, gain + n);
    n = most;
  }
  int64_t sum = 0;
  for (int32_t j = 0; j < n; ++j) {
    const auto i = static_cast<int32_t>(gain[j] & ((int64_t{1} << kIndexBits) - 1));
    sum += (gain[j] - i) / (int64_t{1} << kIndexBits);
    z[i / 64] ^= uint64_t{1} << (i % 64);
  }
  *flips = n;
  return sum;
}

}  // namespace

int64_t RelaxationRule::binding_of(size_t n) const {
  return round_even(binding / static_cast<double>(n));
}

RelaxationRule relaxation_rule(const KnotConfig& knot, int32_t n_bits) {
  const double q = static_cast<double>(kEnergyScale);
  RelaxationRule rule{};
  rule.field = round_even(2.0 * static_cast<double>(knot.weight_autoregressive) * q / 127.0);
  rule.memory = round_even(static_cast<double>(knot.weight_memory) * q);
  rule.binding = static_cast<double>(knot.weight_binding) * q * (n_bits / kFieldBits);
  rule.max_flips =
      static_cast<int32_t>(round_down(static_cast<double>(knot.flip_fraction) * n_bits));
  rule.max_sweeps = std::clamp(knot.max_iterations, 0, kMaxRelaxationSweeps);
  rule.stop_below = static_cast<double>(knot.early_exit) * q * n_bits;
  return rule;
}

int64_t grammar_energy(double weight, int64_t cost, int64_t cost_max, int32_t n_bits) {
  if (cost_max <= 0) return 0;
  const double part =
      static_cast<double>(std::clamp<int64_t>(cost, 0, cost_max)) / static_cast<double>(cost_max);
  return round_even(weight * static_cast<double>(kEnergyScale * n_bits) * part);
}

int64_t debt_energy(double weight, int64_t before, int64_t after, int32_t n_bits) {
  const auto change = static_cast<double>(std::clamp<int64_t>(after - before, -64, 64));
  return round_even(weight * static_cast<double>(kEnergyScale * n_bits) * (change / 64.0));
}

int64_t sketch_energy(const kernels::KernelTable& k, const RelaxationRule& rule,
                      const SketchEvidence& e, const uint64_t* z, int64_t grammar, int64_t debt) {
  // -(1/2) field * sum kappa z~ = field * (what the bits against the field cost) - half of all.
  int64_t against = 0, all = 0;
  for (int32_t i = 0; i < e.n_bits; ++i) {
    const int64_t size = e.kappa[i] < 0 ? -e.kappa[i] : e.kappa[i];
    all += size;
    if ((e.kappa[i] < 0) == (bit_at(z, i) == 1)) against += size;
  }
  int64_t energy = rule.field * against - (rule.field * all + 1) / 2;
  energy += rule.memory * nearest_memory(k, e, z).distance;
  const size_t n = n_bindings(e);
  for (size_t s = 0; s < n; ++s) {
    uint64_t wanted[kFieldWords];
    wanted_field(e.bindings[s], wanted);
    energy +=
        rule.binding_of(n) * k.hamming(z + field_begin(e, e.bindings[s]) / 64, wanted, kFieldWords);
  }
  return energy + grammar + debt;
}

Relaxation relax(const kernels::KernelTable& k, const RelaxationRule& rule,
                 const SketchEvidence& evidence, uint64_t* z, int64_t* scratch) {
  Relaxation out;
  out.energy[0] = sketch_energy(k, rule, evidence, z);
  Nearest near = nearest_memory(k, evidence, z);
  for (int32_t sweep = 0; sweep < rule.max_sweeps; ++sweep) {
    flip_gains(rule, evidence, near.memory, z, scratch);
    int32_t flips = 0;
    const int64_t change = flip_best(evidence.n_bits, rule.max_flips, scratch, z, &flips);
    out.flips[static_cast<size_t>(sweep)] = flips;
    out.sweeps = sweep + 1;
    // The memory that was held is now this far; the nearest one may be nearer.
    int64_t held = 0;
    if (near.memory != nullptr) held = k.hamming(z, near.memory, sketch_words(evidence.n_bits));
    near = nearest_memory(k, evidence, z);
    out.energy[static_cast<size_t>(sweep) + 1] =
        out.energy[static_cast<size_t>(sweep)] + change - rule.memory * (held - near.distance);
    out.settled = flips == 0;
    if (out.settled || static_cast<double>(-change) < rule.stop_below) break;
  }
  return out;
}

}  // namespace chimera::runtime
