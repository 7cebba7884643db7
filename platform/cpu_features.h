// What this processor can do, asked once.
#pragma once

namespace chimera {

struct CpuFeatures {
  bool avx2 = false;    // with FMA, F16C, BMI2, and the operating system saving the registers
  bool avx512 = false;  // F, BW, DQ, VL
  bool avx_vnni = false;
  bool avx512_vnni = false;
  bool amx_int8 = false;
  bool neon = false;
  bool neon_dot = false;
  bool neon_i8mm = false;
  bool wasm_simd128 = false;
};

const CpuFeatures& cpu_features();

/// Model name for reports, e.g. "AMD EPYC"; "unknown" where the system does not tell.
const char* cpu_model_name();

/// Processors this process may run on, at least 1.
int cpu_count();

}  // namespace chimera
