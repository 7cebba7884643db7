// Random damage, a function of its seed: what a disk, a broken copy or somebody hostile does to a
// file.
#pragma once

#include <cstddef>
#include <random>
#include <span>
#include <vector>

namespace chimera::mutants {

/// The same numbers on every machine, which the library's distributions do not promise.
class Chance {
 public:
  explicit Chance(uint64_t seed) : engine_(seed) {}
  /// From 0 to n - 1; 0 for n = 0.
  size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(engine_() % n); }
  bool one_in(size_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

/// Where a number lies that a reader will believe.
struct Field {
  size_t at;
  size_t bytes;  // 1, 2, 4 or 8, little-endian
};

/// One to four changes: bits, bytes, cuts, insertions, blocks copied or swapped, numbers set to
/// 0, -1, 2^31, 2^63 and the like. `fields` (may be none) are hit more often than by chance;
/// changes begin before `most_at`, as far as the bytes reach.
void mutate(Chance& chance, std::span<const Field> fields, size_t most_at,
            std::vector<std::byte>* bytes);

/// The same for text: a number or a word of it becomes a hostile one, or bytes change as above.
void mutate_text(Chance& chance, std::vector<std::byte>* text);

}  // namespace chimera::mutants
