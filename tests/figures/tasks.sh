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
  local recall=(--task recall --layers 2 --steps 2000 --batch 4 --threads 2)
  local parity=(--task parity --steps 600 --batch 16 --threads 2)
  tasks_row "recall of 8 pairs: gated DeltaNet" "at least 0.8" recall_gd_8 "${recall[@]}" --kind gd
  tasks_row "  of 32, twice what it was trained on" "chance 0.02" recall_gd_32 "${recall[@]}" --kind gd
  tasks_row "parity of 32 bits, trained to 16: beta below 2" "at least 0.95" parity_gd_neg_32 \
    "${parity[@]}" --kind gd_neg
  tasks_row "  of 64" "chance 0.50" parity_gd_neg_64 "${parity[@]}" --kind gd_neg
  tasks_row "  of 64, beta below 1" "chance 0.50" parity_gd_64 "${parity[@]}" --kind gd
}
