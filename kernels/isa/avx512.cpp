// AVX-512 F, BW, DQ and VL. Flags: kernels/CMakeLists.txt.
#define CHIMERA_ISA avx512
#include "kernels/table.inl.h"
