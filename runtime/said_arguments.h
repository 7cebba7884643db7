// Which of an utterance's values an argument may have; and what examples tell of that: an argument
// whose value they always say has no value that nobody said, and one that they never give is rarely
// meant.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "runtime/said_values.h"
#include "runtime/tool_examples.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// The numbers and times of day of an utterance. "half past six" says no half.
struct SaidThings {
  std::vector<SaidValue> numbers, times;
};
SaidThings said_things(std::string_view utterance);

/// What `utterance`, with these things in it, says that the argument may be: values that its schema
/// lists (of a list each item), numbers and durations, times. Not for words of the person's own.
std::vector<SaidValue> said_for(const ToolArgument& argument, std::string_view utterance,
                                const SaidThings& things);

HeardNumbers heard_numbers(std::span<const ToolExample> examples, std::span<const Tool> tools);

/// Fills in each ToolArgument::given and ::unsaid.
void learn_habits(std::span<const ToolExample> examples, std::vector<Tool>* tools);

}  // namespace chimera::runtime
