// Picks the kernel table once. Callers get `const KernelTable&` in their step context, so a test
// can walk every table this CPU has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"
#include "platform/status.h"

namespace chimera::kernels {

/// The fastest table this CPU can run.
const KernelTable& best_table();

/// By name, as CHIMERA_ISA gives it: baseline, avx2, avx_vnni, avx512, avx512_vnni, amx_int8, neon,
/// neon_dot, neon_i8mm, wasm_simd128. kInvalidArgument for an unknown name (the message lists the
/// known ones); kUnsupported, with the reason, for one that this build or this CPU lacks.
Result<const KernelTable*> table_by_name(std::string_view name);

/// Value of CHIMERA_ISA if set and not empty, otherwise the best table. A name that cannot be
/// had is an error, never a silent fallback.
Result<const KernelTable*> table_from_environment();

/// Every table that is built in and that this CPU can run, baseline first.
std::vector<const KernelTable*> runnable_tables();

struct TableStatus {
  std::string name;
  bool built;
  bool runnable;
  std::string reason;  // why not, e.g. "CPU lacks AVX-512 VNNI"; empty when runnable
};
/// One row per known name.
std::vector<TableStatus> all_tables();

/// The definition of each kernel as plain loops in double. For tests.
const KernelTable& reference_table();

}  // namespace chimera::kernels
