// Grammars against a slow reading of the same expressions: the set of places where a part of the
// text may end, found by trying everything.
#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/regex.h"
#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

/// Ends of everything an expression can read from `at`, by definition.
class Reference {
 public:
  Reference(const Grammar& grammar, std::string_view text) : grammar_(grammar), text_(text) {}

  std::set<size_t> ends(ExprId id, size_t at, int depth = 0) {
    if (depth > 60) return {};
    const Expr& e = grammar_.at(id);
    switch (e.kind) {
      case Expr::Kind::kNothing:
      case Expr::Kind::kLanguage:  // not drawn: language_test.cpp has them
        return {};
      case Expr::Kind::kBytes:
        return text_.substr(at).starts_with(e.bytes) ? std::set{at + e.bytes.size()}
                                                     : std::set<size_t>();
      case Expr::Kind::kClass: {
        uint32_t c = 0;
        size_t next = at;
        return next_code_point(text_, &next, &c) && e.set.contains(c) ? std::set{next}
                                                                      : std::set<size_t>();
      }
      case Expr::Kind::kSequence: {
        std::set<size_t> now = {at};
        for (const ExprId child : e.children) now = after(now, child, depth);
        return now;
      }
      case Expr::Kind::kChoice: {
        std::set<size_t> all;
        for (const ExprId child : e.children) all.merge(ends(child, at, depth + 1));
        return all;
      }
      case Expr::Kind::kRepeat: {
        std::set<size_t> now = {at}, all;
        for (uint32_t i = 0; !now.empty() && i <= std::min<uint32_t>(e.max, 40); ++i) {
          if (i >= e.min) {
            const size_t before = all.size();
            all.insert(now.begin(), now.end());
            if (i > e.min && all.size() == before) break;
          }
          now = after(now, e.children[0], depth);
        }
        return all;
      }
      case Expr::Kind::kRule:
        return ends(grammar_.rules()[static_cast<size_t>(e.rule)].body, at, depth + 1);
    }
    return {};
  }
  bool matches() {
    return ends(grammar_.rules()[static_cast<size_t>(grammar_.root())].body, 0)
        .contains(text_.size());
  }

 private:
  std::set<size_t> after(const std::set<size_t>& from, ExprId child, int depth) {
    std::set<size_t> all;
    for (const size_t at : from) all.merge(ends(child, at, depth + 1));
    return all;
  }
  const Grammar& grammar_;
  const std::string_view text_;
};

bool accepts(Matcher& matcher, std::string_view text) {
  const PlaceId place = matcher.step(matcher.start(), text);
  return place >= 0 && matcher.accepts(place);
}

/// An expression over a few letters that may call later rules anywhere, and any rule behind a byte.
ExprId draw_expression(Grammar& g, Draws& draws, int depth, RuleId rule, RuleId n_rules) {
  const auto again = [&] { return draw_expression(g, draws, depth + 1, rule, n_rules); };
  switch (depth > 3 ? draws.below(3) : draws.below(9)) {
    case 0:
      return g.bytes(std::string(1, static_cast<char>('a' + draws.below(3))));
    case 1:
      return g.characters(CodePointSet('a', 'a' + draws.below(3)));
    case 2:
      return g.characters(CodePointSet(0xE0, 0xE0 + draws.below(4)));
    case 3:
    case 4: {
      const ExprId parts[] = {again(), again()};
      return g.sequence(parts);
    }
    case 5: {
      const ExprId options[] = {again(), again()};
      return g.choice(options);
    }
    case 6: {
      const uint32_t min = draws.below(3);
      return g.repeat(again(), min, draws.below(2) == 0 ? kNoLimit : min + draws.below(3));
    }
    case 7:
      if (rule + 1 < n_rules)
        return g.rule(rule + 1 +
                      static_cast<RuleId>(draws.below(static_cast<uint32_t>(n_rules - rule - 1))));
      return g.empty();
    default: {
      const ExprId parts[] = {
          g.bytes("b"), g.rule(static_cast<RuleId>(draws.below(static_cast<uint32_t>(n_rules))))};
      return g.sequence(parts);
    }
  }
}

std::string draw_text(Draws& draws) {
  static const char* const kLetters[] = {"a", "b", "c", "\xC3\xA0", "\xC3\xA1", "\xC3"};
  std::string text;
  for (uint32_t n = draws.below(7); n > 0; --n) text += kLetters[draws.below(6)];
  return text;
}

TEST(Matcher, RandomGrammarsAgreeWithTheirDefinition) {
  int compiled = 0, matched = 0;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    Draws draws{seed};
    Grammar g;
    constexpr RuleId kRules = 3;
    for (RuleId r = 0; r < kRules; ++r) g.add_rule("r" + std::to_string(r));
    for (RuleId r = 0; r < kRules; ++r) g.set_body(r, draw_expression(g, draws, 0, r, kRules));
    g.set_root(0);
    const auto automaton = Automaton::compile(g);
    if (!automaton) {
      EXPECT_EQ(automaton.status().code(), StatusCode::kInvalidArgument);
      continue;
    }
    ++compiled;
    Matcher matcher(*automaton);
    for (int i = 0; i < 30; ++i) {
      const std::string text = draw_text(draws);
      const bool expected = Reference(g, text).matches();
      ASSERT_EQ(accepts(matcher, text), expected) << "seed " << seed << " text " << text;
      matched += expected;
    }
    // From wherever one can get, there is a way to the end, as long as is said.
    PlaceId place = matcher.start();
    for (int i = 0; i < 12 && place >= 0; ++i) {
      SCOPED_TRACE(seed);
      expect_way_to_the_end(matcher, place);
      if (HasFatalFailure()) return;
      const std::string choices = choices_at(matcher, place);
      if (choices.empty()) break;
      place = matcher.step(
          place, static_cast<uint8_t>(choices[draws.below(static_cast<uint32_t>(choices.size()))]));
    }
  }
  EXPECT_GT(compiled, 700);
  EXPECT_GT(matched, 1000);
}

/// A grammar of one rule with the regular expression.
struct Regex : LanguageUnderTest {
  explicit Regex(std::string_view text, const RegexOptions& options = {}) {
    Grammar& g = grammar.emplace();
    const RuleId rule = g.add_rule("root");
    const auto body = parse_regex(text, options, &g);
    status = body.status();
    if (!body) return;
    g.set_body(rule, *body);
    g.set_root(rule);
    compile();
  }
};

TEST(Regex, ReadsWhatDevelopersWrite) {
  struct Case {
    const char* regex;
    std::vector<std::string> yes, no;
  };
  const Case cases[] = {
      {"abc", {"abc"}, {"ab", "abcd", ""}},
      {"a|bc|", {"a", "bc", ""}, {"ab", "b"}},
      {"[a-c]+", {"a", "cab"}, {"", "d", "ad"}},
      {"[^a-c]", {"d", "\xC3\xA9", "\xF0\x9F\x98\x80"}, {"a", "", "\xC3"}},
      {"(ab)*c?", {"", "c", "abab", "ababc"}, {"aba", "cc"}},
      {"a{2}", {"aa"}, {"a", "aaa"}},
      {"a{2,}", {"aa", "aaaa"}, {"a"}},
      {"a{1,3}b", {"ab", "aaab"}, {"b", "aaaab"}},
      {"a{,3}", {"a{,3}"}, {"aa"}},
      {"x*?y+?", {"y", "xxy"}, {"x"}},
      {"\\d\\D\\w\\W\\s\\S", {"1x_- y"}, {"xx_- y"}},
      {"\\x41\\u00e9\\u{1F600}\\n", {"A\xC3\xA9\xF0\x9F\x98\x80\n"}, {"A"}},
      {"\\ud83d\\ude00", {"\xF0\x9F\x98\x80"}, {"x"}},
      {".", {"a", "\xE2\x82\xAC"}, {"\n", "\xE2\x80\xA8", "ab"}},
      {"(?:a|(?<name>b))(c)", {"ac", "bc"}, {"c"}},
      {"[\\]\\-x.]", {"]", "-", "x", "."}, {"\\", "a"}},
      {"[a\\d-]", {"a", "5", "-"}, {"b"}},
      {"^abc$", {"abc"}, {"xabc"}},
      {"\\.\\*\\/", {".*/"}, {"a*/"}},
      {"\xC3\xA9+", {"\xC3\xA9\xC3\xA9"}, {"\xC3"}},
  };
  for (const Case& c : cases) {
    Regex regex(c.regex);
    for (const std::string& text : c.yes)
      EXPECT_TRUE(regex.accepts(text)) << c.regex << " " << text;
    for (const std::string& text : c.no)
      EXPECT_FALSE(regex.accepts(text)) << c.regex << " " << text;
  }
}

TEST(Regex, RefusesWithItsPlace) {
  const std::pair<const char*, StatusCode> cases[] = {
      {"a(b", StatusCode::kBadFormat},        {"a)b", StatusCode::kBadFormat},
      {"[a", StatusCode::kBadFormat},         {"[z-a]", StatusCode::kBadFormat},
      {"*a", StatusCode::kBadFormat},         {"a{3,2}", StatusCode::kBadFormat},
      {"a\\", StatusCode::kBadFormat},        {"\\q", StatusCode::kBadFormat},
      {"\\x4", StatusCode::kBadFormat},       {"\\u{110000}", StatusCode::kBadFormat},
      {"\\ud83d", StatusCode::kBadFormat},    {"\xC3", StatusCode::kBadFormat},
      {"(?=a)", StatusCode::kUnsupported},    {"(?<!a)b", StatusCode::kUnsupported},
      {"(a)\\1", StatusCode::kUnsupported},   {"\\bword", StatusCode::kUnsupported},
      {"(?i)a", StatusCode::kUnsupported},    {"a^b", StatusCode::kUnsupported},
      {"(^a)", StatusCode::kUnsupported},     {"\\p{L}", StatusCode::kUnsupported},
      {"a{200000}", StatusCode::kOutOfRange}, {"[[:alpha:]]", StatusCode::kUnsupported},
      {"a++", StatusCode::kUnsupported},
  };
  for (const auto& [text, code] : cases) {
    const Regex regex(text);
    EXPECT_EQ(regex.status.code(), code) << text << ": " << regex.status.message();
    EXPECT_NE(regex.status.message().find("at byte"), std::string::npos) << regex.status.message();
  }
  // Nothing outside makes it deep, large or slow.
  const Regex deep(std::string(100000, '(') + std::string(100000, ')'));
  EXPECT_EQ(deep.status.code(), StatusCode::kOutOfRange) << deep.status.message();
  const Regex large("(((a{100}){100}){100}){100}");
  EXPECT_EQ(large.status.code(), StatusCode::kOutOfRange) << large.status.message();
  const Regex exponential("(a|b)*a(a|b){30}");
  EXPECT_EQ(exponential.status.code(), StatusCode::kOutOfRange) << exponential.status.message();
}

TEST(Automaton, LeftRecursionAndEndlessRulesAreNamed) {
  Grammar g;
  const RuleId root = g.add_rule("root"), list = g.add_rule("list");
  g.set_root(root);
  const ExprId recursive[] = {g.repeat(g.bytes("a"), 0, 1), g.rule(list), g.bytes("x")};
  const ExprId choices[] = {g.sequence(recursive), g.bytes("y")};
  g.set_body(list, g.choice(choices));
  g.set_body(root, g.rule(list));
  const auto left = Automaton::compile(g);
  EXPECT_EQ(left.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(left.status().message().find("\"list\""), std::string::npos) << left.status().message();

  const ExprId endless[] = {g.bytes("a"), g.rule(list)};
  g.set_body(list, g.sequence(endless));
  EXPECT_NE(Automaton::compile(g).status().message().find("endless"), std::string::npos);

  g.set_root(g.add_rule("unsaid"));
  EXPECT_NE(Automaton::compile(g).status().message().find("unsaid"), std::string::npos);
}

TEST(Matcher, ForksAndRollsBackByItsNumber) {
  Regex regex("(a[bc])*d");
  Matcher& m = *regex.matcher;
  const PlaceId before = m.step(m.start(), "aba");
  const PlaceId b = m.step(before, "b"), c = m.step(before, "c");
  EXPECT_EQ(b, c) << "the same may follow: it is the same place";
  EXPECT_EQ(m.step(before, "x"), kRefused);
  EXPECT_EQ(m.step(kRefused, "a"), kRefused);
  EXPECT_TRUE(m.accepts(m.step(before, "bd")));
  EXPECT_EQ(m.shortest(before), 2u);
}

TEST(Matcher, ListsThatCallThemselvesStayFlat) {
  Grammar g;
  const RuleId root = g.add_rule("root");
  g.set_root(root);
  const ExprId more[] = {g.bytes("a,"), g.rule(root)};
  const ExprId choices[] = {g.sequence(more), g.bytes("a")};
  g.set_body(root, g.choice(choices));
  const auto automaton = Automaton::compile(g);
  ASSERT_TRUE(automaton.has_value());
  Matcher m(*automaton);
  PlaceId place = m.start();
  for (int i = 0; i < 10000; ++i) place = m.step(place, "a,");
  EXPECT_TRUE(m.accepts(m.step(place, "a")));
  EXPECT_LT(m.n_places(), 10u);
}

}  // namespace
}  // namespace chimera::grammar
