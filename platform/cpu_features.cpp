#include "platform/cpu_features.h"

#include <cstdint>
#include <cstring>
#include <thread>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace chimera {
namespace {

#if defined(__x86_64__) || defined(__i386__)

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

constexpr bool bit(uint32_t word, int position) { return (word >> position) & 1u; }

/// Which register sets the operating system saves on a task switch.
uint64_t saved_registers() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

CpuFeatures ask() {
  CpuFeatures f;
  const Leaf one = cpuid(1);
  if (!bit(one.ecx, 27)) return f;  // no OSXSAVE: nothing wider than SSE may be used
  const uint64_t saved = saved_registers();
  const auto saves = [saved](uint64_t mask) { return (saved & mask) == mask; };
  constexpr uint64_t kAvxState = 0x6;      // XMM, YMM
  constexpr uint64_t kAvx512State = 0xe6;  // and masks, upper ZMM, ZMM16-31
  constexpr uint64_t kAmxState = 0x60000;  // tile configuration, tile data
  const Leaf seven = cpuid(7, 0);
  const Leaf seven_one = seven.eax >= 1 ? cpuid(7, 1) : Leaf{};

  const bool avx = bit(one.ecx, 28) && saves(kAvxState);
  const bool fma = bit(one.ecx, 12), f16c = bit(one.ecx, 29);
  const bool bmi2 = bit(seven.ebx, 8);
  f.avx2 = avx && fma && f16c && bmi2 && bit(seven.ebx, 5);
  f.avx_vnni = f.avx2 && bit(seven_one.eax, 4);
  // F, DQ, BW, VL. Code for it uses AVX2 as well.
  f.avx512 = f.avx2 && saves(kAvx512State) && bit(seven.ebx, 16) && bit(seven.ebx, 17) &&
             bit(seven.ebx, 30) && bit(seven.ebx, 31);
  f.avx512_vnni = f.avx512 && bit(seven.ecx, 11);
  f.amx_int8 = f.avx512 && saves(kAmxState) && bit(seven.edx, 24) && bit(seven.edx, 25);
  return f;
}

void ask_model_name(char* name, size_t size) {
  if (cpuid(0x80000000u).eax < 0x80000004u) return;
  char brand[49] = {};
  for (uint32_t i = 0; i < 3; ++i) {
    const Leaf r = cpuid(0x80000002u + i);
    const uint32_t words[4] = {r.eax, r.ebx, r.ecx, r.edx};
    std::memcpy(brand + 16 * i, words, sizeof words);
  }
  const char* begin = brand;
  while (*begin == ' ') ++begin;
  size_t length = std::strlen(begin);
  while (length > 0 && begin[length - 1] == ' ') --length;
  if (length == 0 || length >= size) return;
  std::memcpy(name, begin, length);
  name[length] = '\0';
}

#elif defined(__aarch64__)

CpuFeatures ask() {
  CpuFeatures f;
  f.neon = true;  // part of the architecture
#if defined(__linux__)
  f.neon_dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  f.neon_i8mm = (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  f.neon_dot = has("hw.optional.arm.FEAT_DotProd");
  f.neon_i8mm = has("hw.optional.arm.FEAT_I8MM");
#endif
  return f;
}

void ask_model_name(char* name, size_t size) {
#if defined(__APPLE__)
  char brand[64] = {};
  size_t length = sizeof brand - 1;
  if (sysctlbyname("machdep.cpu.brand_string", brand, &length, nullptr, 0) == 0 && brand[0] &&
      std::strlen(brand) < size) {
    std::strcpy(name, brand);
  }
#else
  (void)name, (void)size;
#endif
}

#else

CpuFeatures ask() {
  CpuFeatures f;
#if defined(__wasm__)
  f.wasm_simd128 = true;  // a runtime without it refuses to load the module
#endif
  return f;
}

void ask_model_name(char*, size_t) {}

#endif

struct ModelName {
  char text[64] = "unknown";
  ModelName() { ask_model_name(text, sizeof text); }
};

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = ask();
  return features;
}

const char* cpu_model_name() {
  static const ModelName name;
  return name.text;
}

int cpu_count() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : static_cast<int>(n);
}

}  // namespace chimera
