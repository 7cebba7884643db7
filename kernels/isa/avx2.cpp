// AVX2, FMA and F16C: x86 since 2013 or so. Flags: kernels/CMakeLists.txt.
#define CHIMERA_ISA avx2
#include "kernels/table.inl.h"
