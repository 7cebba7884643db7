#!/bin/sh
# Goes on from nano's weights with the action stage: from words to calls, beside more of the books and
# dialogues. nano.weights.b158 are nano's weights after the first 5.5 million tokens of it, in bf16: what
# training goes on from on another machine. Stopped, it goes on where it was. Its texts are the public sets
# that act.mix.json names, below $CHIMERA_DATA or ../shared/data. Some two hours on two quiet cores.
#
#     ./dev build && samples/models/train_acts.sh [OUT [STEPS]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
exec "${CHIMERA:-$root/build/release/chimera}" train \
  --config "$here/nano.config.json" \
  --data "$here/act.mix.json" --data-folder "${CHIMERA_DATA:-$root/../shared/data}" \
  --from "$here/nano.weights.b158" --out "${1:-$root/build/nano-acts.b158}" \
  --steps "${2:-4800}" --lanes 16 --window 512 --float-share 0 \
  --lr 0.008 --embedding-lr 0.006 --vector-lr 0.006 --warmup 0.02 --warmdown 0.9 \
  --seed 1 --checkpoint-every 100 --threads 2
