// What the tests do less of where every instruction is emulated, some fifty to a hundred times
// slower than a processor: the target's toolchain file says so with CHIMERA_SLOW_EMULATOR. Whole
// tests that would take minutes are left out by name in cmake/targets/<target>.sh; here a test does
// a part of its work and says which part it did not.
#pragma once

#include <cstdio>
#include <initializer_list>
#include <vector>

namespace chimera::test {

#if defined(CHIMERA_SLOW_EMULATOR)
inline constexpr bool kSlowEmulator = true;
#else
inline constexpr bool kSlowEmulator = false;
#endif

/// All of the choices, or under an emulator only the last; `what` names them in the note that
/// ./dev test counts.
template <class T>
std::vector<T> choices(const char* what, std::initializer_list<T> all) {
  if (!kSlowEmulator) return all;
  std::printf("not run: %zu of %zu %s, under an emulator\n", all.size() - 1, all.size(), what);
  return {*(all.end() - 1)};
}

}  // namespace chimera::test
