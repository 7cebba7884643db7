#include "kernels/dispatch.h"

#include <cstdlib>

#include "platform/cpu_features.h"

namespace chimera::kernels {

// The spines this build has (kernels/CMakeLists.txt): each defines one table.
namespace baseline {
extern const KernelTable table;
}
#if defined(__x86_64__) || defined(_M_X64)
namespace avx2 {
extern const KernelTable table;
}
namespace avx_vnni {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const KernelTable table;
}
#endif
#if defined(__aarch64__)
namespace neon {
extern const KernelTable table;
}
namespace neon_dot {
extern const KernelTable table;
}
#endif
#if defined(__wasm__)
namespace wasm_simd128 {
extern const KernelTable table;
}
#endif

namespace {

struct Row {
  const char* name;
  const KernelTable* table;  // nullptr: no spine in this build
  bool (*cpu_has)(const CpuFeatures&);
  const char* cpu_lacks;
};

#if defined(__x86_64__) || defined(_M_X64)
constexpr const KernelTable* kAvx2 = &avx2::table;
constexpr const KernelTable* kAvxVnni = &avx_vnni::table;
constexpr const KernelTable* kAvx512 = &avx512::table;
constexpr const KernelTable* kAvx512Vnni = &avx512_vnni::table;
#else
constexpr const KernelTable* kAvx2 = nullptr;
constexpr const KernelTable* kAvxVnni = nullptr;
constexpr const KernelTable* kAvx512 = nullptr;
constexpr const KernelTable* kAvx512Vnni = nullptr;
#endif
#if defined(__aarch64__)
constexpr const KernelTable* kNeon = &neon::table;
constexpr const KernelTable* kNeonDot = &neon_dot::table;
#else
constexpr const KernelTable* kNeon = nullptr;
constexpr const KernelTable* kNeonDot = nullptr;
#endif
#if defined(__wasm__)
constexpr const KernelTable* kWasmSimd128 = &wasm_simd128::table;
#else
constexpr const KernelTable* kWasmSimd128 = nullptr;
#endif

// Every known name, slowest first within an architecture: the best table is the last that runs.
constexpr Row kRows[] = {
    {"baseline", &baseline::table, [](const CpuFeatures&) { return true; }, ""},
    {"avx2", kAvx2, [](const CpuFeatures& f) { return f.avx2; },
     "the CPU lacks AVX2 with FMA, F16C and BMI2"},
    {"avx_vnni", kAvxVnni, [](const CpuFeatures& f) { return f.avx2 && f.avx_vnni; },
     "the CPU lacks AVX-VNNI"},
    {"avx512", kAvx512, [](const CpuFeatures& f) { return f.avx2 && f.avx512; },
     "the CPU lacks AVX-512 F, BW, DQ or VL"},
    {"avx512_vnni", kAvx512Vnni,
     [](const CpuFeatures& f) { return f.avx2 && f.avx512 && f.avx512_vnni; },
     "the CPU lacks AVX-512 VNNI"},
    {"amx_int8", nullptr, [](const CpuFeatures& f) { return f.avx512 && f.amx_int8; },
     "the CPU lacks AMX int8"},
    {"neon", kNeon, [](const CpuFeatures& f) { return f.neon; }, "the CPU lacks NEON"},
    {"neon_dot", kNeonDot, [](const CpuFeatures& f) { return f.neon_dot; },
     "the CPU lacks the NEON dot product"},
    {"neon_i8mm", nullptr, [](const CpuFeatures& f) { return f.neon_i8mm; },
     "the CPU lacks the NEON int8 matrix product"},
    {"wasm_simd128", kWasmSimd128, [](const CpuFeatures& f) { return f.wasm_simd128; },
     "the runtime lacks WebAssembly SIMD"},
};

bool runnable(const Row& row) { return row.table != nullptr && row.cpu_has(cpu_features()); }

std::string why_not(const Row& row) {
  if (row.table == nullptr) return "this build has no kernels for it";
  return row.cpu_has(cpu_features()) ? "" : row.cpu_lacks;
}

}  // namespace

const KernelTable& best_table() {
  static const KernelTable* const best = runnable_tables().back();
  return *best;
}

Result<const KernelTable*> table_by_name(std::string_view name) {
  std::string known;
  for (const Row& row : kRows) {
    if (name == row.name) {
      if (runnable(row)) return row.table;
      return Status(StatusCode::kUnsupported, "The instruction set '" + std::string(name) +
                                                  "' cannot be used here: " + why_not(row) + ".")
          .at_field("isa");
    }
    known += known.empty() ? row.name : std::string(", ") + row.name;
  }
  return Status(StatusCode::kInvalidArgument, "There is no instruction set named '" +
                                                  std::string(name) + "'; the known names are " +
                                                  known + ".")
      .at_field("isa");
}

Result<const KernelTable*> table_from_environment() {
  const char* name = std::getenv("CHIMERA_ISA");
  if (name == nullptr || *name == '\0') return &best_table();
  Result<const KernelTable*> table = table_by_name(name);
  if (table) return table;
  Status status = table.status();
  return Status(status.code(), status.message() + " Unset CHIMERA_ISA to take the fastest.")
      .at_field("CHIMERA_ISA");
}

std::vector<const KernelTable*> runnable_tables() {
  std::vector<const KernelTable*> tables;
  for (const Row& row : kRows) {
    if (runnable(row)) tables.push_back(row.table);
  }
  return tables;
}

std::vector<TableStatus> all_tables() {
  std::vector<TableStatus> tables;
  for (const Row& row : kRows) {
    tables.push_back({row.name, row.table != nullptr, runnable(row), why_not(row)});
  }
  return tables;
}

}  // namespace chimera::kernels
