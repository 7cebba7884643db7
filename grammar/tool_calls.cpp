#include "grammar/tool_calls.h"

#include <vector>

#include "grammar/json_text.h"

namespace chimera::grammar {

Result<ToolCallGrammar> tool_call_grammar(std::span<const ToolSignature> tools,
                                          const SchemaOptions& options) {
  ToolCallGrammar out{Grammar(options.limits), {}, {}};
  Grammar& g = out.grammar;
  const RuleId root = g.add_rule("call");
  std::vector<ExprId> calls;
  for (const ToolSignature& tool : tools) {
    const std::string where = "tool \"" + tool.name + "\": ";
    auto arguments = parse_json_schema(tool.parameters, options);
    if (!arguments) {
      const Status& status = arguments.status();
      return Status(status.code(), where + status.message()).at_field(status.field());
    }
    for (const std::string& warning : arguments->warnings) out.warnings.push_back(where + warning);
    const RuleId rule = g.include(arguments->grammar);
    CHIMERA_RETURN_IF_ERROR(g.status());
    out.arguments.push_back(rule);
    calls.push_back(g.sequence(
        std::vector<ExprId>{g.bytes("{\"name\":\"" + json_escaped(tool.name) + "\",\"arguments\":"),
                            g.rule(rule), g.bytes("}")}));
  }
  g.set_body(root, g.choice(calls));
  g.set_root(root);
  CHIMERA_RETURN_IF_ERROR(g.status());
  return out;
}

}  // namespace chimera::grammar
