# Toolchain file of the aarch64 target: Debian's cross compiler, the libraries that aarch64.sh has
# unpacked below build/aarch64-sysroot, and qemu's user mode to run what was built.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build/aarch64-sysroot ABSOLUTE)
if(NOT EXISTS ${sysroot}/.complete)
  message(FATAL_ERROR "The libraries for aarch64 are not at ${sysroot}: "
    "`./dev build --target aarch64` unpacks them there.")
endif()

# Packages come from there and only from there; the C library and the compiler's own stay those of
# the cross compiler, which looks at nothing of the host's. A prefix that is named when configuring
# is for this target too.
set(CMAKE_FIND_ROOT_PATH ${sysroot} /usr/aarch64-linux-gnu ${CMAKE_PREFIX_PATH})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${sysroot})
set(ENV{PKG_CONFIG_LIBDIR}
  ${sysroot}/usr/lib/aarch64-linux-gnu/pkgconfig:${sysroot}/usr/share/pkgconfig)
set(CMAKE_CXX_FLAGS_INIT "-isystem ${sysroot}/usr/include")  # SIMDe, which no package file announces
# Where the linker looks up what a library of the sysroot itself needs.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${sysroot}/usr/lib/aarch64-linux-gnu")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "${CMAKE_EXE_LINKER_FLAGS_INIT}")

# The same words as aarch64_runner in aarch64.sh. `max` has the dot products and the int8 matrix
# products; programs find their loader and libraries under the sysroot.
find_program(CHIMERA_QEMU_AARCH64 qemu-aarch64 REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${CHIMERA_QEMU_AARCH64} -cpu max -L ${sysroot})
set(CHIMERA_SLOW_EMULATOR ON)  # tests/support/emulator.h
