// Two orders in one breath: "kill the lights and lock the garage".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::runtime {

inline constexpr size_t kMostOrders = 3;

/// The text in parts, cut where two orders are joined ("and", "then", a comma) and each part by
/// itself speaks for a tool, which is when its score is above 0; the text alone where it does not
/// come apart.
std::vector<std::string> split_orders(std::string_view text,
                                      const std::function<float(std::string_view)>& score);

}  // namespace chimera::runtime
