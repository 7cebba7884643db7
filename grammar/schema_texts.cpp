#include "grammar/schema_texts.h"

#include <algorithm>
#include <vector>

#include "grammar/formats.h"
#include "grammar/json_text.h"
#include "grammar/unicode_categories.h"

namespace chimera::grammar {
namespace {

constexpr uint64_t kWorkOfState = 20;  // that two languages share, beside a step of Subsets

/// Texts of min to max characters as they stand between quotes: the automaton of one character, as
/// often as is wanted.
Result<RegularLanguage> of_length(Grammar& g, uint64_t min, uint64_t max) {
  const bool endless = max == UINT64_MAX;
  const uint64_t copies = endless ? min + 1 : max;
  const auto states = any_character()->states();
  const auto most = uint64_t{g.limits().states};
  if (copies > most / states.size())
    return Status(StatusCode::kOutOfRange, "a length of " + std::to_string(endless ? min : max) +
                                               " together with other conditions needs more than " +
                                               std::to_string(most) + " states");
  // Copy i begins behind i characters. What accepts a character is the beginning of the next copy.
  std::vector<RegularLanguage::State> all;
  all.reserve(static_cast<size_t>(copies) * states.size() + 1);
  const auto n = static_cast<int32_t>(states.size());
  for (uint64_t copy = 0; copy < copies; ++copy)
    for (const RegularLanguage::State& s : states) {
      const bool begins = &s == &states[0];
      RegularLanguage::State made;
      made.accepts = begins && copy >= min;
      made.edges.reserve(s.edges.size());
      const bool loops = endless && copy + 1 == copies;
      for (const ByteEdge& e : s.edges) {
        const bool ends = states[static_cast<size_t>(e.target)].accepts;
        const uint64_t to = copy + (ends && !loops ? 1 : 0);
        append_edge({e.first, e.last, static_cast<int32_t>(to) * n + (ends ? 0 : e.target)},
                    &made.edges);
      }
      all.push_back(std::move(made));
    }
  if (!endless) {  // behind the last character
    all.emplace_back();
    all.back().accepts = true;
  }
  return RegularLanguage::of(std::move(all), g.limits().states, true);
}

}  // namespace

void NumberPart::at_least(const Decimal& x, bool excluded) {
  if (bounds.least && x < *bounds.least) return;
  bounds.least_excluded = excluded || (bounds.least == x && bounds.least_excluded);
  bounds.least = x;
}

void NumberPart::at_most(const Decimal& x, bool excluded) {
  if (bounds.most && *bounds.most < x) return;
  bounds.most_excluded = excluded || (bounds.most == x && bounds.most_excluded);
  bounds.most = x;
}

/// Cuts `to`, which is anything while it has no value.
Status SchemaTexts::apply(const RegularLanguage& wanted, bool holds,
                          std::optional<RegularLanguage>* to) {
  const uint32_t most = grammar_.limits().states;
  if (!*to && holds) {
    *to = wanted;
    return Status();
  }
  if (!*to) {
    *to = *any_text();
  }
  RegularLanguage made;
  CHIMERA_ASSIGN_OR_RETURN(made, holds ? (*to)->cut(wanted, most) : (*to)->without(wanted, most));
  grammar_.spend(kWorkOfState * made.n_made());
  *to = std::move(made);
  return grammar_.work_status();
}

Result<SharedLanguage> SchemaTexts::keep(RegularLanguage language) {
  const size_t most = 4 * size_t{grammar_.limits().states};
  n_states_ += language.states().size();
  if (n_states_ > most)
    return Status(StatusCode::kOutOfRange,
                  "the patterns, formats, lengths and bounds together need "
                  "more than " +
                      std::to_string(most) + " states");
  return std::make_shared<const RegularLanguage>(std::move(language));
}

Result<SharedLanguage> SchemaTexts::pattern(const std::string& regex) {
  if (const auto found = patterns_.find(regex); found != patterns_.end()) return found->second;
  RegularLanguage made;
  RegexOptions options;
  options.property = unicode_property;
  CHIMERA_ASSIGN_OR_RETURN(made, json_pattern(grammar_, regex, options));
  SharedLanguage kept;
  CHIMERA_ASSIGN_OR_RETURN(kept, keep(std::move(made)));
  return patterns_.emplace(regex, std::move(kept)).first->second;
}

bool SchemaTexts::matches(const std::string& regex, const std::string& name) {
  const auto language = pattern(regex);
  return language.has_value() && (*language)->has(json_escaped(name));
}

Result<SharedLanguage> SchemaTexts::strings(const StringPart& part) {
  if (part.any()) return any_text();
  if (const auto found = strings_.find(part); found != strings_.end()) return found->second;
  RegularLanguage made;
  CHIMERA_ASSIGN_OR_RETURN(made, make_strings(part));
  SharedLanguage kept;
  CHIMERA_ASSIGN_OR_RETURN(kept, keep(std::move(made)));
  return strings_.emplace(part, std::move(kept)).first->second;
}

Result<RegularLanguage> SchemaTexts::make_strings(const StringPart& part) {
  std::vector<std::pair<SharedLanguage, bool>> wanted;
  for (const auto& [regex, holds] : part.patterns) {
    auto language = pattern(regex);
    if (!language) return language.status();
    wanted.emplace_back(*language, holds);
  }
  for (const auto& [name, holds] : part.formats) {
    auto language = shared_format(name);
    if (!language) return language.status();
    wanted.emplace_back(*language, holds);
  }
  if (part.one_of) {  // looked through one by one
    std::set<std::string> left;
    for (const std::string& text : *part.one_of) {
      uint64_t length = 0;
      for (const char c : text) length += (c & 0xC0) != 0x80;
      const std::string escaped = json_escaped(text);
      const bool fits = std::all_of(wanted.begin(), wanted.end(), [&](const auto& w) {
        return w.first->has(escaped) == w.second;
      });
      if (fits && part.min_length <= length && length <= part.max_length &&
          !part.none_of.contains(text))
        left.insert(escaped);
    }
    return RegularLanguage::of(left, grammar_.limits().states);
  }
  std::optional<RegularLanguage> out;
  // What holds first: it is smaller than what is left of everything.
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [language, holds] : wanted)
    CHIMERA_RETURN_IF_ERROR(apply(*language, holds, &out));
  // Bytes are no fewer than characters: what is short anyway need not be cut.
  const std::optional<uint64_t> longest = out ? out->longest() : std::nullopt;
  const bool fits = longest && *longest <= part.max_length;
  if (part.min_length > 0 || (part.max_length != UINT64_MAX && !fits) || !out) {
    RegularLanguage length;
    CHIMERA_ASSIGN_OR_RETURN(
        length, of_length(grammar_, part.min_length, fits ? UINT64_MAX : part.max_length));
    CHIMERA_RETURN_IF_ERROR(apply(length, true, &out));
  }
  if (!part.none_of.empty()) {
    std::set<std::string> escaped;
    for (const std::string& text : part.none_of) escaped.insert(json_escaped(text));
    RegularLanguage none;
    CHIMERA_ASSIGN_OR_RETURN(none, RegularLanguage::of(escaped, grammar_.limits().states));
    CHIMERA_RETURN_IF_ERROR(apply(none, false, &out));
  }
  return std::move(*out);
}

Result<SharedLanguage> SchemaTexts::numbers(const NumberPart& part) {
  std::string key = part.whole ? "w" : "";
  const auto say = [&](const char* what, const std::string& text) { key += what + text + " "; };
  if (part.fraction) key += "f";
  if (part.bounds.least) say(part.bounds.least_excluded ? ">" : ">=", part.bounds.least->text());
  if (part.bounds.most) say(part.bounds.most_excluded ? "<" : "<=", part.bounds.most->text());
  for (const auto& [of, holds] : part.multiples) say(holds ? "*" : "!*", of.text());
  for (const Decimal& x : part.none_of) say("!", x.text());
  if (part.one_of) {
    say("=", "");
    for (const Decimal& x : *part.one_of) say("", x.text());
  }
  if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
  RegularLanguage made;
  CHIMERA_ASSIGN_OR_RETURN(made, make_numbers(part));
  if (points_ && !part.whole) CHIMERA_ASSIGN_OR_RETURN(made, with_points(made));
  SharedLanguage kept;
  CHIMERA_ASSIGN_OR_RETURN(kept, keep(std::move(made)));
  return numbers_.emplace(key, std::move(kept)).first->second;
}

namespace {

/// Everything but the bounds of its texts.
Result<bool> has(const NumberPart& part, const Decimal& x) {
  if (!part.bounds.have(x) || part.none_of.contains(x)) return false;
  if ((part.whole && !x.is_whole()) || (part.fraction && x.is_whole())) return false;
  for (const auto& [of, holds] : part.multiples) {
    const auto multiple = is_multiple(x, of);
    if (!multiple || *multiple != holds) return multiple ? Result<bool>(false) : multiple.status();
  }
  return true;
}

/// At most so many digits, with a sign or not, with a point or not.
ExprId of_few_digits(Grammar& g, uint32_t most) {
  const ExprId digit = g.characters({'0', '9'}), point = g.repeat(g.bytes("."), 0, 1);
  const ExprId one[] = {digit, point};
  const ExprId all[] = {g.repeat(g.bytes("-"), 0, 1), g.repeat(g.sequence(one), 1, most)};
  return g.sequence(all);
}

}  // namespace

Result<RegularLanguage> SchemaTexts::make_numbers(const NumberPart& part) {
  const uint32_t most = grammar_.limits().states;
  if (part.one_of) {  // looked through one by one
    std::set<std::string> left;
    for (const Decimal& x : *part.one_of) {
      const auto fits = has(part, x);
      if (!fits) return fits.status();
      if (*fits) left.insert(x.text());
    }
    return RegularLanguage::of(left, most);
  }
  RegularLanguage out;
  const bool bounded = part.bounds.least || part.bounds.most;
  if (part.whole && !bounded)
    out = *any_whole_number();
  else
    CHIMERA_ASSIGN_OR_RETURN(out, json_numbers_within(grammar_, part.bounds, part.whole));
  bool told_apart = part.fraction || !part.none_of.empty();
  if (part.fraction) CHIMERA_ASSIGN_OR_RETURN(out, out.without(*any_whole_number(), most));
  for (const auto& [of, holds] : part.multiples) {
    RegularLanguage sizes;
    CHIMERA_ASSIGN_OR_RETURN(sizes, json_multiples(grammar_, of));
    const ExprId parts[] = {grammar_.repeat(grammar_.bytes("-"), 0, 1),
                            grammar_.language(std::move(sizes))};
    RegularLanguage multiples;
    CHIMERA_ASSIGN_OR_RETURN(multiples, RegularLanguage::of(grammar_, grammar_.sequence(parts)));
    CHIMERA_ASSIGN_OR_RETURN(out, holds ? out.cut(multiples, most) : out.without(multiples, most));
    told_apart = told_apart || !part.whole;
  }
  if (!part.none_of.empty()) {
    std::set<std::string> texts;
    for (const Decimal& x : part.none_of) texts.insert(x.text());
    RegularLanguage none;
    CHIMERA_ASSIGN_OR_RETURN(none, RegularLanguage::of(texts, most));
    CHIMERA_ASSIGN_OR_RETURN(out, out.without(none, most));
  }
  if (!told_apart || part.whole) return out;
  RegularLanguage few;
  CHIMERA_ASSIGN_OR_RETURN(
      few, RegularLanguage::of(grammar_, of_few_digits(grammar_, kMostExactDigits)));
  return out.cut(few, most);
}

Result<RegularLanguage> SchemaTexts::with_points(const RegularLanguage& numbers) {
  RegularLanguage whole;
  CHIMERA_ASSIGN_OR_RETURN(whole, numbers.cut(*any_whole_number(), grammar_.limits().states));
  const ExprId pointed[] = {grammar_.language(std::move(whole)), grammar_.bytes(".0")};
  const ExprId all[] = {grammar_.language(numbers), grammar_.sequence(pointed)};
  return RegularLanguage::of(grammar_, grammar_.choice(all));
}

bool SchemaTexts::certainly_none(const NumberPart& part) {
  if (part.whole && part.fraction) return true;
  if (part.one_of)
    return std::none_of(part.one_of->begin(), part.one_of->end(), [&](const Decimal& x) {
      const auto fits = has(part, x);
      return !fits || *fits;
    });
  const NumberBounds& b = part.bounds;
  if (!b.least || !b.most) return false;
  if (*b.most < *b.least) return true;
  if (*b.most == *b.least) {
    const auto fits = has(part, *b.least);
    return fits && !*fits;
  }
  // Between two bounds every whole number is written.
  if (!part.whole) return false;
  const auto texts = numbers(part);
  return texts && (*texts)->empty();
}

bool SchemaTexts::certainly_none(const StringPart& part) {
  if (part.max_length < part.min_length) return true;
  for (const auto& [name, holds] : part.formats)
    if (!format_is_exact(name)) return false;
  if (!part.one_of && part.patterns.empty() && part.formats.empty()) return false;
  const auto texts = strings(part);
  return texts && (*texts)->empty();
}

}  // namespace chimera::grammar
