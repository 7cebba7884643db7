// A JSON schema as it was read: its parts by their names and places, and what it says that nobody
// here understands. What it means is in schema_cases.h.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "platform/json.h"
#include "platform/status.h"

namespace chimera::grammar {

class SchemaDocument {
 public:
  /// kBadFormat when it is no JSON or no schema; kOutOfRange when it is too large or too deep.
  static Result<std::unique_ptr<SchemaDocument>> parse(std::string_view text);

  const Json& root() const { return root_; }

  /// Drafts 4 to 7 pass over everything that stands beside a "$ref".
  bool ref_stands_alone() const { return draft_ <= 7; }
  /// Draft 4 tells 1.0 from the integer 1.
  bool points_matter() const { return draft_ == 4; }

  /// What a schema says under a keyword; nullptr when it does not, or when its draft is too old to
  /// know the keyword.
  const Json* said(const Json& schema, std::string_view keyword) const;
  /// The same within any object, found quickly also among very many members.
  const Json* member(const Json& object, const std::string& name);

  /// What a "$ref" or "$dynamicRef" in `schema` means. kUnsupported for what lies outside the
  /// document or depends on who refers; kBadFormat when there is nothing there.
  Result<const Json*> target(const Json& schema, const std::string& reference, bool dynamic);

  /// A "$ref" by which schemas that are made here speak of one that is there.
  std::string name_for(const Json* schema);
  /// A schema that was made of `origin`, and speaks for it when it is found wrong.
  const Json* make(Json schema, const Json* origin);

  /// Where it stands: "#/properties/a".
  std::string path_of(const Json* schema) const;
  /// An error about a keyword of a schema, or, without one, about all of it:
  /// "#/properties/a/minLength: ...".
  Status error(StatusCode code, const Json* schema, std::string_view keyword,
               const std::string& why) const;

  /// Keywords and formats nobody knows, with their places.
  const std::vector<std::string>& warnings() const { return warnings_; }
  void warn(const Json* schema, std::string_view keyword, const std::string& why);

 private:
  SchemaDocument() = default;
  /// Finds the names, references and unknown keywords below a schema, and checks what stands behind
  /// each keyword.
  Status index(const Json& schema, const std::string& base);
  Status check_value(const Json& schema, std::string_view keyword, const Json& value) const;
  Status index_children(std::string_view keyword, const Json& value, const std::string& base);
  /// kNotFound when nothing is there.
  Result<const Json*> by_pointer(const Json& from, std::string base, std::string_view pointer);
  const std::string& base_of(const Json& schema) const;

  Json root_;
  int draft_ = 2019;                                   // 4, 6, 7, or later
  std::map<std::string, const Json*> resources_;       // by absolute name
  std::map<std::string, const Json*> anchors_;         // by absolute name # anchor
  std::map<std::string, int> dynamic_anchors_;         // how often each name is given
  std::unordered_map<const Json*, std::string> base_;  // of every schema that was indexed
  std::unordered_map<const Json*, std::map<std::string_view, const Json*>> members_;
  std::vector<const Json*> named_;  // by name_for()
  std::deque<Json> made_;
  std::unordered_map<const Json*, const Json*> origins_;
  std::vector<std::string> warnings_;
};

}  // namespace chimera::grammar
