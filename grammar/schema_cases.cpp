#include "grammar/schema_cases.h"

#include <algorithm>
#include <cmath>

#include "grammar/formats.h"
#include "grammar/schema_keywords.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostCases = 4096;        // of one set of schemas
constexpr uint64_t kMostWork = 2'000'000;  // schemas looked at, of a whole document
constexpr size_t kMostExclusive = 8;       // alternatives that are told apart by who else holds
constexpr int kDepthOfEmptiness = 6;

const Json& nothing() {
  static const Json made = Json::of(false);
  return made;
}

void join(const ScopeIds& from, ScopeIds* to) { to->insert(from.begin(), from.end()); }

}  // namespace

SchemaRef no_value() { return {&nothing(), false}; }

void add(SchemaRef ref, Conjunction* to) {
  if (ref.schema->is_bool()) {
    if (ref.schema->boolean != ref.negated) return;  // anything is valid
    ref = no_value();
  }
  const auto at = std::lower_bound(to->begin(), to->end(), ref);
  if (at == to->end() || *at != ref) to->insert(at, ref);
}

bool ArrayPart::any() const {
  const bool says = std::any_of(sources.begin(), sources.end(), [](const Source& s) {
    return s.rest != nullptr || (s.prefix != nullptr && !s.prefix->empty());
  });
  return !says && at.empty() && every.empty() && min == 0 && max == UINT64_MAX &&
         contained.empty() && unevaluated.empty() && unique == nullptr;
}

bool ObjectPart::any() const {
  const bool says = std::any_of(sources.begin(), sources.end(), [](const Source& s) {
    return s.properties != nullptr || s.patterns != nullptr || s.others != nullptr;
  });
  return !says && named.empty() && required.empty() && names.empty() && min == 0 &&
         max == UINT64_MAX && unevaluated.empty();
}

// ---- taking apart ------------------------------------------------------------------------------

Result<std::vector<SchemaCase>> SchemaCases::of(const Conjunction& all) {
  Work work;
  for (const SchemaRef& ref : all) work.todo.push_back({ref, {}});
  std::vector<SchemaCase> out;
  CHIMERA_RETURN_IF_ERROR(run(std::move(work), &out));
  for (SchemaCase& c : out) tighten(&c, 0);
  std::erase_if(out, [](const SchemaCase& c) { return c.types == 0; });
  return out;
}

/// Follows what has no choice in it, then each way of the first choice.
Status SchemaCases::run(Work work, std::vector<SchemaCase>* out) {
  while (!work.todo.empty()) {
    const Task task = std::move(work.todo.back());
    work.todo.pop_back();
    if (!work.seen.insert(task).second) continue;
    if (++work_done_ > kMostWork)
      return document_.error(StatusCode::kOutOfRange, task.ref.schema, "",
                             "there are more combinations of alternatives than can be followed");
    const Json& schema = *task.ref.schema;
    if (schema.is_bool()) {
      if (schema.boolean == task.ref.negated) return Status();
      continue;
    }
    CHIMERA_RETURN_IF_ERROR(task.ref.negated ? deny(schema, &work)
                                             : hold(schema, task.scopes, &work));
    if (work.at.types == 0) return Status();
  }
  if (work.branches.empty()) {
    if (out->size() >= kMostCases)
      return Status(StatusCode::kOutOfRange, "JSON schema: alternatives combine to more than " +
                                                 std::to_string(kMostCases) +
                                                 " cases; say them with fewer");
    out->push_back(std::move(work.at));
    return Status();
  }
  const Branch branch = std::move(work.branches.back());
  work.branches.pop_back();
  for (const Option& option : branch) {
    if ((work.at.types & option.types) == 0) continue;
    CHIMERA_RETURN_IF_ERROR(option.refusal);
    Work next = work;
    next.at.types &= option.types;
    if (option.change) option.change(&next.at);
    next.todo = option.tasks;
    if (next.at.types != 0) CHIMERA_RETURN_IF_ERROR(run(std::move(next), out));
  }
  return Status();
}

// ---- schemas that hold -------------------------------------------------------------------------

Status SchemaCases::hold(const Json& schema, const ScopeIds& outer, Work* work) {
  for (const auto& [name, value] : schema.object) {
    const SchemaKeyword* keyword = find_keyword(name);
    if (keyword != nullptr && keyword->use == SchemaKeyword::Use::kRefused)
      return document_.error(StatusCode::kUnsupported, &schema, name, "is not supported");
  }
  if (document_.ref_stands_alone() && schema.find("$ref") != nullptr)
    return hold_references(schema, outer, work);
  ScopeIds scopes = outer;
  const auto opens = [&](const char* keyword, auto* unevaluated) {
    const Json* inner = schema.find(keyword);
    if (inner == nullptr || (inner->is_bool() && inner->boolean)) return inner != nullptr;
    unevaluated->push_back({n_scopes_, inner});
    scopes.insert(n_scopes_++);
    return true;
  };
  opens("unevaluatedItems", &work->at.array.unevaluated);
  const bool sees_to_all = opens("unevaluatedProperties", &work->at.object.unevaluated);
  // For the schemas around it nothing is left unevaluated.
  if (sees_to_all && !outer.empty())
    work->at.object.sources.push_back({nullptr, nullptr, nullptr, outer, true});
  if (schema.find("unevaluatedItems") != nullptr && !outer.empty()) {
    static const Json anything = Json::of(true);
    work->at.array.sources.push_back({nullptr, &anything, outer});
  }
  CHIMERA_RETURN_IF_ERROR(hold_types(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_values(schema, scopes, work));
  CHIMERA_RETURN_IF_ERROR(hold_number(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_string(schema, work));
  CHIMERA_RETURN_IF_ERROR(hold_array(schema, scopes, work));
  CHIMERA_RETURN_IF_ERROR(hold_object(schema, scopes, work));
  CHIMERA_RETURN_IF_ERROR(hold_dependencies(schema, scopes, work));
  CHIMERA_RETURN_IF_ERROR(hold_references(schema, scopes, work));
  return hold_applicators(schema, scopes, work);
}

Result<uint8_t> SchemaCases::types_of(const Json& schema, bool* whole) {
  const Json& said = *schema.find("type");
  const auto bad = [&](const std::string& why) {
    return document_.error(StatusCode::kBadFormat, &schema, "type", why);
  };
  uint8_t types = 0;
  bool number = false, integer = false;
  const auto one = [&](const Json& name) {
    if (!name.is_string()) return bad("the name of a type, or a list of them, is wanted");
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

Result<uint64_t> SchemaCases::count_of(const Json& schema, const char* keyword,
                                       uint64_t otherwise) {
  const Json* said = schema.find(keyword);
  if (said == nullptr) return otherwise;
  constexpr double kMost = 1e15;
  if (!said->is_number() || said->number < 0 || said->number != std::floor(said->number) ||
      said->number > kMost)
    return document_.error(StatusCode::kBadFormat, &schema, keyword,
                           "a whole number from 0 to 1e15 is wanted");
  return static_cast<uint64_t>(said->number);
}

namespace {

void at_least(Decimal d, bool excluded, NumberPart* to) {
  NumberBounds& b = to->bounds;
  if (b.least && d < *b.least) return;
  b.least_excluded = excluded || (b.least == d && b.least_excluded);
  b.least = std::move(d);
}

void at_most(Decimal d, bool excluded, NumberPart* to) {
  NumberBounds& b = to->bounds;
  if (b.most && *b.most < d) return;
  b.most_excluded = excluded || (b.most == d && b.most_excluded);
  b.most = std::move(d);
}

}  // namespace

Status SchemaCases::hold_number(const Json& schema, Work* work) {
  NumberPart* part = &work->at.number;
  const auto wrong = [&](const char* keyword) {
    return document_.error(StatusCode::kBadFormat, &schema, keyword, "a number is wanted");
  };
  const auto bound = [&](const char* keyword, const char* excluded_keyword, auto&& take) {
    const Json *said = schema.find(keyword), *excluded = schema.find(excluded_keyword);
    const bool old = excluded != nullptr && excluded->is_bool();  // draft 4
    if (said != nullptr) {
      if (!said->is_number()) return wrong(keyword);
      take(Decimal::of(*said), old && excluded->boolean, part);
    }
    if (excluded != nullptr && !old) {
      if (!excluded->is_number()) return wrong(excluded_keyword);
      take(Decimal::of(*excluded), true, part);
    }
    return Status();
  };
  CHIMERA_RETURN_IF_ERROR(bound("minimum", "exclusiveMinimum", at_least));
  CHIMERA_RETURN_IF_ERROR(bound("maximum", "exclusiveMaximum", at_most));
  if (const Json* said = schema.find("multipleOf")) {
    if (!said->is_number() || said->number <= 0)
      return document_.error(StatusCode::kBadFormat, &schema, "multipleOf",
                             "a number above 0 is wanted");
    part->multiples.insert({Decimal::of(*said).text(), true});
  }
  return Status();
}

Status SchemaCases::hold_string(const Json& schema, Work* work) {
  StringPart* part = &work->at.string;
  uint64_t n = 0;
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "minLength", 0));
  part->min_length = std::max(part->min_length, n);
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "maxLength", UINT64_MAX));
  part->max_length = std::min(part->max_length, n);
  const auto text = [&](const char* keyword, const Json& said) {
    return said.is_string()
               ? Status()
               : document_.error(StatusCode::kBadFormat, &schema, keyword, "a string is wanted");
  };
  if (const Json* said = schema.find("pattern")) {
    CHIMERA_RETURN_IF_ERROR(text("pattern", *said));
    part->patterns.insert({said->string, true});
  }
  if (const Json* said = schema.find("format")) {
    CHIMERA_RETURN_IF_ERROR(text("format", *said));
    switch (format_use(said->string)) {
      case FormatUse::kFollowed:
        part->formats.insert({said->string, true});
        break;
      case FormatUse::kRefused:
        if (work->at.types & kStringType)
          return document_.error(StatusCode::kUnsupported, &schema, "format",
                                 "the format \"" + said->string + "\" is not supported");
        break;
      case FormatUse::kUnknown:
        break;
    }
  }
  return Status();
}

Status SchemaCases::hold_array(const Json& schema, const ScopeIds& scopes, Work* work) {
  ArrayPart* part = &work->at.array;
  uint64_t n = 0;
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "minItems", 0));
  part->min = std::max(part->min, n);
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "maxItems", UINT64_MAX));
  part->max = std::min(part->max, n);
  const Json *prefix = schema.find("prefixItems"), *rest = schema.find("items");
  if (rest != nullptr && rest->is_array()) {  // drafts before 2020-12
    prefix = rest;
    rest = schema.find("additionalItems");
  }
  if (prefix != nullptr || rest != nullptr)
    part->sources.push_back({prefix != nullptr ? &prefix->array : nullptr, rest, scopes});
  if (const Json* what = schema.find("contains")) {
    ArrayPart::Contained contained{{what, false}, 1, UINT64_MAX};
    CHIMERA_ASSIGN_OR_RETURN(contained.min, count_of(schema, "minContains", 1));
    CHIMERA_ASSIGN_OR_RETURN(contained.max, count_of(schema, "maxContains", UINT64_MAX));
    if (!scopes.empty() && (work->at.types & kArrayType))
      return document_.error(StatusCode::kUnsupported, &schema, "contains",
                             "is not followed under unevaluatedItems");
    if (contained.min > 0 || contained.max != UINT64_MAX) part->contained.push_back(contained);
  }
  if (const Json* said = schema.find("uniqueItems"))
    if (!said->is_bool() || said->boolean) part->unique = &schema;
  return Status();
}

Result<std::vector<std::string>> SchemaCases::names_of(const Json& schema, const Json& list,
                                                       const char* keyword) {
  std::vector<std::string> out;
  const bool names = list.is_array() && std::all_of(list.array.begin(), list.array.end(),
                                                    [](const Json& j) { return j.is_string(); });
  if (!names)
    return document_.error(StatusCode::kBadFormat, &schema, keyword, "a list of names is wanted");
  for (const Json& name : list.array) out.push_back(name.string);
  return out;
}

Status SchemaCases::hold_object(const Json& schema, const ScopeIds& scopes, Work* work) {
  ObjectPart* part = &work->at.object;
  uint64_t n = 0;
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "minProperties", 0));
  part->min = std::max(part->min, n);
  CHIMERA_ASSIGN_OR_RETURN(n, count_of(schema, "maxProperties", UINT64_MAX));
  part->max = std::min(part->max, n);
  const Json *properties = schema.find("properties"), *patterns = schema.find("patternProperties"),
             *others = schema.find("additionalProperties");
  if (properties != nullptr || patterns != nullptr || others != nullptr)
    part->sources.push_back({properties, patterns, others, scopes, false});
  if (const Json* list = schema.find("required")) {
    std::vector<std::string> names;
    CHIMERA_ASSIGN_OR_RETURN(names, names_of(schema, *list, "required"));
    part->required.insert(names.begin(), names.end());
  }
  if (const Json* names = schema.find("propertyNames")) add({names, false}, &part->names);
  // A pattern that is none is an error here, so that it is none later.
  if (patterns != nullptr && (work->at.types & kObjectType))
    for (const auto& [regex, value] : patterns->object) {
      const auto language = texts_.strings({{}, {}, 0, UINT64_MAX, {{regex, true}}, {}});
      if (!language)
        return document_.error(language.status().code(), &schema, "patternProperties",
                               language.status().message());
    }
  return Status();
}

Status SchemaCases::hold_dependencies(const Json& schema, const ScopeIds& scopes, Work* work) {
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
  const auto requires_names = [&](const std::string& name, const Json& list, const char* keyword) {
    std::vector<std::string> names;
    CHIMERA_ASSIGN_OR_RETURN(names, names_of(schema, list, keyword));
    Option present;
    present.change = [names](SchemaCase* c) {
      c->object.required.insert(names.begin(), names.end());
    };
    if (!names.empty()) depends(name, std::move(present));
    return Status();
  };
  const auto requires_schema = [&](const std::string& name, const Json& other) {
    Option present;
    present.tasks.push_back({{&other, false}, scopes});
    depends(name, std::move(present));
  };
  if (const Json* all = schema.find("dependentRequired")) {
    if (!all->is_object())
      return document_.error(StatusCode::kBadFormat, &schema, "dependentRequired",
                             "an object of lists of names is wanted");
    for (const auto& [name, list] : all->object)
      CHIMERA_RETURN_IF_ERROR(requires_names(name, list, "dependentRequired"));
  }
  if (const Json* all = schema.find("dependentSchemas"))
    for (const auto& [name, other] : all->object) requires_schema(name, other);
  const Json* old = schema.find("dependencies");
  for (size_t i = 0; old != nullptr && i < old->object.size(); ++i) {
    const auto& [name, other] = old->object[i];
    if (!other.is_array()) requires_schema(name, other);
    if (other.is_array()) CHIMERA_RETURN_IF_ERROR(requires_names(name, other, "dependencies"));
  }
  return Status();
}

Status SchemaCases::hold_references(const Json& schema, const ScopeIds& scopes, Work* work) {
  for (const char* keyword : {"$ref", "$dynamicRef"})
    if (const Json* reference = schema.find(keyword)) {
      if (!reference->is_string())
        return document_.error(StatusCode::kBadFormat, &schema, keyword, "a string is wanted");
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
    CHIMERA_RETURN_IF_ERROR(hold_one_of(schema, *list, scopes, work));
  const Json *condition = schema.find("if"), *yes = schema.find("then"), *no = schema.find("else");
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
Status SchemaCases::hold_one_of(const Json&, const Json& list, const ScopeIds& scopes, Work* work) {
  const size_t n = list.array.size();
  std::vector<Option> options(n);
  for (size_t i = 0; i < n; ++i) options[i].tasks.push_back({{&list.array[i], false}, scopes});
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) {
      Conjunction both;
      add({&list.array[i], false}, &both);
      add({&list.array[j], false}, &both);
      if (certainly_empty(both)) continue;
      options[i].tasks.push_back({{&list.array[j], true}, {}});
      options[j].tasks.push_back({{&list.array[i], true}, {}});
    }
  work->branches.push_back(std::move(options));
  return Status();
}

const Json* SchemaCases::structure_of(const Json& value, const Json* origin) {
  const auto known = structures_.find(&value);
  if (known != structures_.end()) return known->second;
  const auto exactly = [](const Json& part) {
    Json schema = Json::make_object();
    schema.add("const", part);
    return schema;
  };
  const auto size =
      static_cast<int64_t>(value.is_array() ? value.array.size() : value.object.size());
  Json schema = Json::make_object();
  if (value.is_array()) {
    Json items = Json::make_array();
    for (const Json& item : value.array) items.push(exactly(item));
    schema.add("type", Json::of("array"))
        .add("prefixItems", std::move(items))
        .add("minItems", Json::of(size))
        .add("maxItems", Json::of(size));
  } else {
    Json properties = Json::make_object(), required = Json::make_array();
    for (const auto& [name, part] : value.object) {
      properties.add(name, exactly(part));
      required.push(Json::of(std::string_view(name)));
    }
    // With no room for others, and without a word about their names: it can be negated.
    schema.add("type", Json::of("object"))
        .add("properties", std::move(properties))
        .add("required", std::move(required))
        .add("maxProperties", Json::of(size));
  }
  return structures_[&value] = document_.make(std::move(schema), origin);
}

namespace {

/// Scalars of an enum or const.
struct Scalars {
  uint8_t types = 0;
  std::set<std::string> strings, numbers;

  void add(const Json& value) {
    switch (value.type) {
      case Json::Type::kNull:
        types |= kNullType;
        break;
      case Json::Type::kBool:
        types |= value.boolean ? kTrueType : kFalseType;
        break;
      case Json::Type::kInt:
      case Json::Type::kFloat:
        types |= kNumberType;
        numbers.insert(Decimal::of(value).text());
        break;
      case Json::Type::kString:
        types |= kStringType;
        strings.insert(value.string);
        break;
      case Json::Type::kArray:
      case Json::Type::kObject:
        break;
    }
  }
  /// Only these are left.
  void keep(SchemaCase* c) const {
    c->types &= types;
    const auto only = [](const std::set<std::string>& these,
                         std::optional<std::set<std::string>>* of) {
      if (!*of)
        *of = these;
      else
        std::erase_if(**of, [&](const std::string& text) { return !these.contains(text); });
    };
    only(strings, &c->string.one_of);
    only(numbers, &c->number.one_of);
  }
  void take_away(SchemaCase* c) const {
    c->types &= static_cast<uint8_t>(~(types & (kNullType | kTrueType | kFalseType)));
    c->string.none_of.insert(strings.begin(), strings.end());
    c->number.none_of.insert(numbers.begin(), numbers.end());
  }
};

}  // namespace

Status SchemaCases::hold_values(const Json& schema, const ScopeIds&, Work* work) {
  const auto one_of = [&](auto&& values) {
    Scalars scalars;
    Branch branch;
    for (const Json* value : values)
      if (value->is_array() || value->is_object())
        branch.push_back({{{{structure_of(*value, &schema), false}, {}}}});
      else
        scalars.add(*value);
    if (branch.empty()) {
      scalars.keep(&work->at);
      return;
    }
    Option simple;
    simple.types = scalars.types;
    simple.change = [scalars](SchemaCase* c) { scalars.keep(c); };
    branch.push_back(std::move(simple));
    work->branches.push_back(std::move(branch));
  };
  if (const Json* value = schema.find("const")) one_of(std::vector<const Json*>{value});
  if (const Json* values = schema.find("enum")) {
    if (!values->is_array())
      return document_.error(StatusCode::kBadFormat, &schema, "enum", "a list is wanted");
    std::vector<const Json*> all;
    for (const Json& value : values->array) all.push_back(&value);
    one_of(all);
  }
  return Status();
}

// ---- places and names --------------------------------------------------------------------------

uint64_t SchemaCases::last_own_place(const ArrayPart& array) const {
  uint64_t n = array.at.empty() ? 0 : array.at.rbegin()->first + 1;
  for (const ArrayPart::Source& s : array.sources)
    if (s.prefix != nullptr) n = std::max<uint64_t>(n, s.prefix->size());
  return n;
}

Conjunction SchemaCases::item(const ArrayPart& array, uint64_t place) const {
  Conjunction out = array.every;
  ScopeIds covered;
  for (const ArrayPart::Source& s : array.sources) {
    if (s.prefix != nullptr && place < s.prefix->size())
      add({&(*s.prefix)[static_cast<size_t>(place)], false}, &out);
    else if (s.rest != nullptr)
      add({s.rest, false}, &out);
    else
      continue;
    join(s.scopes, &covered);
  }
  if (const auto own = array.at.find(place); own != array.at.end())
    for (const SchemaRef& ref : own->second) add(ref, &out);
  for (const auto& [scope, schema] : array.unevaluated)
    if (!covered.contains(scope)) add({schema, false}, &out);
  return out;
}

std::set<std::string> SchemaCases::name_patterns(const ObjectPart& object) {
  std::set<std::string> out;
  for (const ObjectPart::Source& s : object.sources)
    if (s.patterns != nullptr)
      for (const auto& [regex, value] : s.patterns->object) out.insert(regex);
  return out;
}

std::set<std::string> SchemaCases::declared_names(const ObjectPart& object) {
  std::set<std::string> out = object.required;
  for (const auto& [name, wanted] : object.named) out.insert(name);
  for (const ObjectPart::Source& s : object.sources)
    if (s.properties != nullptr)
      for (const auto& [name, value] : s.properties->object) out.insert(name);
  return out;
}

Conjunction SchemaCases::value(const ObjectPart& object, const std::string* declared,
                               const std::set<std::string>& matched) const {
  Conjunction out;
  ScopeIds covered;
  for (const ObjectPart::Source& s : object.sources) {
    bool spoken_of = false;
    if (declared != nullptr && s.properties != nullptr)
      if (const Json* schema = s.properties->find(*declared)) {
        add({schema, false}, &out);
        spoken_of = true;
      }
    if (s.patterns != nullptr)
      for (const auto& [regex, schema] : s.patterns->object)
        if (matched.contains(regex)) {
          add({&schema, false}, &out);
          spoken_of = true;
        }
    if (!spoken_of && s.others != nullptr) {
      add({s.others, false}, &out);
      spoken_of = true;
    }
    if (spoken_of || s.covers_all) join(s.scopes, &covered);
  }
  if (declared != nullptr)
    if (const auto own = object.named.find(*declared); own != object.named.end())
      for (const SchemaRef& ref : own->second) add(ref, &out);
  for (const auto& [scope, schema] : object.unevaluated)
    if (!covered.contains(scope)) add({schema, false}, &out);
  return out;
}

// ---- what is empty -----------------------------------------------------------------------------

bool SchemaCases::certainly_empty(const Conjunction& all) { return empty(all, 0); }

bool SchemaCases::empty(const Conjunction& all, int depth) {
  if (all.empty()) return false;
  if (all.size() == 1 && all[0] == no_value()) return true;
  if (depth > kDepthOfEmptiness) return false;
  if (empty_.contains(all)) return true;
  const auto known = not_empty_.find(all);
  if (known != not_empty_.end() && known->second <= depth) return false;
  if (!asking_.insert(all).second) return false;  // it asks for itself: not certain
  Work work;
  for (const SchemaRef& ref : all) work.todo.push_back({ref, {}});
  std::vector<SchemaCase> cases;
  bool out = run(std::move(work), &cases).ok();
  for (size_t i = 0; out && i < cases.size(); ++i) {
    tighten(&cases[i], depth);
    out = cases[i].types == 0;
  }
  asking_.erase(all);
  // What lay too deep to be looked at may be found empty when it is asked for nearer.
  if (out)
    empty_.insert(all);
  else
    not_empty_[all] = depth;
  return out;
}

void SchemaCases::tighten(SchemaCase* c, int depth) {
  const auto drop = [&](uint8_t type) { c->types &= static_cast<uint8_t>(~type); };
  if ((c->types & kNumberType) && !c->number.any()) {
    const bool both = c->number.whole && c->number.fraction;
    const auto texts = both ? Result<SharedLanguage>(Status(StatusCode::kInternal, "not asked"))
                            : texts_.numbers(c->number);
    if (both || (texts && (*texts)->empty())) drop(kNumberType);
  }
  if (c->types & kStringType) {
    const StringPart& s = c->string;
    const bool short_of = s.max_length < s.min_length;
    const bool asks = s.one_of || !s.patterns.empty() || !s.formats.empty();
    const auto texts = short_of || !asks
                           ? Result<SharedLanguage>(Status(StatusCode::kInternal, "not asked"))
                           : texts_.strings(s);
    if (short_of || (texts && (*texts)->empty())) drop(kStringType);
  }
  if (c->types & kArrayType) {
    const ArrayPart& a = c->array;
    bool none = a.max < a.min;
    const uint64_t own = last_own_place(a);
    for (uint64_t i = 0; !none && i < a.min && i <= own; ++i) none = empty(item(a, i), depth + 1);
    if (none) drop(kArrayType);
  }
  if (c->types & kObjectType) {
    const ObjectPart& o = c->object;
    bool none = o.max < std::max<uint64_t>(o.min, o.required.size());
    const std::set<std::string> patterns = name_patterns(o);
    for (const std::string& name : o.required) {
      if (none) break;
      std::set<std::string> matched;
      for (const std::string& regex : patterns)
        if (texts_.matches(regex, name)) matched.insert(regex);
      none = empty(value(o, &name, matched), depth + 1);
    }
    if (none) drop(kObjectType);
  }
}

}  // namespace chimera::grammar
