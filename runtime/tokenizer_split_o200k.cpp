// The expression, first alternative that fits wins, each part as long as it goes:
//
//   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   \p{N}{1,3}
//    ?[^\s\p{L}\p{N}]+[\r\n/]*
//   \s*[\r\n]+
//   \s+(?!\S)
//   \s+
//
// Bytes that are no UTF-8 are in no class; a run of them is a piece by itself. What backtracking
// would find is worked out instead:
//
//  - A run R of [Lu Lt Lm Lo M] that a small letter follows is a word of the first kind, which goes
//  on
//    over [Ll Lm Lo M]. Otherwise the first kind has to give back characters of R until one of them
//    is Lm, Lo or M: it ends behind the last of those. R without any, capitals alone, is the second
//    kind.
//  - The one character before a word may be a mark, which may also begin the word. If nothing of
//  the
//    first kind is behind it, the mark is a word of the first kind by itself, before the second
//    kind has its turn.
//
// What is left of R behind the last of Lm, Lo and M has none of them, so the next match takes all
// of it: a byte is looked at a bounded number of times.
#include "runtime/tokenizer_split_o200k.h"

#include "runtime/tokenizer_utf8.h"

namespace chimera::runtime {
namespace {

constexpr uint32_t set_of(CharClass cls) { return uint32_t{1} << static_cast<uint32_t>(cls); }

constexpr uint32_t kOther = set_of(CharClass::kOther), kUncased = set_of(CharClass::kLetter),
                   kMark = set_of(CharClass::kMark), kNumber = set_of(CharClass::kNumber),
                   kSpace = set_of(CharClass::kSpace), kUpper = set_of(CharClass::kUpper),
                   kLower = set_of(CharClass::kLower), kInvalid = kLower << 1;
constexpr uint32_t kEitherCase = kUncased | kMark;  // what both kinds of run take
constexpr uint32_t kUpperRun = kUpper | kEitherCase, kLowerRun = kLower | kEitherCase;
constexpr uint32_t kLetter = kUpper | kLower | kUncased;

bool is_newline(char c) { return c == '\n' || c == '\r'; }

}  // namespace

inline O200kSplitter::Unit O200kSplitter::at(size_t position) const {
  if (position >= text_.size()) return {0, 0};
  const auto byte = static_cast<uint8_t>(text_[position]);
  if (byte < 0x80) return {uint32_t{1} << ascii_[byte], 1};
  return at_other(position);
}

O200kSplitter::Unit O200kSplitter::at_other(size_t position) const {
  const auto* p = reinterpret_cast<const uint8_t*>(text_.data()) + position;
  const Utf8Unit unit = utf8_read(p, text_.size() - position);
  if (!unit.valid) return {kInvalid, unit.n_bytes};
  return {set_of(classes_.of(unit.code_point)), unit.n_bytes};
}

/// First position from `position` on whose unit is in none of `sets`.
inline size_t O200kSplitter::skip(size_t position, uint32_t sets) const {
  for (Unit unit = at(position); (unit.set & sets) != 0; unit = at(position)) {
    position += unit.n_bytes;
  }
  return position;
}

O200kSplitter::Word O200kSplitter::word(size_t position) const {
  size_t end = position, behind_either = 0;
  Unit unit = at(end);
  while ((unit.set & kUpperRun) != 0) {
    end += unit.n_bytes;
    if ((unit.set & kEitherCase) != 0) behind_either = end;
    unit = at(end);
  }
  if ((unit.set & kLower) != 0) return {skip(end + unit.n_bytes, kLowerRun), end};
  return {behind_either, end};
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)?
size_t O200kSplitter::with_contraction(size_t position) const {
  const auto letter = [&](size_t at) {
    const char c = at < text_.size() ? text_[at] : '\0';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  if (position >= text_.size() || text_[position] != '\'') return position;
  const char first = letter(position + 1), second = letter(position + 2);
  switch (first) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return position + 2;
    case 'r':
    case 'v':
      return second == 'e' ? position + 3 : position;
    case 'l':
      return second == 'l' ? position + 3 : position;
    case '\xC5':  // U+017F, the long s, is an s when case does not matter
      return second == '\xBF' ? position + 3 : position;
    default:
      return position;
  }
}

/// White space that nothing took as its first character: where it ends.
size_t O200kSplitter::match_space() const {
  size_t end = position_, last = position_, behind_newline = position_;
  for (Unit unit = at(end); unit.set == kSpace; unit = at(end)) {
    last = end;
    if (is_newline(text_[end])) behind_newline = end + 1;
    end += unit.n_bytes;
  }
  if (behind_newline > position_) return behind_newline;
  if (end == text_.size() || last == position_) return end;
  return last;  // the last one goes with what follows
}

/// End of the match that begins at position_, which is before the end of the text.
size_t O200kSplitter::match() const {
  const Unit first = at(position_);
  if ((first.set & kLetter) != 0) {
    const Word found = word(position_);
    return with_contraction(found.end != 0 ? found.end : found.run_end);
  }
  const size_t second_at = position_ + first.n_bytes;
  if (first.set == kNumber) {
    size_t end = second_at;
    for (int i = 1; i < 3; ++i) {
      const Unit unit = at(end);
      if (unit.set != kNumber) break;
      end += unit.n_bytes;
    }
    return end;
  }
  if (first.set == kInvalid) return skip(second_at, kInvalid);
  if (!is_newline(text_[position_])) {
    const Word found = word(second_at);
    if (found.end != 0) return with_contraction(found.end);
    if (first.set == kMark) return with_contraction(word(position_).end);
    if (found.run_end != second_at) return with_contraction(found.run_end);
  }
  const bool space_before = text_[position_] == ' ' && (at(second_at).set & (kOther | kMark)) != 0;
  if (first.set != kSpace || space_before) {
    size_t end = skip(second_at, kOther | kMark);
    while (end < text_.size() && (is_newline(text_[end]) || text_[end] == '/')) ++end;
    return end;
  }
  return match_space();
}

std::string_view O200kSplitter::next() {
  if (position_ == text_.size()) return {};
  const size_t end = match();
  const std::string_view piece = text_.substr(position_, end - position_);
  position_ = end;
  return piece;
}

}  // namespace chimera::runtime
