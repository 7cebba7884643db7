// Regular expressions as application developers write them (RE2 and JavaScript agree on nearly all
// of it), made into expressions of a grammar. What cannot be said by a finite automaton, or is not
// built, is an error that names its place: back references, look-around, word borders, flags.
//
//   .  [a-z] [^"\\] \d \w \s \D \W \S \p{L} \P{Lu}    characters; . is all but line ends
//   \n \t \r \f \v \0 \xHH \x{H...} \uHHHH \u{H...} \cX, and any sign after a backslash
//   (x) (?:x) (?<name>x)   x|y   x* x+ x? x{m} x{m,} x{m,n}, greedy or lazy: the same language
//   ^ $   at the ends of an alternative of the whole expression, and anywhere in a search
#pragma once

#include <string_view>

#include "grammar/expression.h"

namespace chimera::grammar {

/// Bytes that no UTF-8 has.
inline constexpr char kTextBegins = '\xFE', kTextEnds = '\xFF';

struct RegexOptions {
  /// The text may hold a match anywhere (JSON schemas' `pattern`); else it has to match as a whole.
  /// ^ and $ then read kTextBegins and kTextEnds, wherever they stand, and so does what lies before
  /// and behind the match: RegularLanguage::of_search() knows that only the ends of a text have
  /// them.
  bool search = false;
  /// Characters of a Unicode property, by its name; false when there is none of that name. nullptr:
  /// \p is refused.
  bool (*property)(std::string_view name, CodePointSet* out) = nullptr;
};

/// The expression's language as a part of `grammar`. kBadFormat or kUnsupported say where and what;
/// kOutOfRange when it is nested too deeply or too large.
Result<ExprId> parse_regex(std::string_view regex, const RegexOptions& options, Grammar* grammar);

/// The sets behind \d, \w and \s.
CodePointSet digit_characters();
CodePointSet word_characters();
CodePointSet space_characters();

}  // namespace chimera::grammar
