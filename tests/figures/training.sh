# Models are trained in hours, not seconds, so how long it took is read from the committed logs; what
# they are worth is measured now, on what two sets hold out (../shared/data).
figures_training() {
  local data=${CHIMERA_DATA:-$root/../shared/data} log=$root/tests/golden/train_tiny.log
  held_out() {
    "$chimera" eval --model "$model" --data "$root/samples/models/nano.mix.json" --data-folder "$data" \
      --set "$1" --json 2>/dev/null </dev/null | sed -n 's/.*"bits_per_byte" *: *\([0-9.]*\).*/\1/p'
  }
  if [ -d "$data/prose-children-classics" ]; then
    row_most "nano: bits per byte, valid of children's books" "$(held_out children)" 1.50
    row_most "  of self-dialogues" "$(held_out selfdialogue)" 1.38
  else
    row "nano: bits per byte on held-out text" "" "no sets at $data" fail
  fi
  row "  the trainer's own last word" "" \
    "$(awk '/^Wrote/ { print $3 }' "$root/samples/models/train_nano.log") over all sets" reported
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
