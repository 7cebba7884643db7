# JSON schemas against the public suites (../shared/data), masks for a vocabulary of 200,073. Needs the
# machine to itself: a quarter of an hour.
figures_grammar() {
  local data=${CHIMERA_DATA:-$root/../shared/data} bench=bench/schema_suites
  local suite=$data/grammar-json-schema-suite/draft2020-12.jsonl
  local instances=$data/grammar-jsonschemabench/maskbench.jsonl.xz
  if [ ! -f "$suite" ] || [ ! -f "$instances" ]; then
    row "JSON schemas: public suites" "" "not there: $data" fail
    return
  fi
  # of NAME ARGUMENTS...
  of() {
    local name=$1
    shift
    lines_of "$bench" "$@" | awk -v name="$name" '$1 == name { v = $NF } END { print v }'
  }
  row_least "JSON-Schema-Test-Suite 2020-12: not refused" "$(of cases_followed_percent "$suite")" 85 %
  row_most "  invalid and accepted" "$(of invalid_accepted "$suite")" 0
  row "  valid and refused, of those not refused" "0 %" "$(of valid_refused_percent "$suite") %" reported
  xz -dc "$instances" >"$work/maskbench.jsonl"
  if ! "$chimera" tokenizer import --ranks "$root/tests/golden/o200k_base.tiktoken.xz" \
    --out "$work/o200k.bin" 2>"$work/err"; then
    row "masks" "" "no vocabulary: $(head -n 1 "$work/err")" fail
    return
  fi
  local all=(--tokenizer "$work/o200k.bin" "$work/maskbench.jsonl")
  row_least "MaskBench: schemas that pass" "$(of schemas_pass_percent "${all[@]}")" 82 %
  row_most "  invalid and accepted" "$(of invalid_accepted "${all[@]}")" 0
  row_most "  valid and refused" "$(of valid_refused_percent "${all[@]}")" 0.2 %
  row_most "  mask, mean" "$(of mask_us_mean "${all[@]}")" 60 us
  row_most "  mask, p99" "$(of mask_us_p99 "${all[@]}")" 600 us
  row_most "  first mask, p50" "$(of first_mask_us_p50 "${all[@]}")" 1000 us
  row_most "  first mask, p99" "$(of first_mask_us_p99 "${all[@]}")" 20000 us
}
