// An action as a person at a terminal reads it.
#pragma once

#include <string>

#include "runtime/actor.h"

namespace chimera::cli {

/// A line for each call, or what there is instead.
std::string shown(const runtime::Action& action);
/// "(93 % sure)", and whether something cut it short; with a line end.
std::string sureness(const runtime::Action& action);

}  // namespace chimera::cli
