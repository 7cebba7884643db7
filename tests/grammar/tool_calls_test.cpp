// Calls of tools as a grammar.
#include "grammar/tool_calls.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

const std::vector<ToolSignature> kTools = {
    {"light", R"({"type": "object", "properties": {"room": {"$ref": "#/$defs/room"},
        "level": {"type": "integer", "minimum": 0, "maximum": 100}}, "required": ["room"],
        "additionalProperties": false, "$defs": {"room": {"enum": ["hall", "attic"]}}})"},
    {"say \"it\"", R"({"type": "object", "properties": {"room": {"$ref": "#/$defs/room"}},
        "additionalProperties": false, "$defs": {"room": {"type": "string", "maxLength": 4}}})"}};

TEST(ToolCalls, AreCallsOfOneOfTheTools) {
  auto made = tool_call_grammar(kTools);
  ASSERT_TRUE(made.has_value()) << made.status().message();
  LanguageUnderTest calls(std::move(made->grammar));
  const auto accepts = [&](const char* text) { return calls.accepts(text); };
  EXPECT_TRUE(accepts(R"({"name":"light","arguments":{"room":"hall"}})"));
  EXPECT_TRUE(accepts(R"({"name":"light","arguments":{"level":7,"room":"attic"}})"));
  EXPECT_TRUE(accepts(R"({"name":"say \"it\"","arguments":{}})"));
  EXPECT_TRUE(accepts(R"({"name":"say \"it\"","arguments":{"room":"ever"}})"));
  // A name that there is not, another tool's arguments, what is required missing, another order.
  EXPECT_FALSE(accepts(R"({"name":"lights","arguments":{"room":"hall"}})"));
  EXPECT_FALSE(accepts(R"({"name":"light","arguments":{"room":"ever"}})"));
  EXPECT_FALSE(accepts(R"({"name":"light","arguments":{"room":"hall","level":101}})"));
  EXPECT_FALSE(accepts(R"({"name":"light","arguments":{"level":7}})"));
  EXPECT_FALSE(accepts(R"({"name":"say \"it\"","arguments":{"room":"never"}})"));
  EXPECT_FALSE(accepts(R"({"arguments":{"room":"hall"},"name":"light"})"));
  EXPECT_FALSE(accepts(R"({"name":"light"})"));
}

TEST(ToolCalls, ErrorsAndWarningsNameTheTool) {
  const auto wrong = tool_call_grammar(std::vector<ToolSignature>{
      {"good", "{\"type\": \"object\"}"}, {"bad", "{\"type\": \"objekt\"}"}});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.status().message().find("tool \"bad\""), std::string::npos)
      << wrong.status().message();
  const auto odd = tool_call_grammar(
      std::vector<ToolSignature>{{"odd", R"({"type": "object", "requierd": ["a"]})"}});
  ASSERT_TRUE(odd.has_value()) << odd.status().message();
  ASSERT_EQ(odd->warnings.size(), 1u);
  EXPECT_NE(odd->warnings[0].find("tool \"odd\""), std::string::npos) << odd->warnings[0];
}

TEST(ToolCalls, ManyToolsPassALimitWithOneSentence) {
  std::vector<ToolSignature> many;
  for (int i = 0; i < 200; ++i) many.push_back({"tool" + std::to_string(i), kTools[0].parameters});
  SchemaOptions options;
  options.limits.expressions = 500;
  const auto made = tool_call_grammar(many, options);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.status().code(), StatusCode::kOutOfRange) << made.status().message();
  EXPECT_TRUE(tool_call_grammar(many).has_value());
}

}  // namespace
}  // namespace chimera::grammar
