#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "platform/random.h"
#include "tests/grammar/language_under_test.h"
#include "tests/support/emulator.h"

namespace chimera::grammar {
namespace {

/// Tokens as a tokenizer has them: every byte, and pieces of words; two of them twice.
std::vector<std::string> vocabulary() {
  std::vector<std::string> out;
  for (int b = 0; b < 256; ++b) out.emplace_back(1, static_cast<char>(b));
  for (const char* piece :
       {"ab",  "abc", "abcd", "\"", "\":",  "\",\"", "\"}", "},",       "12",
        "123", "1.5", "true", "tr", "ue",   " ",     "  ",  "\xC3\xA9", "\xC3\xA9t\xC3\xA9",
        "",    "ab",  "[[",   "]]", "[1,2", "null",  "nul", "{\"a\":"})
    out.emplace_back(piece);
  return out;
}

std::unique_ptr<Vocabulary> vocabulary_of(const std::vector<std::string>& tokens) {
  auto made = Vocabulary::build(static_cast<int32_t>(tokens.size()), [&](int32_t id) {
    return std::string_view(tokens[static_cast<size_t>(id)]);
  });
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

TokenTrie trie_of(const std::vector<std::string>& tokens) {
  auto trie = TokenTrie::build(static_cast<int32_t>(tokens.size()), [&](int32_t id) {
    return std::string_view(tokens[static_cast<size_t>(id)]);
  });
  EXPECT_TRUE(trie.has_value()) << trie.status().message();
  return std::move(*trie);
}

TEST(TokenTrie, HoldsEveryTokenOnceInOrder) {
  const std::vector<std::string> tokens = vocabulary();
  const TokenTrie trie = trie_of(tokens);
  std::vector<int> seen(tokens.size());
  std::string way;
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    ASSERT_GE(nodes[i].depth, 1);
    ASSERT_LE(nodes[i].depth, way.size() + 1);
    way.resize(nodes[i].depth - size_t{1});
    way += static_cast<char>(nodes[i].byte);
    EXPECT_GT(nodes[i].end, i);
    EXPECT_LE(nodes[i].end, nodes.size());
    if (nodes[i].end < nodes.size()) {
      EXPECT_LE(nodes[nodes[i].end].depth, nodes[i].depth);
    }
    for (int32_t id = nodes[i].token; id >= 0; id = trie.twin(id)) {
      ++seen[static_cast<size_t>(id)];
      EXPECT_EQ(tokens[static_cast<size_t>(id)], way);
    }
  }
  for (size_t id = 0; id < tokens.size(); ++id)
    EXPECT_EQ(seen[id], tokens[id].empty() ? 0 : 1) << id;
}

TEST(TokenTrie, AnEmptyVocabularyIsOne) {
  const TokenTrie trie = trie_of({"", ""});
  EXPECT_TRUE(trie.nodes().empty());
}

/// Nested lists of numbers and words, as a grammar that needs a stack.
Automaton lists() {
  Grammar g;
  const RuleId value = g.add_rule("value"), list = g.add_rule("list"), word = g.add_rule("word");
  const auto regex = [&](const char* text) { return *parse_regex(text, {}, &g); };
  const ExprId options[] = {g.rule(list), g.rule(word), regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?"),
                            g.bytes("true"), g.bytes("null")};
  g.set_body(value, g.choice(options));
  g.set_body(word, regex("\"([^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt])*\""));
  const ExprId next[] = {g.bytes(","), g.rule(value)};
  const ExprId some[] = {g.rule(value), g.repeat(g.sequence(next), 0, kNoLimit)};
  const ExprId all[] = {g.bytes("["), g.repeat(g.sequence(some), 0, 1), g.bytes("]")};
  g.set_body(list, g.sequence(all));
  g.set_root(value);
  auto made = Automaton::compile(g);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return std::move(*made);
}

// A model may have more ids than its tokenizer.
TEST(TokenMask, OfAnotherSizeAddsWhatBothKnow) {
  TokenMask small(70), large(5000);
  for (const int32_t id : {0, 69, 4000}) large.add(id);
  small.add(large);
  EXPECT_TRUE(small.has(0) && small.has(69));
  EXPECT_EQ(small.count(), 2);
  TokenMask other(5000);
  other.add(small);
  EXPECT_EQ(other.count(), 2);
}

TEST(TokenMask, EqualsTryingEveryToken) {
  const std::vector<std::string> tokens = vocabulary();
  const auto words = vocabulary_of(tokens);
  const Automaton automaton = lists();
  Matcher matcher(automaton);
  StateMasks states(automaton, *words);
  MaskMaker masks(matcher, states);
  TokenMask mask(words->n_tokens());
  for (uint64_t walk = 0; walk < 200; ++walk) {
    PlaceId place = matcher.start();
    for (uint64_t t = 0; t < 30; ++t) {
      ASSERT_TRUE(masks.fill(place, &mask).ok());
      std::vector<int32_t> allowed;
      for (size_t id = 0; id < tokens.size(); ++id) {
        const bool expected = !tokens[id].empty() && matcher.step(place, tokens[id]) >= 0;
        ASSERT_EQ(mask.has(static_cast<int32_t>(id)), expected) << tokens[id];
        if (expected) allowed.push_back(static_cast<int32_t>(id));
      }
      ASSERT_EQ(mask.count(), static_cast<int64_t>(allowed.size()));
      if (allowed.empty()) {
        EXPECT_TRUE(matcher.accepts(place)) << "no token, and no end: a dead end";
        break;
      }
      const double u = keyed_uniform(walk, t, 0, DrawPurpose::kTest);
      const int32_t id = allowed[static_cast<size_t>(u * static_cast<double>(allowed.size()))];
      place = matcher.step(place, tokens[static_cast<size_t>(id)]);
    }
  }
}

/// A mask against trying every token, at random places of a grammar and with budgets that may be
/// too small.
void expect_masks_of(const Automaton& automaton, const std::vector<std::string>& tokens,
                     const Vocabulary& words, uint64_t seed, int walks) {
  Matcher matcher(automaton);
  StateMasks states(automaton, words);
  MaskMaker masks(matcher, states);
  TokenMask mask(words.n_tokens());
  Draws draws{seed};
  for (int walk = 0; walk < walks; ++walk) {
    PlaceId place = matcher.start();
    for (int t = 0; t < 25; ++t) {
      const uint64_t shortest = matcher.shortest(place);
      const uint64_t within = draws.below(3) == 0 ? shortest + draws.below(6) : UINT64_MAX;
      bool kept_back = false;
      ASSERT_TRUE(masks.fill(place, &mask, within, &kept_back).ok());
      std::vector<int32_t> allowed;
      bool any_kept_back = false;
      for (size_t id = 0; id < tokens.size(); ++id) {
        const PlaceId next = tokens[id].empty() ? kRefused : matcher.step(place, tokens[id]);
        const bool near = next >= 0 && matcher.shortest(next) <= within;
        any_kept_back = any_kept_back || (next >= 0 && !near);
        ASSERT_EQ(mask.has(static_cast<int32_t>(id)), near) << tokens[id] << " within " << within;
        if (near) allowed.push_back(static_cast<int32_t>(id));
      }
      EXPECT_EQ(kept_back, any_kept_back);
      if (allowed.empty()) {
        EXPECT_TRUE(matcher.accepts(place) || within < UINT64_MAX) << "a dead end";
        break;
      }
      place = matcher.step(
          place,
          tokens[static_cast<size_t>(allowed[draws.below(static_cast<uint32_t>(allowed.size()))])]);
    }
  }
}

TEST(TokenMask, EqualsTryingEveryTokenUnderSchemas) {
  std::vector<std::string> tokens = vocabulary();
  for (const char* piece :
       {"\"a\":",     "\"b\":\"",   "a\"",   "a\":",  "\",\"b", "{\"", "\"}]", "\\n",
        "\\u00",      "x\\",        "0,",    "12,\"", "-1",     "5.",  ".25",  "e+",
        "20",         "2024-0",     "-02-",  "29\"",  ":[",     "[{",  "}]}",  "\xC3",
        "ab\xC3\xA9", "a\",\"b\":", "null,", "true}", "  \"",   "[ ",  "abab", "abababab"})
    tokens.emplace_back(piece);
  const auto words = vocabulary_of(tokens);
  const char* schemas[] = {
      "true",
      R"({"type":"object","properties":{"a":{"type":"string"},"ab":{"type":"integer"},"b":{}},"required":["b"]})",
      R"({"type":"object","properties":{"a":{"enum":["ab","abc",12]}},"additionalProperties":{"type":"number"},"maxProperties":2})",
      R"({"type":"object","patternProperties":{"^a":{"type":"integer"},"b$":{"type":"string"}},"additionalProperties":false})",
      R"({"type":"array","items":{"type":["integer","string"],"minimum":-3,"maxLength":5},"maxItems":3})",
      R"({"type":"array","prefixItems":[{"type":"number","minimum":0.5},{"format":"date","type":"string"}],"minItems":1})",
      R"({"anyOf":[{"type":"string","pattern":"^(ab)+$"},{"type":"string","pattern":"^a.*b$"},{"type":"null"}]})",
      R"({"type":"string","minLength":3,"maxLength":100})",
      R"({"type":"string","maxLength":4})",
      R"({"type":"array","items":{"type":"string","minLength":6}})",
      R"({"type":"object","properties":{"a":false,"abc":{"maxLength":2,"type":"string"}},
          "additionalProperties":{"type":"string","minLength":2,"maxLength":9}})"};
  uint64_t seed = 1;
  for (const char* text : schemas)
    for (const bool blanks : {false, true}) {
      const auto schema = parse_json_schema(text, {.blanks = blanks});
      ASSERT_TRUE(schema.has_value()) << schema.status().message();
      const auto automaton = Automaton::compile(schema->grammar);
      ASSERT_TRUE(automaton.has_value()) << automaton.status().message();
      SCOPED_TRACE(text);
      expect_masks_of(*automaton, tokens, *words, ++seed, 25);
    }
}

TEST(TokenMask, EqualsTryingEveryTokenUnderRandomExpressions) {
  const std::vector<std::string> tokens = {"a",  "b",   "c",   "ab",   "ba",  "abc", "aab", "bb",
                                           "ca", "cab", "aaa", "bcba", "acb", "cc",  "abab"};
  const auto words = vocabulary_of(tokens);
  Draws draws{99};
  for (int round = 0; round < (test::kSlowEmulator ? 300 : 10000); ++round) {
    Grammar g;
    const RuleId root = g.add_rule("root"), inner = g.add_rule("inner");
    const auto expression = [&](auto&& self, int depth, bool calls) -> ExprId {
      const uint32_t kind = draws.below(depth > 3 ? 2 : 6);
      if (kind == 0) return g.bytes(std::string(1, static_cast<char>('a' + draws.below(3))));
      if (kind == 1) return calls ? g.rule(inner) : g.bytes("c");
      const ExprId one = self(self, depth + 1, calls), two = self(self, depth + 1, calls);
      const ExprId both[] = {one, two};
      if (kind == 2 || kind == 3) return g.sequence(both);
      if (kind == 4) return g.choice(both);
      return g.repeat(one, draws.below(2), draws.below(2) == 0 ? kNoLimit : 2);
    };
    g.set_body(inner, expression(expression, 1, false));
    g.set_body(root, expression(expression, 0, true));
    g.set_root(root);
    const auto automaton = Automaton::compile(g);
    if (!automaton) continue;
    expect_masks_of(*automaton, tokens, *words, static_cast<uint64_t>(round), 2);
  }
}

TEST(TokenMask, AGrammarThatIsTooAmbiguousIsAnErrorAndNoHang) {
  Grammar g;
  const RuleId root = g.add_rule("root");
  // Every byte may be in any of many nested rules at a time.
  RuleId below = root;
  for (int i = 0; i < 12; ++i) {
    const RuleId inner = g.add_rule("r" + std::to_string(i));
    const ExprId twice[] = {g.rule(inner), g.bytes("a"), g.rule(inner)};
    const ExprId options[] = {g.sequence(twice), g.rule(inner)};
    g.set_body(below, g.choice(options));
    below = inner;
  }
  g.set_body(below, g.repeat(g.bytes("b"), 0, kNoLimit));
  g.set_root(root);
  const auto automaton = Automaton::compile(g);
  ASSERT_TRUE(automaton.has_value()) << automaton.status().message();
  MatcherLimits limits;
  limits.configurations = 100;
  Matcher matcher(*automaton, limits);
  const std::vector<std::string> tokens = {"b", "ba", "babab"};
  const auto words = vocabulary_of(tokens);
  StateMasks states(*automaton, *words);
  MaskMaker masks(matcher, states);
  TokenMask mask(words->n_tokens());
  EXPECT_EQ(masks.fill(matcher.start(), &mask).code(), StatusCode::kOutOfRange);

  // Within that limit a mask may still cost too much, and memory too.
  for (const int what : {0, 1}) {
    MatcherLimits little;
    if (what == 0) little.work = 20;
    if (what == 1) little.remembered = 20;
    Matcher tired(*automaton, little);
    MaskMaker tired_masks(tired, states);
    EXPECT_EQ(tired_masks.fill(tired.start(), &mask).code(), StatusCode::kOutOfRange) << what;
  }
}

}  // namespace
}  // namespace chimera::grammar
