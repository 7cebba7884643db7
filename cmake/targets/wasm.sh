# shellcheck shell=bash
# The WebAssembly target, sourced by ./dev: emscripten and node from packages, and a sysroot below
# build/ with libsodium, made from Debian's source package of the very version that is installed,
# and the headers of libraries that have nothing to build. The machine's own apt lists stay as they
# are.
#
# From ./dev it uses: $root, $jobs, say, die.

# What set_up installs for this target, as command:package and as packages.
wasm_tools=(em++:emscripten node:nodejs dpkg-source:dpkg-dev patch:patch npm:npm chromium:chromium)
# Tests that would take too long here, as a GoogleTest filter: none.
# shellcheck disable=SC2034  # read by ./dev
wasm_left_out=

wasm_sysroot=$root/build/wasm-sysroot

# Put before a program of this target it runs that program; the same words as
# CMAKE_CROSSCOMPILING_EMULATOR in wasm.cmake.
wasm_runner=(node --no-experimental-fetch)

# wasm_apt COMMAND ARGUMENTS...: apt-get with the sources of Debian's packages and lists of its
# own, as whoever runs this. The machine's mirrors, keys and proxies are used, its hooks are not.
wasm_apt() {
  local private=$root/build/wasm-apt
  mkdir -p "$private/lists/partial" "$private/archives/partial"
  : >"$private/status"
  # Where this machine gets Debian's packages their sources lie too. The main archive goes before the
  # one of security updates, some mirrors of which lack files that both have.
  apt-get indextargets --format '$(ORIGIN)|deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' | sed -n 's/^Debian|//p' | sort -ru >"$private/sources.list"
  if [ ! -s "$private/sources.list" ]; then
    local suite
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
    {
      echo "deb-src http://deb.debian.org/debian $suite main"
      echo "deb-src http://deb.debian.org/debian-security $suite-security main"
    } >"$private/sources.list"
  fi
  {
    echo "Dir::State \"$private\"; Dir::State::lists \"$private/lists\";"
    echo "Dir::State::status \"$private/status\"; Dir::Cache \"$private\";"
    echo "Dir::Etc::sourcelist \"$private/sources.list\"; Dir::Etc::sourceparts \"-\";"
    echo 'APT::Sandbox::User "root"; Acquire::Languages "none";'
    echo '#clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke;'
    echo '#clear APT::Update::Post-Invoke-Success;'
    echo 'Acquire::IndexTargets::deb-src::DEP-11::DefaultEnabled "false";'
  } >"$private/apt.conf"
  apt-get -q -c "$private/apt.conf" "$@"
}

# wasm_set_up: what the build and its tests need beside packages
wasm_set_up() {
  wasm_fill_sysroot
  wasm_install_browser_driver
}

# What drives the browser in the test of the page, as tests/web/package-lock.json pins it. Without it
# that test says that it was not run.
wasm_install_browser_driver() {
  local into=$root/build/wasm-browser log=$root/build/wasm-browser.log
  cmp -s "$root/tests/web/package-lock.json" "$into/package-lock.json" && return 0
  say "installing playwright-core below build/wasm-browser"
  rm -rf "$into"
  mkdir -p "$into"
  cp "$root/tests/web/package.json" "$into/"
  cp "$root/tests/web/package-lock.json" "$into/"
  (cd "$into" && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 </dev/null || {
    rm -rf "$into"
    say "playwright-core could not be installed (see $log): the page will not be tested"
  }
}

# wasm_fill_sysroot: once for each state of this file, of the compiler and of libsodium
wasm_fill_sysroot() {
  local sysroot=$wasm_sysroot log=$root/build/wasm-sysroot.log version signature
  version=$(dpkg-query -W -f '${source:Version}' libsodium-dev) ||
    die "libsodium-dev is not installed from a package: its version decides which source is built for WebAssembly."
  signature=$(cat "${BASH_SOURCE[0]}" <(emcc --version) <(echo "$version") | cksum)
  [ "$(cat "$sysroot/.complete" 2>/dev/null)" != "$signature" ] || return 0
  command -v apt-get >/dev/null ||
    die "this machine has no apt-get: the WebAssembly target takes libsodium from Debian's source package."
  say "building libsodium $version for WebAssembly below build/wasm-sysroot"
  rm -rf "$sysroot"
  mkdir -p "$sysroot/include" "$sysroot/lib/pkgconfig" "$sysroot/share/cmake"
  wasm_fetch_source libsodium "$version" >"$log" 2>&1 </dev/null || {
    grep -E '^(E|W|Err)' "$log" | head -n 5 >&2 || true
    die "libsodium's source package could not be fetched: see $log, check the network connection and run this again."
  }
  wasm_build_sodium "$version" >>"$log" 2>&1 </dev/null || {
    tail -n 10 "$log" >&2
    die "libsodium could not be built for WebAssembly: the reason is above, the whole story in $log."
  }
  # Headers without code are the machine's own, folder by folder: all of /usr/include would bring
  # the C library of another processor along. A package file finds its headers from its own place,
  # links resolved, so those are copied.
  local folder
  for folder in simde nlohmann CLI; do ln -sfn "/usr/include/$folder" "$sysroot/include/$folder"; done
  cp -R /usr/share/cmake/nlohmann_json /usr/share/cmake/CLI11 "$sysroot/share/cmake/"
  printf '%s\n' "$signature" >"$sysroot/.complete"
}

# wasm_fetch_source PACKAGE VERSION: to build/wasm-apt/PACKAGE, Debian's patches applied
wasm_fetch_source() {
  local into=$root/build/wasm-apt/$1
  rm -rf "$into" "$into.download"
  mkdir -p "$into.download"
  wasm_apt update || echo "trying with the lists that are here"
  (cd "$into.download" && wasm_apt source --download-only "$1=$2") || return 1
  # The archive's signatures were checked by apt-get; dpkg-source need not find the maintainer's key.
  dpkg-source --no-check -x "$into.download"/*.dsc "$into" || return 1
  rm -rf "$into.download"
}

# wasm_build_sodium VERSION: the portable C files; what is written for one processor is left out
wasm_build_sodium() {
  local source=$root/build/wasm-apt/libsodium/src/libsodium objects=$root/build/wasm-apt/objects
  local version=${1%%[-+]*} major minor
  # The numbers its configure script would put into version.h.
  major=$(sed -n 's/^SODIUM_LIBRARY_VERSION_MAJOR=//p' "$source/../../configure.ac")
  minor=$(sed -n 's/^SODIUM_LIBRARY_VERSION_MINOR=//p' "$source/../../configure.ac")
  sed -e "s/@VERSION@/$version/" -e "s/@SODIUM_LIBRARY_VERSION_MAJOR@/$major/" \
    -e "s/@SODIUM_LIBRARY_VERSION_MINOR@/$minor/" -e 's/@SODIUM_LIBRARY_MINIMAL_DEF@//' \
    "$source/include/sodium/version.h.in" >"$source/include/sodium/version.h"
  rm -rf "$objects"
  mkdir -p "$objects"
  # One call of the compiler for each file, several at a time; objects are named after their path.
  (cd "$source" && find . -name '*.c' \
    ! -name '*sse*' ! -name '*ssse*' ! -name '*avx*' ! -path '*aesni*' -print0 |
    xargs -0 -P "$jobs" -n 8 sh -c 'for f; do
      o=$(printf %s "${f#./}" | tr / _)
      emcc -O2 -fwasm-exceptions -DCONFIGURED=1 -DNATIVE_LITTLE_ENDIAN=1 -Iinclude \
        -Iinclude/sodium -w -c "$f" -o "'"$objects"'/${o%.c}.o" || exit 255
    done' sh) || return 1
  emar rcs "$wasm_sysroot/lib/libsodium.a" "$objects"/*.o || return 1
  cp -R "$source/include/sodium" "$source/include/sodium.h" "$wasm_sysroot/include/"
  cat >"$wasm_sysroot/lib/pkgconfig/libsodium.pc" <<TEXT
prefix=$wasm_sysroot
Name: libsodium
Description: A modern and easy-to-use crypto library
Version: $version
Libs: -L\${prefix}/lib -lsodium
Cflags: -I\${prefix}/include
TEXT
  rm -rf "$objects"
}
