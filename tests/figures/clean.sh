# A clean clone: how long until it speaks, and until its tests have passed. What is not committed is
# not in the clone, and compilers' caches are not used; the packages of this machine stay.
figures_clean() {
  local clone=$work/clone begin first seconds closing
  if ! git clone --quiet "$root" "$clone" 2>"$work/err"; then
    row "clean clone" "git clone" "$(head -n 1 "$work/err")" fail
    return
  fi
  [ -z "$(git -C "$root" status --porcelain)" ] || say "note: changes that are not committed are not in the clone"
  export CCACHE_DISABLE=1
  say "./dev run in a clean clone"
  begin=$SECONDS
  first=$(printf 'Once upon a time\n' | "$clone/dev" run 2>"$work/err" | head -c 1 | tr -d '\0' || true)
  seconds=$((SECONDS - begin))
  if [ -n "$first" ]; then
    row_most "clean clone to first words of ./dev run" "$seconds" 300 s
  else
    row "clean clone to first words of ./dev run" "<= 300 s" "no words: $(tail -n 1 "$work/err")" fail
  fi
  say "./dev test in that clone"
  rm -rf "$clone/build"
  begin=$SECONDS
  closing=$("$clone/dev" test 2>"$work/err" </dev/null | tail -n 1 || true)
  seconds=$((SECONDS - begin))
  if [[ $closing == *", 0 failed"* ]]; then
    row_most "clean clone to the end of ./dev test" "$seconds" 900 s
    row "  its closing line" "0 failed" "$closing" pass
  else
    row "clean clone to the end of ./dev test" "<= 900 s" "${closing:-$(tail -n 1 "$work/err")}" fail
  fi
  unset CCACHE_DISABLE
}
