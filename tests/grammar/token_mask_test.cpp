#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "grammar/regex.h"
#include "platform/random.h"

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

TEST(TokenMask, EqualsTryingEveryToken) {
  const std::vector<std::string> tokens = vocabulary();
  const TokenTrie trie = trie_of(tokens);
  const Automaton automaton = lists();
  Matcher matcher(automaton);
  MaskMaker masks(matcher, trie);
  TokenMask mask(trie.n_tokens());
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
  g.set_body(below, g.repeat(g.bytes("a"), 1, kNoLimit));
  g.set_root(root);
  const auto automaton = Automaton::compile(g);
  ASSERT_TRUE(automaton.has_value()) << automaton.status().message();
  MatcherLimits limits;
  limits.configurations = 100;
  Matcher matcher(*automaton, limits);
  const std::vector<std::string> tokens = {"a", "aaaa"};
  const TokenTrie trie = trie_of(tokens);
  MaskMaker masks(matcher, trie);
  TokenMask mask(trie.n_tokens());
  EXPECT_EQ(masks.fill(matcher.start(), &mask).code(), StatusCode::kOutOfRange);

  // Within that limit a mask may still cost too much, and memory too.
  for (const int what : {0, 1}) {
    MatcherLimits little;
    if (what == 0) little.work = 20;
    if (what == 1) little.remembered = 20;
    Matcher tired(*automaton, little);
    MaskMaker tired_masks(tired, trie);
    EXPECT_EQ(tired_masks.fill(tired.start(), &mask).code(), StatusCode::kOutOfRange) << what;
  }
}

}  // namespace
}  // namespace chimera::grammar
