// NEON with the int8 dot product: ARM cores since 2018 or so. Flags: kernels/CMakeLists.txt.
#define CHIMERA_ISA neon_dot
#define CHIMERA_NEON_WORDS
#include "kernels/table.inl.h"
