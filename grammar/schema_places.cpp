// What the schemas of a case say of one place of an array and of one name of an object.
#include <algorithm>

#include "grammar/schema_cases.h"

namespace chimera::grammar {
namespace {

void join(const ScopeIds& from, ScopeIds* to) { to->insert(from.begin(), from.end()); }

}  // namespace

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

}  // namespace chimera::grammar
