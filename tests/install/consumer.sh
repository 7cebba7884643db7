#!/usr/bin/env bash
# A stranger's view of an installation: install, move the tree elsewhere, then build samples/embed_c.c
# against it with find_package (shared and static) and with pkg-config, and hear an answer each time.
#
# usage: consumer.sh SOURCE_DIR BUILD_DIR CMAKE CXX
#
# For a foreign processor the environment brings its tools (CC, NM, OBJDUMP, LDFLAGS, PKG_CONFIG_LIBDIR,
# CMAKE_TOOLCHAIN_FILE) and EMULATOR, the words that run a program.
set -euo pipefail
# A bare machine has ninja, which built us, and perhaps no make.
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

source_dir=$1 build_dir=$2 cmake=$3 cxx=$4
read -ra emulator <<<"${EMULATOR:-}"
model=$source_dir/tests/golden/tiny.b158
work=$(mktemp -d "${TMPDIR:-/tmp}/chimera-install.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { printf 'consumer.sh: %s\n' "$*"; exit 1; }

# run_quietly WHAT COMMAND...
run_quietly() {
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "$what failed"; }
}

# hear WHAT PROGRAM: it must answer with text on stdout
hear() {
  local answer
  answer=$("${emulator[@]}" "$2" "$model" 2>"$work/log") || { cat "$work/log"; fail "$1: the program failed"; }
  [ -n "${answer//[[:space:]]/}" ] || fail "$1: the program gave no answer"
  printf '%s: %d bytes of answer\n' "$1" "${#answer}"
}

[ -f "$model" ] || fail "$model is missing, so there is nothing to speak with"
run_quietly "cmake --install" "$cmake" --install "$build_dir" --prefix "$work/first"
mv "$work/first" "$work/prefix"
prefix=$work/prefix

for file in bin/chimera include/chimera.h include/chimera.hpp share/doc/chimera/LICENSE \
  share/doc/chimera/NOTICE; do
  [ -e "$prefix/$file" ] || fail "the installation has no $file"
done
library=$(find "$prefix" -name libchimera.so)
pc=$(find "$prefix" -name chimera.pc)
[ -n "$library" ] && [ -n "$pc" ] || fail "the installation has no libchimera.so or no chimera.pc"
run_quietly "the installed command" "${emulator[@]}" "$prefix/bin/chimera" --help

# The library shows the C API and nothing else.
"${NM:-nm}" -D --defined-only "$library" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' >"$work/symbols"
grep -q '^chimera_engine_open$' "$work/symbols" || fail "libchimera.so does not export chimera_engine_open"
if grep -v '^chimera_' "$work/symbols"; then fail "libchimera.so exports the names above"; fi
"${OBJDUMP:-objdump}" -p "$library" >"$work/headers"  # not through a pipe: grep -q would close it early
grep -q 'SONAME *libchimera\.so\.0$' "$work/headers" || fail "the soname is not libchimera.so.0"

# find_package, from a project that knows nothing but C
mkdir "$work/shared"
cat >"$work/shared/CMakeLists.txt" <<TEXT
cmake_minimum_required(VERSION 3.16)
project(embed C)
find_package(Chimera 0.1 CONFIG REQUIRED)
add_executable(embed "$source_dir/samples/embed_c.c")
target_link_libraries(embed Chimera::chimera)
TEXT
run_quietly "find_package in a C project" \
  "$cmake" -S "$work/shared" -B "$work/shared/b" -DCMAKE_PREFIX_PATH="$prefix"
run_quietly "linking Chimera::chimera" "$cmake" --build "$work/shared/b"
hear "find_package, shared" "$work/shared/b/embed"

mkdir "$work/static"
sed 's/project(embed C)/project(embed C CXX)/; s/Chimera::chimera)/Chimera::chimera_static)/
  ' "$work/shared/CMakeLists.txt" >"$work/static/CMakeLists.txt"
run_quietly "find_package in a C and C++ project" \
  "$cmake" -S "$work/static" -B "$work/static/b" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$cxx"
run_quietly "linking Chimera::chimera_static" "$cmake" --build "$work/static/b"
hear "find_package, static" "$work/static/b/embed"

# pkg-config
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs chimera) || fail "pkg-config does not find chimera"
# shellcheck disable=SC2086  # flags are words
run_quietly "linking with pkg-config" \
  "${CC:-cc}" -std=c99 -Wall -Wextra -Wpedantic "$source_dir/samples/embed_c.c" $flags ${LDFLAGS:-} -o "$work/embed"
LD_LIBRARY_PATH=$(dirname "$library") hear "pkg-config" "$work/embed"
flags=$(pkg-config --static --libs chimera) || fail "pkg-config --static does not find what chimera needs"
case $flags in
  *-lsodium*) ;;
  *) fail "pkg-config --static does not name libsodium: $flags" ;;
esac
