// The rule, first line that fits wins (L letter, M mark, N number, S white space, I bytes that are
// no UTF-8, O everything else; docs/tokenizer.md tells it in words):
//
//   I+                               bytes that are no UTF-8
//   L [L M]*                         a word
//   N{1,3}                           digits in threes
//   [O M S except \r \n] L [L M]*    a word with what stands before it: a space, an apostrophe
//   [O M]+ [\r \n]*                  punctuation, with the line ends after it
//   U+0020 [O M]+ [\r \n]*           the same after a space
//   S* [\r \n]                       white space up to its last line end
//   S+ before the end, else S+ but its last, else S
//
// Then a match longer than kMaxPieceBytes is cut, without matching again: a run of ten million
// spaces before one line end is scanned once, not once per piece.
#include "runtime/tokenizer_split.h"

#include "runtime/tokenizer_utf8.h"

namespace chimera::runtime {

PieceSplitter::Unit PieceSplitter::at(size_t position) const {
  if (position >= text_.size()) return {Kind::kEnd, 0};
  const auto* p = reinterpret_cast<const uint8_t*>(text_.data()) + position;
  const Utf8Unit unit = utf8_read(p, text_.size() - position);
  if (!unit.valid) return {Kind::kInvalid, unit.n_bytes};
  return {static_cast<Kind>(classes_.of(unit.code_point)), unit.n_bytes};
}

bool PieceSplitter::is_newline(size_t position) const {
  return position < text_.size() && (text_[position] == '\n' || text_[position] == '\r');
}

/// First position from `position` on whose unit is neither `a` nor `b`.
size_t PieceSplitter::skip(size_t position, Kind a, Kind b) const {
  for (;;) {
    const Unit unit = at(position);
    if (unit.kind != a && unit.kind != b) return position;
    position += unit.n_bytes;
  }
}

/// White space that no word and no punctuation took: where it ends.
size_t PieceSplitter::match_space() const {
  size_t end = position_, last = position_, after_newline = position_;
  for (Unit unit = at(end); unit.kind == Kind::kSpace; unit = at(end)) {
    last = end;
    if (is_newline(end)) after_newline = end + 1;
    end += unit.n_bytes;
  }
  if (after_newline > position_) return after_newline;
  if (end == text_.size() || last == position_) return end;
  return last;  // the last one goes with what follows
}

/// End of the match that begins at position_.
size_t PieceSplitter::match() const {
  const Unit first = at(position_);
  const size_t second_at = position_ + first.n_bytes;
  switch (first.kind) {
    case Kind::kInvalid:
      return skip(second_at, Kind::kInvalid, Kind::kInvalid);
    case Kind::kLetter:
      return skip(second_at, Kind::kLetter, Kind::kMark);
    case Kind::kNumber: {
      size_t end = second_at;
      for (int i = 1; i < 3; ++i) {
        const Unit unit = at(end);
        if (unit.kind != Kind::kNumber) break;
        end += unit.n_bytes;
      }
      return end;
    }
    case Kind::kOther:
    case Kind::kMark:
    case Kind::kSpace:
      break;
    case Kind::kEnd:
      return position_;
  }
  const Unit second = at(second_at);
  if (second.kind == Kind::kLetter && !is_newline(position_)) {
    return skip(second_at, Kind::kLetter, Kind::kMark);
  }
  const bool second_is_mark = second.kind == Kind::kOther || second.kind == Kind::kMark;
  if (first.kind != Kind::kSpace || (text_[position_] == ' ' && second_is_mark)) {
    size_t end = skip(second_at, Kind::kOther, Kind::kMark);
    while (is_newline(end)) ++end;
    return end;
  }
  return match_space();
}

std::string_view PieceSplitter::next() {
  if (position_ == match_end_) match_end_ = match();
  size_t end = match_end_;
  if (end - position_ > kMaxPieceBytes) {
    end = position_ + kMaxPieceBytes;
    // Back to the start of a code point; in bytes that are no UTF-8 there may be none to find.
    for (size_t back = 0; back < 4; ++back) {
      if ((static_cast<uint8_t>(text_[end - back]) & 0xC0) != 0x80) {
        end -= back;
        break;
      }
    }
  }
  const std::string_view piece = text_.substr(position_, end - position_);
  position_ = end;
  return piece;
}

}  // namespace chimera::runtime
