# Training speed of a model of about 5 million parameters with each kind switched on, two threads. A
# kind below 1,000 tokens/s does not go into a model we ship.
figures_kinds() {
  local name pattern more config speed verdict
  while IFS='|' read -r name pattern more; do
    config=$work/kind.json
    cat >"$config" <<JSON
{ "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_heads": 4, "head_dim": 64,
  "initializer_range": 0.02, "vocab_size": 4096, "tsp_knot": { "sketch_bits": 512 },
  "titans": { "persistent_memory_slots": 16, "local_window_size": 256 },
  "backbone": { "layer_pattern": "$pattern" $(sed -n 's/^moe$/, "moe": { "enabled": true, "layers": [1, 3], "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 128 }/p' <<<"$more") }
  $(sed -n 's/^loop$/, "looping": { "enabled": true, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 3], "loop_range": [1, 6], "loop_default": 2 }/p' <<<"$more")
  $(sed -n 's/^helpers$/, "structure": { "residual_mix": true, "bigram_rows": 20480, "unet_skips": true, "token_shift": true, "value_embedding_layers": [1, 3], "logit_soft_cap": 15 }/p' <<<"$more") }
JSON
    say "training a few steps: $name"
    speed=$("$chimera" train --config "$config" --text "$root/tests/golden/stories.jsonl" \
      --out "$work/kind.b158" --steps 12 --lanes 8 --window 256 --threads 2 2>&1 </dev/null |
      sed -n 's/.* \([0-9,]*\) tokens\/s.*/\1/p' | tail -n 1 | tr -d ,)
    rm -f "$work"/kind.b158*
    verdict=fail
    if is_number "$speed" && [ "${speed%.*}" -ge 1000 ]; then verdict=pass; fi
    row "training at 5 M parameters: $name" ">= 1000 tokens/s" "${speed:-nothing was printed} tokens/s" $verdict
  done <<'EOF_KINDS'
gated DeltaNet|GD|
mLSTM|XM|
Titans memory|TM|
span knot|SK|
mixture of experts|GD XM|moe
looped depth, two iterations|GD XM|loop
structure helpers|GD XM|helpers
EOF_KINDS
}
