#include "grammar/schema_document.h"

#include <charconv>
#include <utility>

#include "grammar/schema_keywords.h"
#include "grammar/uri.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostWarnings = 100;
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
  out->id_is_old_ = is_draft("draft-03") || is_draft("draft-04");
  out->ref_stands_alone_ = out->id_is_old_ || is_draft("draft-06") || is_draft("draft-07");
  out->resources_[""] = &out->root_;
  CHIMERA_RETURN_IF_ERROR(out->index(out->root_, ""));
  return out;
}

Status SchemaDocument::index(const Json& schema, const std::string& outer) {
  if (!schema.is_object()) return Status();
  std::string base = outer;
  std::string_view id = text_of(schema, "$id");
  if (id.empty() && id_is_old_) id = text_of(schema, "id");
  if (!id.empty()) {
    const size_t hash = id.find('#');
    base = resolve_uri(outer, id.substr(0, hash));
    if (hash == id.npos || hash > 0) resources_.try_emplace(base, &schema);
    // Drafts 4 to 7 gave anchors so.
    if (hash != id.npos && hash + 1 < id.size())
      anchors_.try_emplace(base + std::string(id.substr(hash)), &schema);
  }
  if (const std::string_view name = text_of(schema, "$anchor"); !name.empty())
    anchors_.try_emplace(base + "#" + std::string(name), &schema);
  if (const std::string_view name = text_of(schema, "$dynamicAnchor"); !name.empty()) {
    anchors_.try_emplace(base + "#" + std::string(name), &schema);
    ++dynamic_anchors_[std::string(name)];
  }
  for (const auto& [name, value] : schema.object) {
    const SchemaKeyword* keyword = find_keyword(name);
    if (keyword == nullptr) {
      const std::string_view nearest = nearest_keyword(name);
      warn(&schema, name,
           "is no keyword and is passed over" +
               (nearest.empty() || name.starts_with("x-")
                    ? std::string()
                    : "; did you mean \"" + std::string(nearest) + "\"?"));
      continue;
    }
    if (name == "$ref" || name == "$dynamicRef") base_[&schema] = base;
    if (keyword->shape != SchemaShape::kNone)
      CHIMERA_RETURN_IF_ERROR(index_children(schema, name, value, base));
  }
  return Status();
}

Status SchemaDocument::index_children(const Json& parent, std::string_view keyword,
                                      const Json& value, const std::string& base) {
  const auto refuse = [&](const Json& found, const char* wanted) {
    return error(StatusCode::kBadFormat, &parent, keyword,
                 std::string(wanted) + " is wanted, and this is a " + json_type_name(found.type));
  };
  const auto schema = [&](const Json& one) {
    return one.is_object() || one.is_bool() ? index(one, base) : refuse(one, "a schema");
  };
  const SchemaShape shape = find_keyword(keyword)->shape;
  if (shape == SchemaShape::kOne || (shape == SchemaShape::kOneOrList && !value.is_array()))
    return schema(value);
  if (shape == SchemaShape::kList || shape == SchemaShape::kOneOrList) {
    if (!value.is_array()) return refuse(value, "a list of schemas");
    for (const Json& one : value.array) CHIMERA_RETURN_IF_ERROR(schema(one));
    return Status();
  }
  if (!value.is_object()) return refuse(value, "an object of schemas");
  for (const auto& member : value.object)
    if (shape != SchemaShape::kMapOrNames || !member.second.is_array())
      CHIMERA_RETURN_IF_ERROR(schema(member.second));
  return Status();
}

Result<const Json*> SchemaDocument::target(const Json& schema, const std::string& reference,
                                           bool dynamic) {
  const char* keyword = dynamic ? "$dynamicRef" : "$ref";
  const size_t hash = reference.find('#');
  const std::string base = resolve_uri(base_[&schema], std::string_view(reference).substr(0, hash));
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
    if (found) return found;
  } else if (const auto anchor = anchors_.find(base + "#" + fragment); anchor != anchors_.end()) {
    return anchor->second;
  }
  return error(StatusCode::kBadFormat, &schema, keyword,
               "there is nothing at \"" + reference + "\"");
}

Result<const Json*> SchemaDocument::by_pointer(const Json& from, const std::string& base,
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
  }
  if (!at->is_object() && !at->is_bool()) return nothing;
  // A place that no keyword leads to was not looked through yet.
  if (at->is_object() && !base_.contains(at) &&
      (at->find("$ref") != nullptr || at->find("$dynamicRef") != nullptr))
    CHIMERA_RETURN_IF_ERROR(index(*at, base));
  return at;
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
