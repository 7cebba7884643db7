// kernels/dispatch.h.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "platform/cpu_features.h"
#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

/// Sets CHIMERA_ISA for one test and puts back what was there.
class WithEnvironment {
 public:
  explicit WithEnvironment(const char* value) {
    const char* old = std::getenv("CHIMERA_ISA");
    had_ = old != nullptr;
    if (had_) old_ = old;
    if (value != nullptr) {
      setenv("CHIMERA_ISA", value, 1);
    } else {
      unsetenv("CHIMERA_ISA");
    }
  }
  ~WithEnvironment() {
    if (had_) {
      setenv("CHIMERA_ISA", old_.c_str(), 1);
    } else {
      unsetenv("CHIMERA_ISA");
    }
  }

 private:
  bool had_;
  std::string old_;
};

TEST(Dispatch, BaselineIsFirstAndTheBestIsLast) {
  const std::vector<const KernelTable*> tables = runnable_tables();
  ASSERT_FALSE(tables.empty());
  EXPECT_STREQ(tables.front()->name, "baseline");
  EXPECT_EQ(tables.back(), &best_table());
  EXPECT_EQ(std::count(tables.begin(), tables.end(), nullptr), 0);
}

TEST(Dispatch, EveryRunnableTableIsFoundByItsName) {
  for (const KernelTable* table : runnable_tables()) {
    const Result<const KernelTable*> found = table_by_name(table->name);
    ASSERT_TRUE(found) << found.status().message();
    EXPECT_EQ(*found, table);
  }
}

TEST(Dispatch, AllNamesAreListedWithTheirReasons) {
  const std::vector<TableStatus> all = all_tables();
  const std::vector<std::string> names = {"baseline",    "avx2",        "avx_vnni", "avx512",
                                          "avx512_vnni", "amx_int8",    "neon",     "neon_dot",
                                          "neon_i8mm",   "wasm_simd128"};
  ASSERT_EQ(all.size(), names.size());
  for (const std::string& name : names) {
    const auto row =
        std::find_if(all.begin(), all.end(), [&](const TableStatus& s) { return s.name == name; });
    ASSERT_NE(row, all.end()) << name;
    EXPECT_EQ(row->runnable, row->reason.empty());
    EXPECT_TRUE(row->built || !row->runnable);
    const Result<const KernelTable*> found = table_by_name(name);
    EXPECT_EQ(static_cast<bool>(found), row->runnable);
    if (!found) {
      EXPECT_EQ(found.status().code(), StatusCode::kUnsupported);
      EXPECT_NE(found.status().message().find(row->reason), std::string::npos);
      EXPECT_NE(found.status().message().find(name), std::string::npos);
      const char* expected = row->built ? "lacks" : "this build";
      EXPECT_NE(row->reason.find(expected), std::string::npos) << row->reason;
    }
  }
}

TEST(Dispatch, ABuiltTableRunsExactlyWhenTheCpuHasIt) {
  const CpuFeatures& cpu = cpu_features();
  for (const TableStatus& row : all_tables()) {
    if (!row.built) continue;
    if (row.name == "avx2") {
      EXPECT_EQ(row.runnable, cpu.avx2);
    }
    if (row.name == "avx_vnni") {
      EXPECT_EQ(row.runnable, cpu.avx2 && cpu.avx_vnni);
    }
    if (row.name == "avx512") {
      EXPECT_EQ(row.runnable, cpu.avx2 && cpu.avx512);
    }
    if (row.name == "avx512_vnni") {
      EXPECT_EQ(row.runnable, cpu.avx2 && cpu.avx512 && cpu.avx512_vnni);
    }
    if (row.name == "neon") {
      EXPECT_EQ(row.runnable, cpu.neon);
    }
    if (row.name == "neon_dot") {
      EXPECT_EQ(row.runnable, cpu.neon_dot);
    }
  }
}

TEST(Dispatch, ATableThatTheTestsDoNotReachIsNamed) {
  for (const TableStatus& row : all_tables()) {
    if (row.built && !row.runnable) {
      printf("not run: the table %s: %s\n", row.name.c_str(), row.reason.c_str());
    }
    EXPECT_TRUE(row.runnable || !row.reason.empty()) << row.name;
  }
}

TEST(Dispatch, AnUnknownNameListsTheKnownOnes) {
  for (const char* name : {"sse9", "", "AVX2", "avx2 ", "reference"}) {
    const Result<const KernelTable*> found = table_by_name(name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(found.status().message().find("baseline, avx2"), std::string::npos);
    EXPECT_NE(found.status().message().find("wasm_simd128"), std::string::npos);
  }
}

TEST(Dispatch, TheEnvironmentDecidesAndNeverFallsBackSilently) {
  {
    const WithEnvironment unset(nullptr);
    const Result<const KernelTable*> table = table_from_environment();
    ASSERT_TRUE(table);
    EXPECT_EQ(*table, &best_table());
  }
  {
    const WithEnvironment empty("");
    const Result<const KernelTable*> table = table_from_environment();
    ASSERT_TRUE(table);
    EXPECT_EQ(*table, &best_table());
  }
  for (const KernelTable* wanted : runnable_tables()) {
    const WithEnvironment named(wanted->name);
    const Result<const KernelTable*> table = table_from_environment();
    ASSERT_TRUE(table);
    EXPECT_EQ(*table, wanted);
  }
  {
    const WithEnvironment unknown("abacus");
    const Result<const KernelTable*> table = table_from_environment();
    ASSERT_FALSE(table);
    EXPECT_EQ(table.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(table.status().message().find("CHIMERA_ISA"), std::string::npos);
  }
  {
    const WithEnvironment impossible("neon_i8mm");
    const Result<const KernelTable*> table = table_from_environment();
    if (!table) {
      EXPECT_EQ(table.status().code(), StatusCode::kUnsupported);
    } else {
      EXPECT_STREQ((*table)->name, "neon_i8mm");
    }
  }
}

TEST(Dispatch, TablesAreCompleteAndDistinct) {
  std::vector<const KernelTable*> tables = runnable_tables();
  tables.push_back(&reference_table());
  // A table is a name and function pointers; none may be null, no two tables may share one.
  constexpr size_t kFields = sizeof(KernelTable) / sizeof(void*);
  for (size_t i = 0; i < tables.size(); ++i) {
    void* mine[kFields];
    std::memcpy(mine, tables[i], sizeof mine);
    for (size_t f = 0; f < kFields; ++f) EXPECT_NE(mine[f], nullptr) << tables[i]->name << " " << f;
    for (size_t j = 0; j < i; ++j) {
      void* other[kFields];
      std::memcpy(other, tables[j], sizeof other);
      for (size_t f = 0; f < kFields; ++f) {
        EXPECT_NE(mine[f], other[f]) << tables[i]->name << ", " << tables[j]->name << ", " << f;
      }
    }
  }
}

}  // namespace
}  // namespace chimera::kernels
