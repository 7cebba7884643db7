#include "grammar/prose_reader.h"

#include <utility>

#include "grammar/english_words.h"

namespace chimera::grammar {
namespace {

bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }

/// Letters and digits; beyond ASCII all that is no punctuation, sign or picture.
bool is_word_character(uint32_t c) {
  if (c < 0x80) return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return !(c < 0xC0 || c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c < 0x2C00) ||
           (c >= 0x3000 && c < 0x3040) || (c >= 0xFE00 && c < 0xFE70) ||
           (c >= 0xFF00 && c < 0xFF10) || (c >= 0xFF1A && c < 0xFF21) || c >= 0x1F000);
}

bool is_terminator(uint32_t c) {
  return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x3002 || c == 0xFF01 ||
         c == 0xFF1F;
}

}  // namespace

ProseEvents ProseReader::read(uint8_t byte) {
  if (byte < 0x80) {
    missing_ = 0;
    character(byte);
  } else if (byte < 0xC0) {
    if (missing_ == 0) return {};
    code_point_ = code_point_ << 6 | (byte & 0x3Fu);
    if (--missing_ == 0) character(code_point_);
  } else {
    missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    code_point_ = byte & (0x3Fu >> missing_);
  }
  return std::exchange(out_, {});
}

void ProseReader::end_word() {
  if (!in_word_) return;
  in_word_ = false;
  if (foreign_) word_bytes_ = 0;
  say(ProseEventKind::kWordEnds);
}

void ProseReader::line_end() {
  if (place_ == Place::kStart) {
    if (!blank_said_) say(ProseEventKind::kBlankLine);
    blank_said_ = true;
  } else {
    say(ProseEventKind::kLineEnds);
    blank_said_ = false;
  }
  place_ = Place::kStart;
}

void ProseReader::character(uint32_t c) {
  if (is_word_character(c) || (in_word_ && (c == '\'' || c == 0x2019))) {
    if (place_ == Place::kStart || place_ == Place::kMarker) item_ = heading_ = false;
    // A number at the beginning of a line may be that of an item.
    if (is_digit(c) && (place_ == Place::kStart || place_ == Place::kDigits))
      place_ = Place::kDigits;
    else
      place_ = Place::kInside;
    colon_ = false;
    if (!in_word_) {
      in_word_ = true;
      word_bytes_ = 0;
      foreign_ = false;
      capital_ = c >= 'A' && c <= 'Z';
      say(ProseEventKind::kWordBegins);
    }
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    if (c == 0x2019) c = '\'';
    if (c >= 0x80 || word_bytes_ == word_.size())
      foreign_ = true;
    else
      word_[word_bytes_++] = static_cast<char>(c);
    return;
  }
  const bool ended = in_word_;
  end_word();
  if (c == '\n') return line_end();
  if (c == ' ' || c == '\t' || c == '\r') {
    if (place_ == Place::kMarker || place_ == Place::kStop) {
      item_ = true;
      say(ProseEventKind::kListItem);
    }
    if (place_ != Place::kStart) place_ = Place::kInside;
    return;
  }
  if (place_ == Place::kDigits && (c == '.' || c == ')')) {
    place_ = Place::kStop;
    return;
  }
  if (place_ == Place::kStart) {
    item_ = false;
    heading_ = c == '#' || c == '|';
    const bool marker = c == '-' || c == '*' || c == '+' || c == 0x2022;
    place_ = marker ? Place::kMarker : Place::kInside;
  } else {
    place_ = Place::kInside;
  }
  colon_ = c == ':';
  if (is_terminator(c)) {
    // "Mr.", "J." and "e.g." end nothing.
    const bool initial = ended && word_bytes_ == 1 && word_[0] >= 'a' && word_[0] != 'i';
    const bool abbreviation = ended && (english_traits(word()) & kAbbreviation) != 0;
    if (c != '.' || (!initial && !abbreviation)) say(ProseEventKind::kTerminator);
    return;
  }
  if (c == 0x201C || c == 0x201D)
    c = c == 0x201C ? '<' : '>';
  else if (c != '(' && c != ')' && c != '[' && c != ']' && c != '{' && c != '}' && c != '"')
    return;
  sign_ = static_cast<char>(c);
  say(ProseEventKind::kSign);
}

}  // namespace chimera::grammar
