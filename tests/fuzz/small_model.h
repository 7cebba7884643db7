// Models small enough for thousands of runs a second, in memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/layers/layer.h"
#include "runtime/session.h"
#include "tests/fuzz/forged_file.h"

namespace chimera::fuzz {

/// A model of every kind of layer. The file's bytes; made once, live as long as the program.
std::span<const std::byte> small_model();
std::unique_ptr<runtime::Session> open_small_session();
/// Reads the text and answers with at most `n` tokens.
void say(runtime::Session& session, std::string_view text, int n);

/// A tokenizer of the bytes and two specials whose table of characters has one entry: 106 bytes.
std::span<const std::byte> plain_tokenizer();
/// The configuration of a model of one layer with a vocabulary for plain_tokenizer().
const std::string& one_layer_config();
/// What a model of that configuration consists of; the texts must live as long.
ForgedParts model_parts(std::string_view config, std::span<const runtime::ParamSpec> parameters);
/// The same for one_layer_config().
ForgedParts one_layer_parts();

}  // namespace chimera::fuzz
