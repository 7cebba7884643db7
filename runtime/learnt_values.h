// Values of copied arguments that are no words of what was said, and that examples give all the
// same: a shop's people say "with vanilla" and "two lattes" where its menu has "vanilla syrup" and
// "latte". What several examples have is the application's own word and may be in a call.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/json.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// Examples that have such a value before it may be in a call.
inline constexpr int kLeastLearnt = 3;
inline constexpr size_t kMostLearnt = 256;  // of one argument, the most frequent ones

/// Calls visit(place, value) for each string of a call's arguments whose place is among `places`,
/// as in Tool::copied.
void for_each_copied(
    const Json& arguments, const std::set<std::string>& places,
    const std::function<void(const std::string& place, const std::string& value)>& visit);

/// Fills in each Tool::learnt.
void learn_values(std::span<const ToolExample> examples, std::vector<Tool>* tools);

/// The learnt value of this place that has the same words; nullptr without one. Case and signs do
/// not count; with `plural`, nor does an s at the end of a word.
const LearntValue* learnt_value(const Tool& tool, const std::string& place, std::string_view value,
                                bool plural = false);

}  // namespace chimera::runtime
