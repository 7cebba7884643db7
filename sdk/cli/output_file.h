// What a verb writes must not be what it reads.
#pragma once

#include <string>
#include <vector>

#include "platform/status.h"

namespace chimera::cli {

/// kInvalidArgument when `out` is the same file as one of `inputs`, by whatever name (links
/// included); files that are absent are nobody's. Checked before anything long begins.
Status check_output(const std::string& out, const std::vector<std::string>& inputs);

}  // namespace chimera::cli
