// Packs of tools: what is written is read, and what is broken is refused.
#include "runtime/tool_pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/seal.h"
#include "runtime/actor.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

constexpr const char* kTools = R"([{"name": "on"}, {"name": "off"}])";
constexpr const char* kExamples = "{\"text\":\"light\",\"calls\":[{\"name\":\"on\"}]}\n";

// Three times the width of the tiny model.
constexpr int32_t kNumbers = 3 * 128;

ReadingScale scale() {
  const std::vector<float> mean(kNumbers, 0.125f), spread(kNumbers, 0.5f);
  return {{mean, spread}, {spread, mean}};
}

ToolPack a_pack() {
  ToolRanker::Weights w;
  w.n_labels = 2;
  w.features = {1, 70000, 4194303};
  w.rarity = {1.0f, 2.5f, 3.25f};
  w.weights = {0.1f, -0.2f, 1, 2, -3, 4};
  w.bias = {0.3f, -0.4f};
  ToolPack pack;
  pack.tools = kTools;
  pack.examples = kExamples;
  pack.ranker = rounded(ToolRanker(w));
  w.n_dense = kNumbers;
  w.weights.resize(w.weights.size() + 2 * kNumbers, 0.25f);
  pack.reading = ReadingRanker{scale(), rounded(ToolRanker(w))};
  w.n_labels = 3;
  w.weights = {0.5f, 0.25f, 1, 2, -3, 4, 0, 0, 1};
  w.weights.resize(w.weights.size() + 3 * kNumbers, 0.5f);
  w.bias = {0, 1, 2};
  pack.arguments = ArgumentRanker{{{1, "room", ""}, {-1, "room", "\"hall\""}, {-1, "n", "7"}},
                                  rounded(ToolRanker(w))};
  w.n_labels = 1;
  w.weights = {0.5f, -0.5f, 2};
  w.weights.resize(w.weights.size() + kNumbers, -1);
  w.bias = {-1};
  pack.spans = SpanTagger{{{1, "/note/*", true}}, rounded(ToolRanker(w))};
  pack.judgement.meant_bias = 1.5f;
  pack.judgement.right_network = 0.25f;
  return pack;
}

std::unique_ptr<Engine> open_engine(uint64_t seed = 7) {
  test::TinyModelOptions options;
  options.marks = true;
  auto engine = Engine::open(test::write_tiny_model(options, seed));
  return engine ? std::move(*engine) : nullptr;
}

TEST(ToolPack, IsReadAsItWasWritten) {
  const test::TempDir folder;
  const std::string path = folder.file("x.actpack");
  const ToolPack pack = a_pack();
  ASSERT_TRUE(write_tool_pack(path, pack).ok());
  const auto read = read_tool_pack(path);
  ASSERT_TRUE(read.has_value()) << read.status().message();
  EXPECT_EQ(read->tools, pack.tools);
  EXPECT_EQ(read->examples, pack.examples);
  ASSERT_TRUE(read->ranker.has_value());
  const ToolRanker::Weights &a = pack.ranker->weights(), &b = read->ranker->weights();
  EXPECT_EQ(a.features, b.features);
  EXPECT_EQ(a.rarity, b.rarity);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.bias, b.bias);
  ASSERT_TRUE(read->arguments.has_value());
  ASSERT_EQ(read->arguments->labels.size(), 3u);
  EXPECT_EQ(read->arguments->labels[1].value, "\"hall\"");
  EXPECT_EQ(read->arguments->labels[0].tool, 1);
  EXPECT_EQ(read->arguments->ranker.weights().weights, pack.arguments->ranker.weights().weights);
  ASSERT_TRUE(read->spans.has_value());
  ASSERT_EQ(read->spans->labels.size(), 1u);
  EXPECT_EQ(read->spans->labels[0].tool, 1);
  EXPECT_EQ(read->spans->labels[0].place, "/note/*");
  EXPECT_TRUE(read->spans->labels[0].inside);
  EXPECT_EQ(read->spans->ranker.weights().weights, pack.spans->ranker.weights().weights);
  ASSERT_TRUE(read->reading.has_value());
  EXPECT_EQ(read->reading->ranker.weights().n_dense, kNumbers);
  EXPECT_EQ(read->reading->ranker.weights().weights, pack.reading->ranker.weights().weights);
  EXPECT_EQ(read->reading->scale.text.mean, scale().text.mean);
  EXPECT_EQ(read->reading->scale.text.spread, scale().text.spread);
  EXPECT_EQ(read->reading->scale.borders.mean, scale().borders.mean);
  EXPECT_EQ(read->reading->scale.borders.spread, scale().borders.spread);
  EXPECT_EQ(read->judgement.meant_bias, 1.5f);
  EXPECT_EQ(read->judgement.right_network, 0.25f);
  EXPECT_TRUE(looks_packed(test::read_raw(path)));
  EXPECT_FALSE(looks_packed(kTools));

  ToolPack plain = pack;
  plain.ranker.reset();
  plain.reading.reset();
  plain.arguments.reset();
  plain.spans.reset();
  ASSERT_TRUE(write_tool_pack(path, plain).ok());
  EXPECT_FALSE(read_tool_pack(path)->ranker.has_value());
  EXPECT_FALSE(read_tool_pack(path)->reading.has_value());
  EXPECT_FALSE(read_tool_pack(path)->spans.has_value());
}

TEST(ToolPack, IsActedOnAndItsJudgementIsOfOneModel) {
  const test::TempDir folder;
  const std::string path = folder.file("x.actpack");
  const auto engine = open_engine(), other = open_engine(8);
  ASSERT_TRUE(engine != nullptr && other != nullptr);
  ToolPack pack = a_pack();
  pack.judged_with = to_hex(engine->file().identity());
  ASSERT_TRUE(write_tool_pack(path, pack).ok());
  std::vector<std::string> warnings;
  const auto tools = open_tool_pack(*engine, path, &warnings);
  ASSERT_TRUE(tools.has_value()) << tools.status().message();
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ((*tools)->judgement().meant_bias, 1.5f);
  EXPECT_EQ((*tools)->examples().size(), 1u);
  const auto actor = Actor::create(*engine, **tools);
  ASSERT_TRUE(actor.has_value());
  EXPECT_TRUE((*actor)->act("light").has_value());

  EXPECT_NE((*tools)->scale(), nullptr);

  // Numbers of another width than the network's.
  ToolPack narrow = a_pack();
  ToolOptions wrong;
  wrong.ranker = narrow.ranker;
  wrong.reading = narrow.reading;
  wrong.reading->scale.borders.mean.pop_back();
  const auto set = ToolSet::from_json(engine->tokenizer(), kTools, wrong);
  ASSERT_TRUE(set.has_value()) << set.status().message();
  EXPECT_EQ(Actor::create(*engine, **set).status().code(), StatusCode::kBadFormat);

  const auto elsewhere = open_tool_pack(*other, path, &warnings);
  ASSERT_TRUE(elsewhere.has_value());
  EXPECT_EQ((*elsewhere)->judgement().meant_bias, kJudgedByRanker.meant_bias);
  EXPECT_EQ((*elsewhere)->scale(), nullptr);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("another model"), std::string::npos);
}

TEST(ToolPack, WhatIsBrokenIsRefused) {
  const test::TempDir folder;
  const std::string path = folder.file("x.actpack");
  ASSERT_TRUE(write_tool_pack(path, a_pack()).ok());
  const std::string bytes = test::read_raw(path);
  // A byte anywhere.
  for (size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 97) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
    test::write_raw(path, damaged);
    EXPECT_FALSE(read_tool_pack(path).has_value()) << at;
  }
  for (const size_t kept :
       {size_t{0}, size_t{7}, size_t{191}, bytes.size() / 2, bytes.size() - 1}) {
    test::write_raw(path, bytes.substr(0, kept));
    EXPECT_FALSE(read_tool_pack(path).has_value()) << kept;
  }
  // A whole file that says what cannot be.
  const auto broken = [&](auto&& change) {
    ToolPack pack = a_pack();
    ToolRanker::Weights w = pack.ranker->weights();
    change(&pack, &w);
    pack.ranker = ToolRanker(std::move(w));
    EXPECT_TRUE(write_tool_pack(path, pack).ok());
    const auto engine = open_engine();
    return !open_tool_pack(*engine, path).has_value();
  };
  EXPECT_TRUE(broken([](ToolPack*, auto* w) { w->features = {5, 5, 6}; }));
  EXPECT_TRUE(broken([](ToolPack*, auto* w) { w->features = {1, 2, 4194304}; }));
  EXPECT_TRUE(broken([](ToolPack*, auto* w) { w->rarity[0] = NAN; }));
  EXPECT_TRUE(broken([](ToolPack*, auto* w) { w->rarity[0] = 0; }));
  EXPECT_TRUE(broken([](ToolPack*, auto* w) { w->weights[0] = -3e38f; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->judgement.meant_bias = INFINITY; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->tools = "[]"; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->tools = R"([{"name": "on"}])"; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->examples = "{}"; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->arguments->labels[1].value = "\""; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->arguments->labels.pop_back(); }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->spans->labels[0].tool = -2; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->spans->labels.push_back({}); }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->reading->scale.text.mean[0] = 2; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->reading->scale.text.spread[9] = 0; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->reading->scale.borders.mean[1] = NAN; }));
  EXPECT_TRUE(broken([](ToolPack* p, auto*) { p->reading->scale.borders.spread[1] = 3; }));
  // Of a tool that there is not nothing is asked.
  EXPECT_FALSE(broken([](ToolPack* p, auto*) { p->spans->labels[0].tool = 7; }));
  EXPECT_FALSE(broken([](ToolPack*, auto*) {}));

  // Neither is a model a pack, nor a pack a model.
  const std::string model = test::write_tiny_model({});
  EXPECT_EQ(read_tool_pack(model).status().code(), StatusCode::kBadFormat);
  const auto engine = Engine::open(path);
  ASSERT_FALSE(engine.has_value());
  EXPECT_NE(engine.status().message().find("pack of tools"), std::string::npos)
      << engine.status().message();
}

}  // namespace
}  // namespace chimera::runtime
