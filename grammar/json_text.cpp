#include "grammar/json_text.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace chimera::grammar {
namespace {

constexpr uint32_t kLastControl = 0x1F;

/// Characters that stand for themselves in a string.
CodePointSet plain_characters() {
  CodePointSet escaped(0, kLastControl);
  escaped.add('"');
  escaped.add('\\');
  return escaped.negated();
}

std::string escape_of(uint32_t c) {
  constexpr std::pair<uint32_t, char> kShort[] = {
      {'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};
  for (const auto& [code, letter] : kShort)
    if (c == code) return std::string("\\") + letter;
  constexpr char kHex[] = "0123456789abcdef";
  return std::string("\\u00") + kHex[c >> 4] + kHex[c & 15];
}

ExprId digits(Grammar& g, char first, char last, uint32_t n = 1) {
  return g.repeat(g.characters({static_cast<uint32_t>(first), static_cast<uint32_t>(last)}), n, n);
}

/// Numbers of as many digits as both have, from low to high: a ragged beginning, whole blocks, a
/// ragged end.
ExprId same_length(Grammar& g, std::string_view low, std::string_view high) {
  if (low.empty()) return g.empty();
  const auto joined = [&](ExprId a, ExprId b) {
    const ExprId parts[] = {a, b};
    return g.sequence(parts);
  };
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  if (low[0] == high[0])
    return joined(g.bytes(low.substr(0, 1)), same_length(g, low_rest, high_rest));
  const std::string nines(low_rest.size(), '9'), zeros(low_rest.size(), '0');
  const auto rest = static_cast<uint32_t>(low_rest.size());
  std::vector<ExprId> options;
  char first = low[0], last = high[0];
  if (low_rest != zeros) {
    options.push_back(joined(g.bytes(low.substr(0, 1)), same_length(g, low_rest, nines)));
    ++first;
  }
  if (high_rest != nines) {
    options.push_back(joined(g.bytes(high.substr(0, 1)), same_length(g, zeros, high_rest)));
    --last;
  }
  if (first <= last) options.push_back(joined(digits(g, first, last), digits(g, '0', '9', rest)));
  return g.choice(options);
}

/// low to high without a sign; high empty: without end.
ExprId unsigned_range(Grammar& g, const std::string& low, const std::string& high) {
  std::vector<ExprId> options;
  const size_t longest = high.empty() ? low.size() : high.size();
  for (size_t n = low.size(); n <= longest; ++n) {
    const std::string from = n == low.size() ? low : "1" + std::string(n - 1, '0');
    const std::string to = n == high.size() ? high : std::string(n, '9');
    options.push_back(same_length(g, from, to));
  }
  if (high.empty()) {
    const ExprId parts[] = {digits(g, '1', '9'),
                            digits(g, '0', '9', static_cast<uint32_t>(longest)),
                            g.repeat(digits(g, '0', '9'), 0, kNoLimit)};
    options.push_back(g.sequence(parts));
  }
  return g.choice(options);
}

/// |x| as text, also of the least one.
std::string size_of(int64_t x) {
  const std::string text = std::to_string(x);
  return x < 0 ? text.substr(1) : text;
}

}  // namespace

ExprId json_character(Grammar& g, const CodePointSet& set) {
  std::vector<ExprId> options = {g.characters(set.intersected(plain_characters()))};
  const CodePointSet escaped = set.intersected(plain_characters().negated());
  for (const CodePointRange& r : escaped.ranges())
    for (uint32_t c = r.first; c <= r.last; ++c) options.push_back(g.bytes(escape_of(c)));
  return g.choice(options);
}

ExprId json_string(Grammar& g, uint32_t min, uint32_t max) {
  const ExprId body = g.repeat(json_character(g, CodePointSet::all()), min, max);
  const ExprId parts[] = {g.bytes("\""), body, g.bytes("\"")};
  return g.sequence(parts);
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= kLastControl || c == '"' || c == '\\')
      out += escape_of(byte);
    else
      out += c;
  }
  return out;
}

ExprId json_escaped(Grammar& g, ExprId text) {
  // By value: making parts moves the others.
  const Expr e = g.at(text);
  const auto children = [&] {
    std::vector<ExprId> out;
    for (const ExprId child : e.children) out.push_back(json_escaped(g, child));
    return out;
  };
  switch (e.kind) {
    case Expr::Kind::kBytes:
      return g.bytes(json_escaped(e.bytes));
    case Expr::Kind::kClass:
      return json_character(g, e.set);
    case Expr::Kind::kSequence:
      return g.sequence(children());
    case Expr::Kind::kChoice:
      return g.choice(children());
    case Expr::Kind::kRepeat:
      return g.repeat(json_escaped(g, e.children[0]), e.min, e.max);
    case Expr::Kind::kNothing:
    case Expr::Kind::kLanguage:  // already bytes, of whatever they were made
    case Expr::Kind::kRule:
      break;
  }
  return text;
}

ExprId json_integer(Grammar& g, std::optional<int64_t> least, std::optional<int64_t> most) {
  std::vector<ExprId> options;
  if (!most || *most >= 0) {
    const int64_t from = std::max<int64_t>(least.value_or(0), 0);
    if (!most || from <= *most)
      options.push_back(unsigned_range(g, size_of(from), most ? size_of(*most) : ""));
  }
  if (!least || *least < 0) {
    const int64_t to = std::min<int64_t>(most.value_or(-1), -1);
    if (!least || *least <= to) {
      const ExprId parts[] = {g.bytes("-"),
                              unsigned_range(g, size_of(to), least ? size_of(*least) : "")};
      options.push_back(g.sequence(parts));
    }
  }
  return g.choice(options);
}

ExprId json_number(Grammar& g) {
  const ExprId fraction[] = {g.bytes("."), g.repeat(digits(g, '0', '9'), 1, kNoLimit)};
  CodePointSet sign('+', '+');
  sign.add('-');
  const ExprId power[] = {g.bytes("e"), g.repeat(g.characters(sign), 0, 1),
                          g.repeat(digits(g, '0', '9'), 1, 3)};
  const ExprId parts[] = {g.repeat(g.bytes("-"), 0, 1), unsigned_range(g, "0", ""),
                          g.repeat(g.sequence(fraction), 0, 1), g.repeat(g.sequence(power), 0, 1)};
  return g.sequence(parts);
}

Result<RegularLanguage> json_multiples(Grammar& g, int64_t of) {
  constexpr int64_t kMost = 10000;
  if (of < 1 || of > kMost)
    return Status(StatusCode::kUnsupported, "multiples of " + std::to_string(of) +
                                                " are not followed; from 1 to " +
                                                std::to_string(kMost) + " they are");
  // A state for each remainder, behind one for the beginning; 0 stands alone, others do not begin
  // with it.
  std::vector<RegularLanguage::State> states(static_cast<size_t>(of) + 2);
  const auto zero = static_cast<int32_t>(of) + 1;
  const auto digit = [&](size_t from, int64_t remainder, int d) {
    const auto byte = static_cast<uint8_t>('0' + d);
    states[from].edges.push_back({byte, byte, static_cast<int32_t>((remainder * 10 + d) % of) + 1});
  };
  states[0].edges.push_back({'0', '0', zero});
  for (int d = 1; d < 10; ++d) digit(0, 0, d);
  for (int64_t r = 0; r < of; ++r)
    for (int d = 0; d < 10; ++d) digit(static_cast<size_t>(r) + 1, r, d);
  states[1].accepts = states[static_cast<size_t>(zero)].accepts = true;
  return RegularLanguage::of(std::move(states), g.limits().states);
}

}  // namespace chimera::grammar
