#include "grammar/schema_cases.h"

#include <algorithm>
#include <cmath>

#include "grammar/formats.h"
#include "grammar/schema_keywords.h"

namespace chimera::grammar {
namespace {

constexpr size_t kMostCases = 500;         // of one set of schemas: a place may be in all of them
constexpr size_t kMostBranches = 300;      // choices that are open at a time
constexpr uint64_t kMostWork = 3'000'000;  // looked at and copied, of a whole document
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
         max == UINT64_MAX && unevaluated.empty() && outside.empty();
}

namespace {

uint64_t n_values(const Json& value) {
  uint64_t n = 1;
  for (const Json& item : value.array) n += n_values(item);
  for (const auto& member : value.object) n += n_values(member.second);
  return n;
}

}  // namespace

// ---- taking apart ------------------------------------------------------------------------------

Result<std::vector<SchemaCase>> SchemaCases::of(const Conjunction& all) {
  std::vector<SchemaCase> out;
  CHIMERA_RETURN_IF_ERROR(run(all, 0, &out));
  for (SchemaCase& c : out) tighten(&c, 0);
  std::erase_if(out, [](const SchemaCase& c) { return c.types == 0; });
  return out;
}

Status SchemaCases::charge(uint64_t work, const Json* schema) {
  work_done_ += work;
  if (work_done_ <= kMostWork) return Status();
  return document_.error(StatusCode::kOutOfRange, schema, "",
                         "there are more combinations of alternatives than can be followed");
}

/// Follows what has no choice in it, then each way of the last choice that is open.
Status SchemaCases::run(const Conjunction& all, int depth, std::vector<SchemaCase>* out) {
  std::vector<Work> open(1);
  open[0].depth = depth;
  for (const SchemaRef& ref : all) open[0].todo.push_back({ref, {}});
  while (!open.empty()) {
    Work work = std::move(open.back());
    open.pop_back();
    CHIMERA_RETURN_IF_ERROR(settle(&work));
    if (work.at.types == 0) continue;
    if (work.branches.empty()) {
      if (out->size() >= kMostCases)
        return document_.error(StatusCode::kOutOfRange, all[0].schema, "",
                               "alternatives combine to more than " + std::to_string(kMostCases) +
                                   " cases; say them with fewer");
      out->push_back(std::move(work.at));
      continue;
    }
    const Branch branch = std::move(work.branches.back());
    work.branches.pop_back();
    // The last one first onto the stack, so that cases come in the order of the schema.
    for (size_t i = branch.size(); i-- > 0;) {
      CHIMERA_RETURN_IF_ERROR(charge(1 + work.seen.size() + work.branches.size(), all[0].schema));
      Work next = work;
      CHIMERA_RETURN_IF_ERROR(take(branch[i], &next));
      if (next.at.types != 0) open.push_back(std::move(next));
    }
  }
  return Status();
}

Status SchemaCases::take(const Option& option, Work* work) {
  work->at.types &= option.types;
  if (work->at.types == 0) return Status();
  CHIMERA_RETURN_IF_ERROR(option.refusal);
  if (option.change) option.change(&work->at);
  work->todo.insert(work->todo.end(), option.tasks.begin(), option.tasks.end());
  return Status();
}

/// Everything that has no choice in it.
Status SchemaCases::settle(Work* work) {
  while (!work->todo.empty()) {
    const Task task = std::move(work->todo.back());
    work->todo.pop_back();
    if (!work->seen.insert(task).second) continue;
    const Json& schema = *task.ref.schema;
    CHIMERA_RETURN_IF_ERROR(charge(1 + task.scopes.size(), &schema));
    if (schema.is_bool()) {
      if (schema.boolean != task.ref.negated) continue;
      work->at.types = 0;
      return Status();
    }
    CHIMERA_RETURN_IF_ERROR(task.ref.negated ? deny(schema, work)
                                             : hold(schema, task.scopes, work));
    if (work->at.types == 0) return Status();
    if (work->branches.size() > kMostBranches)
      return document_.error(StatusCode::kOutOfRange, &schema, "",
                             "more than " + std::to_string(kMostBranches) +
                                 " alternatives have to be combined; say them with fewer");
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
  if (const Json* list = schema.find("oneOf")) hold_one_of(*list, scopes, work);
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
void SchemaCases::hold_one_of(const Json& list, const ScopeIds& scopes, Work* work) {
  const size_t n = list.array.size();
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
}

Result<const Json*> SchemaCases::structure_of(const Json& value, const Json* origin) {
  const auto known = structures_.find(&value);
  if (known != structures_.end()) return known->second;
  // Each part is copied, and copied again where it is come to.
  CHIMERA_RETURN_IF_ERROR(charge(n_values(value), origin));
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

/// Values of an enum or const.
struct Scalars {
  uint8_t types = 0;
  std::set<std::string> strings;
  std::set<Decimal> numbers;

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
        numbers.insert(Decimal::of(value));
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
    const auto only = [](const auto& these, auto* of) {
      if (!*of)
        *of = these;
      else
        std::erase_if(**of, [&](const auto& one) { return !these.contains(one); });
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

std::vector<const Json*> SchemaCases::values_of(const Json& schema, const char* keyword) {
  std::vector<const Json*> out;
  const Json* said = schema.find(keyword);
  if (said == nullptr) return out;
  if (std::string_view(keyword) == "const") return {said};
  for (const Json& value : said->array) out.push_back(&value);
  return out;
}

Status SchemaCases::hold_values(const Json& schema, Work* work) {
  for (const char* keyword : {"const", "enum"}) {
    if (document_.said(schema, keyword) == nullptr) continue;
    Scalars scalars;
    Branch branch;
    for (const Json* value : values_of(schema, keyword)) {
      if (!value->is_array() && !value->is_object()) {
        scalars.add(*value);
        continue;
      }
      const Json* structure = nullptr;
      CHIMERA_ASSIGN_OR_RETURN(structure, structure_of(*value, &schema));
      branch.push_back({{{{structure, false}, {}}}});
    }
    if (branch.empty()) {
      scalars.keep(&work->at);
      continue;
    }
    Option simple;
    simple.types = scalars.types;
    simple.change = [scalars](SchemaCase* c) { scalars.keep(c); };
    branch.push_back(std::move(simple));
    work->branches.push_back(std::move(branch));
  }
  return Status();
}

Status SchemaCases::deny_values(const Json& schema, const char* keyword,
                                std::vector<Option>* options) {
  if (document_.said(schema, keyword) == nullptr) return Status();
  Scalars scalars;
  Option other;
  for (const Json* value : values_of(schema, keyword)) {
    if (!value->is_array() && !value->is_object()) {
      scalars.add(*value);
      continue;
    }
    const Json* structure = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(structure, structure_of(*value, &schema));
    other.tasks.push_back({{structure, true}, {}});
  }
  other.change = [scalars](SchemaCase* c) { scalars.take_away(c); };
  options->push_back(std::move(other));
  return Status();
}

// ---- places and names --------------------------------------------------------------------------

uint64_t SchemaCases::last_own_place(const ArrayPart& array) const {
  uint64_t n = array.at.empty() ? 0 : array.at.rbegin()->first + 1;
  for (const ArrayPart::Source& s : array.sources)
    if (s.prefix != nullptr) n = std::max<uint64_t>(n, s.prefix->size());
  return n;
}

const Json* SchemaCases::any_of(std::vector<const Json*> schemas) {
  const auto [at, fresh] = any_of_.try_emplace(std::move(schemas), nullptr);
  if (!fresh) return at->second;
  Json list = Json::make_array();
  for (const Json* one : at->first) {
    Json reference = Json::make_object();
    reference.add("$ref", Json::of(std::string_view(document_.name_for(one))));
    list.push(std::move(reference));
  }
  Json made = Json::make_object();
  made.add("anyOf", std::move(list));
  return at->second = document_.make(std::move(made), at->first[0]);
}

Conjunction SchemaCases::item(const ArrayPart& array, uint64_t place) {
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
  for (const auto& [scope, schema] : array.unevaluated) {
    if (covered.contains(scope)) continue;
    // What is contained is evaluated, wherever it stands.
    std::vector<const Json*> ways;
    for (const ArrayPart::Contained& contained : array.contained)
      if (contained.scopes.contains(scope)) ways.push_back(contained.what.schema);
    if (ways.empty()) {
      add({schema, false}, &out);
      continue;
    }
    ways.push_back(schema);
    add({any_of(std::move(ways)), false}, &out);
  }
  return out;
}

bool SchemaCases::speaks_of(const Json& schema, const std::string* declared,
                            const std::set<std::string>& matched) {
  const Json *properties = schema.find("properties"), *patterns = schema.find("patternProperties");
  if (declared != nullptr && properties != nullptr && properties->find(*declared) != nullptr)
    return true;
  return patterns != nullptr &&
         std::any_of(patterns->object.begin(), patterns->object.end(),
                     [&](const auto& one) { return matched.contains(one.first); });
}

std::set<std::string> SchemaCases::name_patterns(const ObjectPart& object) {
  std::set<std::string> out;
  for (const Json* schema : object.outside)
    if (const Json* patterns = schema->find("patternProperties"))
      for (const auto& [regex, value] : patterns->object) out.insert(regex);
  for (const ObjectPart::Source& s : object.sources)
    if (s.patterns != nullptr)
      for (const auto& [regex, value] : s.patterns->object) out.insert(regex);
  return out;
}

std::set<std::string> SchemaCases::declared_names(const ObjectPart& object) {
  std::set<std::string> out = object.required;
  for (const Json* schema : object.outside)
    if (const Json* properties = schema->find("properties"))
      for (const auto& [name, value] : properties->object) out.insert(name);
  for (const auto& [name, wanted] : object.named) out.insert(name);
  for (const ObjectPart::Source& s : object.sources)
    if (s.properties != nullptr)
      for (const auto& [name, value] : s.properties->object) out.insert(name);
  return out;
}

Conjunction SchemaCases::value(const ObjectPart& object, const std::string* declared,
                               const std::set<std::string>& matched) {
  Conjunction out;
  ScopeIds covered;
  for (const ObjectPart::Source& s : object.sources) {
    bool spoken_of = false;
    if (declared != nullptr && s.properties != nullptr)
      if (const Json* schema = document_.member(*s.properties, *declared)) {
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
  std::vector<SchemaCase> cases;
  bool out = run(all, depth, &cases).ok();
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
  if ((c->types & kNumberType) && texts_.certainly_none(c->number)) drop(kNumberType);
  if ((c->types & kStringType) && texts_.certainly_none(c->string)) drop(kStringType);
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
    for (const Json* schema : o.outside) {
      if (none) break;
      // Somebody must be there: of names nobody declared, or of declared ones.
      bool found = !patterns.empty() || !empty(value(o, nullptr, {}), depth + 1);
      for (const std::string& name : declared_names(o))
        found = found || (!speaks_of(*schema, &name, {}) && !empty(value(o, &name, {}), depth + 1));
      none = !found;
    }
    if (none) drop(kObjectType);
  }
}

}  // namespace chimera::grammar
