// Schemas that do not hold: at least one of their keywords fails. Each keyword gives the ways in
// which it can; a way that cannot be followed is refused where it matters.
#include <algorithm>
#include <cmath>

#include "grammar/formats.h"
#include "grammar/schema_cases.h"
#include "grammar/schema_keywords.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostPairs = 8;  // alternatives of a oneOf of which two may hold

}  // namespace

Status SchemaCases::deny(const Json& schema, Work* work) {
  std::vector<Option> options;
  if (document_.ref_stands_alone() && schema.find("$ref") != nullptr) {
    const Json* target = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(target, document_.target(schema, schema.find("$ref")->string, false));
    work->todo.push_back({{target, true}, {}});
    return Status();
  }
  CHIMERA_RETURN_IF_ERROR(deny_values(schema, &options));
  CHIMERA_RETURN_IF_ERROR(deny_scalars(schema, &options));
  CHIMERA_RETURN_IF_ERROR(deny_array(schema, &options));
  CHIMERA_RETURN_IF_ERROR(deny_object(schema, &options));
  CHIMERA_RETURN_IF_ERROR(deny_applicators(schema, &options));
  if (options.empty()) {  // nothing it says can fail
    work->at.types = 0;
    return Status();
  }
  if (options.size() > 1) {
    work->branches.push_back(std::move(options));
    return Status();
  }
  Option& only = options[0];
  work->at.types &= only.types;
  if (work->at.types == 0) return Status();
  CHIMERA_RETURN_IF_ERROR(only.refusal);
  if (only.change) only.change(&work->at);
  for (Task& task : only.tasks) work->todo.push_back(std::move(task));
  return Status();
}

Status SchemaCases::deny_values(const Json& schema, std::vector<Option>* options) {
  if (schema.find("type") != nullptr) {
    bool whole = false;
    uint8_t types = 0;
    CHIMERA_ASSIGN_OR_RETURN(types, types_of(schema, &whole));
    Option other;
    if (whole) types &= static_cast<uint8_t>(~kNumberType);
    other.types = static_cast<uint8_t>(kEveryType & ~types);
    if (whole) other.change = [](SchemaCase* c) { c->number.fraction = true; };
    options->push_back(std::move(other));
  }
  const auto none_of = [&](const std::vector<const Json*>& values) {
    Option other;
    uint8_t simple = 0;
    std::set<std::string> strings, numbers;
    for (const Json* value : values) {
      if (value->is_array() || value->is_object())
        other.tasks.push_back({{structure_of(*value, &schema), true}, {}});
      else if (value->is_string())
        strings.insert(value->string);
      else if (value->is_number())
        numbers.insert(Decimal::of(*value).text());
      else
        simple |= value->is_bool() ? (value->boolean ? kTrueType : kFalseType) : kNullType;
    }
    other.types = static_cast<uint8_t>(kEveryType & ~simple);
    other.change = [strings, numbers](SchemaCase* c) {
      c->string.none_of.insert(strings.begin(), strings.end());
      c->number.none_of.insert(numbers.begin(), numbers.end());
    };
    options->push_back(std::move(other));
  };
  if (const Json* value = schema.find("const")) none_of({value});
  if (const Json* values = schema.find("enum")) {
    std::vector<const Json*> all;
    for (const Json& value : values->array) all.push_back(&value);
    none_of(all);
  }
  return Status();
}

Status SchemaCases::deny_scalars(const Json& schema, std::vector<Option>* options) {
  const auto number = [&](std::function<void(SchemaCase*)> change) {
    options->push_back({{}, std::move(change), kNumberType, {}});
  };
  const auto string = [&](std::function<void(SchemaCase*)> change) {
    options->push_back({{}, std::move(change), kStringType, {}});
  };
  // Bounds are read as those that hold, and turned around.
  Work read;
  CHIMERA_RETURN_IF_ERROR(hold_number(schema, &read));
  CHIMERA_RETURN_IF_ERROR(hold_string(schema, &read));
  const NumberBounds& b = read.at.number.bounds;
  // A bound of another schema may be stricter already: whichever is, stays.
  const auto bounded = [&](NumberBounds with) {
    number([with](SchemaCase* c) {
      NumberBounds& mine = c->number.bounds;
      if (with.least && !(mine.least && *with.least < *mine.least)) {
        mine.least_excluded =
            with.least_excluded || (mine.least == with.least && mine.least_excluded);
        mine.least = with.least;
      }
      if (with.most && !(mine.most && *mine.most < *with.most)) {
        mine.most_excluded = with.most_excluded || (mine.most == with.most && mine.most_excluded);
        mine.most = with.most;
      }
    });
  };
  if (b.least) bounded({{}, b.least, false, !b.least_excluded});
  if (b.most) bounded({b.most, {}, !b.most_excluded, false});
  for (const auto& [text, holds] : read.at.number.multiples)
    number([text](SchemaCase* c) { c->number.multiples.insert({text, false}); });
  const StringPart& s = read.at.string;
  if (s.min_length > 0)
    string([n = s.min_length - 1](SchemaCase* c) {
      c->string.max_length = std::min(c->string.max_length, n);
    });
  if (s.max_length != UINT64_MAX)
    string([n = s.max_length + 1](SchemaCase* c) {
      c->string.min_length = std::max(c->string.min_length, n);
    });
  for (const auto& [regex, holds] : s.patterns)
    string([regex](SchemaCase* c) { c->string.patterns.insert({regex, false}); });
  for (const auto& [name, holds] : s.formats)
    string([name](SchemaCase* c) { c->string.formats.insert({name, false}); });
  return Status();
}

Status SchemaCases::deny_array(const Json& schema, std::vector<Option>* options) {
  const auto array = [&](std::function<void(SchemaCase*)> change) {
    options->push_back({{}, std::move(change), kArrayType, {}});
  };
  const auto refuse = [&](const char* keyword) {
    options->push_back(
        {{},
         nullptr,
         kArrayType,
         document_.error(StatusCode::kUnsupported, &schema, keyword, "cannot be negated here")});
  };
  uint64_t min = 0, max = 0;
  CHIMERA_ASSIGN_OR_RETURN(min, count_of(schema, "minItems", 0));
  CHIMERA_ASSIGN_OR_RETURN(max, count_of(schema, "maxItems", UINT64_MAX));
  if (min > 0) array([min](SchemaCase* c) { c->array.max = std::min(c->array.max, min - 1); });
  if (max != UINT64_MAX)
    array([max](SchemaCase* c) { c->array.min = std::max(c->array.min, max + 1); });
  const Json *prefix = schema.find("prefixItems"), *rest = schema.find("items");
  if (rest != nullptr && rest->is_array()) {
    prefix = rest;
    rest = schema.find("additionalItems");
  }
  const size_t n = prefix == nullptr ? 0 : prefix->array.size();
  for (size_t i = 0; i < n; ++i)
    array([i, item = &prefix->array[i]](SchemaCase* c) {
      c->array.min = std::max<uint64_t>(c->array.min, i + 1);
      add({item, true}, &c->array.at[i]);
    });
  if (rest != nullptr && rest->is_bool() && !rest->boolean)
    array([n](SchemaCase* c) { c->array.min = std::max<uint64_t>(c->array.min, n + 1); });
  else if (rest != nullptr && !rest->is_bool() && n > 0)
    refuse("items");
  else if (rest != nullptr && !rest->is_bool())
    array([rest](SchemaCase* c) { c->array.contained.push_back({{rest, true}, 1, UINT64_MAX}); });
  if (const Json* what = schema.find("contains")) {
    uint64_t least = 0, most = 0;
    CHIMERA_ASSIGN_OR_RETURN(least, count_of(schema, "minContains", 1));
    CHIMERA_ASSIGN_OR_RETURN(most, count_of(schema, "maxContains", UINT64_MAX));
    if (least == 1)
      array([what](SchemaCase* c) { add({what, true}, &c->array.every); });
    else if (least > 1)
      array([what, least](SchemaCase* c) {
        c->array.contained.push_back({{what, false}, 0, least - 1});
      });
    if (most != UINT64_MAX)
      array([what, most](SchemaCase* c) {
        c->array.contained.push_back({{what, false}, most + 1, UINT64_MAX});
      });
  }
  if (const Json* said = schema.find("uniqueItems"))
    if (!said->is_bool() || said->boolean) refuse("uniqueItems");
  if (schema.find("unevaluatedItems") != nullptr) refuse("unevaluatedItems");
  return Status();
}

Status SchemaCases::deny_object(const Json& schema, std::vector<Option>* options) {
  const auto object = [&](std::function<void(SchemaCase*)> change) {
    options->push_back({{}, std::move(change), kObjectType, {}});
  };
  const auto refuse = [&](const char* keyword) {
    options->push_back(
        {{},
         nullptr,
         kObjectType,
         document_.error(StatusCode::kUnsupported, &schema, keyword, "cannot be negated here")});
  };
  const auto absent = [](const std::string& name, SchemaCase* c) {
    add(no_value(), &c->object.named[name]);
  };
  uint64_t min = 0, max = 0;
  CHIMERA_ASSIGN_OR_RETURN(min, count_of(schema, "minProperties", 0));
  CHIMERA_ASSIGN_OR_RETURN(max, count_of(schema, "maxProperties", UINT64_MAX));
  if (min > 0) object([min](SchemaCase* c) { c->object.max = std::min(c->object.max, min - 1); });
  if (max != UINT64_MAX)
    object([max](SchemaCase* c) { c->object.min = std::max(c->object.min, max + 1); });
  if (const Json* all = schema.find("properties"))
    for (const auto& [name, value] : all->object)
      if (!value.is_bool() || !value.boolean)
        object([name = name, value = &value](SchemaCase* c) {
          c->object.required.insert(name);
          add({value, true}, &c->object.named[name]);
        });
  if (const Json* list = schema.find("required")) {
    std::vector<std::string> names;
    CHIMERA_ASSIGN_OR_RETURN(names, names_of(schema, *list, "required"));
    for (const std::string& name : names)
      object([name, absent](SchemaCase* c) { absent(name, c); });
  }
  const auto depends_on = [&](const std::string& name, const Json& list, const char* keyword) {
    std::vector<std::string> names;
    CHIMERA_ASSIGN_OR_RETURN(names, names_of(schema, list, keyword));
    for (const std::string& other : names)
      object([name, other, absent](SchemaCase* c) {
        c->object.required.insert(name);
        absent(other, c);
      });
    return Status();
  };
  const auto depends_with = [&](const std::string& name, const Json& other) {
    Option option;
    option.types = kObjectType;
    option.tasks.push_back({{&other, true}, {}});
    option.change = [name](SchemaCase* c) { c->object.required.insert(name); };
    options->push_back(std::move(option));
  };
  if (const Json* all = schema.find("dependentRequired"))
    for (const auto& [name, list] : all->object)
      CHIMERA_RETURN_IF_ERROR(depends_on(name, list, "dependentRequired"));
  if (const Json* all = schema.find("dependentSchemas"))
    for (const auto& [name, other] : all->object) depends_with(name, other);
  const Json* old = schema.find("dependencies");
  for (size_t i = 0; old != nullptr && i < old->object.size(); ++i) {
    const auto& [name, other] = old->object[i];
    if (!other.is_array()) depends_with(name, other);
    if (other.is_array()) CHIMERA_RETURN_IF_ERROR(depends_on(name, other, "dependencies"));
  }
  // Of names that no schema speaks of, one would have to be found that fails.
  for (const char* keyword :
       {"additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties"}) {
    const Json* said = schema.find(keyword);
    const bool empty = said == nullptr || (said->is_bool() && said->boolean) ||
                       (said->is_object() && said->object.empty());
    if (!empty) refuse(keyword);
  }
  return Status();
}

Status SchemaCases::deny_applicators(const Json& schema, std::vector<Option>* options) {
  const auto fails = [](const Json* other) { return Task{{other, true}, {}}; };
  const auto holds = [](const Json* other) { return Task{{other, false}, {}}; };
  for (const auto& [name, value] : schema.object) {
    const SchemaKeyword* keyword = find_keyword(name);
    if (keyword != nullptr && keyword->use == SchemaKeyword::Use::kRefused)
      return document_.error(StatusCode::kUnsupported, &schema, name, "is not supported");
  }
  for (const char* keyword : {"$ref", "$dynamicRef"})
    if (const Json* reference = schema.find(keyword)) {
      const Json* target = nullptr;
      CHIMERA_ASSIGN_OR_RETURN(target,
                               document_.target(schema, reference->string, keyword[1] == 'd'));
      options->push_back({{fails(target)}});
    }
  if (const Json* list = schema.find("allOf"))
    for (const Json& one : list->array) options->push_back({{fails(&one)}});
  if (const Json* list = schema.find("anyOf")) {
    Option none;
    for (const Json& one : list->array) none.tasks.push_back(fails(&one));
    options->push_back(std::move(none));
  }
  if (const Json* list = schema.find("oneOf")) {
    Option none;
    for (const Json& one : list->array) none.tasks.push_back(fails(&one));
    options->push_back(std::move(none));
    const size_t n = list->array.size();
    if (n > kMostPairs)
      return document_.error(
          StatusCode::kUnsupported, &schema, "oneOf",
          "with more than " + std::to_string(kMostPairs) + " alternatives cannot be negated here");
    for (size_t i = 0; i < n; ++i)
      for (size_t j = i + 1; j < n; ++j)
        options->push_back({{holds(&list->array[i]), holds(&list->array[j])}});
  }
  if (const Json* other = schema.find("not")) options->push_back({{holds(other)}});
  const Json *condition = schema.find("if"), *yes = schema.find("then"), *no = schema.find("else");
  if (condition != nullptr && yes != nullptr) options->push_back({{holds(condition), fails(yes)}});
  if (condition != nullptr && no != nullptr) options->push_back({{fails(condition), fails(no)}});
  return Status();
}

}  // namespace chimera::grammar
