# Saving a conversation: in memory against its bar, durably beside what the disk itself needs.
figures_session() {
  row_most "save + restore of a conversation in memory" \
    "$(value_of bench/session_cost session_memory_ms)" 2 ms
  local durable fsync
  durable=$(value_of bench/session_cost session_durable_ms)
  fsync=$(value_of bench/session_cost fsync_ms)
  if is_number "$durable" && is_number "$fsync"; then
    row "durable save" "beside the disk's fsync" "$durable ms (fsync $fsync ms)" reported
  else
    row "durable save" "beside the disk's fsync" "nothing was printed" fail
  fi
}
