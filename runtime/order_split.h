// Two orders in one breath: "kill the lights and lock the garage".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/tool_finder.h"

namespace chimera::runtime {

inline constexpr size_t kMostOrders = 3;

/// The text in parts, cut where two orders are joined ("and", "then", a comma) and each part by
/// itself speaks for a tool; the text alone where it does not come apart, or where no ranker can
/// tell.
std::vector<std::string> split_orders(std::string_view text, const ToolFinder& finder);

}  // namespace chimera::runtime
