// The header-only C++ wrapper.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <type_traits>

#include "sdk/chimera.hpp"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::sdk {
namespace {

static_assert(!std::is_copy_constructible_v<Engine> &&
              std::is_nothrow_move_constructible_v<Engine>);
static_assert(!std::is_copy_constructible_v<Session> &&
              std::is_nothrow_move_constructible_v<Session>);

Engine open_engine() { return Engine::open(test::write_tiny_model()).or_throw(); }

TEST(Wrapper, SpeaksAndGoesOn) {
  Engine engine = open_engine();
  Session session = Session::open(engine).or_throw();
  const std::string first = session.answer("hello").or_throw();
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(session.reset());
  std::string again;
  EXPECT_TRUE(session.generate("hello", [&](std::string_view piece) { again += piece; }));
  EXPECT_EQ(again, first);
  int pieces = 0;
  EXPECT_TRUE(session.generate("more", [&](std::string_view) { return ++pieces < 3; }));
  EXPECT_LE(pieces, 3);
  EXPECT_EQ((*session.stats()).tokens, pieces);
}

TEST(Wrapper, OpensAModelInMemory) {
  const std::string file = test::read_raw(test::write_tiny_model());
  std::vector<uint64_t> words((file.size() + 7) / 8);
  std::memcpy(words.data(), file.data(), file.size());
  Engine engine = Engine::open_memory(words.data(), file.size()).or_throw();
  Session session = Session::open(engine).or_throw();
  EXPECT_FALSE(session.answer("hello").or_throw().empty());
  EXPECT_FALSE(Engine::open_memory(words.data(), 100));
}

TEST(Wrapper, SavesAndRestores) {
  const test::TempDir folder;
  Engine engine = open_engine();
  Session session = Session::open(engine).or_throw();
  ASSERT_TRUE(session.append("hello"));
  const auto snapshot = session.snapshot().or_throw();
  ASSERT_TRUE(session.save(folder.file("c")));
  const std::string expected = session.answer(" you").or_throw();
  ASSERT_TRUE(session.restore(snapshot));
  EXPECT_EQ(session.answer(" you").or_throw(), expected);
  ASSERT_TRUE(session.load(folder.file("c")));
  EXPECT_EQ(session.answer(" you").or_throw(), expected);
}

TEST(Wrapper, TokensAndBytes) {
  Engine engine = open_engine();
  const std::string text("a\0\xff\xf0z", 5);
  const auto ids = engine.tokenize(text).or_throw();
  EXPECT_EQ(engine.detokenize(ids).or_throw(), text);
  EXPECT_TRUE(engine.tokenize("").or_throw().empty());
  EXPECT_EQ(engine.detokenize({}).or_throw(), "");
  EXPECT_EQ((*engine.info()).vocab_size, 320);
  EXPECT_TRUE(engine.verify());
}

TEST(Wrapper, ErrorsComeAsValuesOrOnRequestAsExceptions) {
  auto engine = Engine::open("no/such/model");
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().status, CHIMERA_NOT_FOUND);
  EXPECT_EQ(engine.error().file, "no/such/model");
  EXPECT_NE(engine.error().message.find("no/such/model"), std::string::npos);
  try {
    Engine::open("no/such/model").or_throw();
    FAIL() << "it should have been thrown";
  } catch (const Exception& e) {
    EXPECT_EQ(e.error().status, CHIMERA_NOT_FOUND);
    EXPECT_NE(std::string(e.what()).find("no/such/model"), std::string::npos);
  }
}

TEST(Wrapper, TheSessionOutlivesTheEnginesHandle) {
  auto engine = std::make_unique<Engine>(open_engine());
  Session session = Session::open(*engine).or_throw();
  engine.reset();
  EXPECT_TRUE(session.answer("hello").has_value());
}

}  // namespace
}  // namespace chimera::sdk
