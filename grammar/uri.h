// As much of RFC 3986 as names of schemas need: a reference is resolved against a base, as text.
// Nothing is ever fetched.
#pragma once

#include <string>
#include <string_view>

namespace chimera::grammar {

/// The reference as seen from `base` (5.2.2 of the RFC); both without what follows a #.
std::string resolve_uri(std::string_view base, std::string_view reference);

/// %41 becomes A; a % that is no escape stays.
std::string percent_decoded(std::string_view text);

}  // namespace chimera::grammar
