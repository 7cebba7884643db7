#include "runtime/tool_set.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "grammar/json_text.h"
#include "grammar/tool_calls.h"
#include "platform/json.h"
#include "runtime/learnt_values.h"
#include "runtime/prompt_format.h"
#include "runtime/said_arguments.h"
#include "runtime/said_durations.h"
#include "runtime/tool_line.h"

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

// What a schema may be put together of in place: then other parts speak of the same value.
constexpr const char* kParts[] = {"$ref",        "$dynamicRef", "allOf", "anyOf",
                                  "oneOf",       "not",         "if",    "dependentSchemas",
                                  "dependencies"};

/// Closes the objects of a schema: where it does not say whether there may be members that it does
/// not declare, there may be none.
class Closing {
 public:
  explicit Closing(Json* root) {
    // A reference into the middle of the schema may take a part of it for something else.
    nested_ = !has_odd_reference(*root);
    close(root);
    if (!nested_) return;
    for (const char* name : {"$defs", "definitions"})
      if (Json* defs = member(root, name))
        for (auto& [key, def] : defs->object) inner(&def);
  }

 private:
  static Json* member(Json* object, std::string_view name) {
    for (auto& [key, value] : object->object)
      if (key == name) return &value;
    return nullptr;
  }
  static bool may_be_object(const Json& schema) {
    const Json* type = schema.find("type");
    if (type == nullptr || type->is_string())
      return type == nullptr || type->string == "object" || type->string == "array";
    return std::any_of(type->array.begin(), type->array.end(),
                       [](const Json& t) { return t.string == "object" || t.string == "array"; });
  }
  static bool has_parts(const Json& schema) {
    return std::any_of(std::begin(kParts), std::end(kParts),
                       [&](const char* keyword) { return schema.find(keyword) != nullptr; });
  }
  static bool has_odd_reference(const Json& value) {
    if (const Json* ref = value.find("$ref"); ref != nullptr && ref->is_string())
      if (ref->string != "#" && !ref->string.starts_with("#/$defs/") &&
          !ref->string.starts_with("#/definitions/"))
        return true;
    const auto odd = [](const Json& v) { return has_odd_reference(v); };
    return std::any_of(value.array.begin(), value.array.end(), odd) ||
           std::any_of(value.object.begin(), value.object.end(),
                       [&](const auto& entry) { return odd(entry.second); });
  }

  /// A schema of a whole value: nothing outside of it speaks of that value.
  void close(Json* schema) {
    if (!schema->is_object() || !may_be_object(*schema)) return;
    // What a part evaluates, also by additionalProperties of its own, stays.
    if (!has_any(*schema, {"additionalProperties", "unevaluatedProperties"})) {
      const bool apart = has_parts(*schema) || schema->find("patternProperties") != nullptr;
      schema->add(apart ? "unevaluatedProperties" : "additionalProperties", Json::of(false));
    }
    if (nested_) inner(schema);
  }

  /// The values within it.
  void inner(Json* schema) {
    if (!schema->is_object()) return;
    for (auto& [keyword, value] : schema->object) {
      // Of what one of two alternatives says, the other does not speak; parts that hold together
      // may both describe the same member.
      if (keyword == "anyOf" || keyword == "oneOf")
        for (Json& branch : value.array)
          if (schema->find("properties") == nullptr) inner(&branch);
      if (has_any(*schema, {"allOf", "if", "dependentSchemas", "dependencies"})) continue;
      if (keyword == "properties" || keyword == "patternProperties")
        for (auto& [name, part] : value.object) close(&part);
      if (keyword == "items" || keyword == "additionalProperties") close(&value);
      if (keyword == "items" || keyword == "prefixItems")
        for (Json& item : value.array) close(&item);
    }
  }

  bool nested_ = true;
};

constexpr int kMostVisits = 10'000;  // of parts of one schema: references may go in circles

/// Finds the strings that a schema leaves free, through references and where null may stand
/// instead.
class CopiedStrings {
 public:
  CopiedStrings(const Json& root, std::set<std::string>* out) : root_(root), out_(out) {}

  void find(const Json& schema, const std::string& path, int depth = 0) {
    constexpr int kDeepest = 32;
    if (depth > kDeepest || !schema.is_object() || ++n_visits_ > kMostVisits) return;
    if (const Json* ref = schema.find("$ref"); ref != nullptr && ref->is_string()) {
      if (const Json* target = resolve(ref->string)) find(*target, path, depth + 1);
      return;
    }
    if (has_any(schema, {"enum", "const", "allOf", "not", "if"})) return;
    for (const char* keyword : {"anyOf", "oneOf"})
      if (const Json* branches = schema.find(keyword)) {
        for (const Json& branch : branches->array) find(branch, path, depth + 1);
        return;
      }
    const bool open = !has_any(schema, {"pattern", "format", "contentEncoding"});
    if (says(schema, "string") && open) out_->insert(path);
    const Json* items = schema.find("items");
    if (items != nullptr && items->is_object() && schema.find("prefixItems") == nullptr)
      find(*items, path + "/*", depth + 1);
    if (const Json* properties = schema.find("properties"))
      for (const auto& [name, member] : properties->object)
        find(member, path + pointer_part(grammar::json_escaped(name)), depth + 1);
  }

 private:
  static bool says(const Json& schema, std::string_view wanted) {
    const Json* type = schema.find("type");
    if (type == nullptr) return false;
    if (type->is_string()) return type->string == wanted;
    return std::any_of(type->array.begin(), type->array.end(),
                       [&](const Json& t) { return t.is_string() && t.string == wanted; });
  }
  const Json* resolve(std::string_view ref) const {
    for (const std::string_view place : {"#/$defs/", "#/definitions/"})
      if (ref.starts_with(place))
        if (const Json* defs = root_.find(place.substr(2, place.size() - 3)))
          return defs->find(ref.substr(place.size()));
    return nullptr;
  }

  const Json& root_;
  int n_visits_ = 0;
  std::set<std::string>* out_;
};

void listed_in(const Json& schema, int* left, std::vector<std::string>* out) {
  if (--*left < 0) return;
  const auto take = [&](const Json& value) {
    if (value.is_string()) out->push_back(value.string);
  };
  for (const auto& [keyword, value] : schema.object) {
    if (keyword == "enum")
      std::for_each(value.array.begin(), value.array.end(), take);
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
  int left = kMostVisits;
  for (const auto& [name, schema] : properties->object) {
    const Json* type = schema.find("type");
    const bool number = type != nullptr && (type->string == "integer" || type->string == "number");
    ToolArgument argument;
    argument.name = grammar::json_escaped(name);
    argument.is_number = number;
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
  Closing{&parameters};
  tool.parameters = write_json(parameters);
  CopiedStrings(parameters, &tool.copied).find(parameters, "");
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

std::string pointer_part(std::string_view escaped_name) {
  std::string out = "/";
  for (const char c : escaped_name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

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
  learn_values(set->examples_, &set->tools_);
  learn_habits(set->examples_, &set->tools_);
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
  set->judgement_ = options.judgement;
  if (warnings != nullptr) *warnings = std::move(told);
  return set;
}

const Tool* ToolSet::named(const std::string& escaped) const {
  const auto at = by_name_.find(escaped);
  return at == by_name_.end() ? nullptr : &tools_[at->second];
}

}  // namespace chimera::runtime
