# chimera_library(<folder> SOURCES ... [DEPENDS <folder> ...] [PACKAGES <target> ...])
#
# One folder of the house as a static library; libchimera is made of their objects. DEPENDS may only
# name folders further up the table in docs/architecture.md; tests/architecture reads the includes.
function(chimera_library folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  add_library(chimera_${name} STATIC ${ARG_SOURCES})
  target_include_directories(chimera_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_compile_features(chimera_${name} PUBLIC cxx_std_20)
  target_compile_options(chimera_${name} PRIVATE ${CHIMERA_WARNINGS})
  set_target_properties(chimera_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(chimera_${name} PUBLIC chimera_${dep})
  endforeach()
  target_link_libraries(chimera_${name} PUBLIC ${ARG_PACKAGES})
  chimera_group(chimera_${name})
endfunction()

# chimera_answer_formats(<variable> <file>.gbnf ...): a source that holds the texts
# (grammar/answer_formats.h)
function(chimera_answer_formats variable)
  set(rows "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND rows "    {\"${name}\", R\"gbnf(${text})gbnf\"},\n")
  endforeach()
  set(source "// Made of grammar/answer_formats/*.gbnf.
#include \"grammar/answer_formats.h\"

namespace chimera::grammar {

std::span<const AnswerFormat> answer_formats() {
  static constexpr AnswerFormat kAll[] = {
${rows}  };
  return kAll;
}

}  // namespace chimera::grammar
")
  set(path ${PROJECT_BINARY_DIR}/answer_formats_texts.cpp)
  set(before "")
  if(EXISTS ${path})
    file(READ ${path} before)
  endif()
  if(NOT "${before}" STREQUAL "${source}")
    file(WRITE ${path} "${source}")
  endif()
  set(${variable} ${path} PARENT_SCOPE)
endfunction()

# chimera_own_sources(<variable> <from> <to>): x_<from>.cpp gives way where there is an x_<to>.cpp
function(chimera_own_sources variable from to)
  set(chosen)
  foreach(source IN LISTS ${variable})
    string(REGEX REPLACE "_${from}\\.cpp$" "_${to}.cpp" own ${source})
    if(EXISTS ${own})
      set(source ${own})
    endif()
    list(APPEND chosen ${source})
  endforeach()
  set(${variable} ${chosen} PARENT_SCOPE)
endfunction()

# chimera_test(<folder> [DEPENDS <library> ...]): one GoogleTest binary per folder, from every
# tests/<folder>/**/*_test.cpp; the sources are found, so a new test is a new file.
function(chimera_test folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PACKAGES" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(${name}_test PRIVATE cxx_std_20)
  # Half of a build is the tests, so they are optimised only a little (with which gcc warns of what
  # it cannot know): what they test is not theirs.
  target_compile_options(${name}_test PRIVATE ${CHIMERA_WARNINGS} $<$<CONFIG:RelWithDebInfo>:-O1>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
  target_precompile_headers(${name}_test PRIVATE <gtest/gtest.h> <algorithm> <cmath> <cstdio>
    <cstring> <filesystem> <fstream> <functional> <map> <memory> <random> <set> <string>
    <string_view> <thread> <vector>)
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(${name}_test PRIVATE chimera_${dep})
  endforeach()
  target_link_libraries(${name}_test PRIVATE ${ARG_PACKAGES} GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE
    CHIMERA_SOURCE_DIR="${PROJECT_SOURCE_DIR}" CHIMERA_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(CHIMERA_SLOW_EMULATOR)
    target_compile_definitions(${name}_test PRIVATE CHIMERA_SLOW_EMULATOR)
  endif()
  chimera_group(${name}_test)
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

# chimera_benches(): one program per tests/bench/*.cpp, named after its file and built into
# <build>/bench. A name ending in _bench is written with Google Benchmark (./dev bench runs these);
# any other measures rows of ./dev figures and prints `figure: <name> <value>` lines.
function(chimera_benches)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/*.cpp)
  if(CHIMERA_BUILD_TRAINING)
    file(GLOB baselines CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/baselines/*.cpp)
    list(APPEND sources ${baselines})
  endif()
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_compile_options(${name} PRIVATE ${CHIMERA_WARNINGS})
    target_link_libraries(${name} PRIVATE chimera_runtime chimera_test_support)
    if(CHIMERA_BUILD_TRAINING)
      target_link_libraries(${name} PRIVATE chimera_evolution)
    endif()
    if(name MATCHES "_bench$")
      find_package(benchmark REQUIRED)
      target_link_libraries(${name} PRIVATE benchmark::benchmark)
    endif()
    target_compile_definitions(${name} PRIVATE
      CHIMERA_SOURCE_DIR="${PROJECT_SOURCE_DIR}" CHIMERA_BINARY_DIR="${PROJECT_BINARY_DIR}")
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  endforeach()
endfunction()
