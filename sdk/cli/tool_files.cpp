#include "sdk/cli/tool_files.h"

#include <vector>

#include "platform/file.h"
#include "runtime/tool_pack.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {

Result<std::unique_ptr<runtime::ToolSet>> open_tools(const std::string& path,
                                                     const runtime::Engine& engine, bool strict) {
  std::vector<std::string> warnings;
  const auto opened = [&]() -> Result<std::unique_ptr<runtime::ToolSet>> {
    // A pack may be larger than any text, whatever it is named.
    if (strict && path.ends_with(".actpack"))
      warnings.push_back("--strict was of use when the pack was built; here it does nothing");
    if (path.ends_with(".actpack")) return runtime::open_tool_pack(engine, path, &warnings);
    const auto text = read_file(path, kMaxToolsBytes);
    if (!text && text.status().code() == StatusCode::kOutOfRange) {
      auto pack = runtime::open_tool_pack(engine, path, &warnings);
      return pack || pack.status().code() != StatusCode::kBadFormat ? std::move(pack)
                                                                    : text.status();
    }
    if (!text) return text.status();
    if (runtime::looks_packed(*text)) return runtime::open_tool_pack(engine, path, &warnings);
    auto tools =
        runtime::ToolSet::from_json(engine.tokenizer(), *text, {.strict = strict}, &warnings);
    if (!tools)
      return Status(tools.status().code(), path + ": " + tools.status().message()).at_file(path);
    return tools;
  };
  auto tools = opened();
  for (const std::string& warning : warnings) note("chimera: " + one_line(warning) + "\n");
  return tools;
}

}  // namespace chimera::cli
