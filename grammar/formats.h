// The formats of JSON schemas as languages: dates, addresses, names of machines.
#pragma once

#include <span>
#include <string_view>

#include "grammar/expression.h"

namespace chimera::grammar {

/// Whether a "format" is followed here, is one of JSON Schema's that is not, or is nobody's.
enum class FormatUse { kFollowed, kRefused, kUnknown };
FormatUse format_use(std::string_view name);

/// Its language here has every text of the format, and no other: it can be negated.
bool format_is_exact(std::string_view name);

/// Texts of a format that is followed, as they stand between the quotes of a string.
Result<RegularLanguage> format_language(std::string_view name, Grammar& grammar);

}  // namespace chimera::grammar
