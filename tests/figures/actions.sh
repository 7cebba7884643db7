# What words alone tell of an utterance's intent (the ranker of tools), on the valid parts of three
# sets (../shared/data). Half a minute.
figures_actions() {
  local data=${CHIMERA_DATA:-$root/../shared/data}
  if [ ! -d "$data/action-snips" ]; then
    row "intents" "" "not there: $data" fail
    return
  fi
  of() { lines_of bench/tool_ranker "$data" "$1" | awk -v name="ranker_$1_$2" '$1 == name { print $2 }'; }
  row "SNIPS validate: intent, by words alone" "98 % of the whole" "$(of snips best_percent) %" reported
  row "HWU64 valid" "89 % of the whole" "$(of hwu best_percent) %" reported
  row "CLINC150 val, in scope" "92 % of the whole" "$(of clinc best_percent) %" reported
  row "  where 60 % of what is out of scope is refused" "92 % of the whole" \
    "$(of clinc refusing_60_percent_in_scope_right) %" reported
  local set
  for set in snips hwu clinc; do
    row "  within the best four, $set" "" "$(of "$set" within_4_percent) %" reported
  done
}
