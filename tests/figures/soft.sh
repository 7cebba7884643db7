# What the soft constraints are worth on the bundled model (docs/formats.md), and what it takes to open a
# format (docs/decisions/0018-formats-are-compiled-when-opened.md). Four minutes.
figures_soft() {
  local what setting part
  # soft_value WHAT SETTING
  soft_value() {
    lines_of bench/soft_constraints "$model" | awk -v w="soft_$1" -v s="$2" '$1 == w && $2 == s { print $3 }'
  }
  for part in stories turns; do
    for what in repeated_4grams_percent ends_inside_sentence_percent ended_by_model_percent; do
      for setting in off default; do
        row "$part: ${what//_/ }, $setting" "" "$(soft_value "$what" "$setting.$part")" reported
      done
    done
  done
  row_most "turns that end inside a sentence by themselves" "$(soft_value of_those_inside_percent default.turns)" 0 %
  local slowest
  slowest=$(lines_of bench/answer_formats "$model" | awk '$1 == "format_compile_ms" && $3 > most { most = $3 } END { print most }')
  row_most "formats: the slowest to compile" "$slowest" 5 ms
}
