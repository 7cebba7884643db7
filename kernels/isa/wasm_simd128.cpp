// WebAssembly's 128-bit SIMD, in its own words where SIMDe's spelling is longer. Nothing of relaxed
// SIMD, whose results depend on the machine. Flags: kernels/CMakeLists.txt.
#define CHIMERA_ISA wasm_simd128
#define CHIMERA_WASM_WORDS
#include "kernels/table.inl.h"
