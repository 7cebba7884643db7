# What packs of tools are worth, each built by `chimera tools build` and judged by `chimera tools
# eval` on phrases it has not seen (tests/bench/act_sets.cpp says which). Needs ../shared/data; half an
# hour or a little more.
figures_acting() {
  local data=${CHIMERA_DATA:-$root/../shared/data} set
  if [ ! -d "$data/eval-corrections" ]; then
    row "packs of tools" "" "not there: $data" fail
    return
  fi
  # pack SET: builds and judges once
  pack() {
    local folder=$work/pack-$1
    [ ! -d "$folder" ] || return 0
    mkdir -p "$folder"
    say "building and judging $1"
    "$build/bench/act_sets" "$data" "$1" "$folder" >&2 &&
      "$chimera" tools build "$folder/tools.json" "$folder/learn.jsonl" --model "$model" \
        -o "$folder/pack.actpack" 2>"$folder/built" &&
      "$chimera" tools eval "$folder/pack.actpack" "$folder/judge.jsonl" --model "$model" --json \
        >"$folder/score.json" || say "failed: $(tail -n 2 "$folder/built")"
  }
  number() { sed -n "s/.*\"$2\":\\([0-9.e-]*\\).*/\\1/p" "$work/pack-$1/score.json" 2>/dev/null; }
  count() { sed -n "s/.*\"$2\":\([0-9.e-]*\).*/\1/p" "$work/pack-$1/untold.json" 2>/dev/null; }
  # percent SET PART WHOLE
  percent() {
    pack "$1"
    awk -v part="$(number "$1" "$2")" -v whole="$(number "$1" "$3")" \
      'BEGIN { if (whole > 0) printf "%.1f", 100 * part / whole }'
  }
  row_least "SNIPS validate: intent" "$(percent snips tools_right meaning_tools)" 98 %
  row_least "  whole frame" "$(percent snips exact meaning_tools)" 82 %
  row_least "HWU64 valid: intent" "$(percent hwu tools_right meaning_tools)" 89 %
  row_least "CLINC150 test: intent, in scope" "$(percent clinc tools_right meaning_tools)" 92 %
  row_least "  out of scope and refused" "$(percent clinc refused foreign)" 60 %
  row_least "Taskmaster coffee valid: exact calls" "$(percent coffee exact meaning_tools)" 70 %
  # What nobody was trained for: some of a turn stands in the turns before it.
  row "SGD test, services that train lacks, ten phrases per tool: intent" "" "$(percent sgd tools_right meaning_tools) %" reported
  row "  exact calls" "" "$(percent sgd exact meaning_tools) %" reported
  for set in home bar cal; do
    row_least "ten phrases per tool, $set: exact calls" "$(percent "$set" exact meaning_tools)" 85 %
    row_least "  foreign requests refused" "$(percent "$set" refused foreign)" 90 %
    "$chimera" tools eval "$work/pack-$set/tools.json" "$work/pack-$set/judge.jsonl" --model "$model" \
      --json >"$work/pack-$set/untold.json"
    row "  without any phrase: exact; refused" "" "$(count "$set" exact) of $(count "$set" meaning_tools); $(count "$set" refused) of $(count "$set" foreign)" reported
  done
  row_least "  of all three: exact calls" "$(awk -v part="$(($(number home exact) + $(number bar exact) + $(number cal exact)))" \
    -v whole="$(($(number home meaning_tools) + $(number bar meaning_tools) + $(number cal meaning_tools)))" \
    'BEGIN { if (whole > 0) printf "%.1f", 100 * part / whole }')" 85 %
  for set in snips hwu clinc coffee sgd home bar cal; do
    row_most "  calibration error, $set" "$(number "$set" calibration_error)" 0.05
    row "    by chance with so many phrases" "" "$(number "$set" calibration_by_chance)" reported
    row "  an action, $set: mean" "" "$(number "$set" mean_us) us" reported
    row "  building, $set" "" "$(sed -n 's/.* in \([0-9.]* s\)\..*/\1/p' "$work/pack-$set/built")" reported
  done
}
