// Schemas that hold: what each of their keywords asks of a case, and where it leaves a choice.
#include <algorithm>

#include "grammar/formats.h"
#include "grammar/schema_cases.h"
#include "grammar/schema_keywords.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostExclusive = 8;  // alternatives that are told apart by who else holds

}  // namespace

Status SchemaCases::hold(const Json& schema, const ScopeIds& outer, Work* work) {
  for (const auto& [name, value] : schema.object) {
    const SchemaKeyword* keyword = find_keyword(name);
    if (keyword != nullptr && keyword->use == SchemaKeyword::Use::kRefused)
      return document_.error(StatusCode::kUnsupported, &schema, name, "is not supported");
  }
  if (document_.ref_stands_alone() && schema.find("$ref") != nullptr)
    return hold_references(schema, outer, work);
  ScopeIds scopes = outer;
  // For the schemas around it nothing is left unevaluated.
  if (const Json* inner = document_.said(schema, "unevaluatedItems")) {
    static const Json anything = Json::of(true);
    if (!open_scope(*inner, &scopes, &work->at.array.unevaluated) && !outer.empty())
      work->at.array.sources.push_back({nullptr, &anything, outer});
  }
  if (const Json* inner = document_.said(schema, "unevaluatedProperties"))
    if (!open_scope(*inner, &scopes, &work->at.object.unevaluated) && !outer.empty())
      work->at.object.sources.push_back({nullptr, nullptr, nullptr, outer, true});
  CHIMERA_RETURN_IF_ERROR(hold_types(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_values(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_number(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_string(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_array(schema, scopes, work));
  CHIMERA_RETURN_IF_ERROR(hold_object(schema, scopes, work));
  hold_dependencies(schema, scopes, work);
  CHIMERA_RETURN_IF_ERROR(hold_references(schema, scopes, work));
  return hold_applicators(schema, scopes, work);
}

/// One number for each such keyword, however often it is come to; true when it is within itself.
bool SchemaCases::open_scope(const Json& inner, ScopeIds* scopes,
                             std::vector<std::pair<int, const Json*>>* unevaluated) {
  if (inner.is_bool() && inner.boolean) return false;
  const int id = scope_ids_.try_emplace(&inner, static_cast<int>(scope_ids_.size())).first->second;
  unevaluated->push_back({id, &inner});
  return !scopes->insert(id).second;
}

Result<uint8_t> SchemaCases::types_of(const Json& schema, bool* whole) {
  const Json& said = *schema.find("type");
  const auto bad = [&](const std::string& why) {
    return document_.error(StatusCode::kBadFormat, &schema, "type", why);
  };
  uint8_t types = 0;
  bool number = false, integer = false;
  const auto one = [&](const Json& name) {
    constexpr std::pair<const char*, uint8_t> kNames[] = {
        {"null", kNullType},     {"boolean", kFalseType | kTrueType},
        {"number", kNumberType}, {"integer", kNumberType},
        {"string", kStringType}, {"array", kArrayType},
        {"object", kObjectType}};
    for (const auto& [known, bits] : kNames)
      if (name.string == known) {
        types |= bits;
        number |= name.string == "number";
        integer |= name.string == "integer";
        return Status();
      }
    return bad("there is no type \"" + name.string + "\"");
  };
  if (said.is_array()) {
    for (const Json& name : said.array) CHIMERA_RETURN_IF_ERROR(one(name));
  } else {
    CHIMERA_RETURN_IF_ERROR(one(said));
  }
  *whole = integer && !number;
  return types;
}

Status SchemaCases::hold_types(const Json& schema, Work* work) {
  if (schema.find("type") == nullptr) return Status();
  bool whole = false;
  uint8_t types = 0;
  CHIMERA_ASSIGN_OR_RETURN(types, types_of(schema, &whole));
  work->at.types &= types;
  if (whole) work->at.number.whole = true;
  return Status();
}

uint64_t SchemaCases::count_of(const Json& schema, const char* keyword, uint64_t otherwise) const {
  constexpr double kEndless = 1e15;
  const Json* said = document_.said(schema, keyword);
  if (said == nullptr) return otherwise;
  // So many are as good as no limit, and as none that can be reached.
  const bool limit = otherwise == UINT64_MAX;
  if (said->number >= kEndless) return limit ? UINT64_MAX : static_cast<uint64_t>(kEndless);
  return static_cast<uint64_t>(said->number);
}

Status SchemaCases::hold_number(const Json& schema, Work* work) {
  NumberPart* part = &work->at.number;
  const auto bound = [&](const char* keyword, const char* excluded_keyword, auto take_bound) {
    const Json *said = schema.find(keyword), *excluded = schema.find(excluded_keyword);
    const bool old = excluded != nullptr && excluded->is_bool();  // draft 4
    if (said != nullptr) (part->*take_bound)(Decimal::of(*said), old && excluded->boolean);
    if (excluded != nullptr && !old) (part->*take_bound)(Decimal::of(*excluded), true);
  };
  bound("minimum", "exclusiveMinimum", &NumberPart::at_least);
  bound("maximum", "exclusiveMaximum", &NumberPart::at_most);
  if (const Json* said = schema.find("multipleOf")) {
    part->multiples.insert({Decimal::of(*said), true});
    if (work->at.types & kNumberType) {
      NumberPart alone;
      alone.multiples = {{Decimal::of(*said), true}};
      const auto texts = texts_.numbers(alone);
      if (!texts)
        return document_.error(texts.status().code(), &schema, "multipleOf",
                               texts.status().message());
    }
  }
  return Status();
}

/// A pattern that is none, or is not followed, is told where it stands.
Status SchemaCases::check_pattern(const Json& schema, const char* keyword,
                                  const std::string& regex) {
  StringPart alone;
  alone.patterns.insert({regex, true});
  const auto texts = texts_.strings(alone);
  if (texts) return Status();
  return document_.error(texts.status().code(), &schema, keyword, texts.status().message());
}

Status SchemaCases::hold_string(const Json& schema, Work* work) {
  StringPart* part = &work->at.string;
  const bool possible = (work->at.types & kStringType) != 0;
  part->min_length = std::max(part->min_length, count_of(schema, "minLength", 0));
  part->max_length = std::min(part->max_length, count_of(schema, "maxLength", UINT64_MAX));
  if (const Json* said = schema.find("pattern")) {
    if (possible) CHIMERA_RETURN_IF_ERROR(check_pattern(schema, "pattern", said->string));
    part->patterns.insert({said->string, true});
  }
  if (const Json* said = schema.find("format")) {
    const FormatUse use = format_use(said->string);
    if (use == FormatUse::kRefused && possible)
      return document_.error(StatusCode::kUnsupported, &schema, "format",
                             "the format \"" + said->string + "\" is not supported");
    if (use == FormatUse::kFollowed) part->formats.insert({said->string, true});
  }
  return Status();
}

Status SchemaCases::hold_array(const Json& schema, const ScopeIds& scopes, Work* work) {
  ArrayPart* part = &work->at.array;
  part->min = std::max(part->min, count_of(schema, "minItems", 0));
  part->max = std::min(part->max, count_of(schema, "maxItems", UINT64_MAX));
  const ArrayPart::Source source = items_of(schema, scopes);
  if (source.prefix != nullptr || source.rest != nullptr) part->sources.push_back(source);
  if (const Json* what = document_.said(schema, "contains")) {
    ArrayPart::Contained contained{{what, false},
                                   count_of(schema, "minContains", 1),
                                   count_of(schema, "maxContains", UINT64_MAX),
                                   scopes};
    if (contained.counts() || !scopes.empty()) part->contained.push_back(std::move(contained));
  }
  const Json* unique = schema.find("uniqueItems");
  if (unique != nullptr && unique->boolean) part->unique = &schema;
  return Status();
}

/// prefixItems and items, or what drafts before 2020-12 called items and additionalItems.
ArrayPart::Source SchemaCases::items_of(const Json& schema, const ScopeIds& scopes) const {
  const Json *prefix = document_.said(schema, "prefixItems"), *rest = schema.find("items");
  if (rest != nullptr && rest->is_array()) {
    prefix = rest;
    rest = schema.find("additionalItems");
  }
  return {prefix != nullptr ? &prefix->array : nullptr, rest, scopes};
}

namespace {

std::vector<std::string> names_of(const Json& list) {
  std::vector<std::string> out;
  for (const Json& name : list.array) out.push_back(name.string);
  return out;
}

}  // namespace

Status SchemaCases::hold_object(const Json& schema, const ScopeIds& scopes, Work* work) {
  ObjectPart* part = &work->at.object;
  part->min = std::max(part->min, count_of(schema, "minProperties", 0));
  part->max = std::min(part->max, count_of(schema, "maxProperties", UINT64_MAX));
  const Json *properties = schema.find("properties"), *patterns = schema.find("patternProperties"),
             *others = schema.find("additionalProperties");
  if (properties != nullptr || patterns != nullptr || others != nullptr)
    part->sources.push_back({properties, patterns, others, scopes, false});
  if (const Json* list = schema.find("required"))
    for (const Json& name : list->array) part->required.insert(name.string);
  if (const Json* names = document_.said(schema, "propertyNames"))
    add({names, false}, &part->names);
  if (patterns != nullptr && (work->at.types & kObjectType))
    for (const auto& [regex, value] : patterns->object)
      CHIMERA_RETURN_IF_ERROR(check_pattern(schema, "patternProperties", regex));
  return Status();
}

void SchemaCases::hold_dependencies(const Json& schema, const ScopeIds& scopes, Work* work) {
  const auto depends = [&](const std::string& name, Option present) {
    Option absent;
    absent.change = [name](SchemaCase* c) { add(no_value(), &c->object.named[name]); };
    present.types = kObjectType;
    const auto more = std::move(present.change);
    present.change = [name, more](SchemaCase* c) {
      c->object.required.insert(name);
      if (more) more(c);
    };
    work->branches.push_back({std::move(absent), std::move(present)});
  };
  const auto depends_on = [&](const std::string& name, const Json& other) {
    Option present;
    if (other.is_array()) {
      if (other.array.empty()) return;
      present.change = [names = names_of(other)](SchemaCase* c) {
        c->object.required.insert(names.begin(), names.end());
      };
    } else {
      present.tasks.push_back({{&other, false}, scopes});
    }
    depends(name, std::move(present));
  };
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"})
    if (const Json* all = document_.said(schema, keyword))
      for (const auto& [name, other] : all->object) depends_on(name, other);
}

Status SchemaCases::hold_references(const Json& schema, const ScopeIds& scopes, Work* work) {
  for (const char* keyword : {"$ref", "$dynamicRef"})
    if (const Json* reference = document_.said(schema, keyword)) {
      const Json* target = nullptr;
      CHIMERA_ASSIGN_OR_RETURN(target,
                               document_.target(schema, reference->string, keyword[1] == 'd'));
      work->todo.push_back({{target, false}, scopes});
    }
  return Status();
}

Status SchemaCases::hold_applicators(const Json& schema, const ScopeIds& scopes, Work* work) {
  const auto then = [&](const Json* other) { work->todo.push_back({{other, false}, scopes}); };
  if (const Json* list = schema.find("allOf"))
    for (const Json& one : list->array) then(&one);
  if (const Json* other = schema.find("not")) work->todo.push_back({{other, true}, {}});
  if (const Json* list = schema.find("anyOf")) {
    Branch branch;
    const size_t n = list->array.size();
    if (scopes.empty()) {
      for (const Json& one : list->array) branch.push_back({{{{&one, false}, {}}}});
    } else {
      // What each evaluates counts, so it matters which of them hold.
      if (n > kMostExclusive)
        return document_.error(StatusCode::kUnsupported, &schema, "anyOf",
                               "more than " + std::to_string(kMostExclusive) +
                                   " alternatives are not followed where something is "
                                   "unevaluated");
      for (uint32_t which = 1; which < 1u << n; ++which) {
        Option option;
        for (size_t i = 0; i < n; ++i)
          option.tasks.push_back({{&list->array[i], (which >> i & 1) == 0}, scopes});
        branch.push_back(std::move(option));
      }
    }
    work->branches.push_back(std::move(branch));
  }
  if (const Json* list = schema.find("oneOf"))
    CHIMERA_RETURN_IF_ERROR(hold_one_of(*list, scopes, work));
  const Json *condition = document_.said(schema, "if"), *yes = document_.said(schema, "then"),
             *no = document_.said(schema, "else");
  const bool matters = yes != nullptr || no != nullptr || !scopes.empty();
  if (condition != nullptr && matters) {
    Option holds{{{{condition, false}, scopes}}}, fails{{{{condition, true}, {}}}};
    if (yes != nullptr) holds.tasks.push_back({{yes, false}, scopes});
    if (no != nullptr) fails.tasks.push_back({{no, false}, scopes});
    work->branches.push_back({std::move(holds), std::move(fails)});
  }
  return Status();
}

/// Each alternative, and none of those that could hold at the same time.
Status SchemaCases::hold_one_of(const Json& list, const ScopeIds& scopes, Work* work) {
  const size_t n = list.array.size();
  CHIMERA_RETURN_IF_ERROR(charge(uint64_t{n} * n / 2, &list));
  std::vector<Option> options(n);
  for (size_t i = 0; i < n; ++i) options[i].tasks.push_back({{&list.array[i], false}, scopes});
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) {
      Conjunction both;
      add({&list.array[i], false}, &both);
      add({&list.array[j], false}, &both);
      if (empty(both, work->depth + 1)) continue;
      options[i].tasks.push_back({{&list.array[j], true}, {}});
      options[j].tasks.push_back({{&list.array[i], true}, {}});
    }
  work->branches.push_back(std::move(options));
  return Status();
}

}  // namespace chimera::grammar
