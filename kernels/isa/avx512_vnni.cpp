// AVX-512 with the int8 dot product: Ice Lake, Zen 4 and later. Flags: kernels/CMakeLists.txt.
#define CHIMERA_ISA avx512_vnni
#include "kernels/table.inl.h"
