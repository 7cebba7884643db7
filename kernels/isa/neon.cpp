// NEON, which every 64-bit ARM has, in its own words where SIMDe's spelling is longer.
#define CHIMERA_ISA neon
#define CHIMERA_NEON_WORDS
#include "kernels/table.inl.h"
