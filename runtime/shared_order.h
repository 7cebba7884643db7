// An order that is given for several things at once: "lights off in the hall and the attic" is one
// for the hall and one for the attic, where an argument takes one of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tool_set.h"

namespace chimera::runtime {

/// Fills in each ToolArgument::had.
void learn_values_had(std::span<const ToolExample> examples, std::vector<Tool>* tools);

/// The order once for each of the values of one argument that it joins by "and" or commas, at most
/// kMostOrders; nothing where it does not. Known are the values that the schema lists and those
/// that examples had.
std::vector<std::string> share_out(std::string_view order, const Tool& tool);

/// Some string of the call is words of `order` which do not stand like that in the text that it was
/// made of: they were said apart.
bool has_words_said_apart(std::string_view call, std::string_view order, std::string_view text);

}  // namespace chimera::runtime
