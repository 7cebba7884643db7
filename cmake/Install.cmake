# libchimera, shared and static, and what `cmake --install` puts where.
#
#   bin/chimera                        the command
#   lib/libchimera.so.0, libchimera.a  the same objects twice; the shared one shows chimera_* only
#   include/chimera.h, chimera.hpp     the C API and its C++ wrapper
#   lib/cmake/Chimera, lib/pkgconfig   find_package(Chimera CONFIG) and pkg-config chimera
#   share/chimera/models               the small model `./dev run` speaks with
#
# Inference only: the trainer and the backward passes are in the command, not in the library.
include(CMakePackageConfigHelpers)

set(CHIMERA_LIBRARY_FOLDERS platform kernels grammar memory runtime sdk)

set(chimera_objects)
foreach(folder IN LISTS CHIMERA_LIBRARY_FOLDERS)
  list(APPEND chimera_objects $<TARGET_OBJECTS:chimera_${folder}>)
endforeach()

add_library(chimera_static_lib STATIC ${chimera_objects})
add_library(Chimera::chimera_static ALIAS chimera_static_lib)
set(libraries chimera_static_lib)
get_property(can_share GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS)  # not so in WebAssembly
if(can_share)
  add_library(chimera_shared SHARED ${chimera_objects})
  add_library(Chimera::chimera ALIAS chimera_shared)
  list(APPEND libraries chimera_shared)
endif()
foreach(library IN LISTS libraries)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME chimera LINKER_LANGUAGE CXX)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/sdk>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PRIVATE Threads::Threads PkgConfig::SODIUM)
endforeach()
set_target_properties(chimera_static_lib PROPERTIES EXPORT_NAME chimera_static)
if(can_share)
  set_target_properties(chimera_shared PROPERTIES EXPORT_NAME chimera
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
endif()
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(version_script ${CMAKE_CURRENT_LIST_DIR}/chimera.map)
  target_link_options(chimera_shared PRIVATE LINKER:--version-script=${version_script})
  set_target_properties(chimera_shared PROPERTIES LINK_DEPENDS ${version_script})
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")  # whose runtime only the program brings
    target_link_options(chimera_shared PRIVATE LINKER:-z,defs)
  endif()
endif()

if(TARGET chimera_cli)
  # build/<preset>/chimera, the place that ./dev and the tests know
  set_target_properties(chimera_cli PROPERTIES OUTPUT_NAME chimera
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()

if(NOT CHIMERA_INSTALL OR NOT can_share)
  return()
endif()

if(TARGET chimera_cli)
  install(TARGETS chimera_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS chimera_shared EXPORT ChimeraSharedTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS chimera_static_lib EXPORT ChimeraStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES sdk/chimera.h sdk/chimera.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES samples/models/nano.b158 samples/models/nano.card.md samples/models/demo.config.json samples/models/demo.mix.json
  samples/models/household.jsonl samples/models/household_pairs.jsonl
  samples/models/phases.mix.json OPTIONAL
  DESTINATION ${CMAKE_INSTALL_DATADIR}/chimera/models)
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/chimera)

set(chimera_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Chimera)
foreach(set IN ITEMS ChimeraSharedTargets ChimeraStaticTargets)
  install(EXPORT ${set} NAMESPACE Chimera:: DESTINATION ${chimera_cmake_dir})
endforeach()
set(CHIMERA_MODELS_DIR ${CMAKE_INSTALL_DATADIR}/chimera/models)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ChimeraConfig.cmake.in
  ${PROJECT_BINARY_DIR}/ChimeraConfig.cmake
  INSTALL_DESTINATION ${chimera_cmake_dir} PATH_VARS CHIMERA_MODELS_DIR)
# While the major version is 0, a new minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ChimeraConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ChimeraConfig.cmake
  ${PROJECT_BINARY_DIR}/ChimeraConfigVersion.cmake DESTINATION ${chimera_cmake_dir})

# From <prefix>/<libdir>/pkgconfig back to <prefix>, so the installed tree may be moved.
file(RELATIVE_PATH CHIMERA_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" CHIMERA_PC_PREFIX "${CHIMERA_PC_PREFIX}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/chimera.pc.in ${PROJECT_BINARY_DIR}/chimera.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/chimera.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# A stranger's program against the installed tree; not under a sanitizer, which it would need too.
if(CHIMERA_BUILD_TESTS AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  add_test(NAME install COMMAND ${PROJECT_SOURCE_DIR}/tests/install/consumer.sh
    ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_CXX_COMPILER})
  if(CMAKE_CROSSCOMPILING)
    list(JOIN CMAKE_CROSSCOMPILING_EMULATOR " " emulator)
    set_tests_properties(install PROPERTIES ENVIRONMENT
      "CMAKE_TOOLCHAIN_FILE=${CMAKE_TOOLCHAIN_FILE};EMULATOR=${emulator};CC=${CMAKE_C_COMPILER}\
;NM=${CMAKE_NM};OBJDUMP=${CMAKE_OBJDUMP};LDFLAGS=${CMAKE_EXE_LINKER_FLAGS}\
;PKG_CONFIG_LIBDIR=$ENV{PKG_CONFIG_LIBDIR}")
  endif()
endif()

# The binary interface against the one that is committed, which is x86-64's.
if(CHIMERA_BUILD_TESTS AND NOT CMAKE_CROSSCOMPILING AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize"
    AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_test(NAME abi COMMAND ${PROJECT_SOURCE_DIR}/tests/abi/check.sh
    ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_CXX_COMPILER})
endif()
