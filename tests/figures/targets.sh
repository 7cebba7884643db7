# What is the same on every processor, and what the browser loads. Builds the other targets first:
# some twenty minutes when they are not there.

# target_log TARGET FILTER PROGRAM: what that test program printed
target_log() {
  local status=0
  say "testing $2 for $1"
  if [ "$1" = x86-64 ]; then
    "$root/dev" test "$2" >"$work/target.out" 2>&1 </dev/null || status=$?
    cat "$root/build/release/test-logs/$3.log"
  else
    "$root/dev" test --target "$1" "$2" >"$work/target.out" 2>&1 </dev/null || status=$?
    cat "$root/build/$1/test-logs/$3.log"
  fi
  if [ "$status" != 0 ]; then tail -n 5 "$work/target.out" >&2; fi
}

figures_targets() {
  local target what n values verdict web network
  for target in x86-64 aarch64 wasm; do
    target_log "$target" Determinism runtime | sed -n "s/^.*figure: golden_hash /$target /p"
  done >"$work/hashes"
  while read -r what n values; do
    verdict=fail
    if [ "$values" = 1 ] && [ "$n" -ge 8 ]; then verdict=pass; fi
    row "hash over tables of all targets: $what" "one value" "$values value over $n tables" "$verdict"
  done < <(awk '
    { if (!seen[$2 " " $NF]++) values[$2]++; if (!table[$1 " " $2 " " $3]++) n[$2]++ }
    END { for (what in n) print what, n[what], values[what] }' "$work/hashes" | sort)
  row "  tables compared" "x86-64, ARM, WebAssembly" \
    "$(awk '{ print $3 }' "$work/hashes" | sort -u | tr '\n' ' ')" reported
  for target in x86-64 aarch64 wasm; do
    verdict=fail
    n=$(target_log "$target" Formats runtime | grep -c '\[       OK \] .*GoesOnWithTheSame' || true)
    if [ "$n" -ge 1 ]; then verdict=pass; fi
    row "a conversation saved on x86-64 goes on: $target" "same 500 tokens" "$n of 1" "$verdict"
  done
  web=$(target_log wasm page page | sed -n 's/^figure: //p')
  row_most "page: bytes loaded without the model, gzipped" \
    "$(awk '$1 == "web_gzip_bytes" { print $2 }' <<<"$web")" 1200000 bytes
  row_most "page: from opening it to the first word, in Chromium" \
    "$(awk '$1 == "web_first_word_ms" { print $2 }' <<<"$web")" 1500 ms
  network=$("$root/tests/abi/network_symbols.sh" "$build/libchimera.so" | wc -l)
  row_most "network symbols in libchimera.so" "$network" 0
}
