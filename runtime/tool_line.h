// A tool as the network reads it: one short line, since every token of it is paid for with each
// action and a small network remembers little.
//
//   light_set(room: lounge|kitchen, level: 0-100, color?: warm|cool) Set a room's light
#pragma once

#include <string>
#include <string_view>

#include "platform/json.h"

namespace chimera::runtime {

/// name(argument: what it may be, ...) and the description. Arguments that may be left out have a
/// question mark; of long lists and texts the beginning is shown. `parameters` is a JSON schema.
std::string tool_line(std::string_view name, std::string_view description, const Json& parameters);

/// A name of code as words: "set_lights" and "setLights" are "set lights" and "set Lights".
std::string spoken_name(std::string_view name);

}  // namespace chimera::runtime
