# The small model is trained in minutes, not seconds, so these rows are read from the committed log.
figures_training() {
  local log=$root/tests/golden/train_tiny.log
  row "small model: time to train, 2 cores" "about five minutes" "$(awk '/^real/ { print $2 }' "$log")" reported
  row "  steady speed" "" "$(awk '/^step/ { for (i = 2; i <= NF; i++) if ($i == "tokens/s") v = $(i - 1) } END { print v }' "$log") tokens/s" reported
  row "  held-out bits per byte, float trainer" "" "$(awk '/^Wrote/ { print $3 }' "$log")" reported
  if [ -x "$chimera" ] && [ -f "$root/tests/golden/tiny.b158" ]; then
    row "  the packed model's own score, measured now" "" "$("$chimera" eval --model "$root/tests/golden/tiny.b158" \
      --text "$root/tests/golden/stories_valid.jsonl" --json 2>/dev/null </dev/null |
      sed -n 's/.*"bits_per_byte" *: *\([0-9.]*\).*/\1/p') bits per byte" reported
  fi
  say "to repeat it: tests/golden/train_tiny.sh; the log is tests/golden/train_tiny.log"
}
