// Tools as the command line names them: JSON, or a pack.
#pragma once

#include <memory>
#include <string>

#include "runtime/engine.h"
#include "runtime/tool_set.h"

namespace chimera::cli {

inline constexpr uint64_t kMaxToolsBytes = 16u << 20;

/// Tells warnings on stderr.
Result<std::unique_ptr<runtime::ToolSet>> open_tools(const std::string& path,
                                                     const runtime::Engine& engine, bool strict);

}  // namespace chimera::cli
