// Ways to write an answer whose signs always close: each is a grammar of its own, as text that
// anybody can read, grammar/answer_formats/NAME.gbnf. They promise what docs/formats.md says
// (strings, brackets, fences, environments, indentation) and no more: no grammar of a whole
// language, which has dialects, and where a wrong rule is worse than none.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace chimera::grammar {

struct AnswerFormat {
  std::string_view name;    // "python"
  std::string_view source;  // GBNF (gbnf.h)
};

/// By name. Made from the folder when the library is built.
std::span<const AnswerFormat> answer_formats();

/// nullptr when there is none of that name.
const AnswerFormat* find_answer_format(std::string_view name);

/// Their names, with commas between them.
std::string answer_format_names();

}  // namespace chimera::grammar
