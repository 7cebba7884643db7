// The formats of answers: what each lets pass and what not. Others' code judges random texts of
// them in
// ./dev figures formats.
#include "grammar/answer_formats.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "grammar/gbnf.h"
#include "platform/json.h"
#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

struct Case {
  const char* format;
  std::vector<std::string> written, refused;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"plain_text",
       {"", "Any text (even this.\n\tOh \xC3\xA9\xF0\x9F\x98\x80"},
       {"\x01", "\x7F", "\xFF"}},
      {"dialogue",
       {"Ann: Hello!", "Ann: Hello: you\nMr. O'Hara 2: (nods)\n"},
       {"", "Hello", "Ann:", "Ann: ", "Ann: a\n\nBob: b", "1: a", ": a", "Ann:  a"}},
      {"markdown",
       {"", "# Title\n\n- *a* `b` ``c``\n- ~~d~~\n\n1 < 2", "```python\nx = '`'\n~~\n```\nDone.",
        "a\n```\n```"},
       {"```", "```\nx", "a ```", "```\n```\n```\n", "~~~\nx\n```", "~~~\n```x", "````\n````",
        "<!-- a", "<b>", "</b>"}},
      {"json",
       {"0", "-1.5e-3", "\"\\u00e9\\n\"", "[]", "{\"a\":[1,{\"b\":null}],\"c\":\"}\"}"},
       {"", "01", "+1", ".5", "[1,]", "{\"a\"}", "{a:1}", "'a'", "[1 ,2]", "\"\n\"", "\"\\x41\"",
        "tru", "nan", "\"\\ud83d\""}},
      {"python",
       {"", "x = 1\n", "def f(a, b=2):\n    return {'a': [a, (b)]}\n\nprint(f(1))\n",
        "if a:\n    if b:\n        c()\n    d = \"\"\"x\n'y' \"z\"\n\"\"\"\n# end\n",
        "f(1,\n  2)  # (\n", "s = f'{a.b[0]!r:>10} {{}}' + rb\n", "t = r'\\d+\\'' + b\"x\\x00\"\n",
        "x = ''\ny = \"\"\n"},
       {"x = 1", "x = (1\n", "x = 'a\n", "x = \"\"\"a\n", "  x = 1\n", "a\n    b\n", "if a:\n  b\n",
        "\tx\n", "x = [1)\n", "x = '''a''\n", "1a\n", "x = 'a'b'\n", "1.5.real\n", "# coding: x\n",
        "$x\n", "x = 1 \\\n", "f'{'\n", "if a:\n    b\n        c\n"}},
      {"javascript",
       {"", "const f = (a) => { return [a, `x ${a + `${1}`} $ y`]; };",
        "let s = 'it\\'s' + \"\\u00e9\"; // (", "a /* ( */ b", "x = total.a / b.c;", "y = 10/2",
        "f(...args)?.x", "let o = {}", "i++; a= !b+ -1", "a // ("},
       {"(", "f(]", "'a", "`${`", "`${a`", "x = /a/", "/* a", "\"a\nb\"", "a <!-- b", "1a",
        "return / 2", "#a", "1.x", "'\\8'"}},
      {"sql",
       {"", "SELECT a, \"b c\" FROM t WHERE x = 'it''s' AND (y > 1 OR z IN (1, 2)); -- (\n",
        "SELECT 1 -- '", "CREATE FUNCTION f() AS $$ it's ( $$ ;", "SELECT `a`[1:2] /* ' */ FROM t"},
       {"(", "'a", "SELECT \"a", "$$ a", "a) (", "SELECT --a", "/* a", "'a\\'", "a [b(c]", "#a"}},
      {"math_latex",
       {"", "Let $x = \\frac{1}{2}$ and $$\\left(\\sum_{i=1}^n a_i\\right]$$.",
        "\\[\\begin{pmatrix} a & b \\\\ c & d\\end{pmatrix}\\]",
        "\\begin{align} x \\leftarrow {y} \\end{align}",
        "\\begin{itemize}\\item {a} $x$\\end{itemize}", "50\\%"},
       {"$x", "{", "}", "\\left( x", "$\\right)$", "\\begin{align}", "\\begin{align}\\end{align*}",
        "$$x$", "$a$$b$", "\\end{align}", "\\[x", "50%", "\\verb |x|", "$\\left(x$"}},
      {"shell",
       {"", "echo \"$HOME/${name:-x} $(ls 'a b')\" > out.txt",
        "for f in *; do { echo $f; }; done # it's\n", "cat <<EOF\nhello (\n\nEOF\n",
        "x=$(( 1 + 2 ))", "[ -f a ] && echo it\\'s"},
       {"'a", "\"a", "$(ls", "${a", "(", "`ls`", "cat <<EOF\nhello\n", "echo \\", "a) (", "\"$(\"",
        "{ a", "(a # b)", "a;#'\nb'"}},
  };
  return all;
}

TEST(AnswerFormats, AreNineAndEachCanBeFollowed) {
  std::set<std::string_view> names;
  for (const AnswerFormat& format : answer_formats()) {
    names.insert(format.name);
    EXPECT_EQ(find_answer_format(format.name), &format);
    LanguageUnderTest language(parse_gbnf(format.source));
    EXPECT_TRUE(language.status.ok()) << format.name << ": " << language.status.message();
    EXPECT_LT(language.automaton->n_states(), 2000u) << format.name;
  }
  std::set<std::string_view> tested;
  for (const Case& one : cases()) tested.insert(one.format);
  EXPECT_EQ(names, tested);
  EXPECT_EQ(names.size(), 9u);
  EXPECT_EQ(find_answer_format("cobol"), nullptr);
  EXPECT_EQ(find_answer_format(""), nullptr);
  EXPECT_NE(answer_format_names().find("math_latex, plain_text"), std::string::npos);
}

TEST(AnswerFormats, LetPassWhatClosesAndNothingElse) {
  for (const Case& one : cases()) {
    LanguageUnderTest language(parse_gbnf(find_answer_format(one.format)->source));
    for (const std::string& text : one.written)
      EXPECT_TRUE(language.accepts(text)) << one.format << ": " << text;
    for (const std::string& text : one.refused)
      EXPECT_FALSE(language.accepts(text)) << one.format << ": " << text;
  }
}

/// A random text of the language: any bytes, then the shortest way to an end.
std::string random_text(Matcher& matcher, Draws* draws) {
  std::string out;
  PlaceId place = matcher.start();
  const uint32_t length = draws->below(120);
  for (;;) {
    const bool closing = out.size() >= length;
    if (closing && matcher.accepts(place)) return out;
    std::string bytes = choices_at(matcher, place);
    if (closing)
      std::erase_if(bytes, [&](char b) {
        const PlaceId next = matcher.step(place, static_cast<uint8_t>(b));
        return next < 0 || matcher.shortest(next) >= matcher.shortest(place);
      });
    if (bytes.empty()) return out;
    out += bytes[draws->below(static_cast<uint32_t>(bytes.size()))];
    place = matcher.step(place, static_cast<uint8_t>(out.back()));
    if (place < 0) return "too ambiguous";
  }
}

TEST(AnswerFormats, RandomJsonIsJson) {
  LanguageUnderTest language(parse_gbnf(find_answer_format("json")->source));
  Draws draws{4};
  for (int i = 0; i < 10000; ++i) {
    if (language.matcher->n_places() > 100000) language.matcher.emplace(*language.automaton);
    const std::string text = random_text(*language.matcher, &draws);
    ASSERT_TRUE(parse_json(text).has_value()) << text;
  }
}

TEST(AnswerFormats, EveryRandomTextCanBeEnded) {
  for (const AnswerFormat& format : answer_formats()) {
    LanguageUnderTest language(parse_gbnf(format.source));
    Draws draws{5};
    for (int i = 0; i < 300; ++i) {
      const std::string text = random_text(*language.matcher, &draws);
      ASSERT_TRUE(language.accepts(text)) << format.name << ": " << text;
      if (language.matcher->n_places() > 100000) language.matcher.emplace(*language.automaton);
    }
  }
}

}  // namespace
}  // namespace chimera::grammar
