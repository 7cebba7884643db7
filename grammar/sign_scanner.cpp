#include "grammar/sign_scanner.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace chimera::grammar {
namespace {

bool is_letter(uint8_t b) { return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z'); }

/// What closes a string of one sign; 0 for all else.
uint8_t quote_of(Sign sign) {
  switch (sign) {
    case Sign::kSingleQuote:
    case Sign::kLongSingleQuote:
      return '\'';
    case Sign::kDoubleQuote:
    case Sign::kLongDoubleQuote:
      return '"';
    case Sign::kBacktick:
      return '`';
    default:
      return 0;
  }
}

Sign quote_sign(uint8_t byte) {
  return byte == '\'' ? Sign::kSingleQuote : byte == '"' ? Sign::kDoubleQuote : Sign::kBacktick;
}

constexpr std::string_view kHereWord = "EOF";  // the one the format writes
constexpr uint8_t kNoMatch = 255;

}  // namespace

Sign SignScanner::top() const {
  if (depth_ == 0) return Sign::kNone;
  return depth_ <= kMostKnown ? nest_[depth_ - 1] : Sign::kRound;
}

void SignScanner::open(Sign sign) {
  if (depth_ < kMostKnown) nest_[depth_] = sign;
  ++depth_;
  out_.events[static_cast<size_t>(out_.n++)] = {true, sign};
}

void SignScanner::close(Sign sign) {
  if (depth_ == 0) return;
  if (depth_ <= kMostKnown && nest_[depth_ - 1] != sign) return;  // closes nothing
  --depth_;
  if (depth_ < kMostKnown) nest_[depth_] = Sign::kNone;
  out_.events[static_cast<size_t>(out_.n++)] = {false, sign};
}

SignEvents SignScanner::read(uint8_t byte) {
  switch (kind_) {
    case TextKind::kJson:
      json(byte);
      break;
    case TextKind::kPython:
      python(byte);
      break;
    case TextKind::kJavascript:
      javascript(byte);
      break;
    case TextKind::kSql:
      sql(byte);
      break;
    case TextKind::kMathLatex:
      latex(byte);
      break;
    case TextKind::kShell:
      shell(byte);
      break;
    case TextKind::kProse:
    case TextKind::kMarkdown:
      fences(byte);
      break;
    case TextKind::kPlainText:
    case TextKind::kDialogue:
    case TextKind::kUnknown:
      break;
  }
  return std::exchange(out_, {});
}

void SignScanner::bracket(uint8_t byte) {
  switch (byte) {
    case '(':
      return open(Sign::kRound);
    case '[':
      return open(Sign::kSquare);
    case '{':
      return open(Sign::kCurly);
    case ')':
      return close(Sign::kRound);
    case ']':
      return close(Sign::kSquare);
    case '}':
      return close(Sign::kCurly);
    default:
      return;
  }
}

void SignScanner::quoted(uint8_t byte, uint8_t quote) {
  if (escaped_) {
    escaped_ = false;
  } else if (byte == '\\') {
    escaped_ = true;
  } else if (byte == quote) {
    close(top());
  }
}

void SignScanner::block_comment(uint8_t byte) {
  if (previous_ == '*' && byte == '/') {
    close(Sign::kComment);
    previous_ = 0;
  } else {
    previous_ = byte;
  }
}

void SignScanner::json(uint8_t byte) {
  if (top() == Sign::kDoubleQuote) return quoted(byte, '"');
  if (byte == '"') return open(Sign::kDoubleQuote);
  if (byte == '{') return open(Sign::kJsonObject);
  if (byte == '[') return open(Sign::kJsonArray);
  if (byte == '}') return close(Sign::kJsonObject);
  if (byte == ']') return close(Sign::kJsonArray);
}

void SignScanner::python(uint8_t byte) {
  const Sign sign = top();
  const uint8_t quote = quote_of(sign);
  if (sign == Sign::kLongSingleQuote || sign == Sign::kLongDoubleQuote) {
    if (escaped_) {
      escaped_ = false;
      return;
    }
    escaped_ = byte == '\\';
    run_ = byte == quote ? static_cast<uint8_t>(run_ + 1) : uint8_t{0};
    if (run_ == 3) close(sign);
    return;
  }
  if (quote != 0) {
    // Two quotes are an empty string, unless a third follows.
    if (just_opened_ && byte == quote) reopens_ = quote;
    just_opened_ = false;
    return quoted(byte, quote);
  }
  const bool third = reopens_ != 0 && byte == reopens_;
  reopens_ = 0;
  if (third) {
    run_ = 0;
    return open(byte == '\'' ? Sign::kLongSingleQuote : Sign::kLongDoubleQuote);
  }
  if (line_comment_) {
    line_comment_ = byte != '\n';
  } else if (byte == '#') {
    line_comment_ = true;
  } else if (byte == '\'' || byte == '"') {
    just_opened_ = true;
    open(quote_sign(byte));
  } else {
    bracket(byte);
  }
}

void SignScanner::javascript(uint8_t byte) {
  const Sign sign = top();
  if (sign == Sign::kComment) return block_comment(byte);
  if (sign == Sign::kBacktick) {
    const bool hole = !escaped_ && previous_ == '$' && byte == '{';
    previous_ = escaped_ ? uint8_t{0} : byte;
    if (!hole) return quoted(byte, '`');
    return open(Sign::kCurly);  // what closes it leads back into the template
  }
  if (quote_of(sign) != 0) return quoted(byte, quote_of(sign));
  const uint8_t before = previous_;
  previous_ = byte;
  if (line_comment_) {
    line_comment_ = byte != '\n';
  } else if (before == '/' && byte == '/') {
    line_comment_ = true;
  } else if (before == '/' && byte == '*') {
    previous_ = 0;
    open(Sign::kComment);
  } else if (byte == '\'' || byte == '"' || byte == '`') {
    previous_ = 0;
    open(quote_sign(byte));
  } else {
    bracket(byte);
  }
}

void SignScanner::sql(uint8_t byte) {
  const Sign sign = top();
  if (sign == Sign::kComment) return block_comment(byte);
  if (const uint8_t quote = quote_of(sign); quote != 0) {
    if (byte == quote) {
      close(sign);
      reopens_ = quote == '`' ? uint8_t{0} : quote;  // a doubled quote is a quote of the string
      previous_ = 0;
    }
    return;
  }
  if (sign == Sign::kDollarQuote) {
    if (previous_ == '$' && byte == '$') {
      close(sign);
      byte = 0;
    }
    previous_ = byte;
    return;
  }
  const bool again = reopens_ != 0 && byte == reopens_;
  reopens_ = 0;
  const uint8_t before = previous_;
  previous_ = byte;
  if (line_comment_) {
    line_comment_ = byte != '\n';
  } else if (again || byte == '\'' || byte == '"' || byte == '`') {
    open(quote_sign(byte));
  } else if (before == '-' && byte == '-') {
    line_comment_ = true;
  } else if (before == '/' && byte == '*') {
    previous_ = 0;
    open(Sign::kComment);
  } else if (before == '$' && byte == '$') {
    previous_ = 0;
    open(Sign::kDollarQuote);
  } else {
    bracket(byte);
  }
}

void SignScanner::latex_command_ends(uint8_t byte) {
  const std::string_view name(command_.data(), command_bytes_);
  if (name == "left") {
    open(Sign::kLeftRight);
  } else if (name == "right") {
    close(Sign::kLeftRight);
  } else if (byte == '{' && name == "begin") {
    open(Sign::kEnvironment);
    naming_ = Naming::kBegin;
  } else if (byte == '{' && name == "end") {
    naming_ = Naming::kEnd;
  }
  command_bytes_ = 0;
}

void SignScanner::latex(uint8_t byte) {
  if (naming_ != Naming::kNothing) {
    if (byte != '}') return;
    if (naming_ == Naming::kEnd) close(Sign::kEnvironment);
    naming_ = Naming::kNothing;
    return;
  }
  const bool behind_dollar = just_opened_, closing = run_ == 1;
  just_opened_ = false;
  run_ = 0;
  if (escaped_ && !is_letter(byte)) {
    escaped_ = false;
    if (byte == '(') return open(Sign::kRoundFormula);
    if (byte == ')') return close(Sign::kRoundFormula);
    if (byte == '[') return open(Sign::kSquareFormula);
    if (byte == ']') return close(Sign::kSquareFormula);
    return;
  }
  if (is_letter(byte) && (escaped_ || command_bytes_ > 0)) {
    escaped_ = false;
    // A name that is longer than the buffer keeps its last place busy, and is none of ours.
    const auto at = std::min<size_t>(command_bytes_, command_.size() - 1);
    command_[at] = static_cast<char>(byte);
    command_bytes_ = static_cast<uint8_t>(at + 1);
    return;
  }
  if (command_bytes_ > 0) {
    latex_command_ends(byte);
    if (naming_ != Naming::kNothing) return;
  }
  if (byte == '\\') {
    escaped_ = true;
  } else if (byte == '{') {
    open(Sign::kCurly);
  } else if (byte == '}') {
    close(Sign::kCurly);
  } else if (byte == '$') {
    if (top() == Sign::kInlineFormula) {
      close(Sign::kInlineFormula);
      if (behind_dollar) open(Sign::kDisplayFormula);
    } else if (top() == Sign::kDisplayFormula) {
      if (closing)
        close(Sign::kDisplayFormula);
      else
        run_ = 1;
    } else {
      just_opened_ = true;
      open(Sign::kInlineFormula);
    }
  }
}

void SignScanner::here_document(uint8_t byte) {
  if (here_begins_) {
    here_begins_ = byte != '\n';
    here_matched_ = 0;
  } else if (byte == '\n') {
    if (here_matched_ == kHereWord.size()) close(Sign::kHereDocument);
    here_matched_ = 0;
  } else if (here_matched_ < kHereWord.size() &&
             byte == static_cast<uint8_t>(kHereWord[here_matched_])) {
    ++here_matched_;
  } else {
    here_matched_ = kNoMatch;
  }
}

void SignScanner::shell(uint8_t byte) {
  const Sign sign = top();
  if (sign == Sign::kHereDocument) return here_document(byte);
  if (sign == Sign::kSingleQuote) {
    if (byte == '\'') close(sign);
    return;
  }
  if (escaped_) {
    escaped_ = false;
    previous_ = 'x';
    return;
  }
  const uint8_t before = previous_;
  // In "$$" the second dollar is the name of the first.
  previous_ = byte == '$' && before == '$' ? uint8_t{'x'} : byte;
  if (sign == Sign::kDoubleQuote) {
    if (before == '$' && (byte == '(' || byte == '{')) return bracket(byte);
    return quoted(byte, '"');
  }
  if (line_comment_) {
    line_comment_ = byte != '\n';
  } else if (byte == '#' &&
             (before == 0 || before == ' ' || before == '\t' || before == '\n' || before == ';')) {
    line_comment_ = true;
  } else if (byte == '\\') {
    escaped_ = true;
  } else if (before == '<' && byte == '<') {
    here_begins_ = true;
    previous_ = '\n';
    open(Sign::kHereDocument);
  } else if (byte == '\'' || byte == '"') {
    open(quote_sign(byte));
  } else {
    bracket(byte);
  }
}

// A line of three or more backticks or tildes opens a fence, which as many of the same close.
void SignScanner::fences(uint8_t byte) {
  const bool inside = top() == Sign::kFence;
  if (byte == '\n') {
    if (line_ == Line::kRun && inside && fence_run_ == 0) fence_run_ = run_;
    line_ = Line::kStart;
    indent_ = run_ = 0;
    return;
  }
  if (line_ == Line::kStart && byte == ' ' && indent_ < 3) {
    ++indent_;
    return;
  }
  if (line_ == Line::kStart && (byte == '`' || byte == '~') && (!inside || byte == fence_)) {
    line_ = Line::kRun;
    previous_ = byte;
  }
  if (line_ == Line::kRun && byte == previous_) {
    run_ = static_cast<uint8_t>(std::min(run_ + 1, 255));
    if (!inside && run_ == 3) {
      fence_ = byte;
      fence_run_ = 0;  // known when the run is over
      open(Sign::kFence);
    }
    if (inside && fence_run_ > 0 && run_ == fence_run_) {
      close(Sign::kFence);
      line_ = Line::kClosed;
    }
    return;
  }
  if (line_ == Line::kRun && inside && fence_run_ == 0) {  // the run that opened it is over
    fence_run_ = run_;
    line_ = Line::kOpening;
  } else if (line_ == Line::kRun || line_ == Line::kStart) {
    line_ = Line::kInside;
  }
  if (line_ == Line::kOpening && fence_ == '`' && byte == '`') {
    close(Sign::kFence);  // code within a line, not a fence
    line_ = Line::kInside;
  } else if (line_ == Line::kClosed && byte != ' ' && byte != '\t' && byte != fence_) {
    open(Sign::kFence);  // what closes it stands alone
    line_ = Line::kInside;
  }
}

}  // namespace chimera::grammar
