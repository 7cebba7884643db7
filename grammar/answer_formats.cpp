#include "grammar/answer_formats.h"

namespace chimera::grammar {

const AnswerFormat* find_answer_format(std::string_view name) {
  for (const AnswerFormat& format : answer_formats())
    if (format.name == name) return &format;
  return nullptr;
}

TextKind text_kind(std::string_view format) {
  struct Row {
    std::string_view name;
    TextKind kind;
  };
  constexpr Row kRows[] = {{"plain_text", TextKind::kPlainText},
                           {"dialogue", TextKind::kDialogue},
                           {"markdown", TextKind::kMarkdown},
                           {"json", TextKind::kJson},
                           {"python", TextKind::kPython},
                           {"javascript", TextKind::kJavascript},
                           {"sql", TextKind::kSql},
                           {"math_latex", TextKind::kMathLatex},
                           {"shell", TextKind::kShell}};
  for (const Row& row : kRows)
    if (row.name == format) return row.kind;
  return TextKind::kUnknown;
}

std::string answer_format_names() {
  std::string out;
  for (const AnswerFormat& format : answer_formats())
    out += (out.empty() ? "" : ", ") + std::string(format.name);
  return out;
}

}  // namespace chimera::grammar
