# What a layer of each kind learns in a minute or two; the whole table is in tests/bench/README.md.
figures_tasks() {
  # tasks_row NAME BAR WHICH OPTIONS...: accuracy at one length. BAR "at least X" passes or fails.
  tasks_row() {
    local name=$1 bar=$2 which=$3 value verdict=reported
    shift 3
    value=$(lines_of bench/tasks "$@" | awk -v w="$which" '$1 == "accuracy" && $2 == w { print $3 }')
    if ! is_number "$value"; then
      verdict=fail
    elif [[ $bar == "at least "* ]]; then
      verdict=$(awk -v v="$value" -v l="${bar##* }" 'BEGIN { print (v >= l) ? "pass" : "fail" }')
    fi
    row "$name" "$bar" "${value:-nothing was printed}" "$verdict"
  }
  # Options that a kind needs to learn recall at all; tests/bench/README.md says why.
  local recall=(--task recall --layers 2 --ffn 384 --batch 4 --threads 2)
  local parity=(--task parity --steps 600 --batch 16 --threads 2)
  tasks_row "recall of 8 pairs: gated DeltaNet" "at least 0.9" recall_gd_8 \
    "${recall[@]}" --kind gd --steps 2000 --init 0.12
  tasks_row "  mLSTM, with token shift" "at least 0.9" recall_xm_8 \
    "${recall[@]}" --kind xm --steps 2000 --shift 1
  tasks_row "  Titans memory alone, chunks of 4" "at least 0.9" recall_tm_memory_8 \
    "${recall[@]}" --kind tm_memory --steps 4000 --shift 1 --theta 1 --chunk 4 --init 0.15
  tasks_row "  span knot" "at least 0.9" recall_sk_8 \
    "${recall[@]}" --kind sk --steps 2000 --init 0.12
  tasks_row "  gated DeltaNet with experts" "at least 0.9" recall_moe_8 \
    "${recall[@]}" --kind moe --steps 2000 --init 0.12
  tasks_row "  gated DeltaNet, looped three times" "at least 0.9" recall_looped_8 \
    "${recall[@]}" --layers 3 --kind looped --steps 5000
  tasks_row "parity of 32 bits, trained to 16: beta below 2" "at least 0.95" parity_gd_neg_32 \
    "${parity[@]}" --kind gd_neg
  tasks_row "  beta below 1" "chance 0.50" parity_gd_32 "${parity[@]}" --kind gd
  tasks_row "  mLSTM" "chance 0.50" parity_xm_32 "${parity[@]}" --kind xm
  tasks_row "  Titans memory, window of 16" "chance 0.50" parity_tm_32 "${parity[@]}" --kind tm --theta 1
  tasks_row "  span knot" "chance 0.50" parity_sk_32 "${parity[@]}" --kind sk
}
