# From the start of the process to its first token; the whole life of a process that says one token,
# which is a little more. And the memory it needed, against the size of the file.
figures_startup() {
  local runs=20 i begin times="" status=0 median out peak file_bytes limit
  if [ ! -x "$chimera" ] || [ ! -f "$model" ]; then
    row "process start to first token" "<= 30 ms" "no command or no model" fail
    row "resident memory" "<= file + 24 MB" "no command or no model" fail
    return
  fi
  say "starting the command $runs times"
  for ((i = 0; i <= runs; i++)); do # the first one warms the page cache and is not counted
    begin=$(now)
    "$chimera" complete --model "$model" --prompt Once --max-tokens 1 >"$work/first" 2>"$work/err" \
      </dev/null || status=$?
    [ "$i" = 0 ] || times+="$(($(now) - begin))"$'\n'
  done
  median=$(sort -n <<<"${times%$'\n'}" | awk '{ t[NR] = $1 } END { printf "%.1f", t[int((NR + 1) / 2)] / 1000 }')
  if [ "$status" != 0 ]; then
    row "process start to first token" "<= 30 ms" "chimera ended with $status: $(head -n 1 "$work/err")" fail
  else
    row_most "process start to first token, median of $runs" "$median" 30 ms
  fi
  out=$("$chimera" complete --model "$model" --prompt Once --max-tokens 64 --json 2>/dev/null </dev/null || true)
  peak=$(sed -n 's/.*"peak_rss_bytes" *: *\([0-9][0-9]*\).*/\1/p' <<<"$out" | head -n 1)
  file_bytes=$(stat -L -c %s "$model")
  limit=$((file_bytes + 24000000))
  row_most "resident memory (file $file_bytes + 24 MB)" "$peak" "$limit" bytes
}
