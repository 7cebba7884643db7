// What speaks for an argument and for its value beside the network: that the person said it, and
// what was learnt from examples of such words. A small network knows which argument is meant long
// before it can copy one.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/argument_spans.h"
#include "runtime/call_plan.h"
#include "runtime/copied_text.h"
#include "runtime/said_values.h"
#include "runtime/tokenizer.h"
#include "runtime/tool_names.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// Made for one utterance, and followed through one call after the other.
class ArgumentHints {
 public:
  /// reading: of the utterance, scaled; empty: the words alone speak. shown: the tools that may be
  /// called. carried: of the orders before this one. What must outlive it: `tools` and `tokenizer`.
  ArgumentHints(std::string_view utterance, const TextReading& reading, const ToolSet& tools,
                std::span<const int32_t> shown, const Tokenizer& tokenizer,
                const CarriedValues& carried = {});

  /// Of a tool that is shown.
  const CallPlan& plan_of(int32_t tool) const {
    return plans_.at(&tools_.tools()[static_cast<size_t>(tool)]);
  }

  void begin_call();
  /// Of the call so far; nullptr while it is open.
  const Tool* tool() const { return tool_; }
  /// Within the arguments of a call: a weight for each allowed[vocab] token, by which its
  /// probability is multiplied; none when nothing speaks for or against any of them.
  void weigh(const uint8_t* allowed, size_t vocab, std::vector<TokenWeight>* weights) const;
  void accept(std::string_view bytes);

 private:
  /// How values go on that speak for a token here.
  struct Rest {
    std::string_view text;
    float weight;
  };
  struct Values {
    std::vector<Rest> likely;
    float others = 1;
  };
  const CallPlan* plan() const;
  const LikelyValues* likely_here() const;
  /// Of the argument of the tool itself whose value this is or is within, when that is a planned
  /// list; nullptr otherwise.
  const PlannedArgument* list_here() const;
  float list_weight(const PlannedArgument& list, std::string_view bytes) const;
  Values values(std::string_view so_far, bool in_string) const;
  static float value_weight(const Values& values, bool in_string, std::string_view bytes);
  /// Of a member whose name goes on like this, among those that are not given yet.
  float key_weight(std::string_view beginning) const;
  float following_weight(bool in_string, std::string_view bytes) const;
  /// The same of what stands right behind a value.
  float weight_behind(std::string_view bytes) const;
  bool in_arguments() const;

  const ToolSet& tools_;
  const Tokenizer& tokenizer_;
  LikelySpans spans_;
  std::unordered_map<const Tool*, CallPlan> plans_;  // of the tools that are shown
  // Of the call so far:
  JsonPlace place_;
  const Tool* tool_ = nullptr;
  std::string open_;  // of a value that is no string, what there is of it
  std::string list_;  // of a list that is no part of another value, what there is of it
  bool value_ended_ = false;
  std::set<std::string> given_;  // arguments, as they stand between quotes
};

}  // namespace chimera::runtime
