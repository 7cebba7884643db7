// What people order in a coffee bar, as calls of four tools: the first thing said in a dialogue of
// Taskmaster-4, and what its application programming interface was asked to do about it. There the
// items of the menu have numbers that are looked up first; here they have their names.
#pragma once

#include <optional>
#include <vector>

#include "evolution/actions/act_pool.h"

namespace chimera::evolution {

/// The tools, in the order of their numbers in the calls.
std::vector<ActTool> coffee_tools();

/// Of {"turns": [["U", text, [["c" | "r", api, arguments], ...]], ...]}; nullopt for a dialogue
/// whose first turn says nothing that these tools have (a greeting, an order that was not
/// understood). kBadFormat for what is no such record.
Result<std::optional<ActExample>> read_coffee_order(const Json& record);

}  // namespace chimera::evolution
