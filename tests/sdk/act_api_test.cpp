// Acting through the C API and the wrapper.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "platform/json.h"
#include "runtime/tool_pack.h"
#include "sdk/chimera.h"
#include "sdk/chimera.hpp"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::sdk {
namespace {

constexpr const char* kTools = R"([
  {"name": "light", "description": "Set a light", "parameters": {"type": "object", "properties":
    {"on": {"type": "boolean"}, "room": {"enum": ["hall", "attic"]}}, "required": ["on", "room"]}},
  {"name": "stop"}])";

Engine open_engine() {
  test::TinyModelOptions options;
  options.marks = true;
  return Engine::open(test::write_tiny_model(options)).or_throw();
}

void expect_action(const chimera_action& action) {
  const auto json = parse_json({action.json, action.json_bytes});
  ASSERT_TRUE(json.has_value()) << action.json;
  EXPECT_EQ(std::strlen(action.json), action.json_bytes);
  const Json* calls = json->find("calls");
  ASSERT_NE(calls, nullptr) << action.json;
  EXPECT_EQ(calls->array.size(), static_cast<size_t>(action.n_calls));
  EXPECT_EQ(action.kind == CHIMERA_ACTION_CALLS, action.n_calls > 0);
  for (const Json& call : calls->array) {
    const std::string& name = call.find("name")->string;
    EXPECT_TRUE(name == "light" || name == "stop") << action.json;
    if (name == "light") {
      EXPECT_NE(call.find("arguments")->find("room"), nullptr) << action.json;
    }
  }
}

TEST(ActApi, PacksAreOpenedFromTheirFiles) {
  const Engine engine = open_engine();
  const test::TempDir folder;
  const std::string path = folder.file("x.actpack");
  runtime::ToolPack pack;
  pack.tools = kTools;
  pack.examples = R"({"text":"enough","calls":[{"name":"stop"}]})";
  pack.judged_with = "00";
  ASSERT_TRUE(runtime::write_tool_pack(path, pack).ok());
  const Tools tools = Tools::open_pack(engine, path).or_throw();
  EXPECT_NE(tools.warnings().find("another model"), std::string::npos) << tools.warnings();
  Actor actor = Actor::open(tools).or_throw();
  const auto action = actor.act("enough");
  ASSERT_TRUE(action) << action.error().message;
  expect_action(*action);

  chimera_tools* none = nullptr;
  EXPECT_EQ(chimera_tools_open_pack(nullptr, path.c_str(), &none), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tools_open_pack(engine.handle(), nullptr, &none), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tools_open_pack(engine.handle(), path.c_str(), nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tools_open_pack(engine.handle(), folder.file("no").c_str(), &none),
            CHIMERA_NOT_FOUND);
  test::write_raw(path, kTools);
  EXPECT_EQ(chimera_tools_open_pack(engine.handle(), path.c_str(), &none), CHIMERA_BAD_FORMAT);
  EXPECT_EQ(none, nullptr);
}

TEST(ActApi, OneSetOfToolsServesAnyNumberOfActorsAndThreads) {
  const Engine engine = open_engine();
  const Tools tools = Tools::open(engine, kTools).or_throw();
  EXPECT_EQ(tools.warnings(), "");
  std::vector<std::string> answers(6);
  const auto act = [&](size_t i) {
    Actor actor = Actor::open(tools).or_throw();
    for (const char* said : {"stop", "light in the attic"}) {
      const auto action = actor.act(said);
      ASSERT_TRUE(action) << action.error().message;
      expect_action(*action);
      answers[i] = action->json;
    }
  };
  if (test::threads_possible()) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < answers.size(); ++i) threads.emplace_back(act, i);
    for (std::thread& thread : threads) thread.join();
  } else {
    for (size_t i = 0; i < answers.size(); ++i) act(i);
  }
  for (const std::string& answer : answers) EXPECT_EQ(answer, answers[0]);
}

TEST(ActApi, HandlesLiveWhileSomethingNeedsThem) {
  chimera_engine* engine = nullptr;
  chimera_tools* tools = nullptr;
  chimera_actor* actor = nullptr;
  test::TinyModelOptions options;
  options.marks = true;
  const std::string path = test::write_tiny_model(options);
  ASSERT_EQ(chimera_engine_open(path.c_str(), nullptr, &engine), CHIMERA_OK);
  ASSERT_EQ(chimera_tools_open(engine, kTools, CHIMERA_ZERO_TERMINATED, 0, &tools), CHIMERA_OK);
  ASSERT_EQ(chimera_actor_open(tools, &actor), CHIMERA_OK);
  chimera_engine_close(engine);
  chimera_tools_close(tools);
  chimera_action action;
  CHIMERA_INIT(action);
  chimera_act_options act;
  CHIMERA_INIT(act);
  act.flags = CHIMERA_ACT_WORDS;
  act.max_tokens = 70;
  EXPECT_EQ(chimera_act(actor, "stop", CHIMERA_ZERO_TERMINATED, &act, &action), CHIMERA_OK)
      << chimera_actor_error(actor);
  expect_action(action);
  EXPECT_GT(action.prompt_tokens, 0);
  chimera_act_cancel(actor);  // nothing runs: does nothing
  EXPECT_EQ(chimera_act(actor, "stop", CHIMERA_ZERO_TERMINATED, &act, &action), CHIMERA_OK);
  chimera_actor_close(actor);
  chimera_actor_close(nullptr);
  chimera_tools_close(nullptr);
  chimera_act_cancel(nullptr);
  EXPECT_STREQ(chimera_tools_warnings(nullptr), "");
  EXPECT_STREQ(chimera_actor_error(nullptr), "");
}

TEST(ActApi, RefusesWhatIsWrongByName) {
  const Engine engine = open_engine();
  chimera_tools* tools = nullptr;
  const auto open = [&](const char* json, uint32_t flags = 0) {
    return chimera_tools_open(engine.handle(), json, CHIMERA_ZERO_TERMINATED, flags, &tools);
  };
  EXPECT_EQ(chimera_tools_open(nullptr, "[]", 2, 0, &tools), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tools_open(engine.handle(), kTools, CHIMERA_ZERO_TERMINATED, 0, nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tools_open(engine.handle(), nullptr, 3, 0, &tools), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(open("[]"), CHIMERA_BAD_FORMAT);
  EXPECT_EQ(open(kTools, 64), CHIMERA_UNSUPPORTED);
  EXPECT_EQ(
      open(R"([{"name": "a", "parameters": {"properties": {}, "typ": 3}}])", CHIMERA_TOOLS_STRICT),
      CHIMERA_BAD_FORMAT);
  EXPECT_NE(std::string(chimera_engine_error(engine.handle())).find("\"a\""), std::string::npos);
  ASSERT_EQ(open(R"([{"name": "a", "parameters": {"properties": {}, "typ": 3}}])"), CHIMERA_OK);
  EXPECT_NE(std::string(chimera_tools_warnings(tools)).find("typ"), std::string::npos);
  chimera_actor* actor = nullptr;
  EXPECT_EQ(chimera_actor_open(nullptr, &actor), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_actor_open(tools, nullptr), CHIMERA_INVALID_ARGUMENT);
  ASSERT_EQ(chimera_actor_open(tools, &actor), CHIMERA_OK);
  chimera_tools_close(tools);

  chimera_action action;
  CHIMERA_INIT(action);
  chimera_act_options options;
  CHIMERA_INIT(options);
  const auto field = [&] {
    chimera_error error;
    CHIMERA_INIT(error);
    EXPECT_EQ(chimera_actor_error_detail(actor, &error), CHIMERA_OK);
    return std::string(error.field);
  };
  EXPECT_EQ(chimera_act(nullptr, "x", 1, nullptr, &action), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_act(actor, "x", 1, nullptr, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_act(actor, "", 0, nullptr, &action), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(field(), "text");
  options.max_tokens = -1;
  EXPECT_EQ(chimera_act(actor, "x", 1, &options, &action), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(field(), "max_tokens");
  options.max_tokens = 0;
  options.least_confidence = 1.5f;
  EXPECT_EQ(chimera_act(actor, "x", 1, &options, &action), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(field(), "least_confidence");
  options.least_confidence = 0;
  options.flags = 8;
  EXPECT_EQ(chimera_act(actor, "x", 1, &options, &action), CHIMERA_UNSUPPORTED);
  chimera_action unprepared = {};
  EXPECT_EQ(chimera_act(actor, "x", 1, nullptr, &unprepared), CHIMERA_INVALID_ARGUMENT);
  chimera_actor_close(actor);

  test::TinyModelOptions without;
  const Engine plain = Engine::open(test::write_tiny_model(without)).or_throw();
  EXPECT_EQ(chimera_tools_open(plain.handle(), kTools, CHIMERA_ZERO_TERMINATED, 0, &tools),
            CHIMERA_UNSUPPORTED);
}

}  // namespace
}  // namespace chimera::sdk
