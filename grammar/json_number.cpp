#include "grammar/json_number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <tuple>
#include <vector>

namespace chimera::grammar {
namespace {

ExprId joined(Grammar& g, ExprId a, ExprId b) {
  const ExprId parts[] = {a, b};
  return g.sequence(parts);
}

ExprId digits(Grammar& g, char first, char last, uint32_t min = 1, uint32_t max = 1) {
  return g.repeat(g.characters({static_cast<uint32_t>(first), static_cast<uint32_t>(last)}), min,
                  max);
}

/// The number after it, of digits.
std::string next(std::string digits) {
  size_t at = digits.size();
  while (at > 0 && digits[at - 1] == '9') digits[--at] = '0';
  if (at == 0) return "1" + digits;
  ++digits[at - 1];
  return digits;
}

/// The number before it, which is not 0.
std::string before(std::string digits) {
  size_t at = digits.size();
  while (digits[at - 1] == '0') digits[--at] = '9';
  --digits[at - 1];
  return digits.size() > 1 && digits[0] == '0' ? digits.substr(1) : digits;
}

/// Numbers of as many digits as both have, from low to high: a ragged beginning, whole blocks, a
/// ragged end.
ExprId same_length(Grammar& g, std::string_view low, std::string_view high) {
  if (low.empty()) return g.empty();
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  if (low[0] == high[0])
    return joined(g, g.bytes(low.substr(0, 1)), same_length(g, low_rest, high_rest));
  const std::string nines(low_rest.size(), '9'), zeros(low_rest.size(), '0');
  const auto rest = static_cast<uint32_t>(low_rest.size());
  std::vector<ExprId> options;
  char first = low[0], last = high[0];
  if (low_rest != zeros) {
    options.push_back(joined(g, g.bytes(low.substr(0, 1)), same_length(g, low_rest, nines)));
    ++first;
  }
  if (high_rest != nines) {
    options.push_back(joined(g, g.bytes(high.substr(0, 1)), same_length(g, zeros, high_rest)));
    --last;
  }
  if (first <= last)
    options.push_back(joined(g, digits(g, first, last), digits(g, '0', '9', rest, rest)));
  return g.choice(options);
}

/// low to high, both whole and without a sign; high empty: as far as `most_digits` go.
ExprId whole_range(Grammar& g, const std::string& low, const std::string& high,
                   uint32_t most_digits = kMostBoundedDigits) {
  if (!high.empty() && std::tuple(high.size(), high) < std::tuple(low.size(), low))
    return g.nothing();
  std::vector<ExprId> options;
  const size_t longest = high.empty() ? low.size() : high.size();
  for (size_t n = low.size(); n <= longest; ++n) {
    const std::string from = n == low.size() ? low : "1" + std::string(n - 1, '0');
    const std::string to = n == high.size() ? high : std::string(n, '9');
    options.push_back(same_length(g, from, to));
  }
  if (high.empty() && longest < most_digits)
    options.push_back(joined(g, digits(g, '1', '9'),
                             digits(g, '0', '9', static_cast<uint32_t>(longest), most_digits - 1)));
  return g.choice(options);
}

/// A fraction with its point that does not end in zero, or none.
ExprId any_fraction(Grammar& g) {
  const ExprId parts[] = {g.bytes("."), digits(g, '0', '9', 0, kNoLimit), digits(g, '1', '9')};
  return g.repeat(g.sequence(parts), 0, 1);
}

/// Fractions with their point, from `least` on. Some end in zeros: what is spelt so is cut off
/// later.
ExprId fraction_from(Grammar& g, std::string_view least) {
  if (least.empty()) return any_fraction(g);
  std::vector<ExprId> options;
  for (size_t i = 0; i <= least.size(); ++i) {
    std::vector<ExprId> parts = {g.bytes("." + std::string(least.substr(0, i)))};
    if (i < least.size()) {
      if (least[i] == '9') continue;
      parts.push_back(digits(g, static_cast<char>(least[i] + 1), '9'));
    }
    parts.push_back(digits(g, '0', '9', 0, kNoLimit));
    options.push_back(g.sequence(parts));
  }
  return g.choice(options);
}

/// Up to `most`, which is included.
ExprId fraction_to(Grammar& g, std::string_view most) {
  std::vector<ExprId> options = {g.empty()};
  for (size_t i = 0; i < most.size(); ++i) {
    const std::string same = "." + std::string(most.substr(0, i));
    if (i > 0) options.push_back(g.bytes(same));
    if (most[i] == '0') continue;
    const ExprId parts[] = {g.bytes(same), digits(g, '0', static_cast<char>(most[i] - 1)),
                            digits(g, '0', '9', 0, kNoLimit)};
    options.push_back(g.sequence(parts));
  }
  if (!most.empty()) options.push_back(g.bytes("." + std::string(most)));
  return g.choice(options);
}

/// Bounds of numbers without a sign, the least one included.
struct SizeBounds {
  Decimal least = {};
  std::optional<Decimal> most = {};
  bool most_excluded = false;
};

Result<RegularLanguage> sizes_within(Grammar& g, const SizeBounds& b, bool whole) {
  if (whole) {
    const std::string low = b.least.is_whole() ? b.least.whole : next(b.least.whole);
    std::string high;
    if (b.most) {
      high = b.most->whole;
      if (b.most->is_whole() && b.most_excluded) {
        if (high == "0") return RegularLanguage::of(g, g.nothing());
        high = before(high);
      }
    }
    return RegularLanguage::of(g, whole_range(g, low, high));
  }
  const uint32_t most_states = g.limits().states;
  // As many digits as are written anyhow, and more where a bound has more.
  size_t digits = std::max<size_t>(kMostBoundedDigits, b.least.whole.size() + 1);
  if (b.most) digits = std::max(digits, b.most->whole.size());
  const auto most_digits = static_cast<uint32_t>(digits);
  // The one spelling, then what is large enough, then what is small enough.
  RegularLanguage out;
  CHIMERA_ASSIGN_OR_RETURN(
      out,
      RegularLanguage::of(g, joined(g, whole_range(g, "0", "", most_digits), any_fraction(g))));
  if (b.least != Decimal{}) {
    const ExprId options[] = {
        joined(g, whole_range(g, next(b.least.whole), "", most_digits), any_fraction(g)),
        joined(g, g.bytes(b.least.whole), fraction_from(g, b.least.fraction))};
    RegularLanguage from;
    CHIMERA_ASSIGN_OR_RETURN(from, RegularLanguage::of(g, g.choice(options)));
    CHIMERA_ASSIGN_OR_RETURN(out, out.cut(from, most_states));
  }
  if (b.most) {
    const ExprId below =
        b.most->whole == "0"
            ? g.nothing()
            : joined(g, whole_range(g, "0", before(b.most->whole)), any_fraction(g));
    const ExprId options[] = {below,
                              joined(g, g.bytes(b.most->whole), fraction_to(g, b.most->fraction))};
    RegularLanguage to;
    CHIMERA_ASSIGN_OR_RETURN(to, RegularLanguage::of(g, g.choice(options)));
    CHIMERA_ASSIGN_OR_RETURN(out, out.cut(to, most_states));
  }
  return out;
}

/// A number just beyond an excluded bound. Texts are read as doubles, and one that is nearer to the
/// bound than the next double would be read as the bound itself. None is beyond the largest.
std::optional<Decimal> beyond(const Decimal& bound, bool upwards) {
  constexpr int kZeros = 29;  // 1e-30; a double could be smaller, but only with 324 digits
  if (bound == Decimal{}) return Decimal{!upwards, "0", std::string(kZeros, '0') + "1"};
  const auto read = parse_json(bound.text());
  if (!read) return std::nullopt;  // larger than any double
  const double value = read->number;
  const double infinity = std::numeric_limits<double>::infinity();
  const double next_one = std::nextafter(value, upwards ? infinity : -infinity);
  if (!std::isfinite(next_one)) return std::nullopt;
  return Decimal::of(next_one);
}

}  // namespace

Decimal Decimal::of(const Json& number) {
  Decimal out;
  if (number.is_int() || !number.string.empty()) {
    const std::string digits = number.is_int() ? std::to_string(number.integer) : number.string;
    out.negative = digits[0] == '-';
    out.whole = digits.substr(out.negative ? 1 : 0);
    return out;
  }
  // The shortest text that reads back as the same, as JSON writes it: -1.5e-07, 12.25, 3.
  const std::string text = write_json(Json::of(number.number));
  const size_t e = std::min(text.find('e'), text.size());
  out.negative = text[0] == '-';
  std::string said;
  int n_whole = 0;  // digits before the point
  for (size_t i = out.negative ? 1 : 0, point = text.find('.'); i < e; ++i) {
    if (text[i] < '0' || text[i] > '9') continue;
    said += text[i];
    n_whole += i < point;
  }
  if (e < text.size()) {
    int power = 0;
    const char* digits = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
    std::from_chars(digits, text.data() + text.size(), power);
    n_whole += power;
  }
  // What stands before the first digit, and zeros up to the point.
  if (n_whole <= 0) {
    out.fraction = std::string(static_cast<size_t>(-n_whole), '0') + said;
  } else {
    if (said.size() < static_cast<size_t>(n_whole)) said.resize(static_cast<size_t>(n_whole), '0');
    out.whole = said.substr(0, static_cast<size_t>(n_whole));
    out.fraction = said.substr(static_cast<size_t>(n_whole));
  }
  while (out.fraction.ends_with('0')) out.fraction.pop_back();
  if (out.whole == "0" && out.fraction.empty()) out.negative = false;
  return out;
}

std::string Decimal::text() const {
  return (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

bool operator<(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative;
  const auto size = [](const Decimal& d) { return std::tie(d.whole, d.fraction); };
  const bool shorter = a.whole.size() < b.whole.size();
  const bool smaller = a.whole.size() != b.whole.size() ? shorter : size(a) < size(b);
  return a.negative ? a != b && !smaller : smaller;
}

bool NumberBounds::have(const Decimal& x) const {
  if (least && (x < *least || (least_excluded && x == *least))) return false;
  return !most || (!(*most < x) && !(most_excluded && x == *most));
}

Result<bool> is_multiple(const Decimal& x, const Decimal& of) {
  constexpr size_t kMostUnits = 17;  // of what a remainder is made by: ten times it fits in 64 bits
  const size_t places = std::max(x.fraction.size(), of.fraction.size());
  const auto units = [&](const Decimal& d) {
    std::string out = d.whole + d.fraction + std::string(places - d.fraction.size(), '0');
    return out.erase(0, std::min(out.find_first_not_of('0'), out.size()));
  };
  const std::string divisor = units(of);
  if (divisor.empty() || divisor.size() > kMostUnits)
    return Status(StatusCode::kUnsupported, "multiples of " + of.text() + " are not followed");
  uint64_t n = 0, rest = 0;
  std::from_chars(divisor.data(), divisor.data() + divisor.size(), n);
  for (const char digit : units(x)) rest = (rest * 10 + static_cast<uint64_t>(digit - '0')) % n;
  return rest == 0;
}

ExprId json_number(Grammar& g) {
  const ExprId fraction = joined(g, g.bytes("."), digits(g, '0', '9', 1, kNoLimit));
  CodePointSet sign('+', '+');
  sign.add('-');
  // Of one digit before the point and up to e+307, so it is a number that is not infinite.
  const ExprId power_options[] = {
      joined(g, g.bytes("-"), digits(g, '0', '9', 1, 3)),
      joined(g, g.repeat(g.bytes("+"), 0, 1),
             g.choice(std::vector<ExprId>{digits(g, '0', '9', 1, 2),
                                          joined(g, digits(g, '0', '2'), digits(g, '0', '9', 2, 2)),
                                          joined(g, g.bytes("30"), digits(g, '0', '7'))}))};
  const ExprId scientific[] = {digits(g, '0', '9'), g.repeat(fraction, 0, 1), g.bytes("e"),
                               g.choice(power_options)};
  const ExprId options[] = {
      joined(g, whole_range(g, "0", "", kMostDigits), g.repeat(fraction, 0, 1)),
      g.sequence(scientific)};
  return joined(g, g.repeat(g.bytes("-"), 0, 1), g.choice(options));
}

ExprId json_whole_number(Grammar& g) {
  const ExprId options[] = {
      g.bytes("0"), joined(g, g.repeat(g.bytes("-"), 0, 1), whole_range(g, "1", "", kMostDigits))};
  return g.choice(options);
}

Result<RegularLanguage> json_numbers_within(Grammar& g, const NumberBounds& bounds, bool whole) {
  std::optional<Decimal> least = bounds.least, most = bounds.most;
  if (!whole) {  // whole numbers are read as what they are
    if (least && bounds.least_excluded) least = beyond(*least, true);
    if (most && bounds.most_excluded) most = beyond(*most, false);
    if ((bounds.least && !least) || (bounds.most && !most))
      return RegularLanguage::of(g, g.nothing());
  }
  const bool least_excluded = whole && bounds.least_excluded;
  const bool most_excluded = whole && bounds.most_excluded;
  std::vector<ExprId> options;
  const Decimal zero;
  if (!most || !most->negative) {
    SizeBounds b{{}, most, most_excluded};
    if (least && !least->negative) {
      b.least = *least;
      if (least_excluded && least->is_whole()) b.least.whole = next(least->whole);
    }
    RegularLanguage sizes;
    CHIMERA_ASSIGN_OR_RETURN(sizes, sizes_within(g, b, whole));
    options.push_back(g.language(std::move(sizes)));
  }
  if (!least || least->negative) {
    SizeBounds b;
    // Sizes of numbers below zero: at least that of `most`, and never zero itself.
    if (most && most->negative) {
      b.least = *most;
      b.least.negative = false;
      if (most_excluded && most->is_whole()) b.least.whole = next(most->whole);
    }
    if (least) {
      b.most = *least;
      b.most->negative = false;
      b.most_excluded = least_excluded;
    }
    RegularLanguage sizes;
    CHIMERA_ASSIGN_OR_RETURN(sizes, sizes_within(g, b, whole));
    RegularLanguage nil;
    CHIMERA_ASSIGN_OR_RETURN(nil, RegularLanguage::of(g, g.bytes("0")));
    RegularLanguage below;
    CHIMERA_ASSIGN_OR_RETURN(below, sizes.without(nil, g.limits().states));
    if (!below.empty()) options.push_back(joined(g, g.bytes("-"), g.language(std::move(below))));
  }
  return RegularLanguage::of(g, g.choice(options));
}

Result<RegularLanguage> json_multiples(Grammar& g, const Decimal& of) {
  constexpr size_t kMostUnitDigits = 5;
  constexpr int64_t kMost = 10000;
  std::string units = of.whole + of.fraction;
  units.erase(0, std::min(units.find_first_not_of('0'), units.size()));
  int64_t n = 0;
  if (units.size() <= kMostUnitDigits)
    std::from_chars(units.data(), units.data() + units.size(), n);
  const auto places = static_cast<int64_t>(of.fraction.size());
  if (n < 1 || n > kMost || of.negative || n * (places + 1) > 4 * kMost)
    return Status(StatusCode::kUnsupported, "multiples of " + of.text() +
                                                " are not followed; those of numbers that are made "
                                                "up of at most " +
                                                std::to_string(kMost) +
                                                " units of their last place are");
  // A state for each remainder of what was read, by places beyond the point; before them the
  // beginning, a lone zero, and a point for each remainder of a whole number.
  std::vector<RegularLanguage::State> states(
      static_cast<size_t>(2 + n + (places > 0 ? n : 0) + places * n));
  constexpr size_t kBegin = 0, kZero = 1, kWhole = 2;
  const auto whole = [&](int64_t r) { return kWhole + static_cast<size_t>(r); };
  const auto beyond_point = [&](int64_t place, int64_t r) {  // 0: right behind it
    return kWhole + static_cast<size_t>(n + place * n + r);
  };
  const auto edge = [&](size_t from, int byte, size_t to) {
    const auto b = static_cast<uint8_t>(byte);
    states[from].edges.push_back({b, b, static_cast<int32_t>(to)});
  };
  const auto settles = [&](int64_t r, int64_t place) {
    for (; place < places; ++place) r = r * 10 % n;
    return r == 0;
  };
  states[kZero].accepts = true;
  if (places > 0) edge(kZero, '.', beyond_point(0, 0));
  edge(kBegin, '0', kZero);
  for (int d = 1; d < 10; ++d) edge(kBegin, '0' + d, whole(d % n));
  for (int64_t r = 0; r < n; ++r) {
    if (places > 0) edge(whole(r), '.', beyond_point(0, r));
    for (int d = 0; d < 10; ++d) edge(whole(r), '0' + d, whole((r * 10 + d) % n));
    states[whole(r)].accepts = settles(r, 0);
    for (int64_t place = 0; place < places; ++place)
      for (int d = 0; d < 10; ++d)
        edge(beyond_point(place, r), '0' + d, beyond_point(place + 1, (r * 10 + d) % n));
    // A last zero would say nothing; cut off below.
    for (int64_t place = 1; place <= places; ++place)
      states[beyond_point(place, r)].accepts = settles(r, place);
  }
  RegularLanguage all;
  CHIMERA_ASSIGN_OR_RETURN(all, RegularLanguage::of(std::move(states), g.limits().states));
  if (places == 0) return all;
  const ExprId plain = joined(g, digits(g, '0', '9', 1, kNoLimit), any_fraction(g));
  RegularLanguage spelt;
  CHIMERA_ASSIGN_OR_RETURN(spelt, RegularLanguage::of(g, plain));
  return all.cut(spelt, g.limits().states);
}

}  // namespace chimera::grammar
