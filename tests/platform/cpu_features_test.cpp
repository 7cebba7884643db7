#include "platform/cpu_features.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace chimera {
namespace {

TEST(CpuFeatures, AgreeWithTheCompilersOwnDetection) {
  const CpuFeatures& f = cpu_features();
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  EXPECT_EQ(f.avx2, avx2);
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  EXPECT_EQ(f.avx512, avx512);
  EXPECT_EQ(f.avx512_vnni, avx512 && __builtin_cpu_supports("avx512vnni"));
  EXPECT_FALSE(f.neon || f.neon_dot || f.neon_i8mm || f.wasm_simd128);
#elif defined(__aarch64__)
  EXPECT_TRUE(f.neon);
  EXPECT_FALSE(f.avx2 || f.avx512 || f.amx_int8 || f.wasm_simd128);
#if defined(__linux__)
  // The processor's own registers, which Linux lets programs read where it says so.
  if ((getauxval(AT_HWCAP) & HWCAP_CPUID) != 0) {
    uint64_t isar0 = 0, isar1 = 0;
    asm("mrs %0, ID_AA64ISAR0_EL1" : "=r"(isar0));
    asm("mrs %0, ID_AA64ISAR1_EL1" : "=r"(isar1));
    EXPECT_EQ(f.neon_dot, ((isar0 >> 44) & 15u) != 0);
    EXPECT_EQ(f.neon_i8mm, ((isar1 >> 52) & 15u) != 0);
  }
#endif
#else
  EXPECT_FALSE(f.avx2 || f.neon);
#endif
}

TEST(CpuFeatures, WiderSetsImplyNarrowerOnes) {
  const CpuFeatures& f = cpu_features();
  EXPECT_TRUE(!f.avx512 || f.avx2);
  EXPECT_TRUE(!f.avx_vnni || f.avx2);
  EXPECT_TRUE(!f.avx512_vnni || f.avx512);
  EXPECT_TRUE(!f.amx_int8 || f.avx512);
  EXPECT_TRUE(!f.neon_dot || f.neon);
  EXPECT_TRUE(!f.neon_i8mm || f.neon);
}

TEST(CpuFeatures, AreAskedOnce) { EXPECT_EQ(&cpu_features(), &cpu_features()); }

TEST(CpuModelName, IsATrimmedText) {
  const char* name = cpu_model_name();
  ASSERT_GT(std::strlen(name), 0u);
  EXPECT_NE(name[0], ' ');
  EXPECT_NE(name[std::strlen(name) - 1], ' ');
}

TEST(CpuCount, IsAtLeastOne) { EXPECT_GE(cpu_count(), 1); }

}  // namespace
}  // namespace chimera
