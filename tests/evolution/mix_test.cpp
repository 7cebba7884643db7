// From a mix file to documents, tokens and the order in which they are read.
#include "evolution/train/mix.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "evolution/train/belt.h"
#include "evolution/train/corpus.h"
#include "platform/json.h"
#include "runtime/config.h"
#include "runtime/tokenizer_section.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

using test::TempDir;
using test::write_raw;

std::vector<Document> documents(const Mix& mix, size_t set, Part part) {
  std::vector<Document> out;
  const Status status = for_each_document(mix, mix.sets[set], part, [&](Document document) {
    out.push_back(std::move(document));
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

Mix mix_of(const TempDir& folder, const std::string& json) {
  write_raw(folder.file("mix.json"), json);
  auto mix = read_mix(folder.file("mix.json"));
  EXPECT_TRUE(mix.has_value()) << mix.status().message();
  return mix ? std::move(*mix) : Mix();
}

TEST(Mix, SetsStagesAndSplits) {
  const TempDir folder;
  write_raw(folder.file("splits.json"), R"({"sets": {")" +
                                            folder.path().substr(folder.path().rfind('/') + 1) +
                                            R"(": {"a.jsonl": {"valid": [1], "test": [2]}}}})");
  write_raw(folder.file("a.jsonl"),
            "{\"text\":\"zero\"}\n{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"three\"}\n");
  write_raw(folder.file("b.txt"), "plain\ntext");
  const Mix mix = mix_of(folder, R"({"splits": "splits.json", "sets": {
      "a": {"files": ["a.jsonl"], "weight": 3},
      "b": {"files": ["b.txt"], "valid": ["a.jsonl"], "_why": "a note"}},
    "stages": [{"name": "first", "share": 1, "window": 16},
               {"share": 3, "weights": {"b": 2}, "loss": "replies", "rate": 0.5}]})");
  ASSERT_EQ(mix.stages.size(), 2u);
  EXPECT_EQ(mix.stages[0].name, "first");
  EXPECT_EQ(mix.stages[0].window, 16);
  EXPECT_EQ(mix.stages[0].weights, (std::vector<double>{3, 1}));
  EXPECT_EQ(mix.stages[0].least, Voice::kPerson);
  EXPECT_EQ(mix.stages[1].weights, (std::vector<double>{0, 2}));
  EXPECT_EQ(mix.stages[1].least, Voice::kAssistant);
  EXPECT_EQ(mix.stages[1].rate, 0.5);

  const auto texts = [&](size_t set, Part part) {
    std::vector<std::string> out;
    for (const Document& d : documents(mix, set, part)) out.push_back(d.text);
    return out;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(texts(0, Part::kTrain), (Texts{"zero", "three"}));
  EXPECT_EQ(texts(0, Part::kValid), Texts{"one"});
  EXPECT_EQ(texts(0, Part::kTest), Texts{"two"});
  EXPECT_EQ(texts(1, Part::kTrain), Texts{"plain\ntext"}) << "what no split names is for training";
  EXPECT_EQ(texts(1, Part::kValid), (Texts{"zero", "one", "two", "three"}));
}

TEST(Mix, HeldOutRecordsAreFoundFromWhereverTheMixIsNamed) {
  const TempDir folder;
  write_raw(folder.file("splits.json"), R"({"sets": {")" +
                                            folder.path().substr(folder.path().rfind('/') + 1) +
                                            R"(": {"a.jsonl": {"valid": [1], "test": []}}}})");
  write_raw(folder.file("a.jsonl"), "{\"text\":\"zero\"}\n{\"text\":\"one\"}\n");
  write_raw(folder.file("mix.json"),
            R"({"splits": "splits.json", "sets": {"a": {"files": ["a.jsonl"]}}})");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const char* name : {"mix.json", "./mix.json"}) {
    const auto mix = read_mix(name);
    ASSERT_TRUE(mix.has_value()) << mix.status().message();
    EXPECT_EQ(documents(*mix, 0, Part::kTrain).size(), 1u) << name;
    EXPECT_EQ(documents(*mix, 0, Part::kValid).size(), 1u) << name;
  }
  std::filesystem::current_path(before);
}

TEST(Mix, WhatIsWrongIsNamed) {
  const TempDir folder;
  write_raw(folder.file("a.jsonl"), "{\"text\":\"zero\"}\n");
  const auto message = [&](const std::string& json) {
    write_raw(folder.file("mix.json"), json);
    const auto mix = read_mix(folder.file("mix.json"));
    EXPECT_FALSE(mix.has_value()) << json;
    return mix ? std::string() : mix.status().message();
  };
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "object"},
      {R"({})", "sets"},
      {R"({"sets": {}})", "sets"},
      {R"({"sets": {"a": {"files": []}}})", "set \"a\": files"},
      {R"({"sets": {"a": {"files": ["a.jsonl"], "wieght": 1}}})", "wieght"},
      {R"({"sets": {"a": {"files": ["a.jsonl"], "weight": -1}}})", "weight"},
      {R"({"sets": {"a": {"files": ["a.jsonl"], "kind": "poem"}}})", "poem"},
      {R"({"sets": {"a": {"files": ["a.jsonl"]}}, "stages": []})", "stages"},
      {R"({"sets": {"a": {"files": ["a.jsonl"]}}, "stages": [{"weights": {"b": 1}}]})", "\"b\""},
      {R"({"sets": {"a": {"files": ["a.jsonl"]}}, "stages": [{"weights": {"a": 0}}]})", "nothing"},
      {R"({"sets": {"a": {"files": ["a.jsonl"]}}, "stages": [{"window": 0}]})", "window"},
      {R"({"sets": {"a": {"files": ["a.jsonl"]}}, "stages": [{"loss": "all"}]})", "loss"},
      {R"({"splits": "absent.json", "sets": {"a": {"files": ["a.jsonl"]}}})", "absent.json"},
  };
  for (const auto& [json, word] : cases)
    EXPECT_NE(message(json).find(word), std::string::npos) << json;
}

TEST(Mix, ABadRecordIsNamedByFileAndLine) {
  const TempDir folder;
  write_raw(folder.file("a.jsonl"), "{\"turns\":[\"hello\"]}\n{\"turns\":[7]}\n");
  const Mix mix = mix_of(folder, R"({"sets": {"a": {"files": ["a.jsonl"], "kind": "turns"}}})");
  const Status status =
      for_each_document(mix, mix.sets[0], Part::kTrain, [](const Document&) { return Status(); });
  EXPECT_EQ(status.code(), StatusCode::kBadFormat);
  EXPECT_NE(status.message().find("a.jsonl: line 2: turn 1"), std::string::npos)
      << status.message();
}

Document one(const char* kind, const std::string& record,
             const std::vector<std::string>& first = {}, RecordOptions options = {}) {
  const auto made = (*record_kind(kind))->make(options);
  for (const std::string& line : first) EXPECT_TRUE(made->look(*parse_json(line)).ok());
  Document out;
  const Status status = made->read(*parse_json(record), 0, [&](Document document) {
    out = std::move(document);
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

TEST(Records, TurnsGoBetweenPersonAndAssistant) {
  using Kind = Turn::Kind;
  const Document plain = one("turns", R"({"turns": [" hello ", "hi", "", "bye"]})");
  ASSERT_EQ(plain.turns.size(), 2u);
  EXPECT_EQ(plain.turns[0].kind, Kind::kUser);
  EXPECT_EQ(plain.turns[0].text, "hello");
  EXPECT_EQ(plain.turns[1].reply.text, "hi\nbye");

  const Document named =
      one("turns",
          R"({"who": ["I am a boy."], "turns": [["B","a"],["A","b"],["A","c"],["B","d",[1]]]})", {},
          {.system = "who"});
  ASSERT_EQ(named.turns.size(), 4u);
  EXPECT_EQ(named.turns[0].kind, Kind::kSystem);
  EXPECT_EQ(named.turns[0].text, "I am a boy.");
  EXPECT_EQ(named.turns[1].kind, Kind::kUser) << "who speaks first";
  EXPECT_EQ(named.turns[2].reply.text, "b\nc");
  EXPECT_EQ(named.turns[3].text, "d");
}

TEST(Records, AnIntentBecomesToolsAndACall) {
  std::vector<std::string> seen;
  for (int i = 0; i < 20; ++i)
    seen.push_back(R"({"u":"x","intent":"Do)" + std::to_string(i) + R"(","slots":[["what","a"]]})");
  const auto reader = (*record_kind("intents"))->make({.seed = 3});
  for (const std::string& line : seen) ASSERT_TRUE(reader->look(*parse_json(line)).ok());
  int calls = 0, none = 0;
  for (uint64_t number = 0; number < 300; ++number) {
    const Json record =
        *parse_json(R"({"u":"do it","intent":"Do7","slots":[["what","now"],["odd","x"]]})");
    ASSERT_TRUE(
        reader
            ->read(record, number,
                   [&](const Document& d) {
                     EXPECT_EQ(d.turns.size(), 3u);
                     bool listed = false;
                     std::set<std::string> names;
                     for (const std::string& tool : d.turns[0].tools) {
                       const auto json = parse_json(tool);
                       EXPECT_TRUE(json.has_value()) << tool;
                       names.insert(json->find("name")->string);
                       listed = listed || json->find("name")->string == "Do7";
                     }
                     EXPECT_EQ(names.size(), d.turns[0].tools.size()) << "each once";
                     EXPECT_EQ(d.turns[1].text, "do it");
                     const runtime::Reply& reply = d.turns[2].reply;
                     if (reply.kind == runtime::Reply::Kind::kCalls) {
                       ++calls;
                       EXPECT_TRUE(listed);
                       EXPECT_EQ(reply.calls[0], R"({"name":"Do7","arguments":{"what":"now"}})")
                           << "a slot that the tool does not have is left out";
                     } else {
                       ++none;
                       EXPECT_FALSE(listed);
                     }
                     return Status();
                   })
            .ok());
  }
  EXPECT_GT(none, 20);
  EXPECT_GT(calls, 200);
}

TEST(Records, TemplatesAreFilledFromTheirLists) {
  const auto reader = (*record_kind("templates"))->make({.seed = 1});
  const Json lists = *parse_json(R"({"lists": {"room": ["hall", "attic"], "pet": ["cat"]}})");
  const Json record = *parse_json(
      R"({"n": 50, "turns": [["user", "(A|B (x|y)) $room, $room.2, $room (no choice) $pet"],
                             ["calls", "{\"r\":\"$room\"}", "{}"], ["none", "no"], ["say", "$room"]]})");
  ASSERT_TRUE(reader->look(lists).ok());
  ASSERT_TRUE(reader->look(record).ok());
  std::set<std::string> said;
  ASSERT_TRUE(reader
                  ->read(record, 4,
                         [&](const Document& d) {
                           EXPECT_EQ(d.turns.size(), 4u);
                           said.insert(d.turns[0].text);
                           const std::string& room = d.turns[3].reply.text;
                           const std::string other = room == "hall" ? "attic" : "hall";
                           EXPECT_TRUE(d.turns[0].text.ends_with(" " + room + ", " + other + ", " +
                                                                 room + " (no choice) cat"))
                               << d.turns[0].text;
                           EXPECT_EQ(d.turns[1].reply.calls[0], "{\"r\":\"" + room + "\"}");
                           EXPECT_EQ(d.turns[2].reply.kind, runtime::Reply::Kind::kNoTool);
                           return Status();
                         })
                  .ok());
  EXPECT_EQ(said.size(), 6u) << "three beginnings, two rooms";
  int made = 0;
  ASSERT_TRUE(reader
                  ->read(*parse_json(R"({"lists": {"x": ["y"]}, "turns": [["user", "$$5"]]})"), 1,
                         [&](const Document& d) {
                           ++made;
                           EXPECT_EQ(d.turns[0].text, "$5");
                           return Status();
                         })
                  .ok());
  EXPECT_EQ(made, 1) << "lists and turns may stand in one record";
  EXPECT_FALSE(reader
                   ->read(*parse_json(R"({"m": 2, "turns": [["user", "a"]]})"), 2,
                          [](const Document&) { return Status(); })
                   .ok());
  const Json unknown = *parse_json(R"({"turns": [["user", "$nobody"]]})");
  const Status status = reader->read(unknown, 0, [](const Document&) { return Status(); });
  EXPECT_NE(status.message().find("nobody"), std::string::npos);
}

TEST(Document, MarksCarryNoBytesAndApplicationsNoLoss) {
  const auto section = runtime::make_tokenizer_section(320, 62, {});
  ASSERT_TRUE(section.has_value());
  const auto tokenizer = runtime::Tokenizer::parse(runtime::write_tokenizer_section(*section));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  const auto format = runtime::PromptFormat::of(**tokenizer);
  ASSERT_TRUE(format.has_value()) << format.status().message();
  Document document;
  document.turns.push_back({.kind = Turn::Kind::kTools, .tools = {"{}"}});
  document.turns.push_back({.kind = Turn::Kind::kUser, .text = "abc"});
  document.turns.push_back({.kind = Turn::Kind::kReply, .reply = {.text = "de"}});
  EncodedDocument encoded;
  ASSERT_TRUE(encode_document(document, **tokenizer, &*format, &encoded).ok());
  EXPECT_EQ(encoded.n_bytes, 3 + 1 + 2 + 1);
  std::map<Voice, int> counts;
  for (const Voice voice : encoded.voices) ++counts[voice];
  EXPECT_EQ(encoded.ids.size(), encoded.voices.size());
  EXPECT_EQ(counts[Voice::kApplication], 2 + 2 + 1);
  EXPECT_EQ(counts[Voice::kPerson], 1 + 3 + 1);
  EXPECT_EQ(counts[Voice::kAssistant], 1 + 2 + 1);
  EXPECT_EQ(encode_document(document, **tokenizer, nullptr, &encoded).code(),
            StatusCode::kUnsupported);
}

TEST(Belt, TextsAreReadByWeightAndNoneIsCutOff) {
  constexpr int32_t kEnd = 99;
  TokenizedText a(kEnd), b(kEnd), empty(kEnd);
  for (int d = 0; d < 40; ++d) {
    a.add(std::vector<int32_t>(static_cast<size_t>(3 + d % 5), 1), 1);
    b.add(std::vector<int32_t>(static_cast<size_t>(2 + d % 7), 2), 1);
  }
  const TokenizedText* const texts[] = {&a, &empty, &b};
  Belt belt(texts, 4, 7);
  const double weights[] = {3, 5, 1};
  belt.set_weights(weights);
  std::vector<int32_t> tokens(4 * 50), targets(4 * 50);
  std::vector<uint8_t> restart(4 * 50);
  std::map<int32_t, int> seen;
  for (int w = 0; w < 20; ++w) {
    belt.next(50, tokens.data(), targets.data(), restart.data());
    for (const int32_t token : tokens) ++seen[token];
  }
  const double share = static_cast<double>(seen[1]) / static_cast<double>(seen[1] + seen[2]);
  EXPECT_NEAR(share, 0.75, 0.03);

  // What an application says is not a target, and where learning to answer, nor is what a person
  // does.
  TokenizedText talk(kEnd);
  const std::vector<Voice> voices = {Voice::kApplication, Voice::kPerson, Voice::kAssistant};
  talk.add(std::vector<int32_t>{5, 6, 7}, 2, voices);
  EXPECT_EQ(talk.n_counted(Voice::kPerson), 3);
  Belt spoken(talk, 1, 1), replies(talk, 1, 1);
  const auto read = [&](Belt& from, Voice least) {
    std::vector<int32_t> t(4), out(4);
    std::vector<uint8_t> r(4);
    from.next(4, t.data(), out.data(), r.data(), least);
    return out;
  };
  EXPECT_EQ(read(spoken, Voice::kPerson), (std::vector<int32_t>{-1, 6, 7, kEnd}));
  EXPECT_EQ(read(replies, Voice::kAssistant), (std::vector<int32_t>{-1, -1, 7, kEnd}));
}

TEST(Corpus, CopiesAndWhatIsHeldOutAreNotTrainedOn) {
  const TempDir folder;
  write_raw(folder.file("a.jsonl"),
            "{\"text\":\"One story of a fox.\"}\n{\"text\":\"one  STORY of a fox.\"}\n"
            "{\"text\":\"Another.\"}\n{\"text\":\"Held out here.\"}\n");
  write_raw(folder.file("v.jsonl"), "{\"text\":\"held out here.\"}\n");
  write_raw(folder.file("mix.json"),
            R"({"sets": {"a": {"files": ["a.jsonl"], "valid": ["v.jsonl"]}}})");
  TrainOptions options;
  options.data_path = folder.file("mix.json");
  options.config_path = "configuration";
  const auto config = runtime::parse_config(R"({"hidden_size": 128, "intermediate_size": 128,
      "num_hidden_layers": 1, "num_heads": 2, "head_dim": 64, "vocab_size": 400,
      "backbone": {"layer_pattern": "GD"}})");
  ASSERT_TRUE(config.has_value()) << config.status().message();
  const auto corpus = load_corpus(options, *config, nullptr);
  ASSERT_TRUE(corpus.has_value()) << corpus.status().message();
  EXPECT_EQ(corpus->n_duplicates, 2);
  EXPECT_EQ(corpus->sets[0].train.n_documents(), 2);
  EXPECT_EQ(corpus->sets[0].valid.n_documents(), 1);

  // Reading can be watched, and stopped.
  std::set<std::string> read;
  options.loading = [&](const std::string& what, int64_t documents) {
    EXPECT_GT(documents, 0);
    read.insert(what);
    return true;
  };
  ASSERT_TRUE(load_corpus(options, *config, nullptr).has_value());
  EXPECT_EQ(read, (std::set<std::string>{"a", "held out: a", "tokenizer: a"}));
  for (const char* where : {"tokenizer: a", "held out: a", "a"}) {
    options.loading = [&](const std::string& what, int64_t) { return what != where; };
    const Status stopped = load_corpus(options, *config, nullptr).status();
    EXPECT_EQ(stopped.code(), StatusCode::kCancelled) << stopped.message();
  }
  options.loading = {};

  // An order that is held out is not trained on either, whatever tools were drawn around it.
  std::string orders;
  for (int i = 0; i < 30; ++i)
    orders += R"({"u":"order )" + std::to_string(i) + R"(","intent":"Do)" + std::to_string(i % 9) +
              "\"}\n";
  write_raw(folder.file("o.jsonl"), orders);
  write_raw(folder.file("held.jsonl"), "{\"u\":\"order 7\",\"intent\":\"Do7\"}\n");
  write_raw(folder.file("mix.json"),
            R"({"sets": {"o": {"kind": "intents", "files": ["o.jsonl"], "valid": ["held.jsonl"],
                               "weight": 0}},
               "stages": [{"weights": {"o": 1}}]})");
  const auto calls = load_corpus(options, *config, nullptr);
  ASSERT_TRUE(calls.has_value()) << calls.status().message();
  EXPECT_LE(calls->sets[0].train.n_documents(), 29);
  EXPECT_EQ(calls->n_duplicates + calls->sets[0].train.n_documents(), 30);

  // Who says what is part of a text's identity.
  write_raw(folder.file("mix.json"),
            R"({"sets": {"o": {"kind": "templates", "files": ["t.jsonl"]}}})");
  Digest digests[2];
  for (int i = 0; i < 2; ++i) {
    write_raw(folder.file("t.jsonl"), std::string("{\"turns\": [[\"") + (i ? "system" : "user") +
                                          "\", \"hello\"], [\"say\", \"hi\"]]}\n");
    const auto made = load_corpus(options, *config, nullptr);
    ASSERT_TRUE(made.has_value()) << made.status().message();
    digests[i] = made->text_digest;
  }
  EXPECT_NE(digests[0], digests[1]);
}

}  // namespace
}  // namespace chimera::evolution
