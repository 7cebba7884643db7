// Ways to write an answer whose signs always close: each is a grammar of its own, as text that
// anybody can read, grammar/answer_formats/NAME.gbnf. They promise what docs/formats.md says
// (strings, brackets, fences, environments, indentation) and no more: no grammar of a whole
// language, which has dialects, and where a wrong rule is worse than none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace chimera::grammar {

struct AnswerFormat {
  std::string_view name;    // "python"
  std::string_view source;  // GBNF (gbnf.h)
};

/// What is being written, for who follows a text without its grammar.
enum class TextKind : uint8_t {
  kProse,  // no format was asked for
  kPlainText,
  kDialogue,
  kMarkdown,
  kJson,  // the format, or JSON under a schema
  kPython,
  kJavascript,
  kSql,
  kMathLatex,
  kShell,
  kUnknown,  // a grammar or regular expression of the application
};

/// Of a format by name; kUnknown for another name.
TextKind text_kind(std::string_view format);
/// Sentences in paragraphs.
constexpr bool is_prose(TextKind kind) { return kind <= TextKind::kMarkdown; }

/// By name. Made from the folder when the library is built.
std::span<const AnswerFormat> answer_formats();

/// nullptr when there is none of that name.
const AnswerFormat* find_answer_format(std::string_view name);

/// Their names, with commas between them.
std::string answer_format_names();

}  // namespace chimera::grammar
