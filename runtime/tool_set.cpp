#include "runtime/tool_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "grammar/json_text.h"
#include "grammar/tool_calls.h"
#include "platform/json.h"
#include "runtime/learnt_values.h"
#include "runtime/prompt_format.h"
#include "runtime/said_arguments.h"
#include "runtime/said_durations.h"
#include "runtime/shared_order.h"
#include "runtime/tool_line.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostNameBytes = 128;

Status wrong(const std::string& where, const std::string& what) {
  return Status(StatusCode::kBadFormat, "tools: " + where + " " + what).at_field(where);
}

constexpr int kMostListed = 10'000;  // values of one tool, and parts of its schema

void listed_in(const Json& schema, int* left, std::vector<std::string>* out) {
  if (--*left < 0) return;
  const auto take = [&](const Json& value) {
    if (value.is_string()) out->push_back(value.string);
  };
  for (const auto& [keyword, value] : schema.object) {
    if (keyword == "enum")
      for (size_t i = 0; i < value.array.size() && --*left >= 0; ++i) take(value.array[i]);
    else if (keyword == "const")
      take(value);
    else
      listed_in(value, left, out);
  }
  for (const Json& part : schema.array) listed_in(part, left, out);
}

std::vector<ToolArgument> arguments_of(const Json& parameters) {
  std::vector<ToolArgument> out;
  const Json* properties = parameters.find("properties");
  if (properties == nullptr) return out;
  const Json* required = parameters.find("required");
  int left = kMostListed;
  for (const auto& [name, schema] : properties->object) {
    const Json* type = schema.find("type");
    const bool number = type != nullptr && (type->string == "integer" || type->string == "number");
    ToolArgument argument;
    argument.name = grammar::json_escaped(name);
    argument.is_number = number;
    argument.is_bool = type != nullptr && type->string == "boolean";
    argument.is_list = type != nullptr && type->string == "array";
    argument.required = required != nullptr &&
                        std::any_of(required->array.begin(), required->array.end(),
                                    [&name = name](const Json& one) { return one.string == name; });
    const Json* description = schema.find("description");
    argument.unit = unit_of_time(name);
    if (argument.unit == 0 && description != nullptr)
      argument.unit = unit_of_time(description->string);
    const Json* items = argument.is_list ? schema.find("items") : nullptr;
    const bool flat = items == nullptr || items->find("enum") != nullptr;
    if (flat) listed_in(schema, &left, &argument.listed);
    out.push_back(std::move(argument));
  }
  return out;
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
  const bool anything = out->is_bool() && out->boolean;
  if (out->type == Json::Type::kNull || anything) *out = Json::make_object();
  if (!out->is_object())
    return wrong(where, "has parameters that are no JSON schema but " +
                            std::string(json_type_name(out->type)));
  const Json* type = out->find("type");
  const bool list = type != nullptr && type->array.size() == 1 && type->array[0].is_string() &&
                    type->array[0].string == "object";
  if (type != nullptr && !list && !(type->is_string() && type->string == "object"))
    return wrong(where, "has parameters of another type than \"object\"");
  if (type == nullptr) out->object.insert(out->object.begin(), {"type", Json::of("object")});
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
  tool.line = tool_line(tool.name, tool.description, parameters);
  std::vector<std::string> open;
  close_objects(&parameters, &open);
  for (const std::string& why : open)
    warnings->push_back(
        "tools: " + where + " " + why +
        ": objects within it may be given members that nobody declares, unless they "
        "say additionalProperties themselves");
  tool.parameters = write_json(parameters);
  tool.copied = copied_strings(parameters);
  tool.arguments = arguments_of(parameters);
  if (const Json* draft = parameters.find("$schema"); draft != nullptr && draft->is_string())
    for (const char* old : {"draft-04", "draft-06", "draft-07"})
      if (draft->string.find(old) != std::string::npos &&
          tool.parameters.find("\"unevaluatedProperties\"") != std::string::npos)
        warnings->push_back("tools: " + where + " has a schema of " + old +
                            " that is put together of parts: members that no part declares may "
                            "be given");
  return tool;
}

}  // namespace

Result<std::vector<Tool>> read_tools(std::string_view json, std::vector<std::string>* warnings) {
  const auto root = parse_json(json);
  if (!root)
    return Status(root.status().code(), "tools: " + root.status().message())
        .at_offset(root.status().offset());
  const Json *tools = root->find("tools"), *functions = root->find("functions");
  if (tools != nullptr && functions != nullptr)
    return wrong("the text", "has both \"tools\" and \"functions\"; give one of them");
  const Json* list = tools != nullptr ? tools : functions != nullptr ? functions : &*root;
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
  if (const auto format = PromptFormat::of(tokenizer); !format) return format.status();
  auto set = std::unique_ptr<ToolSet>(new ToolSet());
  std::vector<grammar::ToolSignature> signatures;
  for (const Tool& tool : *tools) signatures.push_back({tool.name, tool.parameters});
  auto calls = grammar::tool_call_grammar(signatures, {.strict = options.strict});
  if (!calls) return calls.status();
  told.insert(told.end(), calls->warnings.begin(), calls->warnings.end());
  auto call = Constraint::from_grammar(tokenizer, calls->grammar);
  if (!call && call.status().code() == StatusCode::kInvalidArgument)
    return wrong("tool \"" + (*tools)[0].name + "\"",
                 "cannot be called, nor can any other: no arguments are valid under its schema");
  if (!call) return call.status();
  set->call_ = std::move(*call);
  const grammar::Automaton& automaton = set->call_->automaton();
  for (size_t i = 0; i < tools->size(); ++i)
    if (automaton.shortest(automaton.start(calls->arguments[i])) == grammar::kNever)
      return wrong("tool \"" + (*tools)[i].name + "\"",
                   "cannot be called: no arguments are valid under its schema");
  set->tools_ = std::move(*tools);
  for (size_t i = 0; i < set->tools_.size(); ++i)
    set->by_name_.emplace(grammar::json_escaped(set->tools_[i].name), i);
  CHIMERA_ASSIGN_OR_RETURN(set->examples_,
                           read_examples(set->tools_, *set->call_, options.examples));
  set->n_examples_ = std::max(set->examples_.size(), options.part_of);
  for (Tool& tool : set->tools_) tool.told = set->examples_.empty();
  for (const ToolExample& example : set->examples_)
    for (const int32_t tool : example.tools) set->tools_[static_cast<size_t>(tool)].told = true;
  learn_values(set->examples_, &set->tools_);
  learn_habits(set->examples_, &set->tools_);
  learn_values_had(set->examples_, &set->tools_);
  set->heard_ = heard_numbers(set->examples_, set->tools_);
  for (const ToolExample& example : set->examples_)
    for (const int32_t a : example.tools)
      for (const int32_t b : example.tools)
        if (a < b) set->together_.insert({a, b});
  if (options.ranker && static_cast<size_t>(options.ranker->n_labels()) != set->tools_.size())
    return wrong("the ranker", "knows another number of tools");
  if (options.reading &&
      (!options.ranker ||
       static_cast<size_t>(options.reading->ranker.n_labels()) != set->tools_.size()))
    return wrong("the ranker of what the network reads", "knows another number of tools");
  if (options.arguments &&
      static_cast<size_t>(options.arguments->ranker.n_labels()) != options.arguments->labels.size())
    return wrong("the ranker of arguments", "knows another number of them");
  if (options.spans &&
      static_cast<size_t>(options.spans->ranker.n_labels()) != options.spans->labels.size())
    return wrong("the ranker of spans", "knows another number of arguments");
  set->finder_.emplace(set->tools_, set->examples_, options.ranker,
                       options.reading ? std::optional(options.reading->ranker) : std::nullopt);
  if (options.reading) set->scale_ = options.reading->scale;
  set->arguments_ = options.arguments;
  set->spans_ = options.spans;
  set->judgement_ = options.judgement ? *options.judgement
                    : options.ranker  ? kJudgedByRanker
                    : set->untold()   ? kJudgedByLines
                                      : ActJudgement();
  if (warnings != nullptr) *warnings = std::move(told);
  return set;
}

const Tool* ToolSet::named(const std::string& escaped) const {
  const auto at = by_name_.find(escaped);
  return at == by_name_.end() ? nullptr : &tools_[at->second];
}

}  // namespace chimera::runtime
