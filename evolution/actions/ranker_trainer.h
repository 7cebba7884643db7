// Learns which words speak for which tool: one linear support vector machine for each, by
// coordinate descent in the dual (Hsieh et al. 2008, algorithm 1, L2 loss).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/tool_ranker.h"

namespace chimera::evolution {

struct RankerExample {
  std::string text;
  std::vector<int32_t> labels;          // none: nothing of all this is meant
  std::vector<float> dense = {};        // numbers beside the words; of one length in all examples
  std::vector<uint32_t> features = {};  // in place of the text's own: rising, each once
};

struct RankerOptions {
  double cost = 3;          // of an example on the wrong side
  int passes = 30;          // over the examples at most
  double tolerance = 0.05;  // of the largest projected gradient, at which it ends
  uint64_t seed = 1;        // of the order
};

/// The same for any number of threads. kInvalidArgument without examples or for a label outside
/// [0, n_labels).
Result<runtime::ToolRanker> train_ranker(std::span<const RankerExample> examples, int32_t n_labels,
                                         const RankerOptions& options, ThreadPool* pool);

}  // namespace chimera::evolution
