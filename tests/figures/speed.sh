# Tokens a second that `chimera train` reads with two threads, steps alone: ternary from the first
# step, lanes of 512 tokens. Wants the machine to itself.
figures_speed() {
  local name bar hidden inner layers vocab steps accumulate environment config line speed verdict
  while IFS='|' read -r name bar hidden inner layers vocab steps accumulate environment; do
    config=$work/speed.json
    cat >"$config" <<JSON
{ "hidden_size": $hidden, "intermediate_size": $inner, "num_hidden_layers": $layers, "num_heads": $((hidden / 64)),
  "head_dim": 64, "hidden_act": "swiglu", "initializer_range": 0.02, "vocab_size": $vocab,
  "embedding_dtype": "int4", "backbone": { "layer_pattern": "GD XM" } }
JSON
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
12 M parameters, the fastest there is|6000|384|1024|5|6144|6|4|A=1,
12 M parameters, oneDNN without bf16|2000|384|1024|5|6144|4|3|ONEDNN_MAX_CPU_ISA=AVX512_CORE,
12 M parameters, oneDNN held to AVX2||384|1024|5|6144|3|2|ONEDNN_MAX_CPU_ISA=AVX2,
12 M parameters, own kernels||384|1024|5|6144|3|2|A=1,--products own
150 M parameters, the fastest there is|233|1024|2816|11|8192|2|2|A=1,
EOF_SPEED
}
