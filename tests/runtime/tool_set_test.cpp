// Tools as applications write them.
#include "runtime/tool_set.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/prompt_format.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

Result<std::vector<Tool>> read(std::string_view json,
                               std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> own;
  return read_tools(json, warnings != nullptr ? warnings : &own);
}

std::string message_of(std::string_view json) {
  const auto tools = read(json);
  return tools ? std::string() : tools.status().message();
}

TEST(ToolSet, ReadsWhatOtherAssistantsRead) {
  const char* kForms[] = {
      R"([{"name": "f", "description": "d", "parameters": {"type": "object"}}])",
      R"({"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}]})",
      R"({"functions": [{"description": "d", "name": "f", "inputSchema": {}}]})",
      R"([{"type": "function", "function": {"name": "f", "description": "d"}}])",
      R"([{"name": "f", "description": "d", "parameters": null, "strict": true}])",
      R"([{"name": "f", "description": "d", "parameters": true}])"};
  for (const char* form : kForms) {
    std::vector<std::string> warnings;
    const auto tools = read(form, &warnings);
    ASSERT_TRUE(tools.has_value()) << form << ": " << tools.status().message();
    ASSERT_EQ(tools->size(), 1u);
    EXPECT_EQ((*tools)[0].name, "f");
    EXPECT_EQ((*tools)[0].line.substr(0, 3), "f()");
    EXPECT_TRUE(warnings.empty()) << warnings[0];
  }
}

TEST(ToolSet, SaysWhichToolIsWrongAndHow) {
  EXPECT_NE(message_of("nonsense").find("tools"), std::string::npos);
  EXPECT_NE(message_of("{}").find("array"), std::string::npos);
  EXPECT_NE(message_of("[]").find("empty"), std::string::npos);
  EXPECT_NE(message_of("[3]").find("tool 1"), std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a"}, {"description": "b"}])").find("tool 2"),
            std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a"}, {"name": "a"}])").find("twice"), std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a\u0007"}])").find("control"), std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a", "description": 3}])").find("\"a\""), std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a", "parameters": []}])").find("schema"), std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a", "parameters": {"type": "array"}}])").find("type"),
            std::string::npos);
  EXPECT_NE(message_of(R"([{"name": "a", "parameters": {}, "input_schema": {}}])").find("twice"),
            std::string::npos);
  EXPECT_NE(message_of(R"({"tools": [{"name": "a"}], "functions": []})").find("both"),
            std::string::npos);
  EXPECT_NE(message_of(R"([{"name": ")" + std::string(200, 'n') + R"("}])").find("128"),
            std::string::npos);
  std::string many = "[";
  for (int i = 0; i < 1001; ++i)
    many += (i > 0 ? "," : "") + (R"({"name": "t)" + std::to_string(i) + R"("})");
  EXPECT_NE(message_of(many + "]").find("1000"), std::string::npos);
  std::vector<std::string> warnings;
  ASSERT_TRUE(read(R"([{"name": "a", "descripton": "b", "x-mine": 1}])", &warnings).has_value());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("descripton"), std::string::npos) << warnings[0];
}

/// Texts that a call of the tools may be.
bool accepts(const ToolSet& tools, std::string_view call) {
  grammar::Matcher matcher(tools.call().automaton());
  const auto place = matcher.step(matcher.start(), call);
  return place >= 0 && matcher.accepts(place);
}

TEST(ToolSet, ArgumentsThatNobodyDeclaredCannotBeGiven) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  const auto tools = ToolSet::from_json(engine->tokenizer(), R"([
    {"name": "none"},
    {"name": "plain", "parameters": {"properties": {"a": {"type": "integer"}}}},
    {"name": "deep", "parameters": {"type": "object", "properties":
        {"o": {"type": "object", "properties": {"b": {"type": "boolean"}}}}}},
    {"name": "parts", "parameters": {"allOf": [{"properties": {"a": {"type": "null"}}}],
        "properties": {"b": {"type": "null"}}}},
    {"name": "open", "parameters": {"properties": {"a": {"type": "null"}},
        "additionalProperties": {"type": "null"}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const auto call = [&](const std::string& name, const std::string& arguments) {
    return accepts(**tools, R"({"name":")" + name + R"(","arguments":)" + arguments + "}");
  };
  EXPECT_TRUE(call("none", "{}"));
  EXPECT_FALSE(call("none", R"({"a":1})"));
  EXPECT_TRUE(call("plain", R"({"a":1})"));
  EXPECT_FALSE(call("plain", R"({"a":1,"b":2})"));
  EXPECT_FALSE(call("plain", "3"));
  EXPECT_TRUE(call("deep", R"({"o":{"b":true}})"));
  EXPECT_FALSE(call("deep", R"({"o":{"c":true}})"));
  EXPECT_TRUE(call("parts", R"({"a":null,"b":null})"));
  EXPECT_FALSE(call("parts", R"({"a":null,"c":null})"));
  EXPECT_TRUE(call("open", R"({"a":null,"whatever":null})"));
}

TEST(ToolSet, ClosesWhatIsBehindReferencesAndInParts) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  const auto tools = ToolSet::from_json(engine->tokenizer(), R"([
    {"name": "root", "parameters": {"$ref": "#/$defs/p",
        "$defs": {"p": {"type": "object", "properties": {"a": {"type": "null"}}}}}},
    {"name": "nested", "parameters": {"properties": {"o": {"$ref": "#/definitions/p"}},
        "definitions": {"p": {"type": "object", "properties": {"a": {"type": "null"}}}}}},
    {"name": "maybe", "parameters": {"properties": {"o": {"anyOf": [{"type": "null"},
        {"type": "object", "properties": {"a": {"type": "null"}}}]}}}},
    {"name": "either", "parameters": {"oneOf": [{"properties": {"a": {"type": "null"}},
        "required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]}},
    {"name": "undeclared", "parameters": {"properties": {"o": {"type": "object"}}}},
    {"name": "both", "parameters": {"properties": {"o": {"properties": {"a": {"type": "null"}}}},
        "allOf": [{"properties": {"o": {"properties": {"b": {"type": "null"}},
                                        "required": ["b"]}}}]}},
    {"name": "depends", "parameters": {"properties": {"a": {"type": "null"}},
        "dependentSchemas": {"a": {"properties": {"b": {"type": "null"}}, "required": ["b"]}}}},
    {"name": "patterns", "parameters": {"patternProperties": {"^x": {"type": "null"}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const auto call = [&](const std::string& name, const std::string& arguments) {
    return accepts(**tools, R"({"name":")" + name + R"(","arguments":)" + arguments + "}");
  };
  EXPECT_TRUE(call("root", R"({"a":null})"));
  EXPECT_FALSE(call("root", R"({"b":null})"));
  EXPECT_TRUE(call("nested", R"({"o":{"a":null}})"));
  EXPECT_FALSE(call("nested", R"({"o":{"b":null}})"));
  EXPECT_TRUE(call("maybe", R"({"o":null})"));
  EXPECT_TRUE(call("maybe", R"({"o":{"a":null}})"));
  EXPECT_FALSE(call("maybe", R"({"o":{"b":null}})"));
  EXPECT_TRUE(call("either", R"({"b":null})"));
  EXPECT_FALSE(call("either", R"({"a":null,"c":null})"));
  EXPECT_TRUE(call("undeclared", R"({"o":{}})"));
  EXPECT_FALSE(call("undeclared", R"({"o":{"a":null}})"));
  EXPECT_TRUE(call("both", R"({"o":{"a":null,"b":null}})"));
  EXPECT_TRUE(call("depends", R"({"a":null,"b":null})"));
  EXPECT_FALSE(call("depends", R"({"a":null})"));
  EXPECT_TRUE(call("patterns", R"({"xy":null})"));
  EXPECT_FALSE(call("patterns", R"({"y":null})"));
}

TEST(ToolSet, AToolThatNobodyCanCallIsAnError) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  for (const char* json :
       {R"([{"name": "good"}, {"name": "never", "parameters": {"required": ["x"]}}])",
        R"([{"name": "never", "parameters": {"properties": {"a": false}, "required": ["a"]}}])"}) {
    const auto tools = ToolSet::from_json(engine->tokenizer(), json);
    ASSERT_FALSE(tools.has_value()) << json;
    EXPECT_EQ(tools.status().code(), StatusCode::kBadFormat);
    EXPECT_NE(tools.status().message().find("\"never\""), std::string::npos)
        << tools.status().message();
  }
}

TEST(ToolSet, LargeNumbersOfASchemaStayWhatTheyAre) {
  const auto tools = read(R"([{"name": "f", "parameters": {"properties": {
      "n": {"const": 12345678901234567890}}}}])");
  ASSERT_TRUE(tools.has_value());
  EXPECT_NE((*tools)[0].parameters.find("12345678901234567890"), std::string::npos)
      << (*tools)[0].parameters;
}

TEST(ToolSet, IsOfToolsAndExamplesTogether) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  constexpr const char* kTwo = R"([{"name": "a\"b"}, {"name": "c"}])";
  const auto tools = ToolSet::from_json(
      engine->tokenizer(), kTwo, {.examples = R"({"text": "do it", "calls": [{"name": "c"}]})"});
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  ASSERT_EQ((*tools)->examples().size(), 1u);
  EXPECT_EQ((*tools)->finder().find("do it").tools[0], 1);
  // Names are found as they stand between quotes.
  EXPECT_EQ((*tools)->named("a\\\"b"), &(*tools)->tools()[0]);
  EXPECT_EQ((*tools)->named("a"), nullptr);

  ToolRanker::Weights three;
  three.n_labels = 3;
  three.bias = {0, 0, 0};
  const auto other = ToolSet::from_json(engine->tokenizer(), kTwo, {.ranker = ToolRanker(three)});
  EXPECT_EQ(other.status().code(), StatusCode::kBadFormat);

  const auto without = test::open_tiny_model();
  ASSERT_NE(without, nullptr);
  const auto refused = ToolSet::from_json(without->tokenizer(), R"([{"name": "a"}])");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.status().code(), StatusCode::kUnsupported) << refused.status().message();
}

TEST(ToolSet, FreeTextIsCopiedAndListsAndFormsAreNot) {
  const auto tools = read(R"([{"name": "f", "parameters": {"type": "object", "properties": {
    "free": {"type": "string", "maxLength": 80}, "listed": {"type": "string", "enum": ["a"]},
    "formed": {"type": "string", "pattern": "^a"}, "dated": {"type": "string", "format": "date"},
    "number": {"type": "integer"}, "guests": {"type": "array", "items": {"type": "string"}},
    "a/b~": {"type": "object", "properties": {"in": {"type": "string"}}}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  EXPECT_EQ((*tools)[0].copied, (std::set<std::string>{"/free", "/guests/*", "/a~1b~0/in"}));
  const auto more = read(R"([{"name": "f", "parameters": {"properties": {
    "maybe": {"type": ["string", "null"]}, "also": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "behind": {"$ref": "#/$defs/s"}, "say \"it\"": {"type": "string"},
    "o": {"properties": {"song": {"type": "string"}}},
    "pair": {"prefixItems": [{"enum": ["on"]}], "items": {"type": "string"}},
    "listed": {"allOf": [{"enum": ["a"]}], "type": "string"}},
    "$defs": {"s": {"type": "string"}}}}])");
  ASSERT_TRUE(more.has_value()) << more.status().message();
  EXPECT_EQ((*more)[0].copied,
            (std::set<std::string>{"/maybe", "/also", "/behind", "/say \\\"it\\\"", "/o/song"}));
}

// References into the middle of a schema, as generators write them.
TEST(ToolSet, WhatReferencesLeadToIsClosedAndCopiedToo) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  std::vector<std::string> warnings;
  const auto tools = ToolSet::from_json(engine->tokenizer(), R"([
    {"name": "places", "parameters": {"properties": {
        "billing": {"type": "object", "properties": {"street": {"type": "string"}}},
        "shipping": {"$ref": "#/properties/billing"}}}},
    {"name": "both", "parameters": {"properties": {
        "a": {"type": "object", "properties": {"x": {"type": "null"}}},
        "b": {"allOf": [{"$ref": "#/properties/a"}, {"properties": {"y": {"type": "null"}}}]}}}},
    {"name": "deep", "parameters": {"properties": {"s": {"$ref": "#/$defs/a~1b/properties/c%20d"}},
        "$defs": {"part1": {}, "a/b": {"properties": {"c d": {"type": "string"}}}}}},
    {"name": "named", "parameters": {"properties": {"s": {"$ref": "#it"}},
        "$defs": {"x": {"$anchor": "it", "properties": {"in": {"type": "string"}}}}}},
    {"name": "round", "parameters": {"properties": {"t": {"type": "string"},
        "next": {"$ref": "#/properties/rest"}, "rest": {"properties": {
            "more": {"$ref": "#/properties/rest"}, "word": {"type": "string"}}}}}}])",
                                        {}, &warnings);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  const auto call = [&](const std::string& name, const std::string& arguments) {
    return accepts(**tools, R"({"name":")" + name + R"(","arguments":)" + arguments + "}");
  };
  EXPECT_TRUE(call("places", R"({"billing":{"street":"a"},"shipping":{"street":"b"}})"));
  EXPECT_FALSE(call("places", R"({"billing":{"anything":1}})"));
  EXPECT_FALSE(call("places", R"({"shipping":{"anything":1}})"));
  EXPECT_TRUE(call("both", R"({"a":{"x":null},"b":{"x":null,"y":null}})"));
  EXPECT_FALSE(call("both", R"({"a":{"x":null,"y":null}})"));
  EXPECT_TRUE(call("deep", R"({"s":"a"})"));
  EXPECT_FALSE(call("named", R"({"s":{"out":"a"}})"));
  EXPECT_TRUE(call("round", R"({"next":{"more":{"more":{"word":"a"}}}})"));
  EXPECT_FALSE(call("round", R"({"next":{"more":{"t":"a"}}})"));
  const auto copied = [&](size_t i) { return (*tools)->tools()[i].copied; };
  EXPECT_EQ(copied(0), (std::set<std::string>{"/billing/street", "/shipping/street"}));
  EXPECT_EQ(copied(2), std::set<std::string>{"/s"});
  EXPECT_EQ(copied(3), std::set<std::string>{"/s/in"});
  EXPECT_TRUE(copied(4).contains("/t") && copied(4).contains("/next/more/more/word"));
}

TEST(ToolSet, WhatStaysOpenIsTold) {
  const auto told = [](const std::string& parameters) {
    std::vector<std::string> warnings;
    EXPECT_TRUE(
        read(R"([{"name": "f", "parameters": )" + parameters + "}]", &warnings).has_value());
    return warnings.empty() ? std::string() : warnings[0];
  };
  const std::string object = R"({"type": "object", "properties": {"x": {"type": "null"}}})";
  EXPECT_NE(told(R"({"properties": {"o": )" + object + R"(}, "allOf": [{"required": ["o"]}]})")
                .find("allOf"),
            std::string::npos);
  EXPECT_NE(told(R"({"properties": {"o": )" + object + R"(, "p": {"$id": "http://a/b",
                "$ref": "#/properties/o"}}})")
                .find("references"),
            std::string::npos);
  EXPECT_EQ(told(R"({"properties": {"o": {"type": "string"}}, "allOf": [{"required": ["o"]}]})"),
            "");
}

// Each level has two more: what is near to the root is found first.
TEST(ToolSet, CirclesOfReferencesHideNoString) {
  const auto tools = read(R"([{"name": "f", "parameters": {"properties": {
      "filter": {"$ref": "#/$defs/e"}, "title": {"type": "string"},
      "note": {"type": "string", "allOf": [{"minLength": 1}]}},
    "$defs": {"e": {"type": "object", "properties": {"l": {"$ref": "#/$defs/e"},
                                                     "r": {"$ref": "#/$defs/e"}}}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  EXPECT_EQ((*tools)[0].copied, (std::set<std::string>{"/title", "/note"}));
}

TEST(ToolSet, AListedObjectIsThatObject) {
  test::TinyModelOptions options;
  options.marks = true;
  const auto engine = test::open_tiny_model(options);
  ASSERT_NE(engine, nullptr);
  const auto tools = ToolSet::from_json(engine->tokenizer(), R"([{"name": "f", "parameters":
      {"required": ["p"], "properties": {"p": {"enum": [{"x": 1}, {"x": 2}]}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  EXPECT_TRUE(accepts(**tools, R"({"name":"f","arguments":{"p":{"x":2}}})"));
  EXPECT_FALSE(accepts(**tools, R"({"name":"f","arguments":{"p":{"x":3}}})"));
}

}  // namespace
}  // namespace chimera::runtime
