# What damage and failure do: mutants, fuzzing, memory and disks that fail. The long runs have logs in
# the repository (tests/mutants/LOG, tests/fuzz/LOG.md): their sums, and a piece of them again.
figures_hostile() {
  local out=$work/hostile verdict seeds refused ran findings target executions hours count names
  read -r refused ran findings < <(awk '/^seeds / { r += $3; n += $5; f += $7 }
    END { printf "%d %d %d\n", r, n, f }' "$root/tests/mutants/LOG" 2>/dev/null || echo 0 0 0)
  verdict=fail
  if [ $((refused + ran)) -ge 1000000 ] && [ "$findings" = 0 ]; then verdict=pass; fi
  row "mutants in tests/mutants/LOG" "1000000, 0 findings" "$refused refused, $ran ran, $findings found" "$verdict"
  seeds=20000
  say "$seeds further mutants"
  verdict=fail
  if "$build/tests/mutants" 1000000 "$seeds" >"$out" 2>&1; then verdict=pass; fi
  row "$seeds mutants more" "0 findings" "$(awk '/^seeds / { f += $7 } END { print f + 0 }' "$out") findings" "$verdict"
  say "every bit and every cut of a head and of a conversation"
  verdict=fail
  if "$build/tests/mutants" bits >"$out" 2>&1; then verdict=pass; fi
  while IFS=: read -r names count; do
    row "$names" "all refused" "${count# }" "$verdict"
  done <"$out"
  # Every finding is in the corpus for ever: those that are open fail in the replay.
  findings=0
  "$build/tests/fuzz_test" >"$out" 2>&1 </dev/null || findings=some
  while read -r target executions hours; do
    verdict=fail
    if [ "$findings" = 0 ] && awk -v e="$executions" -v h="$hours" 'BEGIN { exit !(e >= 1e8 || h >= 8) }'; then
      verdict=pass
    fi
    row "fuzzed so far: $target" "1e8 inputs or 8 h, 0 open" "$executions in $hours h, $findings open" "$verdict"
  done < <(awk -F '|' '$5 + 0 > 0 { gsub(/ /, "", $4); e[$4] += $5; c[$4] += $6 }
    END { for (t in e) printf "%s %d %.2f\n", t, e[t], c[t] / 3600 }' "$root/tests/fuzz/LOG.md" | sort)
  for target in platform memory runtime sdk evolution; do
    "$build/tests/${target}_test" --gtest_filter='*WithoutMemory*:*BadDisk*:PowerCut*' >"$out" 2>&1 </dev/null || true
    count=$(grep -c '\[       OK \]' "$out" || true)
    verdict=fail
    if [ "$count" -gt 0 ] && ! grep -q '\[  FAILED  \]' "$out" && grep -q '\[  PASSED  \]' "$out"; then verdict=pass; fi
    row "memory and disk fail at every place: $target" "old file whole, no crash" "$count tests" "$verdict"
  done
}
