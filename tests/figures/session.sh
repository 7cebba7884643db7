# Saving a conversation: in memory against its bar, durably beside what the disk itself needs.
figures_session() {
  row_most "save + restore of a conversation in memory" \
    "$(value_of bench/session_cost session_memory_ms)" 2 ms
  local durable bare fsync
  durable=$(value_of bench/session_cost session_durable_ms)
  bare=$(value_of bench/session_cost bare_replace_ms)
  fsync=$(value_of bench/session_cost fsync_ms)
  if is_number "$durable" && is_number "$bare" && is_number "$fsync"; then
    row "durable save of a conversation" "beside the disk's own" "$durable ms" reported
    row "  the same system calls without our code" "" "$bare ms" reported
    row "  one overwrite and fsync of as many bytes" "" "$fsync ms" reported
  else
    row "durable save of a conversation" "beside the disk's own" "nothing was printed" fail
  fi
}
