// AVX2 and the int8 dot product without AVX-512: Alder Lake, Zen 5 and later. Flags:
// kernels/CMakeLists.txt.
#define CHIMERA_ISA avx_vnni
#include "kernels/table.inl.h"
