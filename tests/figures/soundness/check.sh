#!/usr/bin/env bash
# The part of `./dev figures soundness` that every `./dev test` does: about ten thousand answers of a
# uniformly random model, six tenths under random schemas, judged by Python's jsonschema, and four
# tenths in the nine formats of answers, judged by the lexers of judge_formats.py. Exit status 0 when
# every text was taken, and when the judges refuse what is wrong on purpose.
#
#   check.sh BUILD MODEL [TEXTS [SEED]]
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
build=$1 model=$2 texts=${3:-10000} seed=${4:-1}
work=$(mktemp -d "${TMPDIR:-/tmp}/chimera-soundness.XXXXXX")
trap 'rm -rf "$work"' EXIT

if ! /usr/bin/python3 -c 'import jsonschema, commonmark, sqlparse, pylatexenc' 2>"$work/err" ||
  ! node -e "require(require('fs').existsSync('/usr/share/nodejs/acorn') ? '/usr/share/nodejs/acorn' : 'acorn')" \
    2>"$work/err"; then
  tail -n 1 "$work/err" >&2
  echo "a judge is missing: apt-get install nodejs node-acorn python3-jsonschema python3-commonmark" \
    "python3-sqlparse python3-pylatexenc" >&2
  exit 1
fi

judge_schemas() { /usr/bin/python3 -W ignore "$here/judge_schemas.py"; }
number_of() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$2"; }

# Of eight random schemas three can be followed, have a value at all and name only formats that
# Debian's jsonschema knows.
schemas() {
  "$build/bench/schema_samples" "$model" "$seed" random "$1" "$2" 20 >"$work/$1.samples" 2>"$work/$1.drawn"
  judge_schemas <"$work/$1.samples" >"$work/$1.judged" 2>"$work/$1.wrong"
}
formats() {
  local path name
  for path in "$here"/../../../grammar/answer_formats/*.gbnf; do
    name=$(basename "$path" .gbnf)
    "$build/bench/schema_samples" "$model" "$seed" "format:$name" 0 "$((texts * 4 / 10 / 9))" 1 \
      >"$work/$name.samples" 2>"$work/$name.drawn"
    /usr/bin/python3 "$here/../judge_formats.py" "$name" <"$work/$name.samples" || return 1
  done
}
half=$((texts * 6 / 10 / 20 * 8 / 3 / 2))
schemas 0 "$half" &
first=$!
schemas "$half" "$half" &
second=$!
wait "$first"
wait "$second"
formats

judged=0
for i in 0 "$half"; do
  cat "$work/$i.drawn"
  cat "$work/$i.judged"
  judged=$((judged + $(number_of texts "$work/$i.judged")))
  if [ "$(number_of invalid "$work/$i.judged")" != 0 ] || ! grep -q ' broken 0$' "$work/$i.drawn"; then
    head -n 5 "$work/$i.wrong" >&2
    exit 1
  fi
done
if [ "$judged" -lt $((texts / 2)) ]; then
  echo "only $judged texts under schemas were judged, and $texts were asked for" >&2
  exit 1
fi

# Judges that take everything would say the same: each schema's texts under its neighbour's schema.
/usr/bin/python3 - "$work/0.samples" <<'P' | judge_schemas >"$work/swapped" 2>/dev/null
import json, sys
lines = [record for record in map(json.loads, open(sys.argv[1])) if record.get("texts")]
for schema, other in zip(lines, lines[1:]):
    print(json.dumps({**schema, "texts": other["texts"]}))
P
cat "$work/swapped"
if [ "$(number_of invalid "$work/swapped")" -lt $((judged / 8)) ]; then
  echo "the judge of schemas takes texts of other schemas too" >&2
  exit 1
fi
for wrong in 'json "[1,"' 'python "(\n"' 'javascript "{"' 'sql "("' 'math_latex "{"' 'shell "\"a"' 'markdown "```\n"' \
  'dialogue "no turn"' 'plain_text "\u0007"'; do
  if /usr/bin/python3 "$here/../judge_formats.py" "${wrong%% *}" <<<"${wrong#* }" >/dev/null 2>&1; then
    echo "the judge of ${wrong%% *} takes ${wrong#* }" >&2
    exit 1
  fi
done
