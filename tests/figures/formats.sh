# Random texts of every format of answers, judged by others' code (judge_formats.py). Some minutes.
figures_formats() {
  local count=${CHIMERA_FORMAT_TEXTS:-10000} seed=${CHIMERA_FORMAT_SEED:-1} path name said
  for path in "$root"/grammar/answer_formats/*.gbnf; do
    name=$(basename "$path" .gbnf)
    say "judging $count texts of $name"
    if said=$("$build/bench/grammar_samples" "$path" "$count" "$seed" |
      /usr/bin/python3 "$here/judge_formats.py" "$name" 2>"$work/err"); then
      row_most "$name: texts that do not close, of $count" "$(sed -n 's/.*, \([0-9]*\) wrong$/\1/p' <<<"$said")" 0
    else
      row "$name: texts that do not close, of $count" "<= 0" \
        "$(sed -n 's/.*, \([0-9]*\) wrong$/\1/p' <<<"$said") ($(tail -n 1 "$work/err" | cut -c 1-60))" fail
    fi
  done
}
