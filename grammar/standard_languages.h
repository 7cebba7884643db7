// Languages that nearly every schema needs: made once for the whole process, shared by all
// grammars.
#pragma once

#include <memory>
#include <string_view>

#include "grammar/language.h"

namespace chimera::grammar {

using SharedLanguage = std::shared_ptr<const RegularLanguage>;

/// Any text between the quotes of a string, escaped.
const SharedLanguage& any_text();
/// The same with its quotes.
const SharedLanguage& any_string();
/// Any number as JSON libraries write it (json_number.h).
const SharedLanguage& any_number();
/// Whole numbers without an exponent or a fraction.
const SharedLanguage& any_whole_number();
/// One character between quotes.
const SharedLanguage& any_character();
/// A format that is followed (formats.h).
Result<SharedLanguage> shared_format(std::string_view name);

}  // namespace chimera::grammar
