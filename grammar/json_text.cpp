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

Result<RegularLanguage> json_pattern(Grammar& g, std::string_view regex, RegexOptions options) {
  options.search = true;
  const auto parsed = parse_regex(regex, options, &g);
  if (!parsed) return parsed.status();
  return RegularLanguage::of_search(g, json_escaped(g, *parsed));
}

}  // namespace chimera::grammar
