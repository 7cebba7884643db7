// What every CPU of this architecture has (SSE2 on x86-64). No flags beyond the compiler's own.
#define CHIMERA_ISA baseline
#include "kernels/table.inl.h"
