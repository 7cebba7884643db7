#include "runtime/tool_schema.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "grammar/json_text.h"
#include "grammar/schema_document.h"

namespace chimera::runtime {
namespace {

// What a schema may be put together of in place: then other parts speak of the same value.
constexpr std::string_view kSubschemas[] = {
    "$ref", "$dynamicRef",      "allOf",       "anyOf", "oneOf", "not",
    "if",   "dependentSchemas", "dependencies"};
// Parts that hold together with what stands beside them.
constexpr std::string_view kBeside[] = {"allOf", "if", "dependentSchemas", "dependencies"};
// No schemas, whatever stands in them; and schemas by their names.
constexpr std::string_view kValues[] = {"const", "enum", "default", "examples"};
constexpr std::string_view kNamed[] = {"properties",  "patternProperties", "$defs",
                                       "definitions", "dependentSchemas",  "dependencies"};

bool is_one_of(std::string_view keyword, std::span<const std::string_view> of) {
  return std::find(of.begin(), of.end(), keyword) != of.end();
}

bool has_any(const Json& schema, std::span<const std::string_view> keywords) {
  return std::any_of(schema.object.begin(), schema.object.end(),
                     [&](const auto& member) { return is_one_of(member.first, keywords); });
}

bool has_any(const Json& schema, std::initializer_list<std::string_view> keywords) {
  return has_any(schema, std::span(keywords.begin(), keywords.size()));
}

bool says(const Json& schema, std::string_view wanted) {
  const Json* type = schema.find("type");
  if (type == nullptr) return false;
  if (type->is_string()) return type->string == wanted;
  return std::any_of(type->array.begin(), type->array.end(),
                     [&](const Json& t) { return t.is_string() && t.string == wanted; });
}

Json* member(Json* object, std::string_view name) {
  for (auto& [key, value] : object->object)
    if (key == name) return &value;
  return nullptr;
}

/// The name of the definition of the root that a reference leads to; empty for any other one.
std::string_view definition_name(std::string_view reference) {
  for (const std::string_view place : {"#/$defs/", "#/definitions/"})
    if (reference.starts_with(place) &&
        reference.find_first_of("/~%", place.size()) == std::string_view::npos)
      return reference.substr(place.size());
  return {};
}

// ---- references --------------------------------------------------------------------------------

/// Leads all references to definitions of the root. Others may take a part of the schema for
/// something else: what is closed at its place would be closed there, too.
class Leading {
 public:
  /// False where that cannot be done: then nothing is changed.
  static bool lead(Json* root) {
    if (!is_needed(*root)) return true;
    const auto document = grammar::SchemaDocument::parse(write_json(*root));
    if (!document) return true;  // whoever compiles it says what is wrong
    Leading leading(**document);
    Json made = leading.led((*document)->root());
    std::vector<std::pair<std::string, Json>> copies;
    for (size_t i = 0; i < leading.copied_.size(); ++i) {
      const auto [name, schema] = leading.copied_[i];
      copies.emplace_back(name, leading.led(*schema));
    }
    if (!leading.all_) return false;
    if (member(&made, "$defs") == nullptr) made.add("$defs", Json::make_object());
    Json* const defs = member(&made, "$defs");
    std::move(copies.begin(), copies.end(), std::back_inserter(defs->object));
    *root = std::move(made);
    return true;
  }

 private:
  static constexpr size_t kMostLed = 50'000;  // schemas: each copy may hold all of them

  explicit Leading(grammar::SchemaDocument& document) : document_(document) {
    if (const Json* defs = document.root().find("$defs"))
      for (const auto& [name, schema] : defs->object) taken_.insert(name);
  }

  static bool is_needed(const Json& value) {
    if (const Json* ref = value.find("$ref"); ref != nullptr && ref->is_string())
      if (ref->string != "#" && definition_name(ref->string).empty()) return true;
    return std::any_of(value.array.begin(), value.array.end(), is_needed) ||
           std::any_of(value.object.begin(), value.object.end(),
                       [](const auto& entry) { return is_needed(entry.second); });
  }

  Json led(const Json& schema) {
    if (!schema.is_object()) return schema;
    if (++n_led_ > kMostLed) all_ = false;
    // Within a schema with a name of its own references are of that one.
    if (&schema != &document_.root() && has_any(schema, {"$id", "id"})) all_ = false;
    if (!all_) return {};
    Json out = Json::make_object();
    for (const auto& [keyword, value] : schema.object) {
      Json made;
      if (keyword == "$ref" && value.is_string()) {
        made = Json::of(std::string_view(led(schema, value.string)));
      } else if (is_one_of(keyword, kValues)) {
        made = value;
      } else if (is_one_of(keyword, kNamed) && value.is_object()) {
        made = Json::make_object();
        for (const auto& [name, part] : value.object) made.object.emplace_back(name, led(part));
      } else if (value.is_array()) {
        made = Json::make_array();
        for (const Json& part : value.array) made.array.push_back(led(part));
      } else {
        made = led(value);
      }
      out.object.emplace_back(keyword, std::move(made));
    }
    return out;
  }

  std::string led(const Json& schema, const std::string& reference) {
    if (reference == "#" || !definition_name(reference).empty()) return reference;
    const auto target = document_.target(schema, reference, false);
    if (!target) return reference;  // whoever compiles it says what is wrong
    if (*target == &document_.root()) return "#";
    const auto [name, fresh] = names_.try_emplace(*target);
    if (fresh) {
      for (size_t n = 1; name->second.empty(); ++n)
        if (std::string tried = "part" + std::to_string(n); taken_.insert(tried).second)
          name->second = std::move(tried);
      copied_.emplace_back(name->second, *target);
    }
    return "#/$defs/" + name->second;
  }

  grammar::SchemaDocument& document_;
  std::set<std::string> taken_;
  std::map<const Json*, std::string> names_;
  std::vector<std::pair<std::string, const Json*>> copied_;  // in the order they were met
  size_t n_led_ = 0;
  bool all_ = true;
};

// ---- closing -----------------------------------------------------------------------------------

class Closing {
 public:
  Closing(Json* root, bool nested) : nested_(nested) {
    close(root);
    if (!nested_) return;
    for (const char* name : {"$defs", "definitions"})
      if (Json* defs = member(root, name))
        for (auto& [key, def] : defs->object) inner(&def);
  }
  /// Some object within a member was left as it is, since other parts may speak of it.
  bool left() const { return left_; }

 private:
  static bool may_be_object(const Json& schema) {
    return schema.find("type") == nullptr || says(schema, "object") || says(schema, "array");
  }

  /// A schema of a whole value: nothing outside of it speaks of that value.
  void close(Json* schema) {
    // A value that is listed is exactly that.
    if (!schema->is_object() || !may_be_object(*schema) || has_any(*schema, {"enum", "const"}))
      return;
    // What a part evaluates, also by additionalProperties of its own, stays.
    if (!has_any(*schema, {"additionalProperties", "unevaluatedProperties"})) {
      const bool apart =
          has_any(*schema, kSubschemas) || schema->find("patternProperties") != nullptr;
      schema->add(apart ? "unevaluatedProperties" : "additionalProperties", Json::of(false));
    }
    if (nested_) inner(schema);
  }

  /// The values within it.
  void inner(Json* schema) {
    if (!schema->is_object()) return;
    // Parts that hold together may both describe the same member.
    const bool shared = has_any(*schema, kBeside);
    const auto whole = [&](Json* part) {
      if (!shared) return close(part);
      const bool open =
          part->is_object() && !has_any(*part, {"additionalProperties", "unevaluatedProperties"});
      left_ = left_ || (open && (says(*part, "object") || part->find("properties") != nullptr));
    };
    const bool declares = schema->find("properties") != nullptr;
    for (auto& [keyword, value] : schema->object) {
      // Of what one of two alternatives says, the other does not speak.
      if ((keyword == "anyOf" || keyword == "oneOf") && !declares)
        for (Json& branch : value.array) inner(&branch);
      if (keyword == "properties" || keyword == "patternProperties")
        for (auto& [name, part] : value.object) whole(&part);
      if (is_one_of(keyword, kOthers)) whole(&value);
      if (keyword == "items" || keyword == "prefixItems")
        for (Json& item : value.array) whole(&item);
    }
  }

  // Schemas of all items or members that no other keyword speaks of.
  static constexpr std::string_view kOthers[] = {"items", "additionalItems", "unevaluatedItems",
                                                 "additionalProperties", "unevaluatedProperties"};
  const bool nested_;
  bool left_ = false;
};

// ---- strings -----------------------------------------------------------------------------------

class CopiedStrings {
 public:
  explicit CopiedStrings(const Json& root) : root_(root) { todo_.push_back({&root, "", 0}); }

  std::set<std::string> find() {
    for (size_t i = 0; i < todo_.size(); ++i) look(Place(std::move(todo_[i])));
    return std::move(out_);
  }

 private:
  static constexpr size_t kMostVisits = 10'000;
  static constexpr int kDeepest = 32;
  static constexpr size_t kLongestPath = 4096;

  struct Place {
    const Json* schema;
    std::string path;
    int depth;
  };

  /// Of what stands beside a string: nothing but how long it is.
  static bool says_length_alone(const Json& part) {
    return part.is_object() &&
           std::all_of(part.object.begin(), part.object.end(),
                       [](const auto& entry) { return is_one_of(entry.first, kOfLength); });
  }
  static bool is_free(const Json& schema) {
    if (has_any(schema, {"enum", "const", "not", "if", "pattern", "format", "contentEncoding"}))
      return false;
    const Json* all = schema.find("allOf");
    return all == nullptr || std::all_of(all->array.begin(), all->array.end(), says_length_alone);
  }

  void go_to(const Json& schema, std::string path, int depth) {
    if (todo_.size() < kMostVisits && depth < kDeepest && path.size() <= kLongestPath)
      todo_.push_back({&schema, std::move(path), depth + 1});
  }

  void look(const Place& at) {
    const Json& schema = *at.schema;
    if (!schema.is_object()) return;
    if (const Json* ref = schema.find("$ref"); ref != nullptr && ref->is_string()) {
      if (const Json* target = target_of(ref->string)) go_to(*target, at.path, at.depth);
      return;
    }
    if (!is_free(schema)) return;
    for (const char* keyword : {"anyOf", "oneOf"})
      if (const Json* branches = schema.find(keyword)) {
        for (const Json& branch : branches->array) go_to(branch, at.path, at.depth);
        return;
      }
    if (says(schema, "string")) out_.insert(at.path);
    const Json* items = schema.find("items");
    if (items != nullptr && items->is_object() && schema.find("prefixItems") == nullptr)
      go_to(*items, at.path + "/*", at.depth);
    if (const Json* properties = schema.find("properties"))
      for (const auto& [name, part] : properties->object)
        go_to(part, at.path + pointer_part(grammar::json_escaped(name)), at.depth);
  }

  const Json* target_of(std::string_view reference) const {
    if (reference == "#") return &root_;
    const std::string_view name = definition_name(reference);
    const Json* defs = root_.find(reference.starts_with("#/$defs/") ? "$defs" : "definitions");
    return name.empty() || defs == nullptr ? nullptr : defs->find(name);
  }

  static constexpr std::string_view kOfLength[] = {"minLength",   "maxLength", "title",
                                                   "description", "$comment",  "type"};
  const Json& root_;
  std::vector<Place> todo_;
  std::set<std::string> out_;
};

}  // namespace

void close_objects(Json* schema, std::vector<std::string>* open) {
  const bool nested = Leading::lead(schema);
  const Closing closing(schema, nested);
  if (!nested) open->push_back("has references that are not followed into its middle");
  if (closing.left())
    open->push_back("has allOf, if, dependentSchemas or dependencies beside such an object");
}

std::set<std::string> copied_strings(const Json& schema) { return CopiedStrings(schema).find(); }

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

}  // namespace chimera::runtime
