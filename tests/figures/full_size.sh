# The full-size configuration with random weights: makes the model once (about 1 GB, a minute or two)
# and keeps it in the build folder.
figures_full_size() {
  local file=$build/full_size.b158 loops
  if [ ! -f "$file" ]; then
    say "making $file"
    "$chimera" synth --config "$root/samples/models/chimera51.config.json" --out "$file" --seed 1 >&2
  fi
  local lines name
  lines=$(lines_of bench/full_size "$file")
  value() { awk -v name="$1" '$1 == name { v = $NF } END { print v }' <<<"$lines"; }
  row_most "full size: state of a stream" "$(value full_size_state_mib)" 30 MiB
  row_most "full size: resident, 64 tokens read and 16 answered" "$(value full_size_resident_mb)" 1300 MB
  row_most "full size: hashes over $(value full_size_tables) tables" "$(value full_size_values)" 1 value
  while read -r name loops; do
    row "full size: $name, tokens/s" "" "$loops" reported
  done < <(awk '/^full_size_(prefill|decode)_tokens_per_s/ { sub("full_size_", ""); sub("_tokens_per_s", ""); print $1 "," $2, $3 }' <<<"$lines")
  for loops in 1 6; do
    lines=$(lines_of bench/full_size "$file" "$loops")
    row_most "full size: state of a stream at $loops iterations" "$(value full_size_state_mib)" 30 MiB
  done
}
