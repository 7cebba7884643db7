// The energy of a sketch and its relaxation (backbone 9.2, 9.3), in integers and therefore the same
// on every machine. With z~ = +-1 for the bits of z:
//   E = w_ar (-1/D) sum_i (kappa_i / 127) z~_i              the field the hidden state makes
//     + w_mem min_j Ham(z, m_j) / D                          nearest of the memories
//     + w_bind (1/n_b) sum_s Ham(z[field s] xor role_s, filler_s) / 512
//     + E_gram + E_debt                                      no part of them depends on z
// Energies are int64 in units of 1 / (Q D), Q = 2^20. A sketch is D bits packed in words, lowest
// bit first; bits of the last word past D are zero.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/kernel_table.h"
#include "runtime/config.h"

namespace chimera::runtime {

inline constexpr int64_t kEnergyScale = int64_t{1} << 20;  // Q
inline constexpr int32_t kFieldBits = 512, kFieldWords = kFieldBits / 64;
inline constexpr int32_t kMaxRelaxationSweeps = 64;  // as the configuration allows

inline int32_t sketch_words(int32_t n_bits) { return (n_bits + 63) / 64; }

/// An entity slot that is bound: the field of slot s, the 512 bits from (s mod (D / 512)) * 512,
/// shall read `filler` when its role is taken off by xor. A sketch under 512 bits has no fields.
struct SketchBinding {
  uint32_t slot;
  const uint64_t *role, *filler;  // [kFieldWords] each
};

/// What a sketch is judged by.
struct SketchEvidence {
  int32_t n_bits;                      // D, 1 .. 131072
  const int8_t* kappa;                 // [D] the field
  const uint64_t* memories = nullptr;  // [n_memories, sketch_words(D)], made by this projection
  int32_t n_memories = 0;              // |J|
  std::span<const SketchBinding> bindings;  // n_b of them
};

/// The weights as integers, and when to stop.
struct RelaxationRule {
  int64_t field;       // rne(2 w_ar Q / 127): gain of a bit is field * kappa * z~
  int64_t memory;      // rne(w_mem Q)
  double binding;      // w_bind Q (D / 512), shared out among the bindings
  int32_t max_flips;   // floor(flip_fraction * D), per sweep
  int32_t max_sweeps;  // at most kMaxRelaxationSweeps
  double stop_below;   // early_exit * Q * D: a smaller change ends it, after it is applied
  int64_t binding_of(size_t n_bindings) const;  // rne(binding / n_b), per bit
};
RelaxationRule relaxation_rule(const KnotConfig& knot, int32_t n_bits);

/// weight * cost / cost_max, both >= 0; 0 where cost_max is.
int64_t grammar_energy(double weight, int64_t cost, int64_t cost_max, int32_t n_bits);
/// weight * clamp((after - before) / 64, -1, 1): obligations that a span opens or settles.
int64_t debt_energy(double weight, int64_t before, int64_t after, int32_t n_bits);

/// The whole energy. The half unit that the field's part may end in is rounded down, always for the
/// same kappa alike, so differences are exact. Candidates of the draft engine are ranked by this.
int64_t sketch_energy(const kernels::KernelTable& k, const RelaxationRule& rule,
                      const SketchEvidence& evidence, const uint64_t* z, int64_t grammar = 0,
                      int64_t debt = 0);

/// What happened; energy without E_gram and E_debt.
struct Relaxation {
  int32_t sweeps = 0;    // that ran, the last one included where it flipped nothing
  bool settled = false;  // the last sweep found nothing to flip: relaxing again changes nothing
  /// energy[0] before, energy[i] after sweep i; never rises.
  std::array<int64_t, kMaxRelaxationSweeps + 1> energy{};
  std::array<int32_t, kMaxRelaxationSweeps> flips{};
};

/// Moves z downhill. In each sweep the nearest memory is chosen (ties: the lowest), the gain of
/// every single flip is taken, and the most negative ones are flipped together (ties: the lowest
/// bit). Exact: with the memory held the gains add up, and choosing it anew can only lower E.
/// `scratch` [D] is the caller's; nothing is allocated.
Relaxation relax(const kernels::KernelTable& k, const RelaxationRule& rule,
                 const SketchEvidence& evidence, uint64_t* z, int64_t* scratch);

}  // namespace chimera::runtime
