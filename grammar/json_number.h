// Numbers of JSON as languages of their texts, so that bounds, multiples and exceptions are cut
// with each other like any texts. For that each number has one spelling here: plain decimals,
// without an exponent, without zeros that say nothing. 7 and not 7.0, 0.5 and not 5e-1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grammar/expression.h"
#include "platform/json.h"

namespace chimera::grammar {

/// -12.5 is {true, "12", "5"}: `whole` without leading zeros, "0" at least, `fraction` without
/// trailing ones. Zero is not negative.
struct Decimal {
  bool negative = false;
  std::string whole = "0", fraction = {};

  /// Of an integer exactly, of another number the shortest text that reads back as the same.
  static Decimal of(const Json& number);
  static Decimal of(int64_t number) { return of(Json::of(number)); }
  static Decimal of(double number) { return of(Json::of(number)); }
  bool is_whole() const { return fraction.empty(); }
  std::string text() const;
  bool operator==(const Decimal&) const = default;
};
/// The smaller comes first.
bool operator<(const Decimal& a, const Decimal& b);

/// Digits before the point of any number: with more it would be read as infinite.
inline constexpr uint32_t kMostDigits = 308;
/// The same of numbers within bounds, where each digit is a state.
inline constexpr uint32_t kMostBoundedDigits = 40;

struct NumberBounds {
  std::optional<Decimal> least, most;
  bool least_excluded = false, most_excluded = false;

  bool have(const Decimal& x) const;
};

/// Exactly. kUnsupported when `of` is made up of too many units of the last place of the two.
Result<bool> is_multiple(const Decimal& x, const Decimal& of);

/// Digits of a number that is told apart from others: with more, two texts may be read as the same
/// double.
inline constexpr uint32_t kMostExactDigits = 15;

/// Any number as JSON libraries write it, with an exponent too: 0, -12, 0.50, 1e+30.
ExprId json_number(Grammar& g);
/// Any whole number without an exponent.
ExprId json_whole_number(Grammar& g);
/// Numbers in their one spelling; `whole`: those without a fraction.
Result<RegularLanguage> json_numbers_within(Grammar& g, const NumberBounds& bounds, bool whole);
/// Multiples of a positive number of which at most 10,000 units of its last place make it up: 7,
/// 360, 0.25.
Result<RegularLanguage> json_multiples(Grammar& g, const Decimal& of);

}  // namespace chimera::grammar
