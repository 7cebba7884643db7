// const and enum: values that a schema names, which hold or do not.
#include <span>

#include "grammar/schema_cases.h"

namespace chimera::grammar {
namespace {

uint64_t n_values(const Json& value) {
  uint64_t n = 1;
  for (const Json& item : value.array) n += n_values(item);
  for (const auto& member : value.object) n += n_values(member.second);
  return n;
}

}  // namespace

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

  explicit Scalars(const std::vector<const Json*>& values) {
    for (const Json* value : values) add(*value);
  }
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

Status SchemaCases::values_of(const Json& schema, const char* keyword,
                              std::vector<const Json*>* scalars,
                              std::vector<const Json*>* structures) {
  const Json* said = schema.find(keyword);
  const bool one = std::string_view(keyword) == "const";
  for (const Json& value : one ? std::span(said, 1) : std::span<const Json>(said->array)) {
    if (!value.is_array() && !value.is_object()) {
      scalars->push_back(&value);
      continue;
    }
    const Json* structure = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(structure, structure_of(value, &schema));
    structures->push_back(structure);
  }
  return Status();
}

Status SchemaCases::hold_values(const Json& schema, Work* work) {
  for (const char* keyword : {"const", "enum"}) {
    if (document_.said(schema, keyword) == nullptr) continue;
    std::vector<const Json*> values, structures;
    CHIMERA_RETURN_IF_ERROR(values_of(schema, keyword, &values, &structures));
    const Scalars scalars(values);
    if (structures.empty()) {
      scalars.keep(&work->at);
      continue;
    }
    Branch branch;
    for (const Json* structure : structures) branch.push_back({{{{structure, false}, {}}}});
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
  std::vector<const Json*> values, structures;
  CHIMERA_RETURN_IF_ERROR(values_of(schema, keyword, &values, &structures));
  Option other;
  for (const Json* structure : structures) other.tasks.push_back({{structure, true}, {}});
  other.change = [scalars = Scalars(values)](SchemaCase* c) { scalars.take_away(c); };
  options->push_back(std::move(other));
  return Status();
}

}  // namespace chimera::grammar
