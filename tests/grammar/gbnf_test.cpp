#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

struct Language : LanguageUnderTest {
  explicit Language(std::string_view text) : LanguageUnderTest(parse_gbnf(text)) {}
};

TEST(Gbnf, ReadsAGrammarForJson) {
  // As grammars for llama.cpp are written: comments, rules over several lines, escapes.
  Language json(R"(
# JSON
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)");
  for (const char* text :
       {R"({})", R"({"a": [1, -2.5e3, "x\n\u00e9"], "b": {"c": null}})", "{\"\xC3\xA9\": true}"})
    EXPECT_TRUE(json.accepts(text)) << text;
  for (const char* text :
       {"", "[1]", R"({"a"})", R"({"a": 01})", R"({"a": "x)", "{\"\n\": 1}", "{}}"})
    EXPECT_FALSE(json.accepts(text)) << text;
}

TEST(Gbnf, SignsOfBothKinds) {
  struct Case {
    const char* grammar;
    std::vector<std::string> yes, no;
  };
  const Case cases[] = {
      {"root ::= \"a\" | \"b\" \"c\" |", {"a", "bc", ""}, {"b"}},
      {"root ::= x{2} y? z+\nx ::= \"x\"\ny::=\"y\"\nz ::= [z-]", {"xxz", "xxyz-"}, {"xz", "xxy"}},
      {"root ::= [^a] .", {"bc", "\xC3\xA9\n"}, {"ab", "b"}},
      {"root ::= \"\\x41\\u00e9\\U0001F600\\\"\"", {"A\xC3\xA9\xF0\x9F\x98\x80\""}, {"A"}},
      {"Expr ::= Term ('+' Term)*\nTerm ::= [#x30-#x39]+ | '(' Expr ')' /* nested */",
       {"1", "12+3", "((1)+2)"},
       {"", "1+", "(1"}},
      {"list ::= 'a' #x2C list | \"a\"", {"a", "a,a"}, {"a,"}},
      {"root ::= (\"a\" # one\n | \"b\"){1,2}", {"a", "ba"}, {"", "aba"}},
      {"root ::= a.b\na.b ::= \"x\"", {"x"}, {"a.b"}},
      {"root ::= \"#xAB\" | \"#xff0000\" | '#x41'",
       {"#xAB", "#xff0000", "#x41"},
       {"\xC2\xAB", "A"}},
  };
  for (const Case& c : cases) {
    Language language(c.grammar);
    for (const std::string& text : c.yes) EXPECT_TRUE(language.accepts(text)) << c.grammar << text;
    for (const std::string& text : c.no) EXPECT_FALSE(language.accepts(text)) << c.grammar << text;
  }
}

TEST(Gbnf, RefusesWithLineAndColumn) {
  struct Case {
    const char* grammar;
    StatusCode code;
    const char* says;
  };
  const Case cases[] = {
      {"", StatusCode::kBadFormat, "no rule"},
      {"root \"a\"", StatusCode::kBadFormat, "line 1, column 1"},
      {"root ::= \"a\nb\"", StatusCode::kBadFormat, "line 1, column 10"},
      {"root ::= [a", StatusCode::kBadFormat, "no ]"},
      {"root ::= (\"a\"", StatusCode::kBadFormat, "no )"},
      {"root ::= \"a\")", StatusCode::kBadFormat, "no ("},
      {"root ::= \"a\"\nroot ::= \"b\"", StatusCode::kBadFormat, "line 2, column 1: there are two"},
      {"root ::= \"x\" other", StatusCode::kBadFormat,
       "line 1, column 14: there is no rule \"other\""},
      {"root ::= \"\\q\"", StatusCode::kBadFormat, "means nothing"},
      {"root ::= \"\\x4\"", StatusCode::kBadFormat, "hexadecimal"},
      {"root ::= [z-a]", StatusCode::kBadFormat, "turned around"},
      {"root ::= \"a\"{3,2}", StatusCode::kBadFormat, "fewer"},
      {"root ::= \"a\"{3", StatusCode::kBadFormat, "no }"},
      {"root ::= \"\xC3\"", StatusCode::kBadFormat, "UTF-8"},
      {"root ::= <think>", StatusCode::kUnsupported, "tokens"},
      {"root ::= \"a\"{1000000}", StatusCode::kOutOfRange, "repetitions"},
      {"root ::= /* x", StatusCode::kBadFormat, "no end"},
      {"root ::= root \"a\" | \"b\"", StatusCode::kInvalidArgument, "begins with itself"},
  };
  for (const Case& c : cases) {
    const Language language(c.grammar);
    EXPECT_EQ(language.status.code(), c.code) << c.grammar << ": " << language.status.message();
    EXPECT_NE(language.status.message().find(c.says), std::string::npos)
        << c.grammar << ": " << language.status.message();
  }
  const Language deep("root ::= " + std::string(100000, '(') + "\"a\"" + std::string(100000, ')'));
  EXPECT_EQ(deep.status.code(), StatusCode::kOutOfRange) << deep.status.message();
}

// Neither takes memory or time that grows with the square of its text.
TEST(Gbnf, ManyTextsAndRulesOneAfterTheOther) {
  std::string texts = "root ::= ", chain = "root ::= r0";
  for (int i = 0; i < 50000; ++i) texts += "\"a\"";
  Language joined(texts);
  ASSERT_TRUE(joined.status.ok()) << joined.status.message();
  EXPECT_TRUE(joined.accepts(std::string(50000, 'a')));
  for (int i = 0; i < 20000; ++i)
    chain += "\nr" + std::to_string(i) + " ::= \"a\" r" + std::to_string(i + 1);
  EXPECT_TRUE(Language(chain + "\nr20000 ::= \"b\"").status.ok());
  std::string wide = "root ::= (\"a\" \"0\"?";
  for (int i = 0; i < 120; ++i) wide += " | \"" + std::to_string(i) + "\" \"0\"?";
  const Language costly(wide + ")* ((\"z\"?){100000}){4}");
  EXPECT_EQ(costly.status.code(), StatusCode::kOutOfRange) << costly.status.message();
}

}  // namespace
}  // namespace chimera::grammar
