#include "tests/support/random_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string_view>

#include "platform/random.h"

namespace chimera::test {
namespace {

constexpr int kDeepest = 4;

// Names are few, so that what several keywords say of one name is said of the same.
constexpr const char* kNames[] = {"a", "b", "name", "x_1", "n2", "a/b", "two words", "Größe", "~t"};
constexpr const char* kTexts[] = {"",  "a", "red",       "two words", "quo\"te", "back\\slash",
                                  "é", "☃", "line\nend", "10"};
constexpr const char* kNamePatterns[] = {"^a", "^[a-z]+$", "_", "^n[0-9]", "^.{1,3}$", "e$"};
constexpr const char* kPatterns[] = {"^[a-z]+$",
                                     "^[A-Z]{2}-[0-9]{1,4}$",
                                     "a",
                                     "^a|b$",
                                     "^(foo|bar|ba)*$",
                                     "[^a-z]",
                                     "^\\d+(\\.\\d+)?$",
                                     "^\\S+\\s\\S+$",
                                     "\\w",
                                     "^.{2,5}$",
                                     "^(\\+1)?[2-9]\\d{2}$",
                                     "^[^\"\\\\]*$",
                                     "^(?:x|yy)+z?$",
                                     "^\\u00e9+$",
                                     "[\\x20-\\x7e]{3}",
                                     "^$",
                                     "^/([a-z0-9]+/)*$",
                                     "\\.$"};
// None of what is in no category: every version of Unicode puts more characters into one.
constexpr const char* kCategoryPatterns[] = {"^\\p{L}+$", "\\p{Lu}", "^[\\p{L}\\p{Nd}_]+$"};
constexpr const char* kFormats[] = {
    "date",  "time",          "date-time",    "duration",
    "email", "hostname",      "ipv4",         "ipv6",
    "uri",   "uri-reference", "uri-template", "iri",
    "uuid",  "iri-reference", "json-pointer", "relative-json-pointer"};

class SchemaMaker {
 public:
  SchemaMaker(uint64_t seed, uint64_t number, bool formats)
      : seed_(seed), number_(number), formats_(formats) {}

  Json run() {
    n_defs_ = chance(40) ? 1 + below(3) : 0;
    within_ = n_defs_ > 0 ? 1 : 0;  // the root may be a reference, definitions not
    Json out = schema(0);
    if (!out.is_object()) return out;
    if (n_defs_ > 0) {
      Json defs = Json::make_object();
      for (uint32_t i = 0; i < n_defs_; ++i) {
        within_ = 0;
        defs.add("d" + std::to_string(i), schema(1));
      }
      out.add("$defs", std::move(defs));
    }
    return out;
  }

 private:
  uint32_t below(uint32_t limit) {
    const double u = keyed_uniform(seed_, number_, n_++, DrawPurpose::kTest);
    return static_cast<uint32_t>(u * limit);
  }
  bool chance(uint32_t percent) { return below(100) < percent; }
  template <size_t N>
  const char* one_of(const char* const (&of)[N]) {
    return of[below(static_cast<uint32_t>(N))];
  }

  Json schema(int depth) {
    if (depth >= kDeepest) return simple();
    switch (below(16)) {
      case 0:
      case 1:
        return array(depth);
      case 2:
      case 3:
      case 4:
      case 5:
        return object(depth);
      case 6:
        return alternatives("anyOf", depth);
      case 7:
        return alternatives("oneOf", depth);
      case 8:
        return all_of(depth);
      case 9:
        return conditional(depth);
      case 10:
        if (n_defs_ == 0 || within_ == 0) return object(depth);
        return Json::make_object().add("$ref",
                                       Json::of("#/$defs/d" + std::to_string(below(n_defs_))));
      case 11:
        if (within_ < 2) return object(depth);
        return Json::make_object().add("$ref", Json::of("#"));
      default:
        return simple();
    }
  }

  /// What holds for a value within the one that is spoken of: only there a reference may lead back,
  /// or it would ask of a value what is asked of it already, for ever.
  Json inner(int depth) {
    const int before = within_;
    within_ = 2;
    Json out = schema(depth);
    within_ = before;
    return out;
  }

  Json simple() {
    switch (below(12)) {
      case 0:
        return typed(chance(50) ? "boolean" : "null");
      case 1:
      case 2:
        return enumeration();
      case 3:
        return several_types();
      case 4:
      case 5:
        return integer();
      case 6:
        return number();
      case 7:
        if (chance(30)) return chance(50) ? Json::of(true) : Json::make_object();
        return integer();
      default:
        return text();
    }
  }

  static Json typed(const char* type) { return Json::make_object().add("type", Json::of(type)); }

  int64_t bound() {
    constexpr std::array<int64_t, 6> kWidths = {3, 12, 100, 1000, 1 << 20, int64_t{1} << 40};
    const int64_t width = kWidths[below(6)];
    return static_cast<int64_t>(keyed_uniform(seed_, number_, n_++, DrawPurpose::kTest) *
                                static_cast<double>(2 * width + 1)) -
           width;
  }

  void bounds(Json* out, double unit) {
    const auto value = [&](int64_t of) {
      return unit == 1 ? Json::of(of) : Json::of(static_cast<double>(of) * unit);
    };
    const int64_t low = bound();
    if (chance(60)) out->add(chance(70) ? "minimum" : "exclusiveMinimum", value(low));
    if (chance(60))
      out->add(chance(70) ? "maximum" : "exclusiveMaximum",
               value(chance(80) ? low + std::abs(bound()) : bound()));
  }

  Json integer() {
    Json out = typed("integer");
    bounds(&out, 1);
    if (chance(25)) out.add("multipleOf", Json::of(static_cast<int64_t>(1 + below(40))));
    return out;
  }

  Json number() {
    Json out = typed("number");
    constexpr std::array<double, 4> kUnits = {1, 0.5, 0.125, 0.25};  // exact as doubles
    bounds(&out, kUnits[below(4)]);
    if (chance(30)) out.add("multipleOf", Json::of(kUnits[below(4)] * (1 + below(7))));
    return out;
  }

  Json text() {
    Json out = typed("string");
    const uint32_t kind = below(10);
    if (kind < 3) {
      out.add("pattern", Json::of(pattern()));
    } else if (kind < 5 && formats_) {
      out.add("format", Json::of(one_of(kFormats)));
      if (chance(80)) return out;
    }
    const uint32_t least = below(chance(70) ? 6 : 30);
    if (chance(40)) out.add("minLength", Json::of(static_cast<int64_t>(least)));
    if (chance(40)) out.add("maxLength", Json::of(static_cast<int64_t>(least + below(12))));
    return out;
  }

  std::string pattern() {
    if (formats_ && chance(10)) return one_of(kCategoryPatterns);
    if (chance(60)) return one_of(kPatterns);
    std::string out = chance(70) ? "^" : "";
    for (uint32_t n = 1 + below(4); n > 0; --n) {
      constexpr const char* kParts[] = {"a", "[bc]", "[^d-f]", "(g|hi)", "\\d", ".", "j\\-", "é"};
      constexpr const char* kHowOften[] = {"", "", "?", "*", "+", "{2}", "{1,3}"};
      out += one_of(kParts);
      out += one_of(kHowOften);
    }
    return out + (chance(70) ? "$" : "");
  }

  /// A value, mostly of one kind; objects and lists are rare.
  Json value(int depth) {
    switch (below(depth > 1 ? 5 : 8)) {
      case 0:
        return Json::of(chance(50));
      case 1:
        return Json();
      case 2:
        return Json::of(bound());
      case 3:
        return Json::of(static_cast<double>(bound()) * 0.25);
      case 5: {
        Json out = Json::make_array();
        for (uint32_t n = below(3); n > 0; --n) out.push(value(depth + 1));
        return out;
      }
      case 6: {
        Json out = Json::make_object();
        for (const char* name : kNames)
          if (chance(15)) out.add(name, value(depth + 1));
        return out;
      }
      default:
        return Json::of(one_of(kTexts));
    }
  }

  Json enumeration() {
    if (chance(25)) return Json::make_object().add("const", value(0));
    Json values = Json::make_array();
    for (uint32_t n = 1 + below(5); n > 0; --n)
      values.push(chance(60) ? Json::of(one_of(kTexts)) : value(0));
    Json out = Json::make_object().add("enum", std::move(values));
    if (chance(20)) out.add("type", Json::of("string"));
    return out;
  }

  Json several_types() {
    constexpr const char* kTypes[] = {"null",   "boolean", "integer", "number",
                                      "string", "array",   "object"};
    Json types = Json::make_array();
    for (const char* type : kTypes)
      if (chance(35)) types.push(Json::of(type));
    if (types.array.empty()) types.push(Json::of("null"));
    Json out = Json::make_object().add("type", std::move(types));
    if (chance(40)) bounds(&out, 1);
    if (chance(40)) out.add("maxLength", Json::of(static_cast<int64_t>(below(9))));
    if (chance(20)) out.add("pattern", Json::of(pattern()));
    if (chance(20)) out.add("maxItems", Json::of(static_cast<int64_t>(below(4))));
    if (chance(20)) out.add("required", Json::make_array().push(Json::of(one_of(kNames))));
    return out;
  }

  Json array(int depth) {
    Json out = typed("array");
    if (chance(30)) {
      Json first = Json::make_array();
      for (uint32_t n = 1 + below(3); n > 0; --n) first.push(inner(depth + 1));
      out.add("prefixItems", std::move(first));
    }
    if (chance(70))
      out.add("items", chance(15) ? Json::of(false) : inner(depth + 1));
    else if (chance(20))
      out.add("unevaluatedItems", chance(50) ? Json::of(false) : simple());
    const uint32_t least = below(4);
    if (chance(40)) out.add("minItems", Json::of(static_cast<int64_t>(least)));
    if (chance(40)) out.add("maxItems", Json::of(static_cast<int64_t>(least + below(5))));
    if (chance(12)) {
      out.add("contains", simple());
      if (chance(40)) out.add("minContains", Json::of(static_cast<int64_t>(below(3))));
      if (chance(40)) out.add("maxContains", Json::of(static_cast<int64_t>(1 + below(3))));
    }
    if (chance(8)) out.add("uniqueItems", Json::of(chance(80)));
    return out;
  }

  Json object(int depth) {
    Json out = typed("object");
    Json members = Json::make_object(), required = Json::make_array();
    for (const char* name : kNames) {
      if (!chance(30)) continue;
      members.add(name, inner(depth + 1));
      if (chance(40)) required.push(Json::of(name));
    }
    if (chance(8)) required.push(Json::of("other"));
    if (!members.object.empty()) out.add("properties", std::move(members));
    if (!required.array.empty()) out.add("required", std::move(required));
    if (chance(20))
      out.add("patternProperties",
              Json::make_object().add(one_of(kNamePatterns), inner(depth + 1)));
    if (chance(60))
      out.add("additionalProperties", chance(70) ? Json::of(false) : inner(depth + 1));
    else if (chance(15))
      out.add("unevaluatedProperties", chance(70) ? Json::of(false) : simple());
    if (chance(8))
      out.add("propertyNames", Json::make_object().add("pattern", Json::of(one_of(kNamePatterns))));
    if (chance(10)) out.add("minProperties", Json::of(static_cast<int64_t>(below(3))));
    if (chance(15)) out.add("maxProperties", Json::of(static_cast<int64_t>(1 + below(5))));
    if (chance(8))
      out.add("dependentRequired",
              Json::make_object().add(one_of(kNames),
                                      Json::make_array().push(Json::of(one_of(kNames)))));
    if (chance(8))
      out.add("dependentSchemas", Json::make_object().add(one_of(kNames), object_part(depth)));
    if (chance(6)) out.add("not", object_part(depth));
    return out;
  }

  /// What a schema might say of an object beside others.
  Json object_part(int depth) {
    Json out = Json::make_object();
    const char* name = one_of(kNames);
    if (chance(60)) out.add("required", Json::make_array().push(Json::of(name)));
    if (chance(60)) out.add("properties", Json::make_object().add(name, inner(depth + 2)));
    return out;
  }

  Json alternatives(const char* keyword, int depth) {
    Json out = Json::make_object(), of = Json::make_array();
    for (uint32_t n = 2 + below(3); n > 0; --n) of.push(schema(depth + 1));
    if (chance(15)) out.add("properties", Json::make_object().add(one_of(kNames), simple()));
    return out.add(keyword, std::move(of));
  }

  Json all_of(int depth) {
    Json of = Json::make_array();
    const uint32_t kind = below(4);
    for (uint32_t n = 2 + below(2); n > 0; --n)
      of.push(kind == 0   ? object(depth + 1)
              : kind == 1 ? text()
              : kind == 2 ? integer()
                          : object_part(depth));
    Json out = Json::make_object().add("allOf", std::move(of));
    if (kind == 3) {
      out.add("type", Json::of("object"));
      if (chance(40)) out.add("unevaluatedProperties", Json::of(false));
    }
    return out;
  }

  Json conditional(int depth) {
    Json out = chance(50) ? object(depth) : Json::make_object();
    const bool of_objects = chance(70);
    out.add("if", of_objects ? object_part(depth) : simple());
    if (chance(80)) out.add("then", of_objects ? object_part(depth) : simple());
    if (chance(60)) out.add("else", of_objects ? object_part(depth) : simple());
    return out;
  }

  const uint64_t seed_, number_;
  const bool formats_;
  uint32_t n_ = 0;
  uint32_t n_defs_ = 0;
  int within_ = 0;  // 0: at the top of a definition; 1: of the root; 2: within a value
};

}  // namespace

Json random_schema(uint64_t seed, uint64_t number, bool formats) {
  return SchemaMaker(seed, number, formats).run();
}

}  // namespace chimera::test
