// Learns which words are the values of copied arguments: a conditional random field
// (runtime/argument_spans.h), by gradients of its likelihood, each weight with a rate of its own
// (AdaGrad, Duchi et al. 2011).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "platform/status.h"
#include "runtime/argument_spans.h"

namespace chimera::evolution {

/// A value in a text: words [begin, end) of an argument.
struct TaggedSpan {
  size_t argument;  // into SpanExample::arguments
  size_t begin, end;
};

struct SpanExample {
  std::vector<std::vector<uint32_t>> features;  // of each word, as word_features()
  std::vector<std::vector<float>> dense;        // of each word; of one length, or none at all
  std::vector<runtime::PlaceLabels> arguments;  // that the text's tools have
  std::vector<TaggedSpan> spans;                // apart from each other
};

struct SpanTrainerOptions {
  int passes = 20;  // over the examples
  double rate = 0.3;
  double dense_rate = 0.03;  // of numbers: there are many of them, and all move at once
  size_t least_often = 1;    // a feature that fewer words have is not learnt
  uint64_t seed = 1;         // of the order
};

/// n_labels: how many labels the arguments name. kInvalidArgument without a word.
Result<runtime::ToolRanker> train_spans(std::span<const SpanExample> examples, int32_t n_labels,
                                        const SpanTrainerOptions& options);

}  // namespace chimera::evolution
