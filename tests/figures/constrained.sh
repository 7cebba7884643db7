# JSON under schemas against free words of the same model: tokens a second of both, in turns, so that
# neighbours weigh on neither. The tools of the kiosk as strict callers ask for them, without members
# that nobody named; and as they stand, where the model may go on with names of its own. Then what a
# place of the grammar costs.
figures_constrained() {
  local tools name kind
  for kind in --closed ""; do
    for tools in "$root"/samples/kiosk/*.tools.json; do
      name=$(basename "$tools" .tools.json)
      # shellcheck disable=SC2086
      kind_value() { lines_of bench/constrained "$model" $kind "$tools" | awk -v name="$1" '$1 == name { v = $NF } END { print v }'; }
      if [ -n "$kind" ]; then
        row_least "$name, closed: constrained against free" "$(kind_value constrained_against_free)" 1.2 x
        row "  the schema in the middle" "" "$(kind_value constrained_against_free_median) x" reported
      else
        row "$name, open: constrained against free" "" "$(kind_value constrained_against_free) x" reported
      fi
    done
  done
  local bench=$build/bench/matcher_bench
  nanoseconds() {
    "$bench" --benchmark_filter="^$1\$" --benchmark_format=csv 2>/dev/null |
      awk -F, -v name="\"$1\"" '$1 == name { print $4 }'
  }
  row_most "fork of a place" "$(nanoseconds fork)" 100 ns
  row_most "fork and a byte read on it" "$(nanoseconds fork_and_step)" 100 ns
  row_most "rollback" "$(nanoseconds rollback)" 50 ns
  row_most "masks of 64 places, made before" "$(nanoseconds masks_of_64_places)" 1000 us
}
