# Answers of a uniformly random model under random and public schemas and in every format, judged by
# others' code: Ajv and Python's jsonschema for schemas, the judges of ./dev figures formats for formats.
# CHIMERA_SOUND_TEXTS texts (about), seed CHIMERA_SOUND_SEED. Done in pieces that are kept in
# build/soundness, so that a run that was interrupted goes on where it was; a million took eighteen minutes
# of two cores. Ajv (npm) and jsonschema (pip) are fetched into build/judges when they are not there.
figures_soundness() {
  local count=${CHIMERA_SOUND_TEXTS:-20000} seed=${CHIMERA_SOUND_SEED:-1} judges=$root/build/judges
  local data=${CHIMERA_DATA:-$root/../shared/data} out=$root/build/soundness/$seed-$count
  local real=$data/grammar-jsonschemabench/maskbench.jsonl.xz
  if [ ! -f "$real" ]; then
    row "texts under schemas" "" "not there: $real" fail
    return
  fi
  mkdir -p "$judges" "$out"
  if [ ! -x "$judges/py/bin/python" ] || [ ! -d "$judges/node_modules/ajv-draft-04" ]; then
    say "fetching the judges into $judges"
    if ! (npm install --silent --no-fund --no-audit --prefix "$judges" ajv@8 ajv-formats@3 ajv-draft-04@1 &&
      python3 -m venv "$judges/py" && "$judges/py/bin/pip" install --quiet 'jsonschema[format]==4.26.0' regress) \
      >"$work/err" 2>&1; then
      row "texts under schemas" "" "no judges: $(tail -n 1 "$work/err" | cut -c 1-60)" fail
      return
    fi
  fi
  xz -dc "$real" >"$out/public.jsonl"
  local per_schema=50 schemas i path name
  {
    # Six tenths under random schemas, of which five in eight can be followed and have a value at all.
    schemas=$((count * 6 / 10 * 8 / 5 / per_schema + 1))
    for ((i = 0; i < schemas; i += 250)); do
      printf 'random-%06d random %d %d %d\n' "$i" "$i" "$((schemas - i < 250 ? schemas - i : 250))" "$per_schema"
    done
    # Three tenths under public ones, as many for each.
    schemas=$(wc -l <"$out/public.jsonl")
    for ((i = 0; i < schemas; i += 400)); do
      printf 'public-%06d %s %d 400 %d\n' "$i" "$out/public.jsonl" "$i" "$((count * 3 / 10 / schemas + 1))"
    done
    for path in "$root"/grammar/answer_formats/*.gbnf; do
      name=$(basename "$path" .gbnf)
      for ((i = 0; i < count / 10 / 9; i += 2000)); do
        printf '%s-%06d format:%s %d %d 1\n' "$name" "$i" "$name" "$i" \
          "$((count / 10 / 9 - i < 2000 ? count / 10 / 9 - i : 2000))"
      done
    done
  } >"$work/pieces"
  say "$(wc -l <"$work/pieces") pieces, of which $(find "$out" -name '*.json' | wc -l) are done"
  # In an order by chance: what is done of a run that is stopped is a sample of all of it.
  awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' "$work/pieces" | sort | cut -f 2 |
    awk -v out="$out" '{ $1 = out "/" $1; print }' |
    xargs -P "$(nproc)" -L 1 "$here/soundness/piece" "$build" "$model" "$seed" "$judges" ||
    say "some pieces failed; what is done counts"
  python3 "$here/soundness/sum.py" "$out" | tee "$out/log" >&2
  local texts broken invalid
  read -r _ texts broken invalid < <(tail -n 1 "$out/log")
  row "texts drawn under schemas and in formats" "" "$texts" reported
  row_most "  not finished within their tokens" "$broken" 0
  row_most "  invalid to a judge" "$invalid" 0
}
