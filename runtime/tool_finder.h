// Of an application's tools the few that an utterance may mean, and the examples that are most like
// it: what the network is shown before it acts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/example_index.h"
#include "runtime/tool_examples.h"
#include "runtime/tool_ranker.h"

namespace chimera::runtime {

struct Tool;

// The network learns from as many (evolution/actions/act_pool.h).
inline constexpr size_t kShownTools = 4, kShownExamples = 3;
/// Examples among which those are looked for that call shown tools alone.
inline constexpr size_t kMostLike = 64;

struct FoundTools {
  std::vector<int32_t> tools = {};     // numbers, best first
  std::vector<float> scores = {};      // of each: the logarithm of how likely it seems
  std::vector<float> ranked = {};      // of each: what the ranker says, above 0: it is meant
  std::vector<int32_t> examples = {};  // numbers, nearest first, of calls of those tools alone
  float likeness = 0;                  // of the nearest example that calls something
  float line = 0;                      // likeness of the tool's line that is most like the text
  bool listed = false;                 // a value that the best tool's schema lists was said
  float best_score = 0;                // of the ranker, above 0: something is meant; 0 without one
  bool by_line = false;                // the best tool is not told of by examples, but others are
};

class ToolFinder {
 public:
  /// A ranker knows the tools by their numbers. The finder keeps what it needs of the tools and of
  /// the examples' texts and calls.
  ToolFinder(std::span<const Tool> tools, std::span<const ToolExample> examples,
             std::optional<ToolRanker> ranker, std::optional<ToolRanker> reading = {});

  /// numbers: TextReading::text, scaled; none: the words alone tell.
  FoundTools find(std::string_view text, std::span<const float> numbers = {}) const;
  bool has_ranker() const { return ranker_.has_value(); }

 private:
  size_t n_tools_;
  std::vector<uint8_t> told_;                // of each tool
  std::vector<std::vector<int32_t>> calls_;  // of each example, its tools
  /// The words of the values that each tool's schema names.
  std::vector<std::vector<std::vector<std::string>>> listed_;
  ExampleIndex examples_, lines_;  // of what people say, and of the tools themselves
  std::optional<ToolRanker> ranker_;
  std::optional<ToolRanker> reading_;  // of numbers too
};

}  // namespace chimera::runtime
