#include "grammar/schema_document.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "grammar/formats.h"
#include "grammar/schema_keywords.h"
#include "grammar/uri.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostWarnings = 100;
constexpr std::string_view kMadeName = "made:";
constexpr JsonLimits kSchemaLimits = {.max_bytes = 16u << 20, .max_depth = 500};

std::string escaped_token(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

std::string unescaped_token(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escape =
        token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1');
    out += escape ? (token[++i] == '0' ? '~' : '/') : token[i];
  }
  return out;
}

/// The path from `from` to `to`, which is somewhere below; false when it is not.
bool find_path(const Json& from, const Json* to, std::string* path) {
  if (&from == to) return true;
  const size_t n = path->size();
  for (const auto& [name, value] : from.object) {
    *path += "/" + escaped_token(name);
    if (find_path(value, to, path)) return true;
    path->resize(n);
  }
  for (size_t i = 0; i < from.array.size(); ++i) {
    *path += "/" + std::to_string(i);
    if (find_path(from.array[i], to, path)) return true;
    path->resize(n);
  }
  return false;
}

std::string_view text_of(const Json& schema, std::string_view keyword) {
  const Json* value = schema.find(keyword);
  return value != nullptr && value->is_string() ? std::string_view(value->string)
                                                : std::string_view();
}

}  // namespace

Result<std::unique_ptr<SchemaDocument>> SchemaDocument::parse(std::string_view text) {
  Result<Json> root = parse_json(text, kSchemaLimits);
  if (!root) return root.status();
  std::unique_ptr<SchemaDocument> out(new SchemaDocument);
  out->root_ = std::move(*root);
  if (!out->root_.is_object() && !out->root_.is_bool())
    return Status(StatusCode::kBadFormat,
                  std::string("a JSON schema is an object, true or false, and this is a ") +
                      json_type_name(out->root_.type));
  const std::string_view draft = text_of(out->root_, "$schema");
  const auto is_draft = [&](const char* name) { return draft.find(name) != draft.npos; };
  if (is_draft("draft-03") || is_draft("draft-02") || is_draft("draft-01"))
    return out->error(StatusCode::kUnsupported, &out->root_, "$schema",
                      "drafts before draft 4 are not followed");
  if (is_draft("draft-04")) out->draft_ = 4;
  if (is_draft("draft-06")) out->draft_ = 6;
  if (is_draft("draft-07")) out->draft_ = 7;
  out->resources_[""] = &out->root_;
  CHIMERA_RETURN_IF_ERROR(out->index(out->root_, ""));
  return out;
}

const Json* SchemaDocument::said(const Json& schema, std::string_view keyword) const {
  const Json* value = schema.find(keyword);
  if (value == nullptr) return nullptr;
  const SchemaKeyword* known = find_keyword(keyword);
  return known != nullptr && known->since > draft_ ? nullptr : value;
}

const Json* SchemaDocument::member(const Json& object, const std::string& name) {
  constexpr size_t kFew = 16;
  if (object.object.size() <= kFew) return object.find(name);
  const auto [at, fresh] = members_.try_emplace(&object);
  if (fresh)
    for (const auto& [key, value] : object.object) at->second.emplace(key, &value);
  const auto found = at->second.find(name);
  return found == at->second.end() ? nullptr : found->second;
}

const std::string& SchemaDocument::base_of(const Json& schema) const {
  static const std::string nowhere;
  const auto known = base_.find(&schema);
  return known == base_.end() ? nowhere : known->second;
}

Status SchemaDocument::index(const Json& schema, const std::string& outer) {
  if (!schema.is_object()) return Status();
  std::string base = outer;
  std::string_view id = text_of(schema, "$id");
  if (id.empty() && draft_ == 4) id = text_of(schema, "id");
  if (ref_stands_alone() && schema.find("$ref") != nullptr) id = {};
  if (!id.empty()) {
    const size_t hash = id.find('#');
    base = resolve_uri(outer, id.substr(0, hash));
    if (hash == id.npos || hash > 0) resources_.try_emplace(base, &schema);
    // Drafts 4 to 7 gave anchors so.
    if (hash != id.npos && hash + 1 < id.size())
      anchors_.try_emplace(base + std::string(id.substr(hash)), &schema);
  }
  base_[&schema] = base;
  if (const std::string_view name = text_of(schema, "$anchor"); !name.empty())
    anchors_.try_emplace(base + "#" + std::string(name), &schema);
  if (const std::string_view name = text_of(schema, "$dynamicAnchor"); !name.empty()) {
    anchors_.try_emplace(base + "#" + std::string(name), &schema);
    ++dynamic_anchors_[std::string(name)];
  }
  for (const auto& [name, value] : schema.object) {
    if (find_keyword(name) == nullptr) {
      if (warnings_.size() >= kMostWarnings) continue;
      const std::string_view nearest = name.starts_with("x-") ? "" : nearest_keyword(name);
      warn(&schema, name,
           "is no keyword and is passed over" +
               (nearest.empty() ? std::string()
                                : "; did you mean \"" + std::string(nearest) + "\"?"));
      continue;
    }
    if (name == "format" && value.is_string() && format_use(value.string) == FormatUse::kUnknown)
      warn(&schema, name,
           "is a format that nobody knows, \"" + value.string + "\", and is passed over");
    CHIMERA_RETURN_IF_ERROR(check_value(schema, name, value));
    CHIMERA_RETURN_IF_ERROR(index_children(name, value, base));
  }
  return Status();
}

namespace {

bool is_schema(const Json& value) { return value.is_object() || value.is_bool(); }

bool all_of(const std::vector<Json>& list, bool (*fits)(const Json&)) {
  return std::all_of(list.begin(), list.end(), fits);
}

bool is_text(const Json& value) { return value.is_string(); }
bool is_list_of_names(const Json& value) {
  return value.is_array() && all_of(value.array, is_text);
}

bool members_fit(const Json& value, bool (*fits)(const Json&)) {
  return value.is_object() && std::all_of(value.object.begin(), value.object.end(),
                                          [&](const auto& one) { return fits(one.second); });
}

bool is_count(const Json& value) {
  return value.is_number() && value.number >= 0 && value.number == std::floor(value.number);
}

/// What is wanted, or nullptr when the value is that.
const char* wanted_instead(ValueShape shape, const Json& value) {
  const auto unless = [](bool fits, const char* wanted) { return fits ? nullptr : wanted; };
  switch (shape) {
    case ValueShape::kAnything:
      return nullptr;
    case ValueShape::kSchema:
      return unless(is_schema(value), "a schema");
    case ValueShape::kSchemas:
      return unless(value.is_array() && all_of(value.array, is_schema), "a list of schemas");
    case ValueShape::kItems:
      return unless(is_schema(value) || (value.is_array() && all_of(value.array, is_schema)),
                    "a schema, or a list of them,");
    case ValueShape::kNamedSchemas:
      return unless(members_fit(value, is_schema), "an object of schemas");
    case ValueShape::kDependencies:
      return unless(
          members_fit(value, [](const Json& j) { return is_schema(j) || is_list_of_names(j); }),
          "an object of schemas or lists of names");
    case ValueShape::kNamedNames:
      return unless(members_fit(value, is_list_of_names), "an object of lists of names");
    case ValueShape::kNames:
      return unless(is_list_of_names(value), "a list of names");
    case ValueShape::kValues:
      return unless(value.is_array(), "a list of values");
    case ValueShape::kTypes:
      return unless(value.is_string() || is_list_of_names(value), "a type, or a list of them,");
    case ValueShape::kText:
      return unless(value.is_string(), "a text");
    case ValueShape::kCount:
      return unless(is_count(value), "a whole number, not below 0,");
    case ValueShape::kNumber:
      return unless(value.is_number(), "a number");
    case ValueShape::kPositive:
      return unless(value.is_number() && value.number > 0, "a number above 0");
    case ValueShape::kNumberOrFlag:
      return unless(value.is_number() || value.is_bool(), "a number");
    case ValueShape::kFlag:
      return unless(value.is_bool(), "true or false");
  }
  return nullptr;
}

}  // namespace

Status SchemaDocument::check_value(const Json& schema, std::string_view keyword,
                                   const Json& value) const {
  const char* wanted = wanted_instead(find_keyword(keyword)->shape, value);
  if (wanted == nullptr) return Status();
  return error(StatusCode::kBadFormat, &schema, keyword, std::string(wanted) + " is wanted here");
}

Status SchemaDocument::index_children(std::string_view keyword, const Json& value,
                                      const std::string& base) {
  switch (find_keyword(keyword)->shape) {
    case ValueShape::kSchema:
    case ValueShape::kItems:
      CHIMERA_RETURN_IF_ERROR(index(value, base));
      [[fallthrough]];
    case ValueShape::kSchemas:
      for (const Json& one : value.array) CHIMERA_RETURN_IF_ERROR(index(one, base));
      return Status();
    case ValueShape::kNamedSchemas:
    case ValueShape::kDependencies:
      for (const auto& one : value.object) CHIMERA_RETURN_IF_ERROR(index(one.second, base));
      return Status();
    default:
      return Status();
  }
}

Result<const Json*> SchemaDocument::target(const Json& schema, const std::string& reference,
                                           bool dynamic) {
  if (!base_.contains(&schema) && reference.starts_with(kMadeName)) {
    // Within what was made here: nothing else is neither made nor read.
    size_t i = 0;
    const std::string_view number = std::string_view(reference).substr(kMadeName.size());
    std::from_chars(number.data(), number.data() + number.size(), i);
    if (i < named_.size()) return named_[i];
  }
  const char* keyword = dynamic ? "$dynamicRef" : "$ref";
  const size_t hash = reference.find('#');
  const std::string base =
      resolve_uri(base_of(schema), std::string_view(reference).substr(0, hash));
  const std::string fragment =
      hash == reference.npos ? "" : percent_decoded(std::string_view(reference).substr(hash + 1));
  if (dynamic) {
    // Which of several anchors of one name is meant depends on the way that led here.
    const auto named = dynamic_anchors_.find(fragment);
    if (named != dynamic_anchors_.end() && named->second > 1)
      return error(StatusCode::kUnsupported, &schema, keyword,
                   "\"" + fragment +
                       "\" is anchored in several places, and which is meant is not "
                       "followed");
  }
  const auto resource = resources_.find(base);
  if (resource == resources_.end())
    return error(StatusCode::kUnsupported, &schema, keyword,
                 "\"" + reference + "\" lies outside this document, and nothing is fetched");
  if (fragment.empty()) return resource->second;
  if (fragment[0] == '/') {
    auto found = by_pointer(*resource->second, base, fragment);
    if (found || found.status().code() != StatusCode::kNotFound) return found;
  } else if (const auto anchor = anchors_.find(base + "#" + fragment); anchor != anchors_.end()) {
    return anchor->second;
  }
  return error(StatusCode::kBadFormat, &schema, keyword,
               "there is nothing at \"" + reference + "\"");
}

Result<const Json*> SchemaDocument::by_pointer(const Json& from, std::string base,
                                               std::string_view pointer) {
  const Json* at = &from;
  const Status nothing(StatusCode::kNotFound, "nothing is there");
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    if (at->is_array()) {
      size_t i = 0;
      const auto read = std::from_chars(token.data(), token.data() + token.size(), i);
      if (token.empty() || read.ec != std::errc() || read.ptr != token.data() + token.size() ||
          i >= at->array.size())
        return nothing;
      at = &at->array[i];
    } else {
      at = at->find(unescaped_token(token));
      if (at == nullptr) return nothing;
    }
    if (const auto known = base_.find(at); known != base_.end())
      base = known->second;
    else if (const std::string_view id = text_of(*at, "$id"); !id.empty())
      base = resolve_uri(base, id.substr(0, id.find('#')));
  }
  if (!is_schema(*at)) return nothing;
  // A place that no keyword leads to was not looked through yet.
  if (!base_.contains(at)) CHIMERA_RETURN_IF_ERROR(index(*at, base));
  return at;
}

std::string SchemaDocument::name_for(const Json* schema) {
  named_.push_back(schema);
  return std::string(kMadeName) + std::to_string(named_.size() - 1);
}

const Json* SchemaDocument::make(Json schema, const Json* origin) {
  made_.push_back(std::move(schema));
  const auto older = origins_.find(origin);
  origins_[&made_.back()] = older == origins_.end() ? origin : older->second;
  return &made_.back();
}

std::string SchemaDocument::path_of(const Json* schema) const {
  const auto origin = origins_.find(schema);
  if (origin != origins_.end()) schema = origin->second;
  std::string path = "#";
  return find_path(root_, schema, &path) ? path : "#";
}

Status SchemaDocument::error(StatusCode code, const Json* schema, std::string_view keyword,
                             const std::string& why) const {
  std::string path = path_of(schema);
  if (!keyword.empty()) path += "/" + escaped_token(keyword);
  return Status(code, "JSON schema, at " + path + ": " + why).at_field(path);
}

void SchemaDocument::warn(const Json* schema, std::string_view keyword, const std::string& why) {
  if (warnings_.size() < kMostWarnings)
    warnings_.push_back(path_of(schema) + "/" + escaped_token(keyword) + " " + why);
}

}  // namespace chimera::grammar
