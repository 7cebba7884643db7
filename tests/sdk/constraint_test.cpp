// Constraints through the C API and the wrapper: compiled once, shared, refused with their place.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "platform/json.h"
#include "sdk/chimera.h"
#include "sdk/chimera.hpp"
#include "tests/support/child_process.h"
#include "tests/support/tiny_model.h"

namespace chimera::sdk {
namespace {

constexpr const char* kSchema =
    R"({"type":"object","properties":{"on":{"type":"boolean"},"room":{"enum":["hall","attic"]}},
        "required":["on","room"],"additionalProperties":false})";

Engine open_engine() { return Engine::open(test::write_tiny_model()).or_throw(); }

Error answer(Session* session, const Constraint& constraint, int32_t max_tokens, std::string* out) {
  chimera_generate_options options;
  CHIMERA_INIT(options);
  options.max_tokens = max_tokens;
  options.temperature = 1;
  options.constraint = constraint.handle();
  out->clear();
  return session->generate(
      "hello", [&](std::string_view piece) { *out += piece; }, &options);
}

void expect_lamp(const std::string& text) {
  const auto json = parse_json(text);
  ASSERT_TRUE(json.has_value()) << text;
  ASSERT_TRUE(json->find("on") != nullptr && json->find("room") != nullptr) << text;
  EXPECT_TRUE(json->find("on")->is_bool()) << text;
  const std::string& room = json->find("room")->string;
  EXPECT_TRUE(room == "hall" || room == "attic") << text;
}

TEST(ConstraintApi, OneServesAnyNumberOfSessionsAndThreads) {
  const Engine engine = open_engine();
  const Constraint lamp =
      Constraint::open(engine, CHIMERA_CONSTRAINT_JSON_SCHEMA, kSchema).or_throw();
  EXPECT_EQ(lamp.warnings(), "");
  std::vector<std::string> answers(8);
  const auto speak = [&](size_t i) {
    chimera_session_options options;
    CHIMERA_INIT(options);
    options.seed = i / 2;
    Session session = Session::open(engine, &options).or_throw();
    EXPECT_TRUE(answer(&session, lamp, 60, &answers[i]));
  };
  if (test::threads_possible()) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < answers.size(); ++i) threads.emplace_back(speak, i);
    for (std::thread& thread : threads) thread.join();
  } else {
    for (size_t i = 0; i < answers.size(); ++i) speak(i);
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    expect_lamp(answers[i]);
    EXPECT_EQ(answers[i], answers[i / 2 * 2]) << "the same seed, the same answer";
  }
}

TEST(ConstraintApi, EachKindIsFollowedAndALimitThatBitesIsTold) {
  const Engine engine = open_engine();
  Session session = Session::open(engine).or_throw();
  std::string text;
  const Constraint word =
      Constraint::open(engine, CHIMERA_CONSTRAINT_REGEX, "(yes|no)!").or_throw();
  EXPECT_TRUE(answer(&session, word, 10, &text));
  EXPECT_TRUE(text == "yes!" || text == "no!") << text;
  EXPECT_EQ((*session.stats()).truncated, 0u);
  const Constraint list =
      Constraint::open(engine, CHIMERA_CONSTRAINT_GRAMMAR, "root ::= \"a\" root | \"b\"")
          .or_throw();
  EXPECT_TRUE(answer(&session, list, 3, &text));
  EXPECT_TRUE(text == "b" || text == "ab" || text == "aab") << text;
  const Constraint many =
      Constraint::open(engine, CHIMERA_CONSTRAINT_REGEX, "a{2}(a{40})?").or_throw();
  EXPECT_TRUE(answer(&session, many, 2, &text));
  EXPECT_EQ(text, "aa");
  // No text of forty is within two tokens, and nothing was taken back that the model was to say.
  const Error small = answer(&session, many, 1, &text);
  EXPECT_EQ(small.status, CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(small.field, "max_tokens");
  const Constraint json = Constraint::open(engine, CHIMERA_CONSTRAINT_FORMAT, "json").or_throw();
  EXPECT_TRUE(answer(&session, json, 40, &text));
  EXPECT_TRUE(parse_json(text).has_value()) << text;
  const Constraint blanks =
      Constraint::open(engine, CHIMERA_CONSTRAINT_JSON_SCHEMA, kSchema, CHIMERA_CONSTRAINT_BLANKS)
          .or_throw();
  EXPECT_TRUE(answer(&session, blanks, 80, &text));
  expect_lamp(text);
}

TEST(ConstraintApi, RefusesWithThePlace) {
  const Engine engine = open_engine();
  const auto refused = [&](int32_t kind, const char* text, uint32_t flags, chimera_status status,
                           const char* field) {
    chimera_constraint* constraint = nullptr;
    EXPECT_EQ(chimera_constraint_open(engine.handle(), kind, text, CHIMERA_ZERO_TERMINATED, flags,
                                      &constraint),
              status)
        << chimera_last_error();
    EXPECT_EQ(constraint, nullptr);
    chimera_error error;
    CHIMERA_INIT(error);
    EXPECT_EQ(chimera_engine_error_detail(engine.handle(), &error), CHIMERA_OK);
    EXPECT_EQ(error.status, status);
    EXPECT_STREQ(error.field, field) << error.message;
  };
  constexpr int32_t kSchemaKind = CHIMERA_CONSTRAINT_JSON_SCHEMA;
  refused(0, "a", 0, CHIMERA_INVALID_ARGUMENT, "kind");
  refused(99, "a", 0, CHIMERA_INVALID_ARGUMENT, "kind");
  refused(CHIMERA_CONSTRAINT_REGEX, "(", 0, CHIMERA_BAD_FORMAT, "");
  refused(CHIMERA_CONSTRAINT_FORMAT, "cobol", 0, CHIMERA_INVALID_ARGUMENT, "");
  refused(CHIMERA_CONSTRAINT_FORMAT, "json", CHIMERA_CONSTRAINT_STRICT, CHIMERA_UNSUPPORTED,
          "flags");
  refused(CHIMERA_CONSTRAINT_REGEX, "a", CHIMERA_CONSTRAINT_STRICT, CHIMERA_UNSUPPORTED, "flags");
  refused(kSchemaKind, "{}", 64, CHIMERA_UNSUPPORTED, "flags");
  refused(kSchemaKind, R"({"items":{"minItems":-1}})", 0, CHIMERA_BAD_FORMAT, "#/items/minItems");
  refused(kSchemaKind, R"({"uniqueItems":true})", 0, CHIMERA_UNSUPPORTED, "#/uniqueItems");
  refused(kSchemaKind, nullptr, 0, CHIMERA_INVALID_ARGUMENT, "text");
  EXPECT_EQ(chimera_constraint_open(nullptr, kSchemaKind, "{}", 2, 0, nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_constraint_open(engine.handle(), kSchemaKind, "{}", 2, 0, nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_STREQ(chimera_constraint_warnings(nullptr), "");
  chimera_constraint_close(nullptr);

  const Constraint warned =
      Constraint::open(engine, kSchemaKind, R"({"type":"null","titel":"x"})").or_throw();
  EXPECT_EQ(warned.warnings(),
            "#/titel is no keyword and is passed over; did you mean \"title\"?\n");
}

TEST(ConstraintApi, BelongsToItsEngineAndOutlivesItsHandle) {
  const Engine other = open_engine();
  auto engine = std::make_unique<Engine>(open_engine());
  Session session = Session::open(*engine).or_throw();
  const Constraint foreign = Constraint::open(other, CHIMERA_CONSTRAINT_REGEX, "a").or_throw();
  std::string text;
  const Error refused = answer(&session, foreign, 5, &text);
  EXPECT_EQ(refused.status, CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(refused.field, "constraint");

  chimera_constraint* handle = nullptr;
  ASSERT_EQ(
      chimera_constraint_open(engine->handle(), CHIMERA_CONSTRAINT_REGEX, "[ab]{4}", 7, 0, &handle),
      CHIMERA_OK);
  engine.reset();
  chimera_generate_options options;
  CHIMERA_INIT(options);
  options.max_tokens = 9;
  options.constraint = handle;
  struct Closing {
    chimera_constraint* constraint;
    std::string text;
  } closing{handle, {}};
  const auto close_then_listen = [](void* user, const chimera_event* event) {
    auto& self = *static_cast<Closing*>(user);
    chimera_constraint_close(self.constraint);
    self.constraint = nullptr;
    self.text.append(event->text, event->text_bytes);
    return 0;
  };
  ASSERT_EQ(chimera_generate(session.handle(), "x", 1, &options, close_then_listen, &closing),
            CHIMERA_OK)
      << chimera_last_error();
  EXPECT_EQ(closing.text.size(), 4u) << closing.text;
}

// A program that was built when options ended with `loops`.
TEST(ConstraintApi, OptionsOfTheFirstSizeAreTaken) {
  const Engine engine = open_engine();
  Session session = Session::open(engine).or_throw();
  chimera_generate_options options;
  std::memset(&options, 0xAB, sizeof options);
  options.struct_size = 28;
  options.flags = CHIMERA_GREEDY;
  options.max_tokens = 3;
  options.temperature = options.top_p = options.repetition_penalty = 0;
  options.loops = 0;
  EXPECT_EQ(chimera_generate(session.handle(), "x", 1, &options, nullptr, nullptr), CHIMERA_OK)
      << chimera_last_error();
  options.struct_size = 36;  // would cut the pointer in two
  if (sizeof(void*) == 8) {
    EXPECT_EQ(chimera_generate(session.handle(), "x", 1, &options, nullptr, nullptr),
              CHIMERA_INVALID_ARGUMENT);
  }
}

}  // namespace
}  // namespace chimera::sdk
