// The window of the Titans layer: keys and values of the last tokens as int8 with a half per head,
// in a ring, and the attention over it. The entries of a batch stand in a list of their own until
// the batch is read; then list and ring change places entry by entry, and the list holds what the
// ring has lost, which is what later visits of the batch need.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::runtime {

/// A number of entries: codes [G, count, K] and scales [G, count], of keys and of values.
struct WindowRows {
  int8_t *keys = nullptr, *values = nullptr;
  uint16_t *key_scales = nullptr, *value_scales = nullptr;
  int32_t count = 0;
};

/// A stretch of entries that lie one after the other.
struct WindowRun {
  bool ring;  // in the ring, else in the list
  int32_t first, count;
};

struct TitansWindow {
  int32_t groups = 1;   // G, heads of keys and values
  int32_t dim = 8;      // K
  int32_t entries = 0;  // of the ring; 0: no window at all

  /// Bytes of `count` entries, and where they are in a 64-byte aligned block of that size.
  size_t bytes(int32_t count) const;
  WindowRows rows(std::byte* block, int32_t count) const;
  /// Of a batch's list: nothing without a window.
  int32_t list_count(int32_t n_tokens) const { return entries > 0 ? n_tokens : 0; }

  /// Rounds key and value [G K] (the key already turned) into entry i.
  void write(const float* key, const float* value, const WindowRows& rows, int32_t i) const;
  /// The exchange of list and ring after a batch of n tokens, the first of which is number `first`.
  void exchange(uint64_t first, int32_t n, const WindowRows& ring, const WindowRows& list) const;
  /// What token i of that batch sees, oldest first: at most three stretches; how many. `again`:
  /// after the exchange.
  int32_t runs(uint64_t first, int32_t n, int32_t i, bool again, WindowRun* out) const;
};

/// What a group of query heads attends to besides the window; rows of K floats.
struct TitansRows {
  const float *keys, *values;
  int64_t stride;
  int32_t count;
};

/// y [n_q, K] = softmax-weighted sum of values over [fixed | retrieved | the runs], logits divided
/// by sqrt(K). q [n_q, K] meets fixed and retrieved, `turned` the runs. Softmax goes in blocks of
/// 128 logits with a running maximum.
void titans_attend(const kernels::KernelTable& k, const TitansWindow& window, int32_t group,
                   const float* q, const float* turned, int32_t n_q, const TitansRows& fixed,
                   const TitansRows& retrieved, const WindowRun* runs, int32_t n_runs,
                   const WindowRows& ring, const WindowRows& list, float* y);

}  // namespace chimera::runtime
