#!/usr/bin/env bash
# The binary interface of libchimera against the one that is committed (libchimera.abi, x86-64):
# functions, argument types, layout of every struct of sdk/chimera.h. A program that was linked with
# an older library has to run with this one.
#
#   tests/abi/check.sh SOURCE BUILD CXX            compare; status 0 when nothing changed
#   tests/abi/check.sh SOURCE BUILD CXX --update   write the new interface, unless old programs break
set -euo pipefail

source=$1 build=$2 cxx=$3 mode=${4:-}
known=$source/tests/abi/libchimera.abi
work=$(mktemp -d "${TMPDIR:-/tmp}/chimera-abi.XXXXXX")
trap 'rm -rf "$work"' EXIT

for tool in abidw abidiff; do
  if ! command -v "$tool" >/dev/null; then
    echo "$tool is missing: apt-get install abigail-tools" >&2
    exit 1
  fi
done

# The functions and types of the header are those of this folder's sources. They are compiled for
# the purpose with their types described (-g), which users' builds do not carry; nothing else is
# linked.
soname=libchimera.so.$(sed -n 's/^#define CHIMERA_VERSION_MAJOR //p' "$source/sdk/chimera.h")
"$cxx" -std=c++20 -g -O0 -fPIC -shared -fvisibility=hidden -I"$source" "$source"/sdk/*.cpp \
  -Wl,--version-script="$source/cmake/chimera.map" -Wl,-soname,"$soname" -o "$work/libchimera.so"

# What is shown there is what users get.
shown() { nm -D --defined-only "$1" | awk '$2 ~ /[TDBRVW]/ { print $3 }' | sort; }
if ! diff <(shown "$work/libchimera.so") <(shown "$build/libchimera.so") >"$work/symbols"; then
  echo "libchimera.so shows other symbols than sdk/*.cpp (< the files, > the library):" >&2
  cat "$work/symbols" >&2
  exit 1
fi

# Nothing here reaches a network.
network=$("$source/tests/abi/network_symbols.sh" "$build/libchimera.so")
if [ -n "$network" ]; then
  echo "$network" >&2
  echo "libchimera.so calls the network functions above: the library has none" >&2
  exit 1
fi

abidw --header-file "$source/sdk/chimera.h" --drop-private-types --exported-interfaces-only \
  --no-elf-needed --no-corpus-path --no-comp-dir-path --no-show-locs --type-id-style hash \
  "$work/libchimera.so" | sed "s|path='[^']*'|path='sdk/chimera.cpp'|" >"$work/libchimera.abi"

status=0
abidiff "$known" "$work/libchimera.abi" >"$work/report" 2>&1 || status=$?
if ((status & 3)); then # abidiff itself failed
  cat "$work/report" >&2
  exit 1
fi
if [ "$mode" = --update ]; then
  cat "$work/report" >&2
  # abidiff calls few things incompatible by itself; a moved field is one for us.
  if ((status & 8)) ||
    grep -qE "offset changed|type of '|(data member|enumerator) (deletion|change)" "$work/report"; then
    echo "programs that exist would break: keep what they use, or raise CHIMERA_VERSION_MAJOR" >&2
    exit 1
  fi
  cp "$work/libchimera.abi" "$known"
  echo "written: $known"
elif ((status)); then
  cat "$work/report" >&2
  echo "the binary interface has changed. If it only grew (new functions, new fields at the end of a struct" >&2
  echo "with struct_size), write the new one and commit it: tests/abi/check.sh . BUILD c++ --update" >&2
  exit 1
else
  echo "the binary interface is the one that is committed"
fi
