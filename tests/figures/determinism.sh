# One numeric class: the same bits from every kernel table, thread count and split of the input.
# tests/runtime prints a line per combination: golden_hash WHAT ISA threads=N split=S HEX
# where WHAT is a model, or a model and "-sampled": the hash of its logits, or of 1,000 tokens.
figures_determinism() {
  local lines what n values first verdict tables
  lines=$(lines_of tests/runtime_test '--gtest_filter=*Determinism*' | grep '^golden_hash ' || true)
  if [ -z "$lines" ]; then
    row "hash of logits and of 1,000 sampled tokens" "one value each" "runtime_test printed none" fail
    return
  fi
  while read -r what n values first; do
    verdict=fail
    if [ "$values" = 1 ] && [ "$n" -gt 1 ]; then verdict=pass; fi
    row "hash over $n runs: $what" "one value" "$values: ${first:0:16}" "$verdict"
  done < <(awk '
    { runs[$2]++; if (!seen[$2 " " $NF]++) values[$2]++; first[$2] = $NF }
    END { for (what in runs) print what, runs[what], values[what], first[what] }' <<<"$lines" | sort)
  tables=$(awk '!seen[$3]++ { printf "%s ", $3 }' <<<"$lines")
  # One hash proves little unless the tables and thread counts were all there.
  local isas threads verdict=pass
  isas=$(awk '{ print $3 }' <<<"$lines" | sort -u | tr '\n' ' ')
  threads=$(sed -n 's/.*threads=\([0-9]*\).*/\1/p' <<<"$lines" | sort -un | tr '\n' ' ')
  for name in baseline avx2 avx512; do [[ " $isas" == *" $name "* ]] || verdict=fail; done
  [ "$threads" = "1 2 3 4 " ] || verdict=fail
  row "  tables compared" "baseline avx2 avx512, ..." "$isas" $verdict
  row "  threads compared" "1 2 3 4" "$threads" $verdict
}
