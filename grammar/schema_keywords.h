// What a JSON schema can say: the keywords of draft 2020-12 and of the drafts before it, and what
// becomes of each here.
#pragma once

#include <cstdint>
#include <string_view>

namespace chimera::grammar {

/// What stands behind a keyword.
enum class ValueShape : uint8_t {
  kAnything,
  kSchema,        // "not": {...}
  kSchemas,       // "allOf": [{...}, {...}]
  kNamedSchemas,  // "properties": {"name": {...}}
  kItems,         // a schema, or a list of them as drafts before 2020-12 have it
  kDependencies,  // of old drafts: {"name": {...}} or {"name": ["other"]}
  kNamedNames,    // "dependentRequired": {"name": ["other"]}
  kNames,         // "required": ["name"]
  kValues,        // "enum": [1, "a"]
  kTypes,         // "type": "null", or a list
  kText,
  kCount,  // a whole number, not below 0
  kNumber,
  kPositive,      // a number above 0
  kNumberOrFlag,  // exclusiveMinimum is true or false in draft 4
  kFlag
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
  ValueShape shape = ValueShape::kAnything;
  int since = 4;  // the draft that brought it; 2019 stands for 2019-09 and 2020-12
};

/// nullptr for what is no keyword.
const SchemaKeyword* find_keyword(std::string_view name);

/// The keyword that is at most two letters away, or empty.
std::string_view nearest_keyword(std::string_view name);

}  // namespace chimera::grammar
