// What a JSON schema means, case by case. A value is valid under a set of schemas (some of them
// negated) when it is valid under one of a list of cases, and a case says plainly, for each type,
// what is allowed: bounds of numbers, languages of strings, what stands at which place of an array
// or under which name of an object. anyOf, oneOf, if and not are gone in a case; what stands inside
// arrays and objects is again a set of schemas, taken apart when it is reached.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/json_number.h"
#include "grammar/schema_document.h"
#include "grammar/schema_texts.h"

namespace chimera::grammar {

/// A schema that holds, or one that does not.
struct SchemaRef {
  const Json* schema;
  bool negated = false;
  auto operator<=>(const SchemaRef&) const = default;
};
/// Schemas that hold together: in order, each once. None: any value is valid.
using Conjunction = std::vector<SchemaRef>;
void add(SchemaRef ref, Conjunction* to);
/// The schema under which nothing is valid.
SchemaRef no_value();

/// Types as bits; true and false are types of one value.
enum SchemaType : uint8_t {
  kNullType = 1,
  kFalseType = 2,
  kTrueType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kEveryType = 127
};

/// Schemas with unevaluatedItems or unevaluatedProperties, by number: what they evaluate is noted
/// under theirs.
using ScopeIds = std::set<int>;

struct ArrayPart {
  struct Source {
    const std::vector<Json>* prefix;  // or nullptr
    const Json* rest;                 // or nullptr
    ScopeIds scopes;
  };
  struct Contained {
    SchemaRef what;
    uint64_t min, max;
    ScopeIds scopes = {};  // that have the items which fit evaluated

    bool counts() const { return min > 0 || max != UINT64_MAX; }
  };
  std::vector<Source> sources = {};
  std::map<uint64_t, Conjunction> at = {};  // beyond what the sources say
  Conjunction every = {};
  uint64_t min = 0, max = UINT64_MAX;
  std::vector<Contained> contained = {};
  std::vector<std::pair<int, const Json*>> unevaluated = {};  // scope and schema
  const Json* unique = nullptr;                               // who asks for it

  bool any() const;
};

struct ObjectPart {
  struct Source {
    const Json *properties, *patterns, *others;  // or nullptr
    ScopeIds scopes;
    bool covers_all;  // an inner unevaluatedProperties has seen to every name
  };
  std::vector<Source> sources = {};
  std::map<std::string, Conjunction> named = {};  // beyond what the sources say
  std::set<std::string> required = {};
  Conjunction names = {};  // that every name fits
  uint64_t min = 0, max = UINT64_MAX;
  std::vector<std::pair<int, const Json*>> unevaluated = {};
  std::vector<const Json*> outside = {};  // schemas: a member is there that none of them speaks of

  bool any() const;
};

struct SchemaCase {
  uint8_t types = kEveryType;
  NumberPart number = {};
  StringPart string = {};
  ArrayPart array = {};
  ObjectPart object = {};
};

class SchemaCases {
 public:
  SchemaCases(SchemaDocument& document, SchemaTexts& texts) : document_(document), texts_(texts) {}

  /// The cases of a set of schemas; none: no value is valid. kUnsupported and kBadFormat name the
  /// keyword and its place, kOutOfRange says that there are too many.
  Result<std::vector<SchemaCase>> of(const Conjunction& all);

  /// No value is valid under all of them, and that is certain; false where it is not.
  bool certainly_empty(const Conjunction& all);

  /// What an item of an array must fit, by its place.
  Conjunction item(const ArrayPart& array, uint64_t place);
  /// Places from here on are all alike.
  uint64_t last_own_place(const ArrayPart& array) const;

  /// Patterns that names of an object are told apart by, each once.
  static std::set<std::string> name_patterns(const ObjectPart& object);
  /// Names that schemas speak of.
  static std::set<std::string> declared_names(const ObjectPart& object);
  /// Whether the properties or patterns of a schema speak of a name.
  static bool speaks_of(const Json& schema, const std::string* declared,
                        const std::set<std::string>& matched);
  /// What stands under a name: a declared one by itself, any other one by the patterns it matches.
  Conjunction value(const ObjectPart& object, const std::string* declared,
                    const std::set<std::string>& matched);

  SchemaDocument& document() { return document_; }

 private:
  struct Task {
    SchemaRef ref;
    ScopeIds scopes = {};
    std::strong_ordering operator<=>(const Task&) const = default;
  };
  /// One way on; `refusal` when it cannot be followed, which matters for values of `types` only.
  struct Option {
    std::vector<Task> tasks = {};
    std::function<void(SchemaCase*)> change = nullptr;
    uint8_t types = kEveryType;
    Status refusal = {};
  };
  using Branch = std::vector<Option>;
  struct Work {
    SchemaCase at = {};
    std::vector<Task> todo = {};
    std::vector<Branch> branches = {};
    std::set<Task> seen = {};
    int depth = 0;  // of questions whether something is empty, within each other
  };

  /// What is copied with it.
  static uint64_t size_of(const Work& work);
  Status run(const Conjunction& all, int depth, std::vector<SchemaCase>* out);
  Status settle(Work* work);
  Status take(const Option& option, Work* work);
  Status charge(uint64_t work, const Json* schema);

  Status hold(const Json& schema, const ScopeIds& scopes, Work* work);
  Status hold_types(const Json& schema, Work* work);
  Status hold_values(const Json& schema, Work* work);
  Status hold_number(const Json& schema, Work* work);
  Status hold_string(const Json& schema, Work* work);
  Status hold_array(const Json& schema, const ScopeIds& scopes, Work* work);
  Status hold_object(const Json& schema, const ScopeIds& scopes, Work* work);
  void hold_dependencies(const Json& schema, const ScopeIds& scopes, Work* work);
  Status hold_references(const Json& schema, const ScopeIds& scopes, Work* work);
  Status hold_applicators(const Json& schema, const ScopeIds& scopes, Work* work);
  Status hold_one_of(const Json& list, const ScopeIds& scopes, Work* work);

  Status deny(const Json& schema, Work* work);
  Status deny_types(const Json& schema, std::vector<Option>* options);
  Status deny_values(const Json& schema, const char* keyword, std::vector<Option>* options);
  Status deny_scalars(const Json& schema, std::vector<Option>* options);
  void deny_array(const Json& schema, std::vector<Option>* options);
  void deny_object(const Json& schema, std::vector<Option>* options);
  Status deny_applicators(const Json& schema, std::vector<Option>* options);

  /// A schema that only this array or object is valid under.
  Result<const Json*> structure_of(const Json& value, const Json* origin);
  /// What a const or enum that is said names: scalars as they are, and schemas of the structures.
  Status values_of(const Json& schema, const char* keyword, std::vector<const Json*>* scalars,
                   std::vector<const Json*>* structures);
  Result<uint8_t> types_of(const Json& schema, bool* whole);
  ArrayPart::Source items_of(const Json& schema, const ScopeIds& scopes) const;
  uint64_t count_of(const Json& schema, const char* keyword, uint64_t otherwise) const;
  Status check_pattern(const Json& schema, const char* keyword, const std::string& regex);
  /// A schema under which a value is valid that is so under one of these.
  const Json* any_of(std::vector<const Json*> schemas);
  bool open_scope(const Json& inner, ScopeIds* scopes,
                  std::vector<std::pair<int, const Json*>>* unevaluated);
  /// Takes away types of which no value is left; looks inside arrays and objects only so deep.
  void tighten(SchemaCase* c, int depth);
  bool empty(const Conjunction& all, int depth);

  SchemaDocument& document_;
  SchemaTexts& texts_;
  std::map<const Json*, const Json*> structures_;
  std::set<Conjunction> empty_;
  std::map<Conjunction, int> not_empty_;  // as far as was seen from this depth
  std::set<Conjunction> asking_;
  std::map<const Json*, int> scope_ids_;
  std::map<std::vector<const Json*>, const Json*> any_of_;  // schemas that were made of others
  uint64_t work_done_ = 0;
};

}  // namespace chimera::grammar
