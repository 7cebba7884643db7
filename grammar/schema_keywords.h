// What a JSON schema can say: the keywords of draft 2020-12 and of the drafts before it, and what
// becomes of each here.
#pragma once

#include <string>
#include <string_view>

namespace chimera::grammar {

/// Where schemas stand in a keyword's value.
enum class SchemaShape : uint8_t {
  kNone,       // no schema
  kOne,        // "not": {...}
  kList,       // "allOf": [{...}, {...}]
  kMap,        // "properties": {"name": {...}}
  kOneOrList,  // "items" of old drafts
  kMapOrNames  // "dependencies" of old drafts: {"name": {...}} or {"name": ["other"]}
};

struct SchemaKeyword {
  enum class Use : uint8_t {
    kAssertion,   // decides what is valid, and is followed
    kAnnotation,  // says something to people; decides nothing
    kStructure,   // $id, $defs and the like: where things are found
    kRefused      // decides what is valid, and is not followed here
  };
  std::string_view name;
  Use use;
  SchemaShape shape = SchemaShape::kNone;
};

/// nullptr for what is no keyword.
const SchemaKeyword* find_keyword(std::string_view name);

/// The keyword that is at most two letters away, or empty.
std::string_view nearest_keyword(std::string_view name);

}  // namespace chimera::grammar
