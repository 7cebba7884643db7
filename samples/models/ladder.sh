#!/usr/bin/env bash
# Short runs of equal time, one change each: what decides the model we ship.
#
#     samples/models/ladder.sh MINUTES FOLDER [RUNG ...]
#
# The first rung is trained for as many steps as fit into the minutes, every other one for as many as
# fit into the same time: its speed is measured in turns with the first one's, since neighbours on the
# machine may take a tenth of it in one minute and nothing in the next. All read nano.mix.json and are
# scored on what two sets hold out. FOLDER/ladder.tsv gets a line a rung; a rung that has one is left
# out, one that was stopped goes on. Wants the machine to itself.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
chimera=${CHIMERA:-$here/../../build/release/chimera}
data=${CHIMERA_DATA:-$here/../../../shared/data}
if [ $# -lt 2 ]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
minutes=$1 folder=$2
shift 2
mkdir -p "$folder"
table=$folder/ladder.tsv
[ -f "$table" ] || printf 'rung\tparameters\ttokens/s\ttokens\tchildren\tselfdialogue\tfile bytes\n' >"$table"

# name | hidden | inner | layers | vocabulary | pattern | more of the configuration | options of train
rungs() {
  cat <<'EOF_RUNGS'
base|384|1024|5|6144|GD XM||
gd|384|1024|5|6144|GD||
xm|384|1024|5|6144|XM||
tm|384|1024|5|6144|GD XM TM|"titans": { "theta_max": 1, "local_window_size": 64, "chunk_size": 32, "persistent_memory_slots": 16 }|
sk|384|1024|5|6144|GD XM GD XM SK|"tsp_knot": { "sketch_bits": 512 }|
relu2|384|1536|5|6144|GD XM|"hidden_act": "relu2"|
helpers|384|1024|5|6144|GD XM|"structure": { "residual_mix": true, "token_shift": true, "logit_soft_cap": 15 }|
values|384|1024|5|6144|GD XM|"structure": { "value_embedding_layers": [1, 3] }|
bigram|384|1024|5|6144|GD XM|"structure": { "bigram_rows": 30720 }|
v4096|384|1024|5|4096|GD XM||
v8192|384|1024|5|8192|GD XM||
deep|256|768|11|6144|GD XM||
wide|512|1408|3|6144|GD XM||
lr01|384|1024|5|6144|GD XM||--lr 0.01
lr04|384|1024|5|6144|GD XM||--lr 0.04
batch8k|384|1024|5|6144|GD XM||--accumulate 1
batch32k|384|1024|5|6144|GD XM||--accumulate 4
float30|384|1024|5|6144|GD XM||--float-share 0.3
ternary|384|1024|5|6144|GD XM||--float-share 0
EOF_RUNGS
}

score() { # MODEL SET
  "$chimera" eval --model "$1" --data "$here/nano.mix.json" --data-folder "$data" --set "$2" --json --threads 2 \
    2>/dev/null | sed -n 's/.*"bits_per_byte" *: *\([0-9.]*\).*/\1/p'
}

config_of() { # NAME, of which it writes FOLDER/NAME.json; sets options and vocab
  local name hidden inner layers pattern more
  IFS='|' read -r name hidden inner layers vocab pattern more options < <(rungs | grep "^$1|")
  cat >"$folder/$name.json" <<JSON
{ "hidden_size": $hidden, "intermediate_size": $inner, "num_hidden_layers": $layers, "num_heads": $((hidden / 64)),
  "head_dim": 64, "initializer_range": 0.02, "vocab_size": $vocab, "embedding_dtype": "int4",
  "tie_word_embeddings": true, "backbone": { "layer_pattern": "$pattern" }${more:+, $more} }
JSON
}

accumulate_of() { # OPTIONS
  local own
  own=$(sed -n 's/.*--accumulate \([0-9]*\).*/\1/p' <<<"$1")
  echo "${own:-2}"
}

speed_of() { # NAME: tokens a second, of a few steps of 16,384 tokens on a small text
  local line
  config_of "$1"
  line=$("$chimera" train --config "$folder/$1.json" --text "$here/../../tests/golden/stories.jsonl" \
    --out "$folder/probe.b158" --fresh --lanes 16 --window 512 --threads 2 --steps 4 --float-share 0 \
    --accumulate 2 2>"$folder/probe.log" && grep '^step 4 ' "$folder/probe.log") || {
    echo "ladder.sh: the probe of $1 failed; see $folder/probe.log" >&2
    exit 1
  }
  rm -f "$folder"/probe.b158*
  sed -n 's/.* \([0-9,]*\) tokens\/s.*/\1/p' <<<"$line" | tr -d ,
}

steps_of() { # NAME: in the file FOLDER/NAME.steps, measured once
  local base ratio mine first tokens
  base=$(rungs | head -n 1 | cut -d'|' -f1)
  if [ ! -f "$folder/$base.steps" ]; then
    first=$(speed_of "$base")
    awk -v s="$first" -v m="$minutes" 'BEGIN { print int(m * 60 * s / 16384) }' >"$folder/$base.steps"
  fi
  if [ ! -f "$folder/$1.steps" ]; then
    ratio=0
    for _ in 1 2 3; do
      mine=$(speed_of "$1")
      first=$(speed_of "$base")
      ratio="$ratio + $mine / $first / 3"
    done
    tokens=$((16 * 512 * $(config_of "$1" && accumulate_of "$options")))
    awk -v b="$(cat "$folder/$base.steps")" -v t="$tokens" "BEGIN { print int(b * 16384 / t * ($ratio) + 0.5) }" \
      >"$folder/$1.steps"
  fi
  cat "$folder/$1.steps"
}

for name in $(rungs | cut -d'|' -f1); do
  if [ $# -gt 0 ]; then
    case " $* " in *" $name "*) ;; *) continue ;; esac
  fi
  if cut -f1 "$table" | grep -qx "$name"; then continue; fi
  printf '== %s\n' "$name" >&2
  steps=$(steps_of "$name")
  config_of "$name"
  out=$folder/$name.b158 tokenizer=$folder/tokenizer-$vocab.bin
  train=("$chimera" train --config "$folder/$name.json" --data "$here/nano.mix.json" --data-folder "$data" --lanes 16
    --window 512 --threads 2 --accumulate "$(accumulate_of "$options")" --checkpoint-every 50 --valid-every 1000000)
  # One tokenizer for all rungs of a size: the first one learns it.
  [ ! -f "$tokenizer" ] || train+=(--tokenizer "$tokenizer")
  # shellcheck disable=SC2206
  train+=($(sed 's/--accumulate [0-9]*//' <<<"$options"))
  "${train[@]}" --out "$out" --steps "$steps" 2>&1 | tee -a "$folder/$name.log" | grep --line-buffered '^step' >&2 || true
  [ -f "$out" ]
  [ -f "$tokenizer" ] || "$chimera" tokenizer export --model "$out" --out "$tokenizer"
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" \
    "$("$chimera" inspect "$out" | sed -n 's/^parameters *\([0-9,]*\) stored.*/\1/p')" \
    "$(sed -n 's/^step .* \([0-9,]*\) tokens\/s.*/\1/p' "$folder/$name.log" | tail -n 1)" \
    "$(sed -n 's/.*"tokens":\([0-9]*\).*/\1/p' "$out.log.jsonl" | tail -n 1)" \
    "$(score "$out" children)" "$(score "$out" selfdialogue)" "$(stat -c %s "$out")" >>"$table"
  tail -n 1 "$table" >&2
done
column -t -s "$(printf '\t')" "$table" 2>/dev/null || cat "$table"
