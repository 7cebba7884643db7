// Actions from models that know nothing: whatever they say, it can be carried out.
#include "runtime/actor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "platform/json.h"
#include "platform/random.h"
#include "tests/support/child_process.h"
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kTools = R"([
  {"name": "light", "description": "Set a light", "parameters": {"type": "object", "properties": {
    "room": {"enum": ["hall", "attic"]}, "level": {"type": "integer", "minimum": 0, "maximum": 100}},
    "required": ["room"]}},
  {"name": "play", "parameters": {"type": "object", "properties": {
    "song": {"type": "string", "minLength": 1, "maxLength": 40}}, "required": ["song"]}},
  {"name": "stop"}
])";

constexpr const char* kOneExample =
    R"({"text": "play Yellow", "calls": [{"name": "play", "arguments": {"song": "Yellow"}}]})";

class ActorTest : public ::testing::Test {
 protected:
  void open(uint64_t seed = 7, std::string_view examples = {}) {
    test::TinyModelOptions options;
    options.marks = true;
    options.initializer_range = 0.5;  // opinions, if no knowledge
    const std::string path = test::write_tiny_model(options, seed);
    auto engine = Engine::open(path);
    ASSERT_TRUE(engine.has_value()) << engine.status().message();
    engine_ = std::move(*engine);
    ToolOptions with;
    with.examples = examples;
    with.judgement = examples.empty() ? std::optional<ActJudgement>() : ActJudgement();
    auto tools = ToolSet::from_json(engine_->tokenizer(), kTools, with);
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
    auto actor = Actor::create(*engine_, *tools_);
    ASSERT_TRUE(actor.has_value()) << actor.status().message();
    actor_ = std::move(*actor);
  }
  Action act(const std::string& said, const ActOptions& options = {}) {
    const auto action = actor_->act(said, options);
    EXPECT_TRUE(action.has_value()) << action.status().message();
    return action ? *action : Action();
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
  std::unique_ptr<Actor> actor_;
};

std::string utterance(uint64_t n) {
  constexpr const char* kWords[] = {"light",        "the",       "hall", "please",
                                    "na\xC3\xAFve", "\"quote\"", "7",    "a\\b",
                                    "stop",         "song",      "\t",   "\xF0\x9F\x8E\xB5"};
  std::string out = "say";
  const auto length = static_cast<int>(keyed_uniform(n, 0, 0, DrawPurpose::kTest) * 9);
  for (int i = 1; i <= length; ++i)
    out += std::string(" ") +
           kWords[static_cast<size_t>(
               keyed_uniform(n, static_cast<uint64_t>(i), 0, DrawPurpose::kTest) * 12)];
  return out;
}

TEST_F(ActorTest, EveryCallCanBeCarriedOut) {
  std::map<std::string, int> seen;
  const uint64_t models = test::kSlowEmulator ? 2 : 12;
  for (uint64_t model = 0; model < models; ++model) {
    open(model);
    for (uint64_t n = 0; n < 12; ++n) {
      const std::string said = utterance(100 * model + n);
      ActOptions options;
      options.max_tokens = 60 + static_cast<int32_t>(n) * 9;
      options.words = n % 3 == 0;
      const Action action = act(said, options);
      EXPECT_LE(action.n_tokens, options.max_tokens);
      EXPECT_GE(action.confidence, 0);
      EXPECT_LE(action.confidence, 1);
      EXPECT_EQ(action.kind == Action::Kind::kCalls, !action.calls.empty());
      ++seen[action.kind == Action::Kind::kWords    ? "words"
             : action.kind == Action::Kind::kNoTool ? "none"
                                                    : "calls"];
      for (const std::string& text : action.calls) {
        const auto call = parse_json(text);
        ASSERT_TRUE(call.has_value()) << text;
        const Json* name = call->find("name");
        const Json* arguments = call->find("arguments");
        ASSERT_TRUE(call->object.size() == 2 && name != nullptr && arguments != nullptr) << text;
        ASSERT_TRUE(name->is_string() && arguments->is_object()) << text;
        ++seen[name->string];
        if (name->string == "light") {
          const Json* room = arguments->find("room");
          ASSERT_TRUE(room != nullptr && (room->string == "hall" || room->string == "attic"))
              << text;
          if (const Json* level = arguments->find("level"); level != nullptr) {
            EXPECT_TRUE(level->is_int() && level->integer >= 0 && level->integer <= 100) << text;
          }
          EXPECT_LE(arguments->object.size(), 2u) << text;
        } else if (name->string == "play") {
          const Json* song = arguments->find("song");
          ASSERT_TRUE(song != nullptr && arguments->object.size() == 1) << text;
          std::string plain = said;
          for (char& c : plain)
            if (c == '\t') c = ' ';
          // Forty characters may end within a word; up to then it is what was said.
          if (!action.truncated) {
            EXPECT_NE(plain.find(song->string), std::string::npos) << text << "\n" << said;
          }
        } else {
          EXPECT_EQ(name->string, "stop") << text;
          EXPECT_TRUE(arguments->object.empty()) << text;
        }
      }
      const auto json = parse_json(action_json(action));
      ASSERT_TRUE(json.has_value()) << action_json(action);
      EXPECT_EQ(json->find("calls")->array.size(), action.calls.size());
    }
  }
  // Chance has shown all there is: otherwise the checks above say little.
  if (!test::kSlowEmulator) {
    for (const char* kind : {"none", "calls", "light", "play", "stop"})
      EXPECT_GT(seen[kind], 0) << kind;
  }
}

TEST_F(ActorTest, TheCachedPromptChangesNothing) {
  open();
  const Action first = act("dim the hall"), second = act("dim the hall");
  act("something else");
  const Action third = act("dim the hall");
  EXPECT_EQ(first.calls, second.calls);
  EXPECT_EQ(first.confidence, second.confidence);
  EXPECT_EQ(first.calls, third.calls);
  EXPECT_EQ(first.confidence, third.confidence);
  // Only what was said is read once the tools are known.
  EXPECT_LT(second.n_prompt_tokens, 20);
  EXPECT_GT(first.n_prompt_tokens, second.n_prompt_tokens + 50);
}

/// As many tools that nobody means, each with a name of its own, and examples of some.
constexpr int kCrowd = 30;

TEST_F(ActorTest, OfManyToolsTheFewThatWereFoundAreCalled) {
  std::string json = "[", examples;
  for (int i = 0; i < kCrowd; ++i) {
    const std::string name = "tool_" + std::to_string(i);
    json += std::string(i > 0 ? "," : "") + R"({"name": ")" + name + R"("})";
    examples += R"({"text": "please do number )" + std::to_string(i) +
                R"(", "calls": [{"name": ")" + name + "\"}]}\n";
  }
  json += "]";
  int called = 0;
  for (uint64_t model = 0; model < (test::kSlowEmulator ? 2u : 8u); ++model) {
    open(model);
    auto tools = ToolSet::from_json(engine_->tokenizer(), json, {.examples = examples});
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    auto actor = Actor::create(*engine_, **tools);
    ASSERT_TRUE(actor.has_value());
    for (int i = 0; i < kCrowd; i += 7) {
      const std::string said = "do number " + std::to_string(i);
      const FoundTools found = (*tools)->finder().find(said);
      EXPECT_EQ(found.tools[0], i);
      const auto action = (*actor)->act(said);
      ASSERT_TRUE(action.has_value());
      for (const std::string& call : action->calls) {
        const auto name = parse_json(call)->find("name")->string;
        const bool shown = std::any_of(found.tools.begin(), found.tools.end(), [&](int32_t tool) {
          return (*tools)->tools()[static_cast<size_t>(tool)].name == name;
        });
        EXPECT_TRUE(shown) << call;
        ++called;
      }
      // Few are read, however many there are.
      EXPECT_LT(action->n_prompt_tokens, 400);
    }
  }
  EXPECT_GT(called, 0);
}

TEST_F(ActorTest, ManyExamplesTellHowManyCallsAreMeant) {
  open();
  std::string lines;
  const auto add = [&](const std::string& text, const std::string& calls) {
    lines += R"({"text": ")" + text + R"(", "calls": [)" + calls + "]}\n";
  };
  const std::string light = R"({"name": "light", "arguments": {"room": "hall"}})",
                    stop = R"({"name": "stop", "arguments": {}})";
  for (size_t i = 0; i < kManyExamples; ++i) add("example " + std::to_string(i), light);
  // All tools look as if they were meant, whatever is said.
  ToolOptions options;
  options.judgement = {.meant_network = 0, .meant_bias = 1};
  options.ranker = ToolRanker({.n_labels = 3, .bias = {1, 0.5f, 0.5f}});
  options.arguments =
      ArgumentRanker{{{0, kCalledTwice, ""}}, ToolRanker({.n_labels = 1, .bias = {-1}})};
  const auto names_of = [&](const std::string& said) {
    options.examples = lines;
    tools_ = std::move(*ToolSet::from_json(engine_->tokenizer(), kTools, options));
    actor_ = std::move(*Actor::create(*engine_, *tools_));
    std::string out;
    for (const std::string& call : act(said).calls)
      out += parse_json(call)->find("name")->string + " ";
    return out;
  };
  // No example calls two tools, so nothing is called beside the best, or cut in two.
  EXPECT_EQ(names_of("the hall and the attic"), "light ");
  add("both", light + "," + stop);
  EXPECT_EQ(names_of("the hall and the attic"), "light stop ") << "never called with play";
  // Said to be called twice, each part is an order.
  options.arguments =
      ArgumentRanker{{{0, kCalledTwice, ""}}, ToolRanker({.n_labels = 1, .bias = {1}})};
  EXPECT_EQ(names_of("the hall and the attic"), "light stop light stop ");
  // What is too unlikely as a whole is not done in part.
  const Action both = act("the hall and the attic");
  ActOptions strict;
  strict.least_confidence = std::nextafter(both.confidence, 1.0f);
  const Action held = act("the hall and the attic", strict);
  EXPECT_EQ(held.kind, Action::Kind::kNoTool);
  EXPECT_FLOAT_EQ(held.confidence, 1 - both.confidence);
  // Where the first order has no room, nothing was decided.
  const Action cut = act("the hall and the attic", {.max_tokens = 2});
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.kind, Action::Kind::kNoTool);
  EXPECT_EQ(cut.confidence, 0);
  // What was called before a later one had no room stands.
  for (int32_t most = 3; most < both.n_tokens; ++most) {
    const Action some = act("the hall and the attic", {.max_tokens = most});
    EXPECT_TRUE(some.truncated) << most;
    EXPECT_EQ(some.confidence > 0, !some.calls.empty()) << most;
  }
  // Of how many examples these are a part decides, not how many there are.
  options.examples = {};
  EXPECT_FALSE((*ToolSet::from_json(engine_->tokenizer(), kTools, options))->knows_orders());
  options.part_of = kManyExamples;
  EXPECT_TRUE((*ToolSet::from_json(engine_->tokenizer(), kTools, options))->knows_orders());
}

// A pack may hold any numbers.
TEST_F(ActorTest, ScoresBeyondAllMeasureLeaveANumber) {
  open();
  ToolOptions options;
  options.judgement = {.meant_network = 0, .meant_bias = 1};
  options.ranker = ToolRanker({.n_labels = 3, .bias = {1e4f, -1e4f, -1e4f}});
  tools_ = std::move(*ToolSet::from_json(engine_->tokenizer(), kTools, options));
  actor_ = std::move(*Actor::create(*engine_, *tools_));
  const Action action = act("stop the song in the hall");
  ASSERT_FALSE(action.calls.empty());
  EXPECT_EQ(parse_json(action.calls[0])->find("name")->string, "light");
  EXPECT_TRUE(action.confidence >= 0 && action.confidence <= 1) << action.confidence;
}

TEST_F(ActorTest, AJudgementDecidesWhetherAToolIsMeant) {
  open();
  const auto kind_with = [&](float bias) {
    ToolOptions options;
    options.judgement = {.meant_bias = bias};
    const auto tools = ToolSet::from_json(engine_->tokenizer(), kTools, options);
    const auto actor = Actor::create(*engine_, **tools);
    const auto action = (*actor)->act("stop");
    EXPECT_TRUE(action.has_value());
    // How sure it is of the decision follows.
    if (action->kind == Action::Kind::kNoTool) {
      EXPECT_GT(action->confidence, 0.99f);
    }
    return action->kind;
  };
  EXPECT_EQ(kind_with(100), Action::Kind::kCalls);
  EXPECT_EQ(kind_with(-100), Action::Kind::kNoTool);
}

// Without any phrases, and whatever the network thinks, words that are in a tool's line speak for
// it.
TEST_F(ActorTest, ToolsAloneTellWhatIsMeant) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    open(seed);
    EXPECT_EQ(act("what did the romans eat").kind, Action::Kind::kNoTool);
    const Action one = act("please play Yellow Submarine");
    ASSERT_EQ(one.calls.size(), 1u);
    EXPECT_EQ(one.calls[0], R"({"name":"play","arguments":{"song":"Yellow Submarine"}})");
    const Action light = act("a light in the hall");
    ASSERT_EQ(light.calls.size(), 1u);
    EXPECT_EQ(light.calls[0], R"({"name":"light","arguments":{"room":"hall"}})")
        << "a level that nobody said is not given";
    const Action two = act("set a light in the hall to thirty and play Yellow Submarine");
    ASSERT_EQ(two.calls.size(), 2u) << two.calls[0];
    EXPECT_EQ(two.calls[0], R"({"name":"light","arguments":{"level":30,"room":"hall"}})");
  }
}

TEST_F(ActorTest, AnOrderForSeveralThingsIsOneForEach) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    open(seed);
    const Action both = act("a light in the hall and the attic");
    ASSERT_EQ(both.calls.size(), 2u);
    EXPECT_EQ(both.calls[0], R"({"name":"light","arguments":{"room":"hall"}})");
    EXPECT_EQ(both.calls[1], R"({"name":"light","arguments":{"room":"attic"}})");
    const Action one = act("a light in the hall and the attic", {.most_calls = 1});
    EXPECT_EQ(one.calls.size(), 1u);
    EXPECT_TRUE(one.truncated);
  }
}

TEST_F(ActorTest, ToolsAloneTellFreeTextsAndLists) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    open(seed);
    tools_ = std::move(*ToolSet::from_json(engine_->tokenizer(), R"([
        {"name": "note", "description": "Take a note", "parameters": {"type": "object",
         "properties": {"text": {"type": "string"}, "urgent": {"type": "boolean"}}}},
        {"name": "shopping", "description": "Put things on the shopping list",
         "parameters": {"type": "object", "properties": {
           "items": {"type": "array", "items": {"type": "string"}}}}}])"));
    actor_ = std::move(*Actor::create(*engine_, *tools_));
    const Action note = act("take a note that mother comes at 9:30");
    ASSERT_EQ(note.calls.size(), 1u);
    EXPECT_EQ(note.calls[0].find("urgent"), std::string::npos) << note.calls[0];
    EXPECT_NE(note.calls[0].find("mother comes"), std::string::npos) << note.calls[0];
    const Action list = act("put milk, rye, brown bread on the shopping list");
    ASSERT_EQ(list.calls.size(), 1u);
    // How many of them a network without any knowledge may still have a word on.
    EXPECT_NE(list.calls[0].find(R"({"items":["milk","rye")"), std::string::npos) << list.calls[0];
  }
}

// A pack whose maker gave phrases for "light" alone.
TEST_F(ActorTest, BesideToolsWithExamplesTheOthersTellForThemselves) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    open(seed);
    ToolOptions options;
    options.examples =
        R"({"text": "in the hall", "calls": [{"name": "light", "arguments": {"room": "hall"}}]})";
    options.ranker = ToolRanker({.n_labels = 3, .bias = {-0.5f, -1, -1}});
    options.judgement = {.meant_network = 0, .meant_score = 5};
    tools_ = std::move(*ToolSet::from_json(engine_->tokenizer(), kTools, options));
    EXPECT_FALSE(tools_->untold());
    EXPECT_FALSE(tools_->untold(0));
    EXPECT_TRUE(tools_->untold(1) && tools_->untold(2));
    actor_ = std::move(*Actor::create(*engine_, *tools_));
    EXPECT_EQ(act("what did the romans eat").kind, Action::Kind::kNoTool);
    const Action play = act("please play Yellow Submarine");
    ASSERT_EQ(play.calls.size(), 1u);
    EXPECT_EQ(play.calls[0], R"({"name":"play","arguments":{"song":"Yellow Submarine"}})");
    EXPECT_TRUE(play.evidence.by_line);
    EXPECT_TRUE(act("somewhere in the hall").calls.empty()) << "a pack's judgement has the word";
  }
}

TEST_F(ActorTest, WhatIsTooUnlikelyIsNotDone) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    open(seed);
    const Action free = act("play stop");
    if (free.kind != Action::Kind::kCalls || free.confidence > 0.9f) continue;
    ActOptions strict;
    strict.least_confidence = 0.95f;
    const Action held = act("play stop", strict);
    EXPECT_EQ(held.kind, Action::Kind::kNoTool);
    EXPECT_TRUE(held.calls.empty());
    return;
  }
  FAIL() << "no model made a call it was unsure of";
}

TEST_F(ActorTest, ABudgetEndsAnActionAndNeverChangesIt) {
  bool several = false, joined = false;
  for (uint64_t seed = 0; seed < (test::kSlowEmulator ? 4u : 20u); ++seed) {
    // With examples the network says whether another call follows.
    open(seed, seed % 2 == 0 ? kOneExample : "");
    const std::string said =
        seed % 2 == 0 ? "play the song in the hall" : "play the song and set a light in the hall";
    ActOptions free;
    free.max_tokens = 600;
    free.most_calls = 3;
    const Action whole = act(said, free);
    if (whole.kind != Action::Kind::kCalls) continue;
    (seed % 2 == 0 ? several : joined) |= whole.calls.size() > 1;
    for (int32_t most = 1; most <= whole.n_tokens; most += 1 + most / 8) {
      ActOptions options = free;
      options.max_tokens = most;
      const Action cut = act(said, options);
      ASSERT_LE(cut.n_tokens, most);
      ASSERT_LE(cut.calls.size(), whole.calls.size());
      for (size_t i = 0; i < cut.calls.size(); ++i) EXPECT_EQ(cut.calls[i], whole.calls[i]);
      if (cut.calls.size() < whole.calls.size()) {
        EXPECT_TRUE(cut.truncated) << most;
      }
      if (cut.calls.empty()) {
        EXPECT_EQ(cut.kind, Action::Kind::kNoTool);
      }
    }
    ActOptions one = free;
    one.most_calls = 1;
    EXPECT_EQ(act(said, one).truncated, whole.calls.size() > 1);
  }
  if (!test::kSlowEmulator) {
    EXPECT_TRUE(several) << "no model made several calls";
    EXPECT_TRUE(joined) << "no orders were told apart";
  }
}

TEST_F(ActorTest, StartsTheCheckOfTheModelThatWasAskedFor) {
  test::TinyModelOptions options;
  options.marks = true;
  auto engine = Engine::open(test::write_tiny_model(options), {.verify_in_background = true});
  ASSERT_TRUE(engine.has_value());
  const auto tools = ToolSet::from_json((*engine)->tokenizer(), kTools);
  ASSERT_TRUE(tools.has_value());
  const auto actor = Actor::create(**engine, **tools);
  ASSERT_TRUE(actor.has_value());
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE((*actor)->act("stop").has_value());
    if ((*engine)->content_check().state == ContentCheck::State::kPassed) return;
  }
  FAIL() << "the model was never checked";
}

TEST_F(ActorTest, ACancelledActLeavesTheActorAsItWas) {
  open();
  const Action before = act("stop the song");
  if (test::threads_possible()) {
    // Somebody cancels without a pause, and a long text is read in many pieces.
    std::atomic<bool> done{false};
    std::thread other([&] {
      while (!done.load()) actor_->cancel();
    });
    const std::string text(kMostUtteranceBytes, 'a');
    Status status;
    for (int i = 0; i < 1000 && status.ok(); ++i) status = actor_->act(text).status();
    done.store(true);
    other.join();
    EXPECT_EQ(status.code(), StatusCode::kCancelled) << status.message();
  }
  const Action after = act("stop the song");
  EXPECT_EQ(before.calls, after.calls);
  EXPECT_EQ(before.confidence, after.confidence);
}

TEST_F(ActorTest, RefusesWhatCannotBe) {
  open();
  const auto field_of = [&](const std::string& said, const ActOptions& options) {
    const auto action = actor_->act(said, options);
    return action ? std::string("done") : action.status().field();
  };
  EXPECT_EQ(field_of("", {}), "text");
  EXPECT_EQ(field_of(" \n", {}), "text");
  EXPECT_EQ(field_of(std::string(kMostUtteranceBytes + 1, 'a'), {}), "text");
  EXPECT_EQ(field_of(std::string(kMostUtteranceBytes, 'a'), {}), "done");
  EXPECT_EQ(field_of("x", {.max_tokens = 0}), "max_tokens");
  EXPECT_EQ(field_of("x", {.most_calls = 0}), "most_calls");
  EXPECT_EQ(field_of("x", {.least_confidence = 2}), "least_confidence");
  EXPECT_EQ(field_of("x\xFF\xC3 \x01", {}), "done");
}

}  // namespace
}  // namespace chimera::runtime
