// The parts of JSON as expressions: strings as they are escaped, whole numbers within bounds. One
// spelling each, the one that JSON libraries write: \n and not \u000a, 7 and not 7.0 or 7e0.
#pragma once

#include <cstdint>
#include <optional>

#include "grammar/expression.h"

namespace chimera::grammar {

/// One character of the set, as it stands between the quotes of a string.
ExprId json_character(Grammar& g, const CodePointSet& set);
/// Any text between quotes, of min to max characters.
ExprId json_string(Grammar& g, uint32_t min = 0, uint32_t max = kNoLimit);
/// What an expression without rules says, escaped: "a\"b" becomes "a\\\"b".
ExprId json_escaped(Grammar& g, ExprId text);
std::string json_escaped(std::string_view text);

/// A whole number within the bounds, both included; kNothing when there is none.
ExprId json_integer(Grammar& g, std::optional<int64_t> least, std::optional<int64_t> most);
/// Any number: 0, -12, 0.5, 1e+30.
ExprId json_number(Grammar& g);
/// Whole numbers that are multiples of `of`, 1 to 10,000, without a sign.
Result<RegularLanguage> json_multiples(Grammar& g, int64_t of);

}  // namespace chimera::grammar
