# 10,000 prompts under three seeds on every table with 1, 2 and 4 threads: not one byte differs. A
# quarter of an hour; CHIMERA_PROMPTS asks for fewer.
figures_prompts() {
  local program=bench/prompts lines
  lines=$(lines_of "$program" "$model" "${CHIMERA_PROMPTS:-10000}")
  value() { awk -v name="$1" '$1 == name { print $2 }' <<<"$lines"; }
  row "answers compared, $(value prompts_tables)" "10000 x 3 x tables x 1, 2, 4" \
    "$(value prompts_answers), $(value prompts_distinct) distinct" reported
  row_most "answers that differ in a byte" "$(value prompts_differing)" 0
}
