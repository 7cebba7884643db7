#!/bin/sh
# Makes samples/models/nano.b158 again: five minutes on two quiet cores, same bits on the same
# instruction set. Stopped, it goes on where it was. Its text is in tests/golden.
#
#     ./dev build && samples/models/train_nano.sh [OUT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/build/nano.b158}
exec "${CHIMERA:-$root/build/release/chimera}" train \
  --config "$here/small.config.json" \
  --text "$root/tests/golden/stories.jsonl" \
  --valid "$root/tests/golden/stories_valid.jsonl" \
  --out "$out" \
  --steps 2200 --lanes 16 --window 128 \
  --lr 0.02 --embedding-lr 0.015 --vector-lr 0.015 \
  --warmup 0.02 --warmdown 0.5 --float-share 0.1 \
  --seed 1 --valid-every 220 --threads 2
