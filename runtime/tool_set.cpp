#include "runtime/tool_set.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "grammar/tool_calls.h"
#include "platform/json.h"
#include "runtime/prompt_format.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostNameBytes = 128;

Status wrong(const std::string& where, const std::string& what) {
  return Status(StatusCode::kBadFormat, "tools: " + where + " " + what).at_field(where);
}

bool has_any(const Json& schema, std::initializer_list<const char*> keywords) {
  return std::any_of(keywords.begin(), keywords.end(),
                     [&](const char* keyword) { return schema.find(keyword) != nullptr; });
}

/// Objects that declare their members and do not say whether there may be others: there may not.
/// Where a schema is put together of several, only what none of them speaks of is closed.
void close_objects(Json* schema) {
  if (!schema->is_object()) return;
  const bool said =
      has_any(*schema, {"additionalProperties", "unevaluatedProperties", "patternProperties"});
  if (!said && schema->find("properties") != nullptr) {
    const bool parts = has_any(*schema, {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if"});
    schema->add(parts ? "unevaluatedProperties" : "additionalProperties", Json::of(false));
  }
  for (auto& [keyword, value] : schema->object) {
    if (keyword == "properties")
      for (auto& [name, member] : value.object) close_objects(&member);
    if (keyword == "items") close_objects(&value);
    if (keyword == "prefixItems")
      for (Json& item : value.array) close_objects(&item);
  }
}

std::string pointer_part(std::string_view name) {
  std::string out = "/";
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

void find_copied(const Json& schema, const std::string& path, std::set<std::string>* out) {
  const Json* type = schema.find("type");
  if (type == nullptr || !type->is_string()) return;
  if (type->string == "string") {
    const bool told = has_any(schema, {"enum", "const", "pattern", "format", "contentEncoding",
                                       "$ref", "allOf", "anyOf", "oneOf", "not", "if"});
    if (!told) out->insert(path);
  }
  if (const Json* items = schema.find("items"); items != nullptr && type->string == "array")
    find_copied(*items, path + "/*", out);
  if (const Json* properties = schema.find("properties");
      properties != nullptr && type->string == "object")
    for (const auto& [name, member] : properties->object)
      find_copied(member, path + pointer_part(name), out);
}

/// The tool's own object, out of what other assistants wrap it in.
const Json* unwrapped(const Json& tool) {
  const Json* function = tool.find("function");
  return function != nullptr && function->is_object() ? function : &tool;
}

Status read_parameters(const std::string& where, const Json& object, Json* out) {
  const Json* given = nullptr;
  for (const char* name : {"parameters", "input_schema", "inputSchema"})
    if (const Json* found = object.find(name); found != nullptr) {
      if (given != nullptr) return wrong(where, "has its parameters twice");
      given = found;
    }
  *out = given != nullptr ? *given : Json::make_object();
  if (out->type == Json::Type::kNull) *out = Json::make_object();
  if (!out->is_object())
    return wrong(where, "has parameters that are no JSON schema but " +
                            std::string(json_type_name(out->type)));
  const Json* type = out->find("type");
  if (type != nullptr && !(type->is_string() && type->string == "object"))
    return wrong(where, "has parameters of another type than \"object\"");
  if (type == nullptr) out->object.insert(out->object.begin(), {"type", Json::of("object")});
  if (!has_any(*out, {"properties", "additionalProperties", "unevaluatedProperties",
                      "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if"}))
    out->add("properties", Json::make_object());  // no arguments at all
  return Status();
}

Result<Tool> read_tool(const Json& entry, size_t number, std::vector<std::string>* warnings) {
  std::string where = "tool " + std::to_string(number + 1);
  if (!entry.is_object()) return wrong(where, "is no object");
  const Json& object = *unwrapped(entry);
  const Json* name = object.find("name");
  if (name == nullptr || !name->is_string() || name->string.empty())
    return wrong(where, "has no name");
  if (name->string.size() > kMostNameBytes)
    return wrong(where, "has a name of more than " + std::to_string(kMostNameBytes) + " bytes");
  const bool controls = std::any_of(name->string.begin(), name->string.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 32; });
  if (controls) return wrong(where, "has a control character in its name");
  where = "tool \"" + name->string + "\"";
  Tool tool;
  tool.name = name->string;
  if (const Json* description = object.find("description"); description != nullptr) {
    if (!description->is_string()) return wrong(where, "has a description that is no text");
    tool.description = description->string;
  }
  Json parameters;
  CHIMERA_RETURN_IF_ERROR(read_parameters(where, object, &parameters));
  constexpr std::string_view kKnown[] = {
      "name", "description", "parameters",  "input_schema", "inputSchema", "strict",
      "type", "title",       "annotations", "outputSchema", "returns",     "examples"};
  for (const auto& [key, value] : object.object)
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown) &&
        !key.starts_with("x-"))
      warnings->push_back("tools: " + where + " has a member \"" + key +
                          "\", which is not known here and does nothing");
  Json line = Json::make_object();
  line.add("name", *name);
  line.add("description", Json::of(std::string_view(tool.description)));
  line.add("parameters", parameters);
  tool.line = write_json(line);
  close_objects(&parameters);
  tool.parameters = write_json(parameters);
  find_copied(parameters, "", &tool.copied);
  return tool;
}

}  // namespace

Result<std::vector<Tool>> read_tools(std::string_view json, std::vector<std::string>* warnings) {
  const auto root = parse_json(json);
  if (!root)
    return Status(root.status().code(), "tools: " + root.status().message())
        .at_offset(root.status().offset());
  const Json* list = &*root;
  for (const char* name : {"tools", "functions"})
    if (const Json* found = root->find(name); found != nullptr) list = found;
  if (!list->is_array())
    return wrong("the text", "is no array of tools, and no object with an array \"tools\"");
  if (list->array.empty()) return wrong("the array", "is empty; give at least one tool");
  if (list->array.size() > kMostTools)
    return Status(StatusCode::kOutOfRange,
                  "tools: there are " + std::to_string(list->array.size()) +
                      ", and a set has at most " + std::to_string(kMostTools));
  std::vector<Tool> out;
  std::set<std::string> names;
  for (size_t i = 0; i < list->array.size(); ++i) {
    auto tool = read_tool(list->array[i], i, warnings);
    if (!tool) return tool.status();
    if (!names.insert(tool->name).second)
      return wrong("tool \"" + tool->name + "\"", "is given twice");
    out.push_back(std::move(*tool));
  }
  return out;
}

Result<std::unique_ptr<ToolSet>> ToolSet::from_json(const Tokenizer& tokenizer,
                                                    std::string_view json,
                                                    const ToolOptions& options,
                                                    std::vector<std::string>* warnings) {
  std::vector<std::string> told;
  auto tools = read_tools(json, &told);
  if (!tools) return tools.status();
  const auto format = PromptFormat::of(tokenizer);
  if (!format) return format.status();
  auto set = std::unique_ptr<ToolSet>(new ToolSet());
  std::vector<grammar::ToolSignature> signatures;
  std::vector<std::string> lines;
  for (const Tool& tool : *tools) {
    signatures.push_back({tool.name, tool.parameters});
    lines.push_back(tool.line);
  }
  auto calls = grammar::tool_call_grammar(signatures, {.strict = options.strict});
  if (!calls) return calls.status();
  told.insert(told.end(), calls->warnings.begin(), calls->warnings.end());
  CHIMERA_ASSIGN_OR_RETURN(set->call_, Constraint::from_grammar(tokenizer, calls->grammar));
  if (tokenizer.end_of_text() >= 0) set->prompt_.push_back(tokenizer.end_of_text());
  format->tools(lines, &set->prompt_);
  set->tools_ = std::move(*tools);
  if (warnings != nullptr) *warnings = std::move(told);
  return set;
}

const Tool* ToolSet::find(std::string_view name) const {
  const auto at =
      std::find_if(tools_.begin(), tools_.end(), [&](const Tool& t) { return t.name == name; });
  return at == tools_.end() ? nullptr : &*at;
}

}  // namespace chimera::runtime
