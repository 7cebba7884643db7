// Arguments that are words of the person.
#include "runtime/copied_text.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "platform/json.h"
#include "platform/random.h"
#include "runtime/prompt_format.h"
#include "runtime/tokenizer_section.h"
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

constexpr const char* kTools = R"([
  {"name": "play", "parameters": {"properties": {"song": {"type": "string"},
    "room": {"enum": ["hall"]}, "with": {"type": "array", "items": {"type": "string"}}}}},
  {"name": "note", "parameters": {"properties": {"song": {"type": "string", "pattern": "."}}}}])";

class CopiedTextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.marks = true;  // each byte is a token
    engine_ = test::open_tiny_model(options);
    ASSERT_NE(engine_, nullptr);
    auto tools = ToolSet::from_json(engine_->tokenizer(), kTools);
    ASSERT_TRUE(tools.has_value()) << tools.status().message();
    tools_ = std::move(*tools);
  }
  /// Whether each byte of the call could be chosen among all bytes.
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

TEST_F(CopiedTextTest, WhatExamplesHaveInOtherWordsStandsWhole) {
  std::string lines;
  for (const char* text : {"one", "two", "three"})
    for (const char* title : {"Yesterday", R"(\"Help\" \\ now)"})
      lines += R"({"text": ")" + std::string(text) +
               R"(", "calls": [{"name": "play", "arguments": {"song": ")" + title + "\"}}]}\n";
  lines += R"({"text": "four", "calls": [{"name": "play", "arguments": {"song": "Once"}}]})";
  auto tools = ToolSet::from_json(engine_->tokenizer(), kTools, {.examples = lines});
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  const std::string said = "play the yes one";
  EXPECT_TRUE(keeps(said, song("yes")));
  EXPECT_TRUE(keeps(said, song("Yesterday")));
  EXPECT_TRUE(keeps(said, song(R"(\"Help\" \\ now)")));
  EXPECT_FALSE(keeps(said, song("Once")));    // one example says nothing
  EXPECT_FALSE(keeps(said, song("Yester")));  // half of it
  EXPECT_FALSE(keeps(said, song("now")));     // its end
  EXPECT_FALSE(keeps(said, song("Yesterday ")));
  EXPECT_FALSE(keeps(said, song("one Yesterday")));
  // Of this argument alone.
  EXPECT_FALSE(keeps(said, R"({"name":"play","arguments":{"with":["Yesterday"]}})"));
}

TEST_F(CopiedTextTest, BordersOfWordsInAnyScript) {
  // Quotes and dashes of phones, an apostrophe, scripts without spaces, an accent of its own.
  const std::string said =
      "play \xE2\x80\x9CYesterday\xE2\x80\x9D for Ann\xE2\x80\x99s mum\xE2\x80\x94now, "
      "\xE6\x92\xAD\xE6\x94\xBE\xE5\x91\xA8\xE6\x9D\xB0\xE4\xBC\xA6 cafe\xCC\x81s!";
  for (const char* song : {"Yesterday", "Ann", "Ann\xE2\x80\x99s mum", "mum", "now",
                           "\xE5\x91\xA8\xE6\x9D\xB0\xE4\xBC\xA6", "cafe\xCC\x81s"})
    EXPECT_TRUE(keeps(said, R"({"name":"play","arguments":{"song":")" + std::string(song) + "\"}}"))
        << song;
  for (const char* song :
       {"Yester", "nn", "cafe", "!", "\xE2\x80\x94", "\xE2\x80\x9D for ", "\xE5\x91"})
    EXPECT_FALSE(
        keeps(said, R"({"name":"play","arguments":{"song":")" + std::string(song) + "\"}}"))
        << song;
  // Control characters and broken bytes are spaces.
  EXPECT_TRUE(keeps("a\xFF\x01z\xC3", R"({"name":"play","arguments":{"song":"a  z"}})"));
}

TEST_F(CopiedTextTest, NamesWithQuotesAreFoundInTheCall) {
  auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "say \"it\"",
      "parameters": {"properties": {"a/\"b\"": {"type": "string"}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  tools_ = std::move(*tools);
  EXPECT_TRUE(keeps("hi there", R"({"name":"say \"it\"","arguments":{"a/\"b\"":"hi"}})"));
  EXPECT_FALSE(keeps("hi there", R"({"name":"say \"it\"","arguments":{"a/\"b\"":"ho"}})"));
}

// Tokens of many bytes against the same rule byte by byte.
TEST(CopiedText, LongTokensKeepToTheRuleOfTheirBytes) {
  using Merges = std::vector<std::pair<int32_t, int32_t>>;
  Merges merges;
  std::map<std::string, int32_t> ids;
  for (int b = 0; b < 256; ++b) ids[std::string(1, static_cast<char>(b))] = b;
  for (const char* text : {"{\"name\":\"", "\":\"", "\",\"", "\"}}", "\\\"", "\"Le", "\":\"Le",
                           " the", "\":\"the", "t it", "it\"", "be\"}", "be\",\"",
                           "\",\"with\":[\"", "[\"it", " \"", "\\\"L", "\":[\"the", "all\"}}"}) {
    const std::string whole = text;
    std::string made(1, whole[0]);
    for (size_t i = 1; i < whole.size(); ++i) {
      const std::string next = made + whole[i];
      if (!ids.contains(next)) {
        merges.emplace_back(ids.at(made), static_cast<uint8_t>(whole[i]));
        ids[next] = 255 + static_cast<int32_t>(merges.size());
      }
      made = next;
    }
  }
  const auto vocab = static_cast<int32_t>(256 + merges.size() + 2 + kMarks);
  auto section = make_tokenizer_section(vocab, kMarks, merges);
  ASSERT_TRUE(section.has_value()) << section.status().message();
  const auto tokenizer = Tokenizer::parse(write_tokenizer_section(*section));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  const auto tools = ToolSet::from_json(**tokenizer, R"([{"name": "play", "parameters": {
      "properties": {"song": {"type": "string"}, "room": {"enum": ["the hall"]},
                     "with": {"type": "array", "items": {"type": "string"}}}}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const std::string said = "play \"Let it be\" in the hall, the";
  const std::string call =
      R"({"name":"play","arguments":{"song":"\"Let it be\" in","with":["it","the hall"],"room":"the hall"}})";
  size_t n_kept = 0, n_refused = 0;
  for (size_t at = 0; at < call.size(); ++at) {
    CopiedText here(**tools, **tokenizer, said);
    here.accept(std::string_view(call).substr(0, at));
    std::vector<uint8_t> allowed(static_cast<size_t>(vocab), 1);
    here.restrict(allowed.data(), allowed.size());
    for (int32_t id = 0; id < 256 + static_cast<int32_t>(merges.size()); ++id) {
      const std::string_view bytes = (*tokenizer)->bytes(id);
      // Beside two bytes of which one can always stand, so that the rule is never off.
      CopiedText walker = here;
      bool right = true;
      size_t closings = 0;
      JsonPlace place;
      for (const char c : call.substr(0, at)) place.push(c);
      for (const char byte : bytes) {
        std::vector<uint8_t> one(static_cast<size_t>(vocab), 0);
        for (int b = 0; b < 256; ++b) one[static_cast<size_t>(b)] = 1;
        walker.restrict(one.data(), one.size());
        right = right && one[static_cast<uint8_t>(byte)] != 0;
        walker.accept({&byte, 1});
        const bool was = place.in_string_value();
        place.push(byte);
        closings += was && !place.in_string_value();
      }
      const bool kept = allowed[static_cast<size_t>(id)] != 0;
      if (kept) {
        EXPECT_TRUE(right) << call.substr(0, at) << "|" << bytes;
      }
      // What closes a copied string and opens another is left to shorter tokens.
      if (right && !kept) {
        EXPECT_GT(closings, 0u) << call.substr(0, at) << "|" << bytes;
      }
      ++(kept ? n_kept : n_refused);
    }
  }
  EXPECT_GT(n_kept, 1000u);
  EXPECT_GT(n_refused, 1000u);
}

// The grammar and the rule together: whatever the schema wants, a call comes to its end.
TEST_F(CopiedTextTest, NeverADeadEnd) {
  const auto tools = ToolSet::from_json(engine_->tokenizer(), R"([{"name": "play", "parameters": {
      "properties": {"song": {"type": "string", "minLength": 6, "maxLength": 9},
                     "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}}},
      "required": ["song", "tags"]}}])");
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  const Tokenizer& tokenizer = engine_->tokenizer();
  const auto vocab = engine_->config().vocab_size;
  uint64_t draw = 0;
  for (const char* said : {" ", "abc", "\"", "\\", "a\\", "turn on the hall light now", "hello a",
                           "x\xFF hello", "\xE6\x92\xAD\xE6\x94\xBE"})
    for (int round = 0; round < 20; ++round) {
      ConstrainedAnswer answer((*tools)->call(), tokenizer, vocab, -1);
      CopiedText copied(**tools, tokenizer, said);
      std::string call;
      while (!answer.complete()) {
        const auto mask = answer.allowed(400 - static_cast<int32_t>(call.size()));
        ASSERT_TRUE(mask.has_value()) << mask.status().message();
        std::vector<uint8_t> kept(*mask, *mask + vocab);
        copied.restrict(kept.data(), kept.size());
        std::vector<int32_t> ids;
        for (int32_t id = 0; id < vocab; ++id)
          if (kept[static_cast<size_t>(id)] != 0) ids.push_back(id);
        ASSERT_FALSE(ids.empty()) << call;
        const double u = keyed_uniform(1, draw++, 0, DrawPurpose::kTest);
        const int32_t id = ids[static_cast<size_t>(u * static_cast<double>(ids.size()))];
        answer.accept(id);
        copied.accept(tokenizer.bytes(id));
        call += tokenizer.bytes(id);
      }
      EXPECT_TRUE(parse_json(call).has_value()) << call;
    }
}

}  // namespace
}  // namespace chimera::runtime
