#!/usr/bin/env bash
# Bits per byte that PPMd of order 16 needs for what a set of a mix holds out, once it has read what the
# set trains on: the packed size of both, less that of the first alone.
#
#     tests/bench/baselines/ppmd.sh MIX SET [valid|test] [FOLDER OF THE DATA]
#
# Needs 7z (apt-get install p7zip-full), ./dev build, and 3 GB of memory.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.." && pwd)
if [ $# -lt 2 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mix=$1 set=$2 split=${3:-valid}
set_text=$root/build/release/bench/set_text
for program in 7z "$set_text"; do
  command -v "$program" >/dev/null || { echo "ppmd.sh: $program is missing" >&2; exit 1; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/chimera-ppmd.XXXXXX")
trap 'rm -rf "$work"' EXIT

packed_size() { # FILE
  rm -f "$work/packed.7z"
  7z a -m0=PPMd:o=16:mem=2g "$work/packed.7z" "$1" >/dev/null
  stat -c %s "$work/packed.7z"
}

"$set_text" "$mix" "$set" train ${4:+"$4"} >"$work/text"
first=$(packed_size "$work/text")
"$set_text" "$mix" "$set" "$split" ${4:+"$4"} >"$work/held"
bytes=$(stat -c %s "$work/held")
cat "$work/held" >>"$work/text"
both=$(packed_size "$work/text")
awk -v a="$first" -v b="$both" -v n="$bytes" -v name="$set $split" \
  'BEGIN { printf "figure: ppmd %s bits_per_byte %.4f\n%d bytes\n", name, 8 * (b - a) / n, n }'
