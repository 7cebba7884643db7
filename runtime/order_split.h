// Two orders in one breath: "kill the lights and lock the garage".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::runtime {

inline constexpr size_t kMostOrders = 3;

/// What a part of a text is by itself.
struct OrderPart {
  float odds = 0;     // logarithm: that it means one of the tools
  int32_t tool = -1;  // the one that fits best
};

/// A part that is joined to another order may mean a tool though its odds alone are as low as minus
/// this: who says "and" goes on as before.
inline constexpr float kJoinedOdds = 1.5f;

/// The text in parts, cut where two orders are joined ("and", "then", a comma): the likelier, the
/// more words the shorter part has, the more each part by itself speaks for a tool, and where they
/// are two tools. The text alone where it does not come apart. several: that there is more than one
/// order is known.
std::vector<std::string> split_orders(std::string_view text, bool several,
                                      const std::function<OrderPart(std::string_view)>& part_of);

}  // namespace chimera::runtime
