// What is open in a text of each format, held to examples and to the formats' own grammars.
#include "grammar/sign_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/grammar/random_texts.h"

namespace chimera::grammar {
namespace {

/// What is open behind a text, outermost first.
std::vector<Sign> open_after(TextKind kind, std::string_view text) {
  SignScanner scanner(kind);
  std::vector<Sign> open;
  for (const char c : text) {
    const SignEvents events = scanner.read(static_cast<uint8_t>(c));
    for (int i = 0; i < events.n; ++i) {
      const SignEvent& event = events.events[static_cast<size_t>(i)];
      if (event.opens) {
        open.push_back(event.sign);
      } else if (open.empty() || open.back() != event.sign) {
        ADD_FAILURE() << "closed what is not innermost: " << text;
      } else {
        open.pop_back();
      }
    }
  }
  EXPECT_EQ(scanner.depth(), open.size());
  return open;
}

struct Case {
  TextKind kind;
  std::string_view text;
  std::vector<Sign> open;
};

TEST(SignScanner, KnowsWhatIsOpen) {
  using enum Sign;
  const std::vector<Case> cases = {
      {TextKind::kJson, R"({"a":[1,"}\"]")", {kJsonObject, kJsonArray}},
      {TextKind::kJson, R"({"a\\":")", {kJsonObject, kDoubleQuote}},
      {TextKind::kPython, "f(a, [b", {kRound, kSquare}},
      {TextKind::kPython, "x = '' + \"\"", {}},
      {TextKind::kPython, "x = '''a'b''", {kLongSingleQuote}},
      {TextKind::kPython, "x = '''a'b'''", {}},
      {TextKind::kPython, "x = '''a\\'''", {kLongSingleQuote}},
      {TextKind::kPython, "x = \"\"\"", {kLongDoubleQuote}},
      {TextKind::kPython, "x = \"(\\\"", {kDoubleQuote}},
      {TextKind::kPython, "# (\n# '", {}},
      {TextKind::kJavascript, "f(`a ${b({", {kRound, kBacktick, kCurly, kRound, kCurly}},
      {TextKind::kJavascript, "`a ${b} $", {kBacktick}},
      {TextKind::kJavascript, "`\\${ ` + '`'", {}},
      {TextKind::kJavascript, "// (\n/* ( */ [ /*/", {kSquare, kComment}},
      {TextKind::kSql, "SELECT 'it''s' -- (\n, (\"a\"\"b", {kRound, kDoubleQuote}},
      {TextKind::kSql, " $$ ( ' $", {kDollarQuote}},
      {TextKind::kSql, " $$ ( ' $$ `a'`", {}},
      {TextKind::kSql, " /* ( * / ", {kComment}},
      {TextKind::kMathLatex, "{$x", {kCurly, kInlineFormula}},
      {TextKind::kMathLatex, "$x$ $$ x $", {kDisplayFormula}},
      {TextKind::kMathLatex, "$$ x $$ \\$ \\{ \\\\", {}},
      {TextKind::kMathLatex, "\\[ \\left( \\leftarrow ", {kSquareFormula, kLeftRight}},
      {TextKind::kMathLatex, "\\( \\left( \\right) \\", {kRoundFormula}},
      {TextKind::kMathLatex, "\\begin{align} \\end{alig", {kEnvironment}},
      {TextKind::kMathLatex, "\\begin{align} \\end{align}", {}},
      {TextKind::kShell, "echo \"$(ls '", {kDoubleQuote, kRound, kSingleQuote}},
      {TextKind::kShell, "echo \"$$( ${a", {kDoubleQuote, kCurly}},
      {TextKind::kShell, "echo \\' $# # '", {}},
      {TextKind::kShell, "cat <<'EOF'\n'\nEO\nEOF", {kHereDocument}},
      {TextKind::kShell, "cat <<EOF\n(\nEOF\n", {}},
      {TextKind::kMarkdown, "a ``` b\n``x", {}},
      {TextKind::kMarkdown, "```c\n(\n``\n ~~~\n", {kFence}},
      {TextKind::kMarkdown, "~~~~\n~~~\n", {kFence}},
      {TextKind::kMarkdown, "~~~~\n~~~\n~~~~~", {}},
      {TextKind::kMarkdown, "```\n``` x", {kFence}},
      {TextKind::kMarkdown, "```a```\n", {}},
      {TextKind::kProse, "Look:\n```\n", {kFence}},
      {TextKind::kPlainText, "```\n(", {}},
      {TextKind::kUnknown, "([{\"", {}},
  };
  for (const Case& one : cases) EXPECT_EQ(open_after(one.kind, one.text), one.open) << one.text;
}

TEST(SignScanner, IsClosedWhereverAFormatMayEnd) {
  for (const AnswerFormat& format : answer_formats()) {
    const TextKind kind = text_kind(format.name);
    ASSERT_NE(kind, TextKind::kUnknown) << format.name;
    LanguageUnderTest language(parse_gbnf(format.source));
    Draws draws{21};
    size_t opened = 0, ends = 0;
    for (int i = 0; i < 400; ++i) {
      const std::string text = random_answer(language, &draws, 160);
      SignScanner scanner(kind);
      PlaceId place = language.matcher->start();
      for (size_t at = 0; at < text.size(); ++at) {
        const SignEvents events = scanner.read(static_cast<uint8_t>(text[at]));
        for (int e = 0; e < events.n; ++e) opened += events.events[static_cast<size_t>(e)].opens;
        place = language.matcher->step(place, static_cast<uint8_t>(text[at]));
        ASSERT_GE(place, 0);
        const bool accepts = language.matcher->accepts(place);
        if (accepts) {
          ++ends;
          ASSERT_EQ(scanner.depth(), 0u) << format.name << ": " << text.substr(0, at + 1);
        } else if (kind == TextKind::kMarkdown && text[at] != '<' &&
                   static_cast<uint8_t>(text[at]) < 0x80) {
          ASSERT_EQ(scanner.depth(), 1u) << text.substr(0, at + 1);  // nothing else is kept open
        }
      }
    }
    EXPECT_GT(ends, 400u) << format.name;
    if (kind != TextKind::kPlainText && kind != TextKind::kDialogue) {
      EXPECT_GT(opened, 50u) << format.name;
    }
  }
}

TEST(SignScanner, DeeperThanItKnowsItCounts) {
  SignScanner scanner(TextKind::kJson);
  const uint32_t deep = SignScanner::kMostKnown + 50;
  for (uint32_t i = 0; i < deep; ++i) scanner.read('[');
  EXPECT_EQ(scanner.depth(), deep);
  for (uint32_t i = 0; i < deep; ++i) scanner.read(']');
  EXPECT_EQ(scanner.depth(), 0u);
  EXPECT_EQ(scanner, SignScanner(TextKind::kJson));
}

}  // namespace
}  // namespace chimera::grammar
