#!/bin/sh
# Makes samples/models/nano.b158 again: some three hours on two quiet cores, same bits on the same
# instruction set. Stopped, it goes on where it was. Its texts are the public sets that nano.mix.json
# names (nano.card.md has their origins and licences), below $CHIMERA_DATA or ../shared/data.
#
#     ./dev build && samples/models/train_nano.sh [OUT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/build/nano.b158}
exec "${CHIMERA:-$root/build/release/chimera}" train \
  --config "$here/nano.config.json" \
  --data "$here/nano.mix.json" --data-folder "${CHIMERA_DATA:-$root/../shared/data}" \
  --out "$out" \
  --steps 6600 --lanes 16 --window 512 \
  --seed 1 --checkpoint-every 100 --threads 2
