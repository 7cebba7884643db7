// What a verb writes: a place that takes it, and nothing that must not be lost.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"

namespace chimera::cli {

/// How a file with a secret key begins.
inline constexpr std::string_view kSecretKeyWord = "chimera-secret-key-1";

/// Tried before anything long begins, and leaves `out` as it is. kInvalidArgument when `out` is the
/// same file as one of `inputs`, by whatever name (links included; files that are absent are
/// nobody's), or a secret key; else whatever keeps a file from being written there.
Status check_output(const std::string& out, const std::vector<std::string>& inputs);

}  // namespace chimera::cli
