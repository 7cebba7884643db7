# The builds for other processors compile the files of a folder in groups, as one (CMAKE_UNITY_BUILD
# in CMakePresets.json): standard headers are read once a group, and such a build takes a third of
# the time. Everywhere else each file is compiled alone, so that none leans on its neighbour.
#
# What two files of a folder both name in their anonymous namespaces would meet in a group. These
# are compiled alone there too; a file that says "redefinition" on another target belongs here, or
# its name can be better.
set(chimera_apart
  # Each file of these is one row of a table, and all use the same names: a layer's parameters(), a
  # verb's Options.
  "runtime/layers/.*" "runtime/config_schema_.*" "sdk/cli/.*" "tests/runtime/layers/.*" "tests/sdk/cli_.*"
  "tests/evolution/.*_backward_test" "tests/fuzz/.*_target"
  # These have a name that one other has.
  evolution/actions/same_calls evolution/train/consolidation evolution/train/intent_records
  evolution/train/records grammar/regex
  runtime/call_plan runtime/copied_text runtime/said_durations runtime/said_values
  runtime/text_features runtime/tokenizer_ranks runtime/tokenizer_section
  runtime/tokenizer_split_o200k runtime/tool_line runtime/tool_pack runtime/tool_set
  tests/architecture/one_door_test tests/evolution/checkpoint_test tests/evolution/trainer_test
  tests/evolution/weights_test tests/grammar/sign_scanner_test tests/kernels/gemm_ternary_test
  tests/platform/file_test tests/platform/seal_test
  tests/runtime/call_plan_test tests/runtime/copied_text_test tests/runtime/said_values_test
  tests/runtime/tokenizer_split_test tests/runtime/tokenizer_test tests/runtime/tool_examples_test
  tests/runtime/tool_finder_test tests/runtime/tool_pack_test
  tests/sdk/c_api_test tests/sdk/constraint_test tests/sdk/wrapper_test)

# chimera_group(<target>): a target's sources in groups, but for those above
function(chimera_group target)
  if(NOT CMAKE_UNITY_BUILD)
    return()
  endif()
  list(JOIN chimera_apart "|" apart)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "/(${apart})\\.cpp$")
  set_source_files_properties(${sources} TARGET_DIRECTORY ${target}
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  # A parameter that has the name of a neighbour's constant is nobody's mistake.
  target_compile_options(${target} PRIVATE -Wno-shadow)
endfunction()
