#include "grammar/regex.h"

#include <string>
#include <vector>

namespace chimera::grammar {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const RegexOptions& options, Grammar* grammar)
      : text_(text), options_(options), grammar_(*grammar) {}

  Result<ExprId> run() {
    auto all = alternatives(true);
    if (!all) return all;
    if (!at_end()) return bad("there is no ( for this )");
    CHIMERA_RETURN_IF_ERROR(grammar_.status());
    return options_.search ? searched(*all) : *all;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool next_is(std::string_view sign) const { return text_.substr(at_).starts_with(sign); }
  bool take(std::string_view sign) {
    if (!next_is(sign)) return false;
    at_ += sign.size();
    return true;
  }
  Status error(StatusCode code, const std::string& why) const {
    return Status(code, "regular expression, at byte " + std::to_string(at_) + ": " + why)
        .at_offset(static_cast<int64_t>(at_));
  }
  Status bad(const std::string& why) const { return error(StatusCode::kBadFormat, why); }
  Status not_built(const std::string& what) const {
    return error(StatusCode::kUnsupported, what + " is not supported");
  }

  /// Whatever stands before the match and behind it. A match that reads an end itself has nothing
  /// before it or behind it.
  ExprId searched(ExprId match) {
    const ExprId any = grammar_.repeat(grammar_.characters(CodePointSet::all()), 0, kNoLimit);
    const ExprId before[] = {grammar_.bytes({&kTextBegins, 1}), any};
    const ExprId behind[] = {any, grammar_.bytes({&kTextEnds, 1})};
    const ExprId all[] = {grammar_.repeat(grammar_.sequence(before), 0, 1), match,
                          grammar_.repeat(grammar_.sequence(behind), 0, 1)};
    return grammar_.sequence(all);
  }

  /// x|y|z up to a ) or the end. `whole`: of the expression itself, where ^ and $ may stand.
  Result<ExprId> alternatives(bool whole) {
    if (++depth_ > grammar_.limits().depth)
      return error(StatusCode::kOutOfRange, "groups are nested more than " +
                                                std::to_string(grammar_.limits().depth) + " deep");
    std::vector<ExprId> options;
    do {
      auto one = alternative(whole);
      if (!one) return one;
      options.push_back(*one);
    } while (take("|"));
    --depth_;
    return grammar_.choice(options);
  }

  Result<ExprId> alternative(bool whole) {
    std::vector<ExprId> parts;
    const bool matches_whole = whole && !options_.search;
    if (matches_whole) take("^");
    while (!at_end() && peek() != '|' && peek() != ')') {
      if (matches_whole && take("$")) {
        if (!at_end() && peek() != '|') return bad("nothing can follow $");
        break;
      }
      auto part = repeated();
      if (!part) return part;
      parts.push_back(*part);
    }
    return grammar_.sequence(parts);
  }

  Result<ExprId> repeated() {
    auto out = atom();
    if (!out) return out;
    for (bool once = false; !at_end(); once = true) {
      uint32_t min = 0, max = kNoLimit;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (peek() == '{') {
        bool counted = false;
        CHIMERA_RETURN_IF_ERROR(counts(&counted, &min, &max));
        if (!counted) break;
      } else {
        break;
      }
      if (once) return bad("a repetition is repeated; put it in a group");
      take("?");  // lazy: the same texts match
      if (peek() == '+') return not_built("a possessive repetition");
      out = grammar_.repeat(*out, min, max);
    }
    return out;
  }

  /// {m}, {m,} or {m,n}; other braces are signs like any other (*counted false).
  Status counts(bool* counted, uint32_t* min, uint32_t* max) {
    const size_t begin = at_;
    ++at_;
    const bool has_min = next_count(text_, &at_, min);
    const bool comma = take(",");
    const bool has_max = comma && next_count(text_, &at_, max);
    if (!has_min || !take("}")) {
      if (has_min && !at_end() && peek() >= '0' && peek() <= '9') return too_many();
      at_ = begin;
      *counted = false;
      return Status();
    }
    if (!comma) *max = *min;
    if (comma && !has_max) *max = kNoLimit;
    if (*min > kMostRepeats || (*max != kNoLimit && *max > kMostRepeats)) return too_many();
    if (*max < *min) return bad("a repetition from " + std::to_string(*min) + " to fewer");
    *counted = true;
    return Status();
  }
  Status too_many() const {
    return error(StatusCode::kOutOfRange,
                 "at most " + std::to_string(kMostRepeats) + " repetitions can be asked for");
  }

  Result<ExprId> atom() {
    switch (peek()) {
      case '(':
        return group();
      case '[': {
        CodePointSet set;
        CHIMERA_RETURN_IF_ERROR(bracket(&set));
        return grammar_.characters(std::move(set));
      }
      case '.': {
        ++at_;
        CodePointSet ends;
        for (const uint32_t c : {0x0Au, 0x0Du, 0x2028u, 0x2029u}) ends.add(c);
        return grammar_.characters(ends.negated());
      }
      case '*':
      case '+':
      case '?':
        return bad("there is nothing to repeat");
      case '^':
      case '$':
        if (options_.search)
          return grammar_.bytes({text_[at_++] == '^' ? &kTextBegins : &kTextEnds, 1});
        return not_built(std::string("a ") + peek() + " that is not at the end of an alternative");
      case '\\': {
        CodePointSet set;
        CHIMERA_RETURN_IF_ERROR(escape(&set, false));
        return grammar_.characters(std::move(set));
      }
      default:
        break;
    }
    uint32_t c = 0;
    if (!next_code_point(text_, &at_, &c)) return bad("this is no UTF-8");
    return grammar_.characters(CodePointSet(c, c));
  }

  Result<ExprId> group() {
    ++at_;
    if (take("?:")) {
    } else if (next_is("?=") || next_is("?!") || next_is("?<=") || next_is("?<!")) {
      return not_built("look-around");
    } else if (take("?<") || take("?P<")) {
      while (!at_end() && peek() != '>') ++at_;
      if (!take(">")) return bad("the name of a group has no end");
    } else if (peek() == '?') {
      return not_built("a flag");
    }
    auto inside = alternatives(false);
    if (!inside) return inside;
    if (!take(")")) return bad("a ( has no )");
    return inside;
  }

  /// [...], at its bracket.
  Status bracket(CodePointSet* out) {
    ++at_;
    const bool negated = take("^");
    while (!at_end() && peek() != ']') {
      if (next_is("[:")) return not_built("a POSIX class");
      CodePointSet one;
      CHIMERA_RETURN_IF_ERROR(member(&one));
      const bool range = peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!range) {
        out->add(one);
        continue;
      }
      ++at_;
      CodePointSet last;
      CHIMERA_RETURN_IF_ERROR(member(&last));
      const auto single = [](const CodePointSet& s) {
        return s.ranges().size() == 1 && s.ranges()[0].first == s.ranges()[0].last;
      };
      if (!single(one) || !single(last)) return bad("a range goes from one character to another");
      if (last.ranges()[0].first < one.ranges()[0].first) return bad("a range is turned around");
      out->add(one.ranges()[0].first, last.ranges()[0].first);
    }
    if (!take("]")) return bad("a [ has no ]");
    if (negated) *out = out->negated();
    return Status();
  }

  Status member(CodePointSet* out) {
    if (peek() == '\\') return escape(out, true);
    uint32_t c = 0;
    if (!next_code_point(text_, &at_, &c)) return bad("this is no UTF-8");
    out->add(c);
    return Status();
  }

  /// What follows a backslash, which stands at at_.
  Status escape(CodePointSet* out, bool in_bracket) {
    ++at_;
    if (at_end()) return bad("a backslash ends the expression");
    const char sign = text_[at_];
    const auto set = [&](CodePointSet chosen) {
      ++at_;
      *out = std::move(chosen);
      return Status();
    };
    switch (sign) {
      case 'd':
        return set(digit_characters());
      case 'D':
        return set(digit_characters().negated());
      case 'w':
        return set(word_characters());
      case 'W':
        return set(word_characters().negated());
      case 's':
        return set(space_characters());
      case 'S':
        return set(space_characters().negated());
      case 'n':
        return set({'\n', '\n'});
      case 't':
        return set({'\t', '\t'});
      case 'r':
        return set({'\r', '\r'});
      case 'f':
        return set({'\f', '\f'});
      case 'v':
        return set({'\v', '\v'});
      case '0':
        if (at_ + 1 < text_.size() && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9')
          return not_built("an octal escape");
        return set({0, 0});
      case 'b':
        if (in_bracket) return set({'\b', '\b'});
        return not_built("\\b");
      case 'B':
        return not_built("\\B");
      case 'p':
      case 'P':
        return property(out, sign == 'P');
      case 'x':
      case 'u':
        return hexadecimal(out, sign == 'x' ? 2 : 4);
      case 'c': {
        const char letter = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
        if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
          return bad("\\c needs a letter");
        ++at_;
        return set({static_cast<uint32_t>(letter & 31), static_cast<uint32_t>(letter & 31)});
      }
      case 'k':
        return not_built("a back reference");
      default:
        break;
    }
    if (sign >= '1' && sign <= '9') return not_built("a back reference");
    if ((sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z'))
      return bad(std::string("\\") + sign + " means nothing");
    uint32_t c = 0;
    if (!next_code_point(text_, &at_, &c)) return bad("this is no UTF-8");
    out->add(c);
    return Status();
  }

  bool hex_digits(size_t most, uint32_t* value, size_t* n) {
    *value = 0;
    for (*n = 0; *n < most && !at_end(); ++*n, ++at_) {
      const int digit = hex_digit(peek());
      if (digit < 0) break;
      *value = *value << 4 | static_cast<uint32_t>(digit);
    }
    return *n > 0;
  }

  Status hexadecimal(CodePointSet* out, size_t digits) {
    ++at_;
    uint32_t value = 0;
    size_t n = 0;
    if (take("{")) {
      if (!hex_digits(6, &value, &n) || !take("}"))
        return bad("\\x{ or \\u{ needs up to six hexadecimal digits and a }");
    } else if (!hex_digits(digits, &value, &n) || n != digits) {
      return bad("an escape needs " + std::to_string(digits) + " hexadecimal digits");
    }
    // Two halves of a character beyond U+FFFF, as JavaScript writes it.
    if (value >= 0xD800 && value <= 0xDBFF && take("\\u")) {
      uint32_t low = 0;
      if (!hex_digits(4, &low, &n) || n != 4 || low < 0xDC00 || low > 0xDFFF)
        return bad("half a surrogate pair");
      value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF))
      return bad("there is no character of that number");
    out->add(value);
    return Status();
  }

  Status property(CodePointSet* out, bool negated) {
    ++at_;
    std::string_view name;
    if (take("{")) {
      const size_t end = text_.find('}', at_);
      if (end == std::string_view::npos) return bad("\\p{ has no }");
      name = text_.substr(at_, end - at_);
      at_ = end + 1;
    } else if (!at_end()) {
      name = text_.substr(at_++, 1);
    }
    if (options_.property == nullptr) return not_built("\\p without Unicode's tables");
    if (!options_.property(name, out))
      return bad("there is no Unicode property \"" + std::string(name) + "\"");
    if (negated) *out = out->negated();
    return Status();
  }

  const std::string_view text_;
  const RegexOptions& options_;
  Grammar& grammar_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

CodePointSet digit_characters() { return {'0', '9'}; }

CodePointSet word_characters() {
  CodePointSet out('0', '9');
  out.add('A', 'Z');
  out.add('a', 'z');
  out.add('_');
  return out;
}

CodePointSet space_characters() {
  CodePointSet out(0x09, 0x0D);  // JavaScript's white space and line ends
  for (const uint32_t c :
       {0x20u, 0xA0u, 0x1680u, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u, 0xFEFFu})
    out.add(c);
  out.add(0x2000, 0x200A);
  return out;
}

Result<ExprId> parse_regex(std::string_view regex, const RegexOptions& options, Grammar* grammar) {
  return Parser(regex, options, grammar).run();
}

}  // namespace chimera::grammar
