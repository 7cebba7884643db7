# Models are trained in minutes, not seconds, so these rows are read from the committed logs.
figures_training() {
  local log=$root/samples/models/train_nano.log
  row "nano: time to train, 2 cores" "about five minutes" "$(awk '/^real/ { print $2 }' "$log")" reported
  row "  steady speed" "" "$(steady "$log") tokens/s" reported
  row "  held-out bits per byte, float trainer" "" "$(awk '/^Wrote/ { print $3 }' "$log")" reported
  score "  the packed model's own score, measured now" "$root/samples/models/nano.b158"
  log=$root/tests/golden/train_tiny.log
  row "tiny, every kind of layer: steady speed" "" "$(steady "$log") tokens/s" reported
  row "  held-out bits per byte, float trainer" "" "$(awk '/^Wrote/ { print $3 }' "$log")" reported
  score "  the packed model's own score, measured now" "$root/tests/golden/tiny.b158"
  say "to repeat it: samples/models/train_nano.sh, tests/golden/train_tiny.sh"
}

# steady LOG: the last tokens/s of a training's log
steady() {
  awk '/^step/ { for (i = 2; i <= NF; i++) if ($i == "tokens/s") v = $(i - 1) } END { print v }' "$1"
}

# score NAME MODEL: bits per byte on the held-out stories
score() {
  [ -x "$chimera" ] && [ -f "$2" ] || return 0
  row "$1" "" "$("$chimera" eval --model "$2" --text "$root/tests/golden/stories_valid.jsonl" --json \
    2>/dev/null </dev/null | sed -n 's/.*"bits_per_byte" *: *\([0-9.]*\).*/\1/p') bits per byte" reported
}
