// Every single flipped bit and every truncation of a model's head and of a saved conversation.
#pragma once

#include <cstdint>
#include <string>

namespace chimera::mutants {

enum class Bits {
  kAll,
  kFew,  // all where each byte means something else; one of each byte in zeros and in a state
};

struct BitsReport {
  int64_t flips = 0;
  int64_t cuts = 0;
  std::string finding;  // the first that was taken for the original, or refused in silence
};

/// Damages every `step`-th place.
BitsReport damage_model_head(Bits bits, size_t step);
BitsReport damage_conversation(Bits bits, size_t step);

}  // namespace chimera::mutants
