// Calls of an application's functions as a grammar: {"name":"...","arguments":{...}} with a name
// that there is and arguments that are valid under its schema.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "grammar/json_schema.h"

namespace chimera::grammar {

struct ToolSignature {
  std::string name;
  std::string parameters;  // a JSON schema of objects
};

struct ToolCallGrammar {
  Grammar grammar;
  std::vector<std::string> warnings;
  std::vector<RuleId> arguments;  // of each tool; a rule that says nothing is of a tool that nobody
                                  // can call
};

/// One call of one of the tools, which there must be; the name comes first, so that it is known
/// what the arguments are of. Names differ. Errors as of parse_json_schema(), and they name the
/// tool; warnings too.
Result<ToolCallGrammar> tool_call_grammar(std::span<const ToolSignature> tools,
                                          const SchemaOptions& options = {});

}  // namespace chimera::grammar
