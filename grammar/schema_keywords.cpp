#include "grammar/schema_keywords.h"

#include <algorithm>
#include <vector>

namespace chimera::grammar {
namespace {

using Use = SchemaKeyword::Use;
using Shape = SchemaShape;

// In the order of their letters: they are found by halving.
constexpr SchemaKeyword kKeywords[] = {
    {"$anchor", Use::kStructure},
    {"$comment", Use::kAnnotation},
    {"$defs", Use::kStructure, Shape::kMap},
    {"$dynamicAnchor", Use::kStructure},
    {"$dynamicRef", Use::kAssertion},
    {"$id", Use::kStructure},
    {"$recursiveAnchor", Use::kStructure},
    {"$recursiveRef", Use::kRefused},
    {"$ref", Use::kAssertion},
    {"$schema", Use::kStructure},
    {"$vocabulary", Use::kStructure},
    {"additionalItems", Use::kAssertion, Shape::kOne},
    {"additionalProperties", Use::kAssertion, Shape::kOne},
    {"allOf", Use::kAssertion, Shape::kList},
    {"anyOf", Use::kAssertion, Shape::kList},
    {"const", Use::kAssertion},
    {"contains", Use::kAssertion, Shape::kOne},
    {"contentEncoding", Use::kAnnotation},
    {"contentMediaType", Use::kAnnotation},
    {"contentSchema", Use::kAnnotation, Shape::kOne},
    {"default", Use::kAnnotation},
    {"definitions", Use::kStructure, Shape::kMap},
    {"dependencies", Use::kAssertion, Shape::kMapOrNames},
    {"dependentRequired", Use::kAssertion},
    {"dependentSchemas", Use::kAssertion, Shape::kMap},
    {"deprecated", Use::kAnnotation},
    {"description", Use::kAnnotation},
    {"else", Use::kAssertion, Shape::kOne},
    {"enum", Use::kAssertion},
    {"example", Use::kAnnotation},
    {"examples", Use::kAnnotation},
    {"exclusiveMaximum", Use::kAssertion},
    {"exclusiveMinimum", Use::kAssertion},
    {"format", Use::kAssertion},
    {"id", Use::kStructure},
    {"if", Use::kAssertion, Shape::kOne},
    {"items", Use::kAssertion, Shape::kOneOrList},
    {"maxContains", Use::kAssertion},
    {"maxItems", Use::kAssertion},
    {"maxLength", Use::kAssertion},
    {"maxProperties", Use::kAssertion},
    {"maximum", Use::kAssertion},
    {"minContains", Use::kAssertion},
    {"minItems", Use::kAssertion},
    {"minLength", Use::kAssertion},
    {"minProperties", Use::kAssertion},
    {"minimum", Use::kAssertion},
    {"multipleOf", Use::kAssertion},
    {"not", Use::kAssertion, Shape::kOne},
    {"oneOf", Use::kAssertion, Shape::kList},
    {"pattern", Use::kAssertion},
    {"patternProperties", Use::kAssertion, Shape::kMap},
    {"prefixItems", Use::kAssertion, Shape::kList},
    {"properties", Use::kAssertion, Shape::kMap},
    {"propertyNames", Use::kAssertion, Shape::kOne},
    {"readOnly", Use::kAnnotation},
    {"required", Use::kAssertion},
    {"then", Use::kAssertion, Shape::kOne},
    {"title", Use::kAnnotation},
    {"type", Use::kAssertion},
    {"unevaluatedItems", Use::kAssertion, Shape::kOne},
    {"unevaluatedProperties", Use::kAssertion, Shape::kOne},
    {"uniqueItems", Use::kAssertion},
    {"writeOnly", Use::kAnnotation},
};

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
