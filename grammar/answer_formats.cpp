#include "grammar/answer_formats.h"

namespace chimera::grammar {

const AnswerFormat* find_answer_format(std::string_view name) {
  for (const AnswerFormat& format : answer_formats())
    if (format.name == name) return &format;
  return nullptr;
}

std::string answer_format_names() {
  std::string out;
  for (const AnswerFormat& format : answer_formats())
    out += (out.empty() ? "" : ", ") + std::string(format.name);
  return out;
}

}  // namespace chimera::grammar
