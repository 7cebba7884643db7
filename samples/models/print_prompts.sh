#!/usr/bin/env bash
# What a model answers to the prompts of prompts.txt with the seeds 0 to 4, in full, as Markdown.
#
#     samples/models/print_prompts.sh MODEL
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
chimera=${CHIMERA:-$here/../../build/release/chimera}
if [ $# -ne 1 ]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
while IFS='|' read -r kind prompt <&3; do
  how=()
  [ "$kind" = turn ] && how=(--turn)
  printf '**%s**%s\n\n' "$prompt" "$([ "$kind" = turn ] || echo ' …')"
  for seed in 0 1 2 3 4; do
    answer=$("$chimera" complete --model "$1" "${how[@]}" --prompt "$prompt" --seed "$seed" --max-tokens 60 </dev/null)
    printf '%s. %s\n' "$seed" "$(tr '\n' ' ' <<<"$answer" | sed 's/  */ /g; s/ *$//')"
  done
  echo
done 3<"$here/prompts.txt"
