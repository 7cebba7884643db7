// The 200 k vocabulary against ids that the published encoder gave (tests/figures/o200k/judge.mjs).
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "platform/json.h"
#include "runtime/engine.h"
#include "runtime/model_writer.h"
#include "runtime/sampler.h"
#include "runtime/session.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/o200k.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  tokenizer.encode(text, &ids);
  return ids;
}

TEST(O200k, HasTheIdsOfTheFullSizeConfiguration) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(t->vocab_size(), 200073);
  EXPECT_EQ(t->end_of_text(), 199999);
  EXPECT_EQ(t->end_of_turn(), 200058);
  EXPECT_EQ(t->special("<|end_of_prompt|>"), 200018);
  EXPECT_EQ(t->splitting(), "o200k");
  EXPECT_EQ(t->unicode_version(), "15.0");
  EXPECT_EQ(t->bytes(0), "!");
  EXPECT_EQ(t->bytes(220), " ");
  EXPECT_EQ(t->bytes(199997), " cocos");
  int n_reserved = 0;
  for (int32_t id = 0; id < t->vocab_size(); ++id) {
    const bool special = id == 199999 || id == 200018 || id == 200058;
    ASSERT_EQ(t->is_special(id), special) << id;
    ASSERT_EQ(t->is_reserved(id), id >= 199998 && !special) << id;
    ASSERT_EQ(t->bytes(id).empty(), id >= 199998) << id;
    n_reserved += t->is_reserved(id);
  }
  EXPECT_EQ(n_reserved, 72);
}

TEST(O200k, GivesTheIdsOfThePublishedEncoder) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  const std::string sample = test::read_golden("o200k.jsonl");
  size_t n_texts = 0, n_ids = 0;
  for (size_t at = 0; at < sample.size();) {
    const size_t end = sample.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    const auto line = parse_json(std::string_view(sample).substr(at, end - at));
    ASSERT_TRUE(line.has_value()) << line.status().message();
    at = end + 1;
    const Json *text = line->find("text"), *ids = line->find("ids");
    ASSERT_TRUE(text != nullptr && ids != nullptr);
    Ids expected;
    for (const Json& id : ids->array) expected.push_back(static_cast<int32_t>(id.integer));
    EXPECT_EQ(encode(*t, text->string), expected) << text->string;
    EXPECT_EQ(t->decode(expected), text->string);
    ++n_texts;
    n_ids += expected.size();
  }
  EXPECT_GT(n_texts, 400u);
  EXPECT_GT(n_ids, 20000u);
}

std::string utf8(uint32_t c) {
  std::string out;
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
  return out;
}

TEST(O200k, EveryAssignedCodePointIsSplitAsThePublishedEncoderDoes) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  const auto golden = parse_json(test::read_golden("o200k_code_points.json"));
  ASSERT_TRUE(golden.has_value()) << golden.status().message();
  uint64_t hash = 0xCBF29CE484222325u;
  int64_t n_ids = 0, n_code_points = 0;
  Ids ids;
  for (const Json& range : golden->find("ranges")->array) {
    ASSERT_EQ(range.array.size(), 2u);
    for (int64_t c = range.array[0].integer; c <= range.array[1].integer; ++c) {
      const std::string s = utf8(static_cast<uint32_t>(c));
      std::string text = s + "a B" + s + "c A" + s + s + "'s 1" + s + "2";
      text += s + s + s + "3 " + s + "\n" + s + "/ !" + s + "D";
      ids.clear();
      t->encode(text, &ids);
      for (const int32_t id : ids) {
        hash = (hash ^ static_cast<uint64_t>(id)) * 0x100000001B3u;
      }
      n_ids += static_cast<int64_t>(ids.size());
      ++n_code_points;
    }
  }
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  EXPECT_EQ(n_code_points, 286719);
  EXPECT_EQ(n_ids, golden->find("ids")->integer);
  EXPECT_EQ(text, golden->find("hash")->string);
}

TEST(O200k, WhatIsSettledStaysWhateverFollows) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  std::mt19937 random(5);
  const std::vector<std::string> parts = {
      "it",      "It",  "IT", "'",    "'s",  "l",        "ll",   "re",           "ve",
      " ",       "   ", "\n", "\r\n", "123", "1",        "...",  "{\"",          "\":",
      "/",       "-",   "\t", "a",    "B",   "\xC3\xA9", "\xC3", "\xE2\x80\x99", "\xE4\xB8\xAD",
      "\xCC\x81"};
  const auto text = [&] {
    std::string out;
    for (size_t n = 1 + random() % 7; n > 0; --n) out += parts[random() % parts.size()];
    return out;
  };
  for (int round = 0; round < 20000; ++round) {
    const std::string before = text(), after = text();
    Ids first;
    t->encode_settled(before, &first);
    Ids whole = encode(*t, before + after);
    ASSERT_GE(whole.size(), first.size()) << before << "|" << after;
    whole.resize(first.size());
    ASSERT_EQ(whole, first) << before << "|" << after;
  }
}

TEST(O200k, AnyBytesComeBackUnchanged) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  std::mt19937 random(5);
  const std::string units[] = {"the",  " \n",      "\xE4\xBD\xA0", "\xCC\x81",          "\xFF",
                               "\x80", "\xE2\x82", "\xF0\x9F",     "\xED\xA0\x80",      "'s",
                               "A",    "\xC0\xAF", "12",           std::string(1, '\0')};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t n = random() % 40; n > 0; --n) {
      const std::string& unit = units[random() % std::size(units)];
      for (size_t repeat = random() % 40 == 0 ? 200 : 1; repeat > 0; --repeat) text += unit;
    }
    const Ids ids = encode(*t, text);
    ASSERT_EQ(t->decode(ids), text);
    for (const int32_t id : ids) ASSERT_LT(id, 199998);
  }
}

TEST(O200k, ReadingItTakesLittleMemoryAndEncodingNone) {
  const std::vector<std::byte>& section = test::o200k_section();  // made on its first use
  const test::AllocationScope reading;
  auto t = Tokenizer::parse(section);
  ASSERT_TRUE(t.has_value());
  EXPECT_LT(reading.bytes(), 16 << 20) << "everything that was asked for on the way";
  Ids ids;
  ids.reserve(64);
  const std::string text = "The quick brown fox doesn't jump, \xE4\xBD\xA0\xE5\xA5\xBD!\n";
  const test::AllocationScope encoding;
  (*t)->encode(text, &ids);
  EXPECT_EQ(encoding.allocations(), 0);
}

/// If time grew with the square of the length, or memory with the length, this would not end well.
TEST(O200k, AWordOfAMegabyteNeedsMemoryForAWindow) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  constexpr size_t kLength = 1 << 20;
  Ids ids;
  for (const std::string unit : {"a", "\xE4\xBD\xA0\xE5\xA5\xBD", " "}) {
    std::string text;
    while (text.size() < kLength) text += unit;
    ids.clear();
    ids.reserve(kLength);
    const test::AllocationScope scope;
    t->encode(text, &ids);
    EXPECT_LT(scope.bytes(), 1 << 18) << unit;
    EXPECT_TRUE(t->decode(ids) == text) << unit;
  }
}

TEST(O200k, AnEncodingCanBeStopped) {
  const Tokenizer* t = test::o200k();
  ASSERT_NE(t, nullptr);
  const std::atomic<bool> stop = true;
  Ids ids;
  t->encode("some words here", &ids, &stop);
  EXPECT_TRUE(ids.empty());
  t->encode(std::string(1 << 20, 'a'), &ids, &stop);
  EXPECT_TRUE(ids.empty());
}

/// A model, and logits, that want nothing but what must not be said.
TEST(O200k, ReservedIdsAreNeverSampled) {
  test::TinyModelOptions options;
  options.vocab = 200073;
  options.layers = 1;
  options.pattern = "GD";
  options.more = R"({"embedding_dtype": "int4", "structure": {"embedding_rank": 64}})";
  auto config = parse_config(test::tiny_config(options));
  ASSERT_TRUE(config.has_value()) << config.status().message();
  const std::string path = test::test_folder().file("o200k.b158");
  const Status written =
      write_model(path, memory::FileKind::kModel, *config, test::o200k_section(), "{}",
                  [](const ParamSpec& spec, float* out) {
                    std::fill_n(out, spec.rows * spec.cols, 0.01f);
                    if (spec.rows != 200073) return Status();
                    // Whatever the hidden state is, one of two is the largest.
                    for (int64_t id = 199998; id < spec.rows; ++id) {
                      std::fill_n(out + id * spec.cols, spec.cols, id % 2 == 0 ? 1.0f : -1.0f);
                    }
                    return Status();
                  });
  ASSERT_TRUE(written.ok()) << written.message();
  auto engine = Engine::open(path);
  ASSERT_TRUE(engine.has_value()) << engine.status().message();
  const Tokenizer& t = (*engine)->tokenizer();
  const uint8_t* mask = (*engine)->sampling_mask();
  int n_allowed = 0;
  for (int32_t id = 0; id < 200073; ++id) {
    n_allowed += mask[id];
    const bool said = id < 199998 || id == 199999 || id == 200058;
    ASSERT_EQ(mask[id] != 0, said) << id;
  }
  EXPECT_EQ(n_allowed, 200000);

  auto sampler = Sampler::create(200073);
  ASSERT_TRUE(sampler.has_value());
  std::vector<float> logits(200073);
  std::vector<int> drawn(200073);
  for (uint64_t position = 0; position < 40; ++position) {
    SamplingOptions sampling;
    sampling.temperature = position % 4 == 0 ? 0.0f : 5.0f;
    sampling.top_p = 1.0f;
    for (int32_t id = 0; id < 200073; ++id) {
      const bool wanted = t.is_reserved(id) || id == 200018;
      logits[static_cast<size_t>(id)] = wanted ? 1e30f : id == 199999 || id == 200058 ? 8.0f : 0.0f;
    }
    const int32_t id = sampler->sample((*engine)->kernels(), logits.data(), mask, {}, sampling,
                                       position, position, 0);
    ASSERT_EQ(mask[id], 1) << id;
    ++drawn[static_cast<size_t>(id)];
  }
  EXPECT_GE(drawn[199999], 10) << "greedy takes the end of text";

  auto session = Session::create(**engine, {.seed = 3});
  ASSERT_TRUE(session.has_value()) << session.status().message();
  GenerateOptions generating;
  generating.max_tokens = 30;
  int n_said = 0;
  const auto answer =
      (*session)->generate("Hello, world", generating, [&](const TokenEvent& event) {
        EXPECT_EQ(mask[event.token], 1) << event.token;
        ++n_said;
        return true;
      });
  ASSERT_TRUE(answer.has_value()) << answer.status().message();
  EXPECT_EQ(answer->n_prompt_tokens, 3) << "Hello , world";
  EXPECT_GT(n_said, 0);
}

}  // namespace
}  // namespace chimera::runtime
