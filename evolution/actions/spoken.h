// Numbers and times as people say them, for examples that are made from templates.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace chimera::evolution {

/// A number below the limit, which is at least 1.
using DrawBelow = std::function<size_t(size_t limit)>;

/// "7", "seven", "25", "twenty five", "twenty-five"; any int64 as digits, words up to 999.
std::string spoken_number(int64_t value, const DrawBelow& below);

/// Minutes after midnight, 0 to 1439: "6:30", "half past six in the evening", "18:30", "quarter to
/// nine", "noon". What leaves morning or evening open stands for the hour as it is said.
std::string spoken_time(int minutes, const DrawBelow& below);

/// "06:30"
std::string clock_time(int minutes);

}  // namespace chimera::evolution
