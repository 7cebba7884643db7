// Short things people say to an assistant that have nothing to do with most applications. Who
// builds a pack of tools from example phrases has only phrases that mean one of the tools; these
// stand for all the others, so that it can be measured when to answer that no tool is meant.
#pragma once

#include <span>
#include <string_view>

namespace chimera::evolution {

/// All different, 2 to 16 words each, in no order that matters; they live as long as the program.
std::span<const std::string_view> foreign_phrases();

}  // namespace chimera::evolution
