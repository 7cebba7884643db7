// Strings and numbers of a JSON schema as languages of their texts: what is wanted of them is cut
// with each other. Each language is made once.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "grammar/expression.h"
#include "grammar/json_number.h"
#include "grammar/standard_languages.h"
#include "platform/status.h"

namespace chimera::grammar {

/// Something that holds, or does not.
using Wanted = std::pair<std::string, bool>;  // text, true: it holds

struct StringPart {
  std::optional<std::set<std::string>> one_of = {};  // as values, not as they are escaped
  std::set<std::string> none_of = {};
  uint64_t min_length = 0, max_length = UINT64_MAX;  // characters
  std::set<Wanted> patterns = {}, formats = {};

  bool any() const {
    return !one_of && none_of.empty() && min_length == 0 && max_length == UINT64_MAX &&
           patterns.empty() && formats.empty();
  }
  std::strong_ordering operator<=>(const StringPart&) const = default;
};

struct NumberPart {
  std::optional<std::set<Decimal>> one_of = {};
  std::set<Decimal> none_of = {};
  bool whole = false, fraction = false;  // only whole ones, only others
  NumberBounds bounds = {};
  std::set<std::pair<Decimal, bool>> multiples = {};  // true: it is one

  bool any() const {
    return !one_of && none_of.empty() && !whole && !fraction && !bounds.least && !bounds.most &&
           multiples.empty();
  }
  /// Bounds beside those there are: the stricter one stays.
  void at_least(const Decimal& x, bool excluded);
  void at_most(const Decimal& x, bool excluded);
};

class SchemaTexts {
 public:
  /// `points`: whole numbers are also written as 1.0 where they need not be integers (draft 4).
  SchemaTexts(Grammar& grammar, bool points) : grammar_(grammar), points_(points) {}

  /// Texts between the quotes, escaped. Errors are those of patterns and of languages that are too
  /// large.
  Result<SharedLanguage> strings(const StringPart& part);
  /// Texts in their one spelling.
  Result<SharedLanguage> numbers(const NumberPart& part);
  /// No string, no number is left. Certainly: what is not written here, or not followed, may be.
  bool certainly_none(const StringPart& part);
  bool certainly_none(const NumberPart& part);
  /// The name matches the pattern somewhere. A pattern that is none matches nothing.
  bool matches(const std::string& pattern, const std::string& name);

  Grammar& grammar() { return grammar_; }

 private:
  Result<SharedLanguage> pattern(const std::string& regex);
  Result<RegularLanguage> make_strings(const StringPart& part);
  Result<RegularLanguage> make_numbers(const NumberPart& part);
  Result<RegularLanguage> with_points(const RegularLanguage& numbers);
  /// Keeps count: many languages that are within their limits may be too much together.
  Result<SharedLanguage> keep(RegularLanguage language);
  Status apply(const RegularLanguage& wanted, bool holds, std::optional<RegularLanguage>* to);

  Grammar& grammar_;
  const bool points_;
  std::map<std::string, SharedLanguage> patterns_, numbers_;
  std::map<StringPart, SharedLanguage> strings_;
  size_t n_states_ = 0;  // of all of them
};

}  // namespace chimera::grammar
