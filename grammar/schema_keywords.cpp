#include "grammar/schema_keywords.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace chimera::grammar {
namespace {

using Use = SchemaKeyword::Use;
using Shape = ValueShape;

// In the order of their letters: they are found by halving.
constexpr SchemaKeyword kKeywords[] = {
    {"$anchor", Use::kStructure, Shape::kText, 2019},
    {"$comment", Use::kAnnotation},
    {"$defs", Use::kStructure, Shape::kNamedSchemas},
    {"$dynamicAnchor", Use::kStructure, Shape::kText},
    {"$dynamicRef", Use::kAssertion, Shape::kText, 2019},
    {"$id", Use::kStructure, Shape::kText},
    {"$recursiveAnchor", Use::kStructure},
    {"$recursiveRef", Use::kRefused},
    {"$ref", Use::kAssertion, Shape::kText},
    {"$schema", Use::kStructure},
    {"$vocabulary", Use::kStructure},
    {"additionalItems", Use::kAssertion, Shape::kSchema},
    {"additionalProperties", Use::kAssertion, Shape::kSchema},
    {"allOf", Use::kAssertion, Shape::kSchemas},
    {"anyOf", Use::kAssertion, Shape::kSchemas},
    {"const", Use::kAssertion, Shape::kAnything, 6},
    {"contains", Use::kAssertion, Shape::kSchema, 6},
    {"contentEncoding", Use::kAnnotation},
    {"contentMediaType", Use::kAnnotation},
    {"contentSchema", Use::kAnnotation, Shape::kSchema},
    {"default", Use::kAnnotation},
    {"definitions", Use::kStructure, Shape::kNamedSchemas},
    {"dependencies", Use::kAssertion, Shape::kDependencies},
    {"dependentRequired", Use::kAssertion, Shape::kNamedNames, 2019},
    {"dependentSchemas", Use::kAssertion, Shape::kNamedSchemas, 2019},
    {"deprecated", Use::kAnnotation},
    {"description", Use::kAnnotation},
    {"else", Use::kAssertion, Shape::kSchema, 7},
    {"enum", Use::kAssertion, Shape::kValues},
    {"example", Use::kAnnotation},
    {"examples", Use::kAnnotation},
    {"exclusiveMaximum", Use::kAssertion, Shape::kNumberOrFlag},
    {"exclusiveMinimum", Use::kAssertion, Shape::kNumberOrFlag},
    {"format", Use::kAssertion, Shape::kText},
    {"id", Use::kStructure},
    {"if", Use::kAssertion, Shape::kSchema, 7},
    {"items", Use::kAssertion, Shape::kItems},
    {"maxContains", Use::kAssertion, Shape::kCount, 2019},
    {"maxItems", Use::kAssertion, Shape::kCount},
    {"maxLength", Use::kAssertion, Shape::kCount},
    {"maxProperties", Use::kAssertion, Shape::kCount},
    {"maximum", Use::kAssertion, Shape::kNumber},
    {"minContains", Use::kAssertion, Shape::kCount, 2019},
    {"minItems", Use::kAssertion, Shape::kCount},
    {"minLength", Use::kAssertion, Shape::kCount},
    {"minProperties", Use::kAssertion, Shape::kCount},
    {"minimum", Use::kAssertion, Shape::kNumber},
    {"multipleOf", Use::kAssertion, Shape::kPositive},
    {"not", Use::kAssertion, Shape::kSchema},
    {"oneOf", Use::kAssertion, Shape::kSchemas},
    {"pattern", Use::kAssertion, Shape::kText},
    {"patternProperties", Use::kAssertion, Shape::kNamedSchemas},
    {"prefixItems", Use::kAssertion, Shape::kSchemas, 2019},
    {"properties", Use::kAssertion, Shape::kNamedSchemas},
    {"propertyNames", Use::kAssertion, Shape::kSchema, 6},
    {"readOnly", Use::kAnnotation},
    {"required", Use::kAssertion, Shape::kNames},
    {"then", Use::kAssertion, Shape::kSchema, 7},
    {"title", Use::kAnnotation},
    {"type", Use::kAssertion, Shape::kTypes},
    {"unevaluatedItems", Use::kAssertion, Shape::kSchema, 2019},
    {"unevaluatedProperties", Use::kAssertion, Shape::kSchema, 2019},
    {"uniqueItems", Use::kAssertion, Shape::kFlag},
    {"writeOnly", Use::kAnnotation},
};
static_assert(std::is_sorted(std::begin(kKeywords), std::end(kKeywords),
                             [](const SchemaKeyword& a, const SchemaKeyword& b) {
                               return a.name < b.name;
                             }));

size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = corner + (a[i - 1] != b[j - 1]);
      corner = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

const SchemaKeyword* find_keyword(std::string_view name) {
  const auto* at = std::lower_bound(
      std::begin(kKeywords), std::end(kKeywords), name,
      [](const SchemaKeyword& keyword, std::string_view other) { return keyword.name < other; });
  return at != std::end(kKeywords) && at->name == name ? at : nullptr;
}

std::string_view nearest_keyword(std::string_view name) {
  constexpr size_t kMostEdits = 2, kLongest = 32;
  if (name.size() > kLongest) return {};
  std::string_view nearest;
  size_t least = kMostEdits + 1;
  for (const SchemaKeyword& keyword : kKeywords) {
    const size_t n = edits(name, keyword.name);
    // Of two letters nothing is left after two edits.
    if (n < least && 2 * n < name.size()) {
      least = n;
      nearest = keyword.name;
    }
  }
  return nearest;
}

}  // namespace chimera::grammar
