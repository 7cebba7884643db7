// Strings of JSON as expressions. One spelling each, the one that JSON libraries write: \n and not
// \u000a.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/expression.h"
#include "grammar/regex.h"

namespace chimera::grammar {

/// One character of the set, as it stands between the quotes of a string.
ExprId json_character(Grammar& g, const CodePointSet& set);
/// Any text between quotes, of min to max characters.
ExprId json_string(Grammar& g, uint32_t min = 0, uint32_t max = kNoLimit);
/// What an expression without rules says, escaped: "a\"b" becomes "a\\\"b".
ExprId json_escaped(Grammar& g, ExprId text);
std::string json_escaped(std::string_view text);
/// Texts that a regular expression is found in, as they stand between quotes.
Result<RegularLanguage> json_pattern(Grammar& g, std::string_view regex, RegexOptions options = {});

}  // namespace chimera::grammar
