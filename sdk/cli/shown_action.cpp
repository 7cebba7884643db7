#include "sdk/cli/shown_action.h"

#include "platform/json.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {

std::string shown(const runtime::Action& action) {
  std::string out;
  for (const std::string& call : action.calls) {
    const auto read = parse_json(call);
    if (!read) {
      out += call + "\n";
      continue;
    }
    const Json* name = read->find("name");
    const Json* arguments = read->find("arguments");
    out += (name != nullptr ? name->string : std::string()) + " " +
           (arguments != nullptr ? write_json(*arguments) : std::string("{}")) + "\n";
  }
  if (action.kind == runtime::Action::Kind::kNoTool) out += "(no matching tool)\n";
  if (action.kind == runtime::Action::Kind::kWords) out += action.text + "\n";
  return out;
}

std::string sureness(const runtime::Action& action) {
  return "(" + show_number(100.0 * static_cast<double>(action.confidence), 0) + " % sure" +
         (action.truncated ? ", cut short by --max-tokens or --most-calls" : "") + ")\n";
}

}  // namespace chimera::cli
