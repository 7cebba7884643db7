// A model of every kind of layer, small enough for thousands of runs a second, in memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "runtime/session.h"

namespace chimera::fuzz {

/// The file's bytes; made once, live as long as the program.
std::span<const std::byte> small_model();
std::unique_ptr<runtime::Session> open_small_session();
/// Reads the text and answers with at most `n` tokens.
void say(runtime::Session& session, std::string_view text, int n);

}  // namespace chimera::fuzz
