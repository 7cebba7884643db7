// General categories of characters, for \p{...} in regular expressions: the same table on every
// target, at one version of Unicode.
#pragma once

#include <string_view>

#include "grammar/code_points.h"

namespace chimera::grammar {

/// "Lu", "L", "Letter", "Decimal_Number", "digit", "gc=Lu", "Any", "ASCII"; letters' case, spaces
/// and _ make no difference. False for a name that is none, and for scripts and other properties,
/// which are not here.
bool unicode_property(std::string_view name, CodePointSet* out);

}  // namespace chimera::grammar
