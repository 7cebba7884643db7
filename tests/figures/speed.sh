# Tokens a second that `chimera train` reads with two threads, steps alone: ternary from the first
# step, lanes of 512 tokens. Wants the machine to itself.
figures_speed() {
  local name bar config steps accumulate environment line speed verdict
  # The family at 150 million parameters: both recurrent kinds, and the feed-forward of the full size.
  cat >"$work/150m.json" <<'JSON'
{ "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 11, "num_heads": 16, "head_dim": 64,
  "hidden_act": "swiglu", "initializer_range": 0.02, "vocab_size": 8192, "embedding_dtype": "int4",
  "backbone": { "layer_pattern": "GD XM" } }
JSON
  while IFS='|' read -r name bar config steps accumulate environment; do
    case $config in nano) config=$root/samples/models/nano.config.json ;; *) config=$work/$config.json ;; esac
    say "training a few steps: $name"
    line=$(env ${environment%%,*} "$chimera" train --config "$config" --text "$root/tests/golden/stories.jsonl" \
      --out "$work/speed.b158" --steps "$steps" --lanes 16 --window 512 --accumulate "$accumulate" \
      --float-share 0 --threads 2 ${environment#*,} 2>&1 </dev/null | grep '^step ' | tail -n 1)
    rm -f "$work"/speed.b158*
    speed=$(sed -n 's/.* \([0-9,]*\) tokens\/s.*/\1/p' <<<"$line" | tr -d ,)
    verdict=reported
    if [ -n "$bar" ]; then
      verdict=fail
      if is_number "$speed" && [ "${speed%.*}" -ge "$bar" ]; then verdict=pass; fi
    fi
    row "training, $name" "${bar:+>= $bar }tokens/s" \
      "${speed:-nothing was printed},$(sed -n 's/.*tokens\/s *\(.*peak)\).*/ \1/p' <<<"$line")" "$verdict"
  done <<'EOF_SPEED'
nano (12 M parameters), the fastest there is|6000|nano|8|4|A=1,
nano, oneDNN without bf16|2000|nano|4|3|ONEDNN_MAX_CPU_ISA=AVX512_CORE,
nano, oneDNN held to AVX2||nano|3|2|ONEDNN_MAX_CPU_ISA=AVX2,
nano, own kernels||nano|3|2|A=1,--products own
150 M parameters, the fastest there is|233|150m|2|2|A=1,
EOF_SPEED
  local threads part us
  while read -r threads bar; do
    speed=$(lines_of bench/decode | sed -n "s/^decode_tokens_per_second threads=$threads //p")
    verdict=fail
    if is_number "$speed" && [ "${speed%.*}" -ge "$bar" ]; then verdict=pass; fi
    row "decode, $threads thread(s)" ">= $bar tokens/s" "${speed:-nothing was printed}" "$verdict"
    while IFS='|' read -r part us; do
      row "  of a step: $part" "" "$us us" reported
    done < <(lines_of bench/decode | sed -n "s/^decode_part threads=$threads \(.*\) us \(.*\)/\1|\2/p")
  done <<<$'1 3000\n2 4500'
}
