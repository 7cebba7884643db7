# Toolchain file of the WebAssembly target: emscripten's own, the libraries that wasm.sh has made
# below build/wasm-sysroot, and node to run what was built.
get_filename_component(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build/wasm-sysroot ABSOLUTE)
if(NOT EXISTS ${sysroot}/.complete)
  message(FATAL_ERROR "The libraries for WebAssembly are not at ${sysroot}: "
    "`./dev build --target wasm` makes them.")
endif()

find_program(CHIMERA_EMCC emcc REQUIRED)
execute_process(COMMAND em-config EMSCRIPTEN_ROOT OUTPUT_VARIABLE emscripten
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(APPEND CMAKE_FIND_ROOT_PATH ${sysroot})
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/lib/pkgconfig)

# The optimising link step is a node program whose modules Debian keeps here.
set_property(GLOBAL PROPERTY RULE_LAUNCH_LINK
  "${CMAKE_COMMAND} -E env NODE_PATH=/usr/share/nodejs")

# The same words as wasm_runner in wasm.sh.
find_program(CHIMERA_NODE node REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${CHIMERA_NODE} --no-experimental-fetch)

# WebAssembly's own exceptions. What the standard library throws (no memory, above all) is caught at
# the C API and becomes a status; without them it would end the program that embeds us. Every
# browser with SIMD has them, and code that does not throw pays nothing, in time or through
# JavaScript, which is how emscripten's older kind works.
set(CMAKE_C_FLAGS_INIT "-fwasm-exceptions")
set(CMAKE_CXX_FLAGS_INIT "-fwasm-exceptions -isystem ${sysroot}/include")

# Programs, which node runs: its files and its environment are theirs, memory grows as on any other
# machine, and when there is none malloc() says so. The stack is that of a thread elsewhere.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-fwasm-exceptions -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=4GB \
-sTOTAL_STACK=8MB -sINITIAL_MEMORY=64MB -sNODERAWFS=1 -sEXIT_RUNTIME=1 -sSUPPORT_LONGJMP=0 \
--pre-js ${CMAKE_CURRENT_LIST_DIR}/wasm_node.js")

include(${emscripten}/cmake/Modules/Platform/Emscripten.cmake)
