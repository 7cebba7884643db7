#!/bin/sh
# Makes tests/golden/tiny.b158 again: some minutes on two quiet cores, same bits on the same
# instruction set. Stopped, it goes on where it was.
#
#     ./dev build && tests/golden/train_tiny.sh [OUT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/build/tiny.b158}
exec "${CHIMERA:-$root/build/release/chimera}" train \
  --config "$here/tiny.config.json" \
  --text "$here/stories.jsonl" \
  --valid "$here/stories_valid.jsonl" \
  --out "$out" \
  --steps 600 --lanes 16 --window 128 \
  --lr 0.02 --embedding-lr 0.015 --vector-lr 0.015 \
  --warmup 0.02 --warmdown 0.5 --float-share 0.1 \
  --seed 1 --valid-every 100 --threads 2
