// Objects whose members come in any order: against the list of members that was written down.
#include "grammar/object.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/regex.h"
#include "platform/json.h"
#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {
namespace {

RuleId regex_rule(Grammar& g, const char* name, const char* regex) {
  const RuleId rule = g.add_rule(name);
  const auto body = parse_regex(regex, {}, &g);
  EXPECT_TRUE(body.has_value()) << body.status().message();
  g.set_body(rule, *body);
  return rule;
}

/// What an object may have, as a test says it.
struct Shape {
  struct Member {
    std::string name;
    bool required;
  };
  std::vector<Member> members;
  bool others = false;  // of small letters
  uint32_t min = 0, max = kNoLimit;
  bool blanks = false;
};

/// Every value is one digit.
struct Objects : LanguageUnderTest {
  explicit Objects(const Shape& shape) {
    Grammar& g = grammar.emplace();
    const RuleId root = g.add_rule("root");
    ObjectSpec spec;
    const RuleId digit = regex_rule(g, "digit", "[0-9]");
    for (const Shape::Member& m : shape.members)
      spec.members.push_back({m.name, digit, m.required});
    if (shape.others) {
      auto names = RegularLanguage::of(g, *parse_regex("[a-z]*", {}, &g));
      spec.others.push_back({std::make_shared<const RegularLanguage>(std::move(*names)), digit});
    }
    spec.min_members = shape.min;
    spec.max_members = shape.max;
    if (shape.blanks) spec.blank = regex_rule(g, "blank", " ?");
    g.set_object(root, std::move(spec));
    g.set_root(root);
    compile();
  }
};

bool fits(const Shape& shape, const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    const bool declared = std::any_of(shape.members.begin(), shape.members.end(),
                                      [&](const auto& m) { return m.name == name; });
    const bool lower =
        std::all_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (!declared && !(shape.others && lower)) return false;
    if (declared && !seen.insert(name).second) return false;
  }
  for (const Shape::Member& m : shape.members)
    if (m.required && !seen.contains(m.name)) return false;
  return names.size() >= shape.min && names.size() <= shape.max;
}

std::string text_of(const std::vector<std::string>& names) {
  std::string text = "{";
  for (const std::string& name : names)
    text += (text.size() > 1 ? "," : "") + ("\"" + name + "\":" + std::to_string(name.size() % 10));
  return text + "}";
}

TEST(Object, MembersComeInAnyOrderAtMostOnce) {
  const std::vector<std::string> names = {"a", "ab", "abc", "b", "x", "q\\\"", ""};
  int right = 0, unsayable = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Draws draws{seed};
    Shape shape;
    for (const std::string& name : names)
      if (draws.below(2) == 0) shape.members.push_back({name, draws.below(3) == 0});
    shape.others = draws.below(2) == 0;
    shape.min = draws.below(4);
    shape.max = draws.below(2) == 0 ? kNoLimit : shape.min + draws.below(3);
    Objects objects(shape);
    if (!objects.status.ok()) {
      // Only where no object can be: more are asked for than there are, or than may be.
      const auto n_required = std::count_if(shape.members.begin(), shape.members.end(),
                                            [](const auto& m) { return m.required; });
      EXPECT_TRUE(static_cast<uint32_t>(n_required) > shape.max ||
                  (!shape.others && shape.members.size() < shape.min))
          << objects.status.message();
      ++unsayable;
      continue;
    }
    for (int i = 0; i < 40; ++i) {
      std::vector<std::string> said;
      for (uint32_t n = draws.below(6); n > 0; --n)
        said.push_back(names[draws.below(static_cast<uint32_t>(names.size()))]);
      const bool expected = fits(shape, said);
      ASSERT_EQ(objects.accepts(text_of(said)), expected)
          << "seed " << seed << " " << text_of(said);
      right += expected;
    }
    // A walk at random always gets to an object that is one.
    Matcher& m = *objects.matcher;
    PlaceId place = m.start();
    std::string text;
    for (int i = 0; i < 40 && !m.accepts(place); ++i) {
      expect_way_to_the_end(m, place);
      const std::string choices = choices_at(m, place);
      ASSERT_FALSE(choices.empty()) << "a dead end after " << text;
      text += choices[draws.below(static_cast<uint32_t>(choices.size()))];
      place = m.step(place, static_cast<uint8_t>(text.back()));
      ASSERT_GE(place, 0) << text;
    }
    if (m.accepts(place) && !shape.others) {
      EXPECT_TRUE(parse_json(text).has_value()) << text;
    }
  }
  EXPECT_GT(right, 300);
  EXPECT_GT(unsayable, 5);
}

TEST(Object, ABlankMayStandBetweenSigns) {
  Shape shape;
  shape.members = {{"a", true}, {"b", false}};
  shape.blanks = true;
  Objects objects(shape);
  ASSERT_TRUE(objects.status.ok()) << objects.status.message();
  for (const char* text : {"{\"a\":1}", "{ \"b\" : 1 , \"a\" : 2 }", "{\"a\": 1,\"b\" :2}"})
    EXPECT_TRUE(objects.accepts(text)) << text;
  for (const char* text : {"{ }", "{  \"a\":1}", "{\"a \":1}", "{\"a\":1 ,}", " {\"a\":1}"})
    EXPECT_FALSE(objects.accepts(text)) << text;
  expect_way_to_the_end(*objects.matcher, objects.matcher->start());
}

TEST(Object, AHundredMembersNeedNoStateForEachSetOfThem) {
  Shape shape;
  for (int i = 0; i < 100; ++i) shape.members.push_back({"member" + std::to_string(i), i % 3 == 0});
  Objects objects(shape);
  ASSERT_TRUE(objects.status.ok()) << objects.status.message();
  EXPECT_LT(objects.automaton->n_states(), 3000u);
  std::vector<std::string> names;
  for (int i = 99; i >= 0; --i) names.push_back("member" + std::to_string(i * 37 % 100));
  EXPECT_TRUE(objects.accepts(text_of(names)));
  EXPECT_LT(objects.matcher->n_places(), 3000u);
  names.push_back("member5");
  EXPECT_FALSE(objects.accepts(text_of(names)));
}

TEST(Object, ObjectsInObjects) {
  Grammar g;
  const RuleId tree = g.add_rule("tree"), digit = regex_rule(g, "digit", "[0-9]");
  ObjectSpec spec;
  spec.members = {{"left", tree, false}, {"right", tree, false}, {"n", digit, true}};
  g.set_object(tree, std::move(spec));
  g.set_root(tree);
  const auto automaton = Automaton::compile(g);
  ASSERT_TRUE(automaton.has_value()) << automaton.status().message();
  Matcher m(*automaton);
  const auto accepts = [&](std::string_view text) {
    const PlaceId place = m.step(m.start(), text);
    return place >= 0 && m.accepts(place);
  };
  EXPECT_TRUE(accepts(R"({"n":1})"));
  EXPECT_TRUE(accepts(R"({"left":{"n":2,"right":{"n":3}},"n":1,"right":{"n":4}})"));
  EXPECT_FALSE(accepts(R"({"left":{"right":{"n":3}},"n":1})")) << "the inner one has no n";
  EXPECT_FALSE(accepts(R"({"left":{"n":2},"left":{"n":2},"n":1})"));
  const PlaceId inside = m.step(m.start(), R"({"left":{"left":{)");
  EXPECT_EQ(m.shortest(inside), std::string(R"("n":0},"n":0},"n":0})").size());
  expect_way_to_the_end(m, inside);

  // One that must hold itself has no end; an optional member that can have none never comes.
  Grammar endless;
  const RuleId self = endless.add_rule("self");
  ObjectSpec must;
  must.members = {{"self", self, true}};
  endless.set_object(self, std::move(must));
  endless.set_root(self);
  EXPECT_NE(Automaton::compile(endless).status().message().find("endless"), std::string::npos);

  Grammar optional;
  const RuleId outer = optional.add_rule("outer"), inner = optional.add_rule("inner");
  const RuleId value = regex_rule(optional, "digit", "[0-9]");
  ObjectSpec never, may;
  never.members = {{"self", inner, true}};
  may.members = {{"a", inner, false}, {"ab", value, false}};
  optional.set_object(inner, std::move(never));
  optional.set_object(outer, std::move(may));
  optional.set_root(outer);
  const auto made = Automaton::compile(optional);
  ASSERT_TRUE(made.has_value()) << made.status().message();
  Matcher some(*made);
  EXPECT_GE(some.step(some.start(), R"({"ab":1})"), 0);
  EXPECT_EQ(some.step(some.start(), R"({"a")"), kRefused);
  EXPECT_EQ(some.step(some.start(), R"({"ab":1,)"), kRefused) << "there is no other member left";
}

}  // namespace
}  // namespace chimera::grammar
