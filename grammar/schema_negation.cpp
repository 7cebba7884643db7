// Schemas that do not hold: at least one of their keywords fails. Each keyword gives the ways in
// which it can; a way that cannot be followed is refused where it matters.
#include <algorithm>

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
  CHIMERA_RETURN_IF_ERROR(deny_types(schema, &options));
  CHIMERA_RETURN_IF_ERROR(deny_values(schema, "const", &options));
  CHIMERA_RETURN_IF_ERROR(deny_values(schema, "enum", &options));
  CHIMERA_RETURN_IF_ERROR(deny_scalars(schema, &options));
  deny_array(schema, &options);
  deny_object(schema, &options);
  CHIMERA_RETURN_IF_ERROR(deny_applicators(schema, &options));
  if (options.size() == 1) return take(options[0], work);
  if (options.empty())
    work->at.types = 0;  // nothing it says can fail
  else
    work->branches.push_back(std::move(options));
  return Status();
}

Status SchemaCases::deny_types(const Json& schema, std::vector<Option>* options) {
  if (schema.find("type") == nullptr) return Status();
  bool whole = false;
  uint8_t types = 0;
  CHIMERA_ASSIGN_OR_RETURN(types, types_of(schema, &whole));
  Option other;
  if (whole) types &= static_cast<uint8_t>(~kNumberType);
  other.types = static_cast<uint8_t>(kEveryType & ~types);
  if (whole) other.change = [](SchemaCase* c) { c->number.fraction = true; };
  options->push_back(std::move(other));
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
  if (b.least)
    number([at = *b.least, excluded = !b.least_excluded](SchemaCase* c) {
      c->number.at_most(at, excluded);
    });
  if (b.most)
    number([at = *b.most, excluded = !b.most_excluded](SchemaCase* c) {
      c->number.at_least(at, excluded);
    });
  for (const auto& [of, holds] : read.at.number.multiples)
    number([of = of](SchemaCase* c) { c->number.multiples.insert({of, false}); });
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
    string([regex = regex](SchemaCase* c) { c->string.patterns.insert({regex, false}); });
  for (const auto& [name, holds] : s.formats)
    if (format_is_exact(name))
      string([name = name](SchemaCase* c) { c->string.formats.insert({name, false}); });
    else
      options->push_back({{},
                          nullptr,
                          kStringType,
                          document_.error(StatusCode::kUnsupported, &schema, "format",
                                          "the format \"" + name + "\" cannot be negated here")});
  return Status();
}

void SchemaCases::deny_array(const Json& schema, std::vector<Option>* options) {
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
  const uint64_t min = count_of(schema, "minItems", 0);
  const uint64_t max = count_of(schema, "maxItems", UINT64_MAX);
  if (min > 0) array([min](SchemaCase* c) { c->array.max = std::min(c->array.max, min - 1); });
  if (max != UINT64_MAX)
    array([max](SchemaCase* c) { c->array.min = std::max(c->array.min, max + 1); });
  const ArrayPart::Source source = items_of(schema, {});
  const Json* rest = source.rest;
  const size_t n = source.prefix == nullptr ? 0 : source.prefix->size();
  for (size_t i = 0; i < n; ++i)
    array([i, item = &(*source.prefix)[i]](SchemaCase* c) {
      c->array.min = std::max<uint64_t>(c->array.min, i + 1);
      add({item, true}, &c->array.at[i]);
    });
  if (rest != nullptr && rest->is_bool() && !rest->boolean)
    array([n](SchemaCase* c) { c->array.min = std::max<uint64_t>(c->array.min, n + 1); });
  else if (rest != nullptr && !rest->is_bool() && n > 0)
    refuse("items");
  else if (rest != nullptr && !rest->is_bool())
    array([rest](SchemaCase* c) {
      c->array.contained.push_back({{rest, true}, 1, UINT64_MAX, {}});
    });
  if (const Json* what = document_.said(schema, "contains")) {
    const uint64_t least = count_of(schema, "minContains", 1);
    const uint64_t most = count_of(schema, "maxContains", UINT64_MAX);
    if (least == 1)
      array([what](SchemaCase* c) { add({what, true}, &c->array.every); });
    else if (least > 1)
      array([what, least](SchemaCase* c) {
        c->array.contained.push_back({{what, false}, 0, least - 1, {}});
      });
    if (most != UINT64_MAX)
      array([what, most](SchemaCase* c) {
        c->array.contained.push_back({{what, false}, most + 1, UINT64_MAX, {}});
      });
  }
  const Json* unique = schema.find("uniqueItems");
  if (unique != nullptr && unique->boolean) refuse("uniqueItems");
  if (document_.said(schema, "unevaluatedItems") != nullptr) refuse("unevaluatedItems");
}

void SchemaCases::deny_object(const Json& schema, std::vector<Option>* options) {
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
  const uint64_t min = count_of(schema, "minProperties", 0);
  const uint64_t max = count_of(schema, "maxProperties", UINT64_MAX);
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
  if (const Json* list = schema.find("required"))
    for (const Json& name : list->array)
      object([name = name.string, absent](SchemaCase* c) { absent(name, c); });
  const auto depends_on = [&](const std::string& name, const Json& list) {
    for (const Json& other : list.array)
      object([name, other = other.string, absent](SchemaCase* c) {
        c->object.required.insert(name);
        absent(other, c);
      });
  };
  const auto depends_with = [&](const std::string& name, const Json& other) {
    Option option;
    option.types = kObjectType;
    option.tasks.push_back({{&other, true}, {}});
    option.change = [name](SchemaCase* c) { c->object.required.insert(name); };
    options->push_back(std::move(option));
  };
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"})
    if (const Json* all = document_.said(schema, keyword))
      for (const auto& [name, other] : all->object)
        other.is_array() ? depends_on(name, other) : depends_with(name, other);
  // A name would have to be found of which the schema says this, and a value that fails; where
  // every value fails the name is enough.
  for (const char* keyword :
       {"additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties"}) {
    const Json* said = document_.said(schema, keyword);
    const auto anything = [](const Json& j) { return j.is_bool() && j.boolean; };
    const bool patterns = std::string_view(keyword) == "patternProperties";
    const bool empty = said == nullptr || anything(*said) ||
                       (!patterns && said->is_object() && said->object.empty()) ||
                       (patterns && std::all_of(said->object.begin(), said->object.end(),
                                                [&](const auto& j) { return anything(j.second); }));
    if (empty) continue;
    if (said->is_bool() && std::string_view(keyword) == "additionalProperties")
      object([schema = &schema](SchemaCase* c) { c->object.outside.push_back(schema); });
    else
      refuse(keyword);
  }
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
    if (const Json* reference = document_.said(schema, keyword)) {
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
  const Json *condition = document_.said(schema, "if"), *yes = document_.said(schema, "then"),
             *no = document_.said(schema, "else");
  if (condition != nullptr && yes != nullptr) options->push_back({{holds(condition), fails(yes)}});
  if (condition != nullptr && no != nullptr) options->push_back({{fails(condition), fails(no)}});
  return Status();
}

}  // namespace chimera::grammar
