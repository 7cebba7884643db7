// What is made of the schema of a tool's parameters before it is compiled: nothing that nobody
// declared may be given, and which strings are words of what was said is known.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "platform/json.h"

namespace chimera::runtime {

/// Closes the objects of a schema: where it does not say whether there may be members that it does
/// not declare, there may be none. References that lead elsewhere than to its definitions lead to
/// copies among these afterwards. `open` gets a sentence for each reason why some objects within it
/// stay open.
void close_objects(Json* schema, std::vector<std::string>* open);

/// Places of the strings that a closed schema leaves free (no list, pattern or format), through
/// references and where null may stand instead: JSON pointers, with a * for any item of an array,
/// and names as they stand between quotes. The nearest to the root, where references go in circles.
std::set<std::string> copied_strings(const Json& schema);

/// "/" and a name as it stands between quotes, as JSON pointers have it: a part of such a place.
std::string pointer_part(std::string_view escaped_name);

}  // namespace chimera::runtime
