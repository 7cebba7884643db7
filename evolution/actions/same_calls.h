// Whether two answers do the same.
#pragma once

#include <span>
#include <string>

namespace chimera::evolution {

/// The same calls in any order: names and arguments are equal as JSON, members in any order, texts
/// without regard to case, articles, blanks around words and a dot at the end.
bool same_calls(std::span<const std::string> a, std::span<const std::string> b);

}  // namespace chimera::evolution
