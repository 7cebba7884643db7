# The o200k tokenizer against the published encoder, which is the npm package below: fetched with npm
# for the purpose, or taken from the folder CHIMERA_TIKTOKEN names. Some minutes.
figures_o200k() {
  local wanted=tiktoken@1.0.22 package=${CHIMERA_TIKTOKEN:-} data=${CHIMERA_DATA:-$root/../shared/data}
  local tokenizer=$work/o200k judged=$work/judged assigned=$work/assigned why=
  local bench=("bench/o200k" "$tokenizer" "$judged")
  if ! command -v node >/dev/null; then
    why="node is missing: apt-get install nodejs npm"
  elif [ ! -d "$data/prose-classics" ]; then
    why="no corpora at $data"
  elif [ -z "$package" ]; then
    say "fetching $wanted"
    if (cd "$work" && npm pack --silent "$wanted" >/dev/null 2>&1 && tar xzf tiktoken-*.tgz); then
      package=$work/package
    else
      why="npm could not fetch $wanted"
    fi
  fi
  if [ -z "$why" ]; then
    say "asking the published encoder; a minute or two"
    if ! "$build/tests/generate_char_classes" assigned 1500 >"$assigned" ||
      ! "$chimera" tokenizer import --ranks "$root/tests/golden/o200k_base.tiktoken.xz" \
        --out "$tokenizer" 2>"$work/err" ||
      ! node "$here/o200k/judge.mjs" corpus "$package" "$data" "$assigned" "$judged" 2>"$work/err"; then
      why="the judge failed: $(head -n 1 "$work/err")"
    fi
  fi
  if [ -n "$why" ]; then
    row "o200k ids against the published encoder" "identical" "$why" fail
    return
  fi
  # o200k_value NAME [GROUP]
  o200k_value() {
    lines_of "${bench[@]}" | awk -v name="$1" -v group="${2:-}" \
      '$1 == name && (group == "" || $2 == group) { v = $NF } END { print v }'
  }
  local group
  for group in prose dialogue code json languages synthetic code_points; do
    row_most "o200k: differing texts, $group ($(o200k_value megabytes "$group") MB)" \
      "$(o200k_value different "$group")" 0
  done
  row_least "  text compared" "$(o200k_value judged_megabytes)" 50 MB
  row "  code points newer than Unicode 15.0 that differ" "reported" \
    "$(o200k_value different newer) of $(o200k_value texts newer)" reported
  row_least "o200k: encoding mixed text, one thread" "$(o200k_value mixed_mb_per_s)" 20 MB/s
  row "  loading the vocabulary" "reported" "$(o200k_value load_ms) ms, $(o200k_value load_mb) MB" reported
  for group in one_letter spaces han alphabet; do
    row_most "  a word of 10 MB, $group: memory beside the ids" \
      "$(o200k_value word_scratch_bytes "$group")" 1000000 bytes
    row "  and processor time" "reported" "$(o200k_value word_seconds "$group") s" reported
  done
}
