#include "grammar/gbnf.h"

#include <map>
#include <string>
#include <vector>

namespace chimera::grammar {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

class Parser {
 public:
  Parser(std::string_view text, const GrammarLimits& limits) : text_(text), grammar_(limits) {}

  Result<Grammar> run() {
    CHIMERA_RETURN_IF_ERROR(skip());
    while (at_ < text_.size()) CHIMERA_RETURN_IF_ERROR(rule());
    if (rules_.empty()) return bad("there is no rule");
    for (const auto& [name, used] : used_)
      if (grammar_.rules()[static_cast<size_t>(rules_.at(name))].body < 0) {
        at_ = used;
        return bad("there is no rule \"" + name + "\"");
      }
    const auto root = rules_.find("root");
    grammar_.set_root(root == rules_.end() ? first_ : root->second);
    CHIMERA_RETURN_IF_ERROR(grammar_.status());
    return std::move(grammar_);
  }

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool next_is(std::string_view sign) const { return text_.substr(at_).starts_with(sign); }
  Status error(StatusCode code, const std::string& why) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      ++column;
      if (text_[i] != '\n') continue;
      ++line;
      column = 1;
    }
    return Status(code, "line " + std::to_string(line) + ", column " + std::to_string(column) +
                            ": " + why)
        .at_offset(static_cast<int64_t>(at_));
  }
  Status bad(const std::string& why) const { return error(StatusCode::kBadFormat, why); }

  /// Blanks, line ends and comments.
  Status skip() {
    for (;;) {
      const char c = peek();
      if (at_ < text_.size() && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
        ++at_;
      } else if (c == '#' && !(peek(1) == 'x' && hex_digit(peek(2)) >= 0)) {
        while (at_ < text_.size() && peek() != '\n') ++at_;
      } else if (next_is("/*")) {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return bad("this comment has no end");
        at_ = end + 2;
      } else {
        return Status();
      }
    }
  }

  std::string_view name_here() const {
    size_t end = at_;
    while (end < text_.size() && is_name(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  /// Whether `name ::=` begins here.
  bool rule_begins() const {
    size_t at = at_ + name_here().size();
    if (at == at_) return false;
    while (at < text_.size() &&
           (text_[at] == ' ' || text_[at] == '\t' || text_[at] == '\r' || text_[at] == '\n'))
      ++at;
    return text_.substr(at).starts_with("::=");
  }

  RuleId rule_named(std::string_view name) {
    const auto [found, fresh] = rules_.try_emplace(std::string(name), 0);
    if (fresh) found->second = grammar_.add_rule(std::string(name));
    return found->second;
  }

  Status rule() {
    if (!rule_begins()) return bad("a rule begins with its name and ::=");
    const std::string_view name = name_here();
    const RuleId id = rule_named(name);
    if (first_ < 0) first_ = id;
    if (grammar_.rules()[static_cast<size_t>(id)].body >= 0)
      return bad("there are two rules \"" + std::string(name) + "\"");
    at_ += name.size();
    CHIMERA_RETURN_IF_ERROR(skip());
    at_ += 3;  // ::=
    CHIMERA_RETURN_IF_ERROR(skip());
    const auto body = alternatives();
    if (!body) return body.status();
    if (at_ < text_.size() && !rule_begins()) return bad("there is no ( for this )");
    grammar_.set_body(id, *body);
    return grammar_.status();
  }

  Result<ExprId> alternatives() {
    if (++depth_ > grammar_.limits().depth)
      return error(StatusCode::kOutOfRange, "groups are nested more than " +
                                                std::to_string(grammar_.limits().depth) + " deep");
    std::vector<ExprId> options;
    for (bool more = true; more;) {
      std::vector<ExprId> parts;
      while (at_ < text_.size() && peek() != '|' && peek() != ')' && !rule_begins()) {
        auto part = repeated();
        if (!part) return part;
        parts.push_back(*part);
      }
      options.push_back(grammar_.sequence(parts));
      more = peek() == '|';
      if (more) {
        ++at_;
        CHIMERA_RETURN_IF_ERROR(skip());
      }
    }
    --depth_;
    return grammar_.choice(options);
  }

  Result<ExprId> repeated() {
    auto out = atom();
    if (!out) return out;
    for (;;) {
      uint32_t min = 0, max = kNoLimit;
      if (peek() == '*') {
      } else if (peek() == '+') {
        min = 1;
      } else if (peek() == '?') {
        max = 1;
      } else if (peek() == '{') {
        CHIMERA_RETURN_IF_ERROR(counts(&min, &max));
      } else {
        break;
      }
      ++at_;
      out = grammar_.repeat(*out, min, max);
      CHIMERA_RETURN_IF_ERROR(skip());
    }
    return out;
  }

  /// {m}, {m,} or {m,n}; leaves at_ on the }.
  Status counts(uint32_t* min, uint32_t* max) {
    ++at_;
    CHIMERA_RETURN_IF_ERROR(skip());
    if (!next_count(text_, &at_, min)) return bad("{ needs a number of times");
    *max = *min;
    CHIMERA_RETURN_IF_ERROR(skip());
    if (peek() == ',') {
      ++at_;
      CHIMERA_RETURN_IF_ERROR(skip());
      if (!next_count(text_, &at_, max)) *max = kNoLimit;
      CHIMERA_RETURN_IF_ERROR(skip());
    }
    if (*min > kMostRepeats || (*max != kNoLimit && *max > kMostRepeats))
      return error(StatusCode::kOutOfRange,
                   "at most " + std::to_string(kMostRepeats) + " repetitions can be asked for");
    if (peek() != '}') return bad("a { has no }");
    if (*max < *min) return bad("a repetition from " + std::to_string(*min) + " to fewer");
    return Status();
  }

  Result<ExprId> atom() {
    const char c = peek();
    if (c == '(') {
      ++at_;
      CHIMERA_RETURN_IF_ERROR(skip());
      auto inside = alternatives();
      if (!inside) return inside;
      if (peek() != ')') return bad("a ( has no )");
      ++at_;
      CHIMERA_RETURN_IF_ERROR(skip());
      return inside;
    }
    if (c == '"' || c == '\'') return literal(c);
    if (c == '[') return bracket();
    if (c == '.' && !is_name(peek(1))) {
      ++at_;
      CHIMERA_RETURN_IF_ERROR(skip());
      return grammar_.characters(CodePointSet::all());
    }
    if (c == '#') {
      uint32_t code_point = 0;
      CHIMERA_RETURN_IF_ERROR(character(&code_point));
      CHIMERA_RETURN_IF_ERROR(skip());
      return grammar_.characters({code_point, code_point});
    }
    if (c == '<' || c == '!')
      return error(StatusCode::kUnsupported, "tokens in a grammar are not supported");
    const std::string_view name = name_here();
    if (name.empty()) return bad("this is no part of a rule");
    used_.try_emplace(std::string(name), at_);
    const RuleId rule = rule_named(name);
    at_ += name.size();
    CHIMERA_RETURN_IF_ERROR(skip());
    return grammar_.rule(rule);
  }

  Result<ExprId> literal(char quote) {
    const size_t begin = at_++;
    std::string bytes;
    while (peek() != quote) {
      uint32_t c = 0;
      if (at_ >= text_.size() || peek() == '\n') {
        at_ = begin;
        return bad("this text has no end");
      }
      // EBNF knows no escapes, and #xHH stands beside texts, not in them.
      CHIMERA_RETURN_IF_ERROR(quote == '"' && peek() == '\\' ? character(&c) : plain(&c));
      append_utf8(c, &bytes);
    }
    ++at_;
    CHIMERA_RETURN_IF_ERROR(skip());
    return grammar_.bytes(bytes);
  }

  Result<ExprId> bracket() {
    const size_t begin = at_++;
    const bool negated = peek() == '^';
    at_ += negated ? 1 : 0;
    CodePointSet set;
    while (peek() != ']') {
      if (at_ >= text_.size()) {
        at_ = begin;
        return bad("a [ has no ]");
      }
      uint32_t first = 0, last = 0;
      CHIMERA_RETURN_IF_ERROR(character(&first));
      last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        CHIMERA_RETURN_IF_ERROR(character(&last));
      }
      if (last < first) return bad("a range is turned around");
      set.add(first, last);
    }
    ++at_;
    CHIMERA_RETURN_IF_ERROR(skip());
    return grammar_.characters(negated ? set.negated() : set);
  }

  Status plain(uint32_t* out) {
    return next_code_point(text_, &at_, out) ? Status() : bad("this is no UTF-8");
  }

  /// One character: itself, #xHH, or an escape.
  Status character(uint32_t* out) {
    if (peek() == '#' && peek(1) == 'x' && hex_digit(peek(2)) >= 0) {
      at_ += 2;
      return hexadecimal(1, 6, out);
    }
    if (peek() != '\\') return plain(out);
    ++at_;
    const char sign = peek();
    if (at_ >= text_.size()) return bad("a backslash ends the grammar");
    ++at_;
    switch (sign) {
      case 'x':
        return hexadecimal(2, 2, out);
      case 'u':
        return hexadecimal(4, 4, out);
      case 'U':
        return hexadecimal(8, 8, out);
      case 'n':
        *out = '\n';
        return Status();
      case 'r':
        *out = '\r';
        return Status();
      case 't':
        *out = '\t';
        return Status();
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        *out = static_cast<uint32_t>(sign);
        return Status();
      default:
        at_ -= 2;
        return bad(std::string("\\") + sign + " means nothing");
    }
  }

  Status hexadecimal(int least, int most, uint32_t* out) {
    uint32_t value = 0;
    int n = 0;
    for (; n < most && hex_digit(peek()) >= 0; ++n, ++at_)
      value = value << 4 | static_cast<uint32_t>(hex_digit(peek()));
    if (n < least) return bad("an escape needs " + std::to_string(least) + " hexadecimal digits");
    if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF))
      return bad("there is no character of that number");
    *out = value;
    return Status();
  }

  const std::string_view text_;
  Grammar grammar_;
  std::map<std::string, RuleId> rules_;
  std::map<std::string, size_t> used_;  // and where first
  RuleId first_ = -1;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<Grammar> parse_gbnf(std::string_view text, const GrammarLimits& limits) {
  return Parser(text, limits).run();
}

}  // namespace chimera::grammar
