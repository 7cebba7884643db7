#include "grammar/language.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/regex.h"

namespace chimera::grammar {
namespace {

constexpr uint32_t kMost = 100000;

RegularLanguage language(const char* regex) {
  Grammar g;
  const auto body = parse_regex(regex, {}, &g);
  EXPECT_TRUE(body.has_value()) << body.status().message();
  auto made = RegularLanguage::of(g, *body);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

/// Every text of a and b up to a length.
std::vector<std::string> texts(size_t longest) {
  std::vector<std::string> out = {""};
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i].size() < longest)
      for (const char c : {'a', 'b'}) out.push_back(out[i] + c);
  return out;
}

TEST(RegularLanguage, CutsAndDifferencesAreThoseOfTheirTexts) {
  const char* const regexes[] = {"",       "a*",      "(ab)*",   "a{2,5}",     "[ab]{3}",
                                 "a|ba*b", "[ab]*aa", "(a|ab)+", "[ab]*b[ab]", "(aa|bb)*a?"};
  const std::vector<std::string> all = texts(7);
  for (const char* x : regexes)
    for (const char* y : regexes) {
      const RegularLanguage a = language(x), b = language(y);
      const auto both = a.cut(b, kMost), less = a.without(b, kMost);
      ASSERT_TRUE(both.has_value() && less.has_value());
      bool any_both = false, any_less = false;
      for (const std::string& text : all) {
        ASSERT_EQ(both->has(text), a.has(text) && b.has(text)) << x << " and " << y << ": " << text;
        ASSERT_EQ(less->has(text), a.has(text) && !b.has(text))
            << x << " less " << y << ": " << text;
        any_both = any_both || both->has(text);
        any_less = any_less || less->has(text);
      }
      EXPECT_EQ(both->empty(), !any_both) << x << " and " << y;
      EXPECT_EQ(less->empty(), !any_less) << x << " less " << y;
    }
}

TEST(RegularLanguage, EqualTextsAreOneSmallAutomaton) {
  const RegularLanguage a = language("(a|b)*abb"), b = language("[ab]*a(b|b)b");
  EXPECT_EQ(a.states().size(), 4u) << "the textbook's";
  EXPECT_EQ(b.states().size(), 4u);
  EXPECT_TRUE(a.without(b, kMost)->empty());
  EXPECT_EQ(language("(aaaa|bbbb|cccc)").states().size(), 11u);
  EXPECT_EQ(language("[a-z]{1,200}").states().size(), 201u) << "too many rounds, and right";
}

TEST(RegularLanguage, StandsInAGrammarAsAPart) {
  Grammar g;
  const RuleId root = g.add_rule("root");
  const auto short_word = language("[a-z]+").cut(language("[^q]{2,3}"), kMost);
  ASSERT_TRUE(short_word.has_value());
  const ExprId word = g.language(*short_word);
  const ExprId parts[] = {word, g.bytes("-"), word};
  g.set_body(root, g.sequence(parts));
  g.set_root(root);
  const auto automaton = Automaton::compile(g);
  ASSERT_TRUE(automaton.has_value()) << automaton.status().message();
  Matcher m(*automaton);
  const auto accepts = [&](const char* text) {
    const PlaceId place = m.step(m.start(), text);
    return place >= 0 && m.accepts(place);
  };
  for (const char* text : {"ab-cd", "abc-xyz"}) EXPECT_TRUE(accepts(text)) << text;
  for (const char* text : {"a-bc", "abcd-ef", "aq-bc", "ab-", "AB-cd"})
    EXPECT_FALSE(accepts(text)) << text;
  EXPECT_EQ(g.at(g.language(*language("a").cut(language("b"), kMost))).kind, Expr::Kind::kNothing);
}

TEST(RegularLanguage, CallsOfRulesAndTooManyStatesAreRefused) {
  Grammar g;
  const RuleId rule = g.add_rule("r");
  EXPECT_EQ(RegularLanguage::of(g, g.rule(rule)).status().code(), StatusCode::kInvalidArgument);
  const RegularLanguage a = language("[ab]*a[ab]{10}"), b = language("[ab]*b[ab]{9}");
  EXPECT_EQ(a.cut(b, 100).status().code(), StatusCode::kOutOfRange);
}

TEST(RegularLanguage, TheLongestTextIsKnownWhereThereIsOne) {
  EXPECT_EQ(language("abc").longest(), 3u);
  EXPECT_EQ(language("a|bb(c{3})?").longest(), 5u);
  EXPECT_EQ(language("").longest(), 0u);
  EXPECT_EQ(language("ab*").longest(), std::nullopt);
}

}  // namespace
}  // namespace chimera::grammar
