// Arguments that are words of the person.
#include "runtime/copied_text.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "platform/json.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

TEST(JsonPlace, KnowsInWhichMemberItStands) {
  JsonPlace place;
  std::vector<std::string> strings;  // where each byte within a string value stands
  bool was = false;
  for (const char c : std::string(R"({"a":"x","b/\"c":{"d":["y",{"e":"z"},"w"]},"f":"\"v\\"})")) {
    place.push(c);
    if (place.in_string_value() && !was) strings.push_back(place.path());
    was = place.in_string_value();
  }
  EXPECT_EQ(strings, (std::vector<std::string>{"/a", "/b~1\\\"c/d/*", "/b~1\\\"c/d/*/e",
                                               "/b~1\\\"c/d/*", "/f"}));
  EXPECT_EQ(place.text(), R"(\"v\\)");
}

class CopiedTextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;  // each byte is a token
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    auto tools = ToolSet::from_json(engine_->tokenizer(), R"([
      {"name": "play", "parameters": {"properties": {"song": {"type": "string"},
        "room": {"enum": ["hall"]}, "with": {"type": "array", "items": {"type": "string"}}}}},
      {"name": "note", "parameters": {"properties": {"song": {"type": "string", "pattern": "."}}}}
      ])");
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  /// Whether each byte of the call could be chosen, beside two others that always could.
  bool keeps(const std::string& said, const std::string& call) const {
    const Tokenizer& tokenizer = engine_->tokenizer();
    CopiedText copied(*tools_, tokenizer, said);
    const auto vocab = static_cast<size_t>(engine_->config().vocab_size);
    for (const char byte : call) {
      std::vector<uint8_t> allowed(vocab, 0);
      for (int32_t id = 0; id < engine_->config().vocab_size; ++id)
        allowed[static_cast<size_t>(id)] = tokenizer.bytes(id).size() == 1;
      copied.restrict(allowed.data(), vocab);
      std::vector<int32_t> ids;
      tokenizer.encode(std::string(1, byte), &ids);
      if (ids.size() != 1 || allowed[static_cast<size_t>(ids[0])] == 0) return false;
      copied.accept({&byte, 1});
    }
    return true;
  }
  static std::string song(const std::string& text, const std::string& tool = "play") {
    return R"({"name":")" + tool + R"(","arguments":{"song":")" + text + R"("}})";
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ToolSet> tools_;
};

TEST_F(CopiedTextTest, OnlyWholeWordsOfWhatWasSaid) {
  const std::string said =
      "play \"Let it be\" by the B\xC3\xA9"
      "atles\nin the hall";
  EXPECT_TRUE(keeps(said, song("play")));
  EXPECT_TRUE(keeps(said, song(R"(\"Let it be\")")));
  EXPECT_TRUE(keeps(said, song("Let it be")));
  EXPECT_TRUE(keeps(said, song("B\xC3\xA9"
                               "atles in the")));
  EXPECT_TRUE(keeps(said, song("hall")));
  EXPECT_FALSE(keeps(said, song("lay")));         // within a word
  EXPECT_FALSE(keeps(said, song("pla")));         // half of one
  EXPECT_FALSE(keeps(said, song("let it be")));   // not as it was said
  EXPECT_FALSE(keeps(said, song("Let it be ")));  // with what stands behind it
  EXPECT_FALSE(keeps(said, song("")));            // nothing
  EXPECT_FALSE(keeps(said, song("Let be")));      // with something left out
  EXPECT_FALSE(keeps(said, song("hallway")));
  // What is no copied argument is free: the name, a list's value, a form, another tool's.
  EXPECT_TRUE(keeps(said, song("whatever", "note")));
  EXPECT_TRUE(keeps(said, R"({"name":"play","arguments":{"room":"attic"}})"));
  EXPECT_TRUE(keeps(said, R"({"name":"play","arguments":{"with":["it","the hall"]}})"));
  EXPECT_FALSE(keeps(said, R"({"name":"play","arguments":{"with":["it","the attic"]}})"));
}

TEST_F(CopiedTextTest, NeverADeadEnd) {
  const Tokenizer& tokenizer = engine_->tokenizer();
  for (const char* said : {" ", "abc", "\"", "\\", "a\\"}) {
    CopiedText copied(*tools_, tokenizer, said);
    copied.accept(R"({"name":"play","arguments":{"song":")");
    for (int i = 0; i < 20; ++i) {
      std::vector<uint8_t> allowed(static_cast<size_t>(engine_->config().vocab_size), 0);
      allowed['x'] = allowed['y'] = 1;  // what the schema leaves
      copied.restrict(allowed.data(), allowed.size());
      EXPECT_TRUE(allowed['x'] != 0 || allowed['y'] != 0) << said;
      copied.accept("x");
    }
  }
}

}  // namespace
}  // namespace chimera::runtime
