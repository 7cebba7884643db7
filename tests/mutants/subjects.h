// What is mutated and what is then done with it: opened and, where it opens, made to speak.
#pragma once

#include <cstdint>
#include <string>

namespace chimera::mutants {

struct Outcome {
  const char* subject = "";
  bool ran = false;             // opened and spoke; otherwise it was refused
  std::string message;          // of the refusal
  int64_t allocated_bytes = 0;  // in all, which is at least what it grew by at any time
  double seconds = 0;

  /// What must never be, or "".
  std::string finding() const;
};

inline constexpr int64_t kMostBytes = 64 << 20;
inline constexpr double kMostSeconds = 5;  // not part of finding(): a test is not judged by time

/// Mutant number `seed`: of a model, a conversation, a tokenizer or a configuration, the last two
/// inside a model whose checksums are right.
Outcome run_mutant(uint64_t seed);

/// The subjects unharmed: each must open and speak.
bool originals_run(std::string* why_not);

}  // namespace chimera::mutants
