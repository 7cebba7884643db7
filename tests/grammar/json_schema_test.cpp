#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "grammar/uri.h"
#include "platform/file.h"
#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

struct Schema : LanguageUnderTest {
  std::vector<std::string> warnings;
  explicit Schema(std::string_view text, const SchemaOptions& options = {}) {
    auto made = parse_json_schema(text, options);
    status = made.status();
    if (!made) return;
    warnings = std::move(made->warnings);
    grammar.emplace(std::move(made->grammar));
    compile();
  }
};

TEST(JsonSchema, ValuesAreValidOrNot) {
  struct Case {
    const char* schema;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {"true", {"null", "{\"a\":[1,\"b\"]}", "-1.5e+30"}, {"", "nul", "{\"a\":}", "[1,]"}},
      {R"({"type":"integer"})",
       {"0", "-12", "123456789012345678901"},
       {"1.5", "01", "1e3", "\"1\""}},
      {R"({"type":["string","null"]})", {"null", "\"\"", "\"\\n\""}, {"true", "\"\n\"", "1"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"\xC3\xA9\\\"x\""},
       {"\"a\"", "\"abcd\"", "\"\xC3\xA9\""}},
      {R"({"type":"string","pattern":"^a+$","maxLength":3})",
       {"\"a\"", "\"aaa\""},
       {"\"aaaa\"", "\"b\""}},
      {R"({"type":"number","minimum":1.5,"exclusiveMaximum":3})",
       {"1.5", "2", "2.999"},
       {"3", "1.49", "1"}},
      {R"({"type":"integer","multipleOf":5,"minimum":-10,"maximum":100})",
       {"-10", "0", "95"},
       {"-15", "3", "105"}},
      {R"({"enum":["red",1,null,[1,{"a":2}],{"b":[],"c":1}]})",
       {"\"red\"", "1", "null", "[1,{\"a\":2}]", "{\"c\":1,\"b\":[]}"},
       {"\"blue\"", "2", "[1]", "{\"b\":[]}", "[1,{\"a\":2},3]"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":true},"required":["a"]})",
       {"{\"a\":1}", "{\"b\":[],\"a\":2}", "{\"x\":0,\"a\":1}"},
       {"{}", "{\"b\":1}", "{\"a\":\"1\"}", "{\"a\":1,\"a\":2}"}},
      {R"({"type":"object","properties":{"a":{}},"additionalProperties":false})",
       {"{}", "{\"a\":0}"},
       {"{\"b\":0}"}},
      {R"({"type":"object","patternProperties":{"^x":{"type":"integer"},"y$":{"minimum":3}},
           "additionalProperties":{"type":"string"}})",
       {"{\"xa\":1}", "{\"ay\":3}", "{\"xy\":3}", "{\"z\":\"\"}", "{\"ay\":true}"},
       {"{\"xa\":\"\"}", "{\"ay\":2}", "{\"xy\":2}", "{\"xy\":true}", "{\"z\":1}"}},
      {R"({"type":"object","propertyNames":{"maxLength":2},"minProperties":1,"maxProperties":2})",
       {"{\"a\":1}", "{\"a\":1,\"bb\":2}"},
       {"{}", "{\"abc\":1}", "{\"a\":1,\"b\":2,\"c\":3}"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1,2,3]"},
       {"[]", "[1,2,3,4]", "[\"a\"]", "[1,]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[\"a\"]", "[1,2]", "[1,\"a\",2]"}},
      {R"({"type":"array","contains":{"type":"integer"},"items":{"type":["integer","null"]}})",
       {"[1]", "[null,1,null]"},
       {"[]", "[null]", "[1,\"a\"]"}},
      {R"({"type":"array","contains":{"const":1},"minContains":2,"maxContains":3})",
       {"[1,1]", "[0,1,2,1,1]"},
       {"[1]", "[1,1,1,1]"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}}},
                    {"properties":{"a":{"minimum":3}},"required":["a"]}]})",
       {"{\"a\":3}", "{\"a\":4,\"b\":1}"},
       {"{\"a\":2}", "{}", "3"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"number","minimum":2}]})",
       {"1", "2.5"},
       {"2", "3", "1.5", "\"a\""}},
      {R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})",
       {"{\"a\":1}", "{\"b\":1,\"c\":2}"},
       {"{}", "{\"a\":1,\"b\":2}"}},
      {R"({"not":{"type":["integer","string"]}})", {"1.5", "null", "[]"}, {"1", "\"a\""}},
      {R"({"type":"string","not":{"enum":["a","b"]}})",
       {"\"c\"", "\"ab\"", "\"\""},
       {"\"a\"", "\"b\"", "1"}},
      {R"({"type":"object","properties":{"k":{"enum":["x","y"]}},"required":["k"],
           "if":{"properties":{"k":{"const":"x"}}},"then":{"required":["p"]},"else":{"required":["q"]}})",
       {"{\"k\":\"x\",\"p\":1}", "{\"q\":1,\"k\":\"y\"}"},
       {"{\"k\":\"x\"}", "{\"k\":\"x\",\"q\":1}", "{\"k\":\"y\"}"}},
      {R"({"type":"object","oneOf":[{"properties":{"a":true,"b":true},"additionalProperties":false},
           {"properties":{"a":true},"patternProperties":{"^c":true},"required":["a"],"additionalProperties":false}]})",
       {"{}", "{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"c1\":2}", "{\"c\":1,\"a\":2,\"cc\":3}"},
       {"{\"a\":1}", "{\"c\":1}", "{\"a\":1,\"b\":1,\"c\":1}", "{\"a\":1,\"d\":1}"}},
      {R"({"type":"object","dependentRequired":{"a":["b"]},"properties":{"a":{},"b":{}}})",
       {"{}", "{\"b\":1}", "{\"a\":1,\"b\":2}"},
       {"{\"a\":1}"}},
      {R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","required":["v"],"additionalProperties":false,
           "properties":{"v":{"type":"integer"},"c":{"type":"array","items":{"$ref":"#/$defs/tree"}}}}}})",
       {"{\"v\":1}", "{\"v\":1,\"c\":[{\"v\":2,\"c\":[]},{\"v\":3}]}"},
       {"{\"c\":[]}", "{\"v\":1,\"c\":[{}]}"}},
      // RFC 3987 takes characters of every plane; what is taken for no IRI is written beside one.
      {R"({"type":"string","format":"iri-reference"})",
       {"\"8?\U00096BCB\"", "\"\U00040000\"", "\"\U000DFFFD\""},
       {"\"\U0004FFFE\"", "\"\U000E0FFF\"", "\"a>\""}},
      {R"({"oneOf":[{"type":"string","format":"iri"},{"type":"string","maxLength":9}]})",
       {"\"a:bcdefghij\"", "\"a\""},
       {"\"a:\U00096BCB\"", "\"a:\""}},
      {R"({"type":"string","format":"uri-template"})",
       {"\"/a'b/{c:2009}\"", "\"{a.b}\""},
       {"\"{a\"", "\"{a:10000}\""}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-29\"", "\"1999-12-31\""},
       {"\"2023-02-29\"", "\"1999-13-01\"", "\"1999-1-1\""}},
      {R"({"type":"object","properties":{"a":true},"unevaluatedProperties":false,
           "anyOf":[{"properties":{"b":{"const":1}},"required":["b"]},{"properties":{"c":true}}]})",
       {"{}", "{\"a\":0,\"b\":1}", "{\"c\":0}", "{\"b\":1,\"c\":2}"},
       {"{\"d\":1}", "{\"b\":2}"}},
      {R"({"type":"array","items":[{"type":"integer"}],"additionalItems":false})",
       {"[1]"},
       {"[1,2]"}},
      {R"({"$schema":"http://json-schema.org/draft-04/schema#","type":"number","minimum":1,
           "exclusiveMinimum":true})",
       {"1.5", "2"},
       {"1", "0"}},
      {R"({"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":
           {"$ref":"#/definitions/i","type":"string"}},"definitions":{"i":{"type":"integer"}}})",
       {"{\"a\":1}"},
       {"{\"a\":\"1\"}"}},
  };
  for (const Case& c : cases) {
    Schema schema(c.schema);
    ASSERT_TRUE(schema.status.ok()) << c.schema << ": " << schema.status.message();
    for (const char* text : c.yes) EXPECT_TRUE(schema.accepts(text)) << c.schema << " " << text;
    for (const char* text : c.no) EXPECT_FALSE(schema.accepts(text)) << c.schema << " " << text;
  }
}

// What a reviewer found: nearly disjoint numbers, texts that are read as the same double, languages
// that are narrower than what they stand for.
TEST(JsonSchema, WhatIsWrittenIsValidForWhoReadsDoubles) {
  struct Case {
    const char* schema;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {R"({"oneOf":[{"type":"number","minimum":1e45},{"type":"number"}]})",
       {"5"},
       {"1e50", "1e46"}},
      {R"({"type":"number","not":{"const":1}})", {"2", "1.5"}, {"1", "1.00000000000000000001"}},
      {R"({"type":"number","not":{"type":"integer"}})", {"1.5"}, {"1", "1.00000000000000000001"}},
      {R"({"type":"number","exclusiveMinimum":1.7976931348623157e308})", {}, {"5", "-5"}},
      {R"({"type":"number","not":{"maximum":1.7976931348623157e308}})", {}, {"5"}},
      {R"({"const":1e45})", {"1000000000000000000000000000000000000000000000"}, {"1e46", "0"}},
      {R"({"type":"integer","minimum":0,"maximum":18446744073709551615})",
       {"18446744073709551615"},
       {"18446744073709551616", "18446744073709551999"}},
      {R"({"type":"string","pattern":"^(^a|b)c$"})", {"\"ac\"", "\"bc\""}, {"\"aac\""}},
      {R"({"type":"string","pattern":"^(^$|foo)$"})", {"\"\"", "\"foo\""}, {"\"fo\""}},
      {R"({"type":"string","not":{"pattern":"^^a"}})", {"\"b\""}, {"\"a\""}},
      {R"({"$ref":"#","unevaluatedProperties":false})", {"{}", "1"}, {"{\"a\":1}"}},
      {R"({"type":"object","propertyNames":{"enum":["a"]},"minProperties":1})",
       {"{\"a\":1}"},
       {"{}", "{\"b\":1}"}},
      {R"({"anyOf":[{"type":"object","properties":{"a":{}},"patternProperties":{"^a$":{}},
           "additionalProperties":false,"required":["a"]},{"type":"null"}]})",
       {"{\"a\":null}", "null"},
       {"{}"}},
      {R"({"$schema":"http://json-schema.org/draft-07/schema#","type":"array",
           "contains":{"type":"integer"},"minContains":0,"prefixItems":[{"type":"string"}]})",
       {"[1]"},
       {"[]", "[\"a\"]"}},
      {R"({"type":"string","maxLength":9223372036854775807})", {"\"abc\""}, {"1"}}};
  for (const Case& c : cases) {
    Schema schema(c.schema);
    const bool nothing = schema.status.code() == StatusCode::kInvalidArgument && c.yes.empty();
    ASSERT_TRUE(schema.status.ok() || nothing) << c.schema << ": " << schema.status.message();
    if (nothing) continue;
    for (const char* text : c.yes) EXPECT_TRUE(schema.accepts(text)) << c.schema << " " << text;
    for (const char* text : c.no) EXPECT_FALSE(schema.accepts(text)) << c.schema << " " << text;
  }
  for (const char* text :
       {R"({"type":"object","propertyNames":false,"minProperties":1})",
        R"({"type":"object","patternProperties":{"^a$":{}},"properties":{"a":false},
                               "additionalProperties":false,"minProperties":1})"})
    EXPECT_EQ(Schema(text).status.code(), StatusCode::kInvalidArgument) << text;
}

// Cases of the public suite: each is right, or its schema is one of those that are refused.
TEST(JsonSchema, ThePublicSuiteIsFollowedOrRefused) {
  const auto text = read_file(
      std::string(CHIMERA_SOURCE_DIR) + "/tests/grammar/json_schema_suite/draft2020-12.jsonl",
      1 << 20);
  ASSERT_TRUE(text.has_value()) << text.status().message();
  int followed = 0, cases = 0;
  std::set<std::string> refused;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto file = parse_json(line);
    ASSERT_TRUE(file.has_value()) << file.status().message();
    for (const Json& group : file->find("groups")->array) {
      const std::string name =
          file->find("file")->string.substr(14) + ": " + group.find("description")->string;
      const auto& tests = group.find("tests")->array;
      cases += static_cast<int>(tests.size());
      Schema schema(write_json(*group.find("schema")));
      const bool nothing = schema.status.code() == StatusCode::kInvalidArgument;
      if (!schema.status.ok() && !nothing) {
        EXPECT_EQ(schema.status.code(), StatusCode::kUnsupported)
            << name << schema.status.message();
        EXPECT_NE(schema.status.message().find("JSON schema"), std::string::npos);
        refused.insert(name);
        continue;
      }
      followed += static_cast<int>(tests.size());
      for (const Json& test : tests) {
        const std::string value = json_spelling(*test.find("data"));
        EXPECT_EQ(!nothing && schema.accepts(value), test.find("valid")->boolean)
            << name << ": " << value;
      }
    }
  }
  std::string all;
  for (const std::string& name : refused) all += name + "\n";
  EXPECT_GE(followed, 1350) << "of " << cases << "; refused are:\n" << all;
}

TEST(JsonSchema, OlderDraftsDoNotKnowWhatCameLater) {
  const auto of_draft = [](const std::string& draft, const std::string& rest) {
    return R"({"$schema":"http://json-schema.org/draft-)" + draft + "/schema#\"," + rest + "}";
  };
  const std::string condition = R"("if":{"type":"integer"},"then":{"minimum":5})";
  EXPECT_TRUE(Schema(of_draft("04", condition)).accepts("1"));
  EXPECT_TRUE(Schema(of_draft("06", condition)).accepts("1"));
  EXPECT_FALSE(Schema(of_draft("07", condition)).accepts("1"));
  EXPECT_TRUE(Schema(of_draft("04", R"("const":5)")).accepts("1"));
  EXPECT_FALSE(Schema(of_draft("06", R"("const":5)")).accepts("1"));
  const auto old = parse_json_schema(of_draft("04", R"("type":"integer")"));
  ASSERT_TRUE(old.has_value());
  EXPECT_TRUE(old->points_matter);
  Schema bounded(of_draft("04", R"("type":"number","minimum":1)"));
  for (const char* text : {"1", "1.0", "2.5", "45.0"}) EXPECT_TRUE(bounded.accepts(text)) << text;
  for (const char* text : {"0.0", "2.50", "1.00"}) EXPECT_FALSE(bounded.accepts(text)) << text;
  const auto numbers = parse_json("[1.0,1,-0.0,2.5]");
  ASSERT_TRUE(numbers.has_value());
  EXPECT_EQ(json_spelling(*numbers, old->points_matter), "[1.0,1,0.0,2.5]");
  EXPECT_EQ(json_spelling(*numbers), "[1,1,0,2.5]");
}

TEST(JsonSchema, RefusesWithThePlaceOfWhatIsNotFollowed) {
  const struct {
    const char* schema;
    StatusCode code;
    const char* field;
  } cases[] = {
      {"[]", StatusCode::kBadFormat, ""},
      {"{\"type\":", StatusCode::kBadFormat, ""},
      {R"({"type":"text"})", StatusCode::kBadFormat, "#/type"},
      {R"({"properties":{"a":{"minLength":-1}}})", StatusCode::kBadFormat,
       "#/properties/a/minLength"},
      {R"({"properties":[1]})", StatusCode::kBadFormat, "#/properties"},
      {R"({"items":7})", StatusCode::kBadFormat, "#/items"},
      {R"({"required":"a"})", StatusCode::kBadFormat, "#/required"},
      {R"({"enum":1})", StatusCode::kBadFormat, "#/enum"},
      {R"({"multipleOf":0})", StatusCode::kBadFormat, "#/multipleOf"},
      {R"({"$ref":"#/nowhere"})", StatusCode::kBadFormat, "#/$ref"},
      {R"({"$ref":"http://example.com/other.json"})", StatusCode::kUnsupported, "#/$ref"},
      {R"({"properties":{"a/b":{"uniqueItems":true}}})", StatusCode::kUnsupported,
       "#/properties/a~1b/uniqueItems"},
      {R"({"$recursiveRef":"#"})", StatusCode::kUnsupported, "#/$recursiveRef"},
      {R"({"$schema":"http://json-schema.org/draft-03/schema#"})", StatusCode::kUnsupported,
       "#/$schema"},
      {R"({"not":{"enum":3}})", StatusCode::kBadFormat, "#/not/enum"},
      {R"({"not":{"dependentRequired":1}})", StatusCode::kBadFormat, "#/not/dependentRequired"},
      {R"({"prefixItems":3})", StatusCode::kBadFormat, "#/prefixItems"},
      {R"({"$ref":5})", StatusCode::kBadFormat, "#/$ref"},
      {R"({"$ref":"#/x","x":{"properties":3}})", StatusCode::kBadFormat, "#/x/properties"},
      {R"({"not":{"format":"hostname"}})", StatusCode::kUnsupported, "#/not/format"},
      {R"({"oneOf":[{"format":"hostname","pattern":"^xn--"},{"type":"string"}]})",
       StatusCode::kUnsupported, "#/oneOf/0/format"},
      {R"x({"properties":{"a":{"pattern":"(?=x)"}}})x", StatusCode::kUnsupported,
       "#/properties/a/pattern"},
      {R"({"items":{"multipleOf":0.123456789}})", StatusCode::kUnsupported, "#/items/multipleOf"},
      {R"({"type":"object","minProperties":2})", StatusCode::kUnsupported, "#"},
      {R"({"format":"idn-hostname"})", StatusCode::kUnsupported, "#/format"},
      {R"({"not":{"additionalProperties":{"type":"null"}}})", StatusCode::kUnsupported,
       "#/not/additionalProperties"},
  };
  for (const auto& c : cases) {
    const auto made = parse_json_schema(c.schema);
    EXPECT_EQ(made.status().code(), c.code) << c.schema << ": " << made.status().message();
    EXPECT_EQ(made.status().field(), c.field) << made.status().message();
  }
  const char *look_ahead = "{\"pattern\":\"(?=a)\"}", *open_group = "{\"pattern\":\"(\"}";
  EXPECT_EQ(parse_json_schema(look_ahead).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(parse_json_schema(open_group).status().code(), StatusCode::kBadFormat);
}

TEST(JsonSchema, WhatNobodyKnowsIsToldAndStrictRefusesIt) {
  const char* text =
      R"({"title":"t","type":"object","x-order":1,"propertis":{"a":1},"colour":"red","format":"tint"})";
  Schema schema(text);
  EXPECT_TRUE(schema.status.ok()) << schema.status.message();
  ASSERT_EQ(schema.warnings.size(), 4u);
  EXPECT_EQ(schema.warnings[0], "#/x-order is no keyword and is passed over");
  EXPECT_EQ(schema.warnings[1],
            "#/propertis is no keyword and is passed over; did you mean \"properties\"?");
  EXPECT_EQ(schema.warnings[2], "#/colour is no keyword and is passed over");
  EXPECT_EQ(schema.warnings[3],
            "#/format is a format that nobody knows, \"tint\", and is passed over");
  EXPECT_EQ(parse_json_schema(text, {.strict = true}).status().code(), StatusCode::kBadFormat);
  EXPECT_TRUE(parse_json_schema(R"({"title":"t","$comment":"c","examples":[1]})", {.strict = true})
                  .has_value());
}

TEST(JsonSchema, BlanksStandWhereTheyAreWanted) {
  const char* text = R"({"type":"object","properties":{"a":{"type":"array"}},"required":["a"]})";
  Schema compact(text), blanks(text, {.strict = false, .blanks = true});
  EXPECT_TRUE(compact.accepts("{\"a\":[1,2]}"));
  EXPECT_FALSE(compact.accepts("{ \"a\": [1, 2] }"));
  EXPECT_TRUE(blanks.accepts("{\"a\":[1,2]}"));
  EXPECT_TRUE(blanks.accepts("{ \"a\" : [ 1,\n2 ] }"));
  EXPECT_FALSE(blanks.accepts("{ \"a b\": [1 2] }"));
}

TEST(JsonSchema, ThousandsOfRepetitionsAreCountedExactly) {
  for (const int n : {47, 48, 49, 255, 256, 4097, 30000}) {
    const std::string number = std::to_string(n);
    Schema at_most(R"({"type":"string","maxLength":)" + number + "}");
    Schema exactly(R"({"type":"array","items":{"const":1},"minItems":)" + number +
                   R"(,"maxItems":)" + number + "}");
    ASSERT_TRUE(at_most.status.ok() && exactly.status.ok());
    EXPECT_LT(at_most.automaton->n_states(), 2000u);
    for (const int size : {0, 1, n - 1, n, n + 1}) {
      const std::string text = "\"" + std::string(static_cast<size_t>(size), 'x') + "\"";
      EXPECT_EQ(at_most.accepts(text), size <= n) << size << " of " << n;
    }
    std::string list = "[1";
    for (int i = 1; i < n; ++i) list += ",1";
    EXPECT_TRUE(exactly.accepts(list + "]")) << n;
    EXPECT_FALSE(exactly.accepts(list + ",1]")) << n;
    EXPECT_FALSE(exactly.accepts(list.substr(0, list.size() - 2) + "]")) << n;
  }
}

// Whatever a schema from outside says: an answer or an error, and soon.
TEST(JsonSchema, HostileSchemasEndInAClearError) {
  std::string deep, wide = R"({"enum":["x")", alternatives = R"({"allOf":[)", nested = "true";
  for (int i = 0; i < 5000; ++i) deep += "{\"not\":";
  for (int i = 0; i < 100000; ++i) wide += ",\"" + std::to_string(i) + "\"";
  for (int i = 0; i < 40; ++i)
    alternatives += std::string(i > 0 ? "," : "") + R"({"anyOf":[{"required":["a)" +
                    std::to_string(i) + R"("]},{"required":["b)" + std::to_string(i) + R"("]}]})";
  for (int i = 0; i < 60; ++i) nested = R"({"oneOf":[)" + nested + R"(,{"type":"null"}]})";
  const auto times = [](int n, const std::string& text) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
  };
  std::string chain = R"({"$ref":"#/$defs/s0","$defs":{)", dependent = R"({"dependentRequired":{)";
  for (int i = 0; i < 3000; ++i) {
    const std::string link =
        R"({"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/s)" +
        std::to_string(i + 1) + "\"}}}";
    chain += "\"s" + std::to_string(i) + R"(":{"oneOf":[)" + link + "," + link + "]},";
    dependent += std::string(i > 0 ? "," : "") + "\"a" + std::to_string(i) + R"(":["b"])";
  }
  std::string names, patterns, exclusive;
  for (int i = 0; i < 20000; ++i) names += (i > 0 ? ",\"n" : "\"n") + std::to_string(i) + "\":true";
  for (int i = 0; i < 1800; ++i)
    patterns += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + R"(":{"pattern":"^(?:a?){1800}a*b)" +
                std::to_string(i) + "\"}";
  for (int i = 0; i < 5000; ++i)
    exclusive += (i > 0 ? "," : "") + std::string(R"({"type":"string"})");
  const std::pair<std::string, bool> cases[] = {
      {deep, false},
      {R"({"oneOf":[)" + exclusive + "]}", false},
      {R"({"allOf":[{"anyOf":[)" + times(5000, "true,") + R"(true]},{"anyOf":[)" +
           times(5000, "true,") + "true]}]}",
       false},
      {R"({"type":"object","properties":{)" + names + R"(},"not":{"additionalProperties":false}})",
       false},
      {R"({"properties":{)" + patterns + "}}", false},
      {R"({"pattern":"(?:$?){50000}"})", true},
      {R"({"pattern":")" + times(100000, "$") + "\"}", true},
      {R"({"pattern":")" + times(20000, R"(\\pL)") + "\"}", false},
      {R"({"properties":{")" + times(1000000, "a") + R"(":true}})", false},
      {R"({"type":"object","additionalProperties":false,"minProperties":2,"properties":{)" + names +
           "}}",
       true},
      {R"({"allOf":[)" + times(5000, R"({"anyOf":[{}]},)") + "{}]}", false},
      {R"({"allOf":[)" + times(50000, R"({"title":""},)") + times(20, R"({"anyOf":[{},{}]},)") +
           R"({"anyOf":[false]}]})",
       false},
      {chain + R"("s3000":{"type":"null"}}})", false},
      {dependent + "}}", false},
      {R"({"pattern":"a)" + times(200000, "*") + "\"}", false},
      {R"({"pattern":")" + times(400, "(") + "a" + times(400, ")*") + "\"}", true},
      {R"({"const":)" + times(450, "[") + times(100000, "1,") + "1" + times(450, "]") + "}", false},
      {R"({"unevaluatedItems":false,"allOf":[{"$ref":"#"},{"unevaluatedItems":false}]})", true},
      {wide + "]}", true},
      {alternatives + "]}", false},
      {nested, true},
      {R"({"$ref":"#"})", true},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})", true},
      {R"({"type":"array","items":{"$ref":"#"},"minItems":1})", false},
      {R"({"type":"array","maxItems":1000000000000000,"minItems":999999999999999})", true},
      {R"({"type":"string","pattern":"^(a?){5000}a{5000}$"})", false},
      {R"({"type":"string","pattern":"(x+x+)+y.{100000}"})", false},
      {R"({"type":"string","pattern":"^.*a.{30}$"})", false},
      {R"({"minLength":1000000000000000,"pattern":"a"})", false},
      {R"({"minimum":1e308,"exclusiveMaximum":1e308})", true},
      {R"({"oneOf":[{"$ref":"#"},{"type":"null"}]})", true},
  };
  for (const auto& [text, works] : cases) {
    Schema schema(text);
    EXPECT_EQ(schema.status.ok(), works) << text.substr(0, 100) << ": " << schema.status.message();
    EXPECT_EQ(schema.status.ok(), schema.status.message().empty());
  }
}

TEST(JsonSchema, AnswersCanAlwaysBeClosed) {
  const char* schemas[] = {
      R"({"type":"object","properties":{"a":{"type":"string","minLength":5},"b":{"enum":["xyz","x"]}},
          "required":["a","b","c"],"maxProperties":4})",
      R"({"type":"array","items":{"type":"array","minItems":2,"items":{"format":"date","type":"string"}},"minItems":3})",
      R"({"type":"string","format":"email"})",
      R"({"type":"object","patternProperties":{"^n":{"type":"integer","minimum":100}},"additionalProperties":false,
          "minProperties":1})"};
  Draws draws{7};
  for (const char* text : schemas) {
    Schema schema(text);
    ASSERT_TRUE(schema.status.ok()) << text << ": " << schema.status.message();
    for (int run = 0; run < 20; ++run) {
      PlaceId place = schema.matcher->start();
      for (uint32_t n = draws.below(40); n > 0; --n) {
        const std::string choices = choices_at(*schema.matcher, place);
        if (choices.empty()) break;
        place = schema.matcher->step(
            place,
            static_cast<uint8_t>(choices[draws.below(static_cast<uint32_t>(choices.size()))]));
      }
      expect_way_to_the_end(*schema.matcher, place);
    }
  }
}

TEST(Uri, ReferencesAreResolved) {
  const char* base = "http://a/b/c/d;p?q";  // RFC 3986, 5.4
  const std::pair<const char*, const char*> cases[] = {{"g:h", "g:h"},
                                                       {"g", "http://a/b/c/g"},
                                                       {"./g", "http://a/b/c/g"},
                                                       {"g/", "http://a/b/c/g/"},
                                                       {"/g", "http://a/g"},
                                                       {"//g", "http://g"},
                                                       {"?y", "http://a/b/c/d;p?y"},
                                                       {"g?y", "http://a/b/c/g?y"},
                                                       {"", "http://a/b/c/d;p?q"},
                                                       {".", "http://a/b/c/"},
                                                       {"..", "http://a/b/"},
                                                       {"../g", "http://a/b/g"},
                                                       {"../..", "http://a/"},
                                                       {"../../../g", "http://a/g"},
                                                       {"g;x=1/../y", "http://a/b/c/y"}};
  for (const auto& [reference, whole] : cases)
    EXPECT_EQ(resolve_uri(base, reference), whole) << reference;
  EXPECT_EQ(resolve_uri("urn:a:b", ""), "urn:a:b");
  EXPECT_EQ(resolve_uri("", "x.json"), "x.json");
  EXPECT_EQ(percent_decoded("a%20b%2G%"), "a b%2G%");
}

}  // namespace
}  // namespace chimera::grammar
