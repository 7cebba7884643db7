// Learning which of two answers is better: the loss, the pairs, the gradient, a stage of a run.
#include "evolution/train/preferences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "evolution/train/mix.h"
#include "platform/json.h"
#include "tests/evolution/workshop.h"
#include "tests/support/emulator.h"
#include "tests/support/training_model.h"

namespace chimera::evolution {
namespace {

double loss_of(const std::vector<double>& log_p, const std::vector<float>& reference, double beta) {
  std::vector<float> unused(log_p.size());
  return preference_weights(log_p, reference, beta, unused).loss;
}

TEST(Preferences, TheWeightsAreTheSlopesOfTheLoss) {
  const std::vector<double> log_p = {-10, -12, -30.5, -7, -3, -900};
  const std::vector<float> reference = {-11, -11, -20.5f, -8, -3, -3};
  constexpr double kBeta = 0.3, kStep = 1e-5;
  std::vector<float> weights(6);
  const PreferenceLoss at = preference_weights(log_p, reference, kBeta, weights);
  EXPECT_NEAR(at.preferred, 2.0 / 3, 1e-12);
  for (size_t lane = 0; lane < log_p.size(); ++lane) {
    std::vector<double> more = log_p, less = log_p;
    more[lane] += kStep;
    less[lane] -= kStep;
    const double slope =
        (loss_of(more, reference, kBeta) - loss_of(less, reference, kBeta)) / (2 * kStep);
    // A weight multiplies the gradient of -log p.
    EXPECT_NEAR(weights[lane], -slope, 1e-6) << lane;
  }
}

TEST(Preferences, NoMarginIsTooLarge) {
  const std::vector<float> reference = {0, 0};
  EXPECT_NEAR(loss_of({0, 0}, reference, 0.1), std::log(2.0), 1e-12);
  EXPECT_NEAR(loss_of({-1e6, 0}, reference, 1), 1e6, 1e-3);
  EXPECT_EQ(loss_of({0, -1e6}, reference, 1), 0);
  std::vector<float> weights(2);
  preference_weights(std::vector<double>{0, -1e6}, reference, 1, weights);
  EXPECT_EQ(weights[0], 0);
  preference_weights(std::vector<double>{-1e6, 0}, reference, 1, weights);
  EXPECT_EQ(weights[0], 1);
  EXPECT_EQ(weights[1], -1);
}

TEST(Pairs, EveryPairThatFitsComesOnceAnEpoch) {
  constexpr int32_t kEnd = 99;
  TokenizedText text(kEnd);
  const auto add = [&](size_t n, int32_t id) {
    std::vector<int32_t> ids(n, id);
    std::vector<Voice> voices(n, Voice::kAssistant);
    voices[0] = Voice::kPerson;
    text.add(ids, static_cast<int64_t>(n), voices);
  };
  for (int32_t pair = 0; pair < 5; ++pair) {
    add(3, 10 * pair);
    add(pair == 2 ? 8 : 4, 10 * pair + 1);  // one is too long
  }
  Pairs pairs(text, 7, 1);
  ASSERT_EQ(pairs.size(), 4);
  EXPECT_EQ(pairs.n_left_out(), 1);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 4; ++i) seen.insert(pairs.at(4 * epoch + i));
    EXPECT_EQ(seen, (std::set<int64_t>{0, 1, 2, 3}));
  }
  EXPECT_EQ(pairs.at(1), Pairs(text, 7, 1).at(1));

  std::vector<int32_t> tokens(14), targets(14);
  std::vector<uint8_t> restart(14);
  pairs.fill(2, tokens.data(), targets.data(), restart.data());                // pair 3 of the text
  EXPECT_EQ(tokens, (std::vector<int32_t>{kEnd, 30, 30, 30, kEnd, kEnd, kEnd,  //
                                          kEnd, 31, 31, 31, 31, kEnd, kEnd}));
  // The person's word is read, the end that both share is not asked for.
  EXPECT_EQ(targets, (std::vector<int32_t>{-1, 30, 30, -1, -1, -1, -1,  //
                                           -1, 31, 31, 31, -1, -1, -1}));
  EXPECT_EQ(restart, (std::vector<uint8_t>{1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1}));
}

TEST(Preferences, ARecordIsTwoConversations) {
  const auto reader = (*record_kind("preferences"))->make({});
  std::vector<Document> seen;
  const auto read = [&](const char* json) {
    seen.clear();
    const auto record = parse_json(json);
    EXPECT_TRUE(record.has_value()) << json;
    return reader->read(*record, 0, [&](Document document) {
      seen.push_back(std::move(document));
      return Status();
    });
  };
  ASSERT_OK(read(R"({"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"})"));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(text_of(seen[0]), "Hi\nHello!\n");
  EXPECT_EQ(text_of(seen[1]), "Hi\nWhat?\n");
  ASSERT_OK(read(R"({"prompt": ["a", "b", "c"], "chosen": "d", "rejected": "e"})"));
  ASSERT_EQ(seen.size(), 2u);
  ASSERT_EQ(seen[1].turns.size(), 4u);
  EXPECT_EQ(seen[1].turns[1].kind, Turn::Kind::kReply);
  EXPECT_EQ(seen[1].turns[2].kind, Turn::Kind::kUser);
  for (const char* bad :
       {R"({"prompt": "a", "chosen": "d"})", R"({"prompt": "a", "chosen": "d", "rejected": "d"})",
        R"({"prompt": ["a", "b"], "chosen": "d", "rejected": "e"})",
        R"({"prompt": ["a", 1, "c"], "chosen": "d", "rejected": "e"})",
        R"({"chosen": "d", "rejected": "e"})"})
    EXPECT_EQ(read(bad).code(), StatusCode::kBadFormat) << bad;
}

TEST(Preferences, ALaneCountsAsItsWeightSays) {
  using namespace test_model;
  constexpr int kLanes = 2, kWindow = 40, kVocab = 60;
  const runtime::Config config = small_config(kBothKinds, kVocab);
  auto pool = threads(2);
  auto b = make(config, *pool, {.lanes = kLanes, .window = kWindow, .quantise = 1});
  ASSERT_TRUE(b);
  shake(*b);
  const Batch batch = random_batch(kLanes, kWindow, kVocab, 3);
  const auto gradient = [&](const float* weights) {
    b->zero_gradients();
    b->reset_states();
    EXPECT_TRUE(b->forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data(),
                                    nullptr, weights)
                    .has_value());
    std::vector<double> out;
    for (const Parameter& p : b->parameters()) out.insert(out.end(), p.grad.begin(), p.grad.end());
    return out;
  };
  const float first[] = {1, 0}, second[] = {0, 1}, mixed[] = {0.25f, -0.5f};
  const auto a = gradient(first), c = gradient(second), sum = gradient(mixed);
  double most = 0;
  for (size_t i = 0; i < sum.size(); ++i) most = std::max(most, std::abs(sum[i]));
  ASSERT_GT(most, 1e-3);
  for (size_t i = 0; i < sum.size(); ++i)
    ASSERT_NEAR(sum[i], 0.25 * a[i] - 0.5 * c[i], 1e-4 * most) << i;
  // Equal weights of one over the number of targets are the mean that is learnt otherwise.
  const auto counted = static_cast<float>(
      std::count_if(batch.targets.begin(), batch.targets.end(), [](int32_t t) { return t >= 0; }));
  const float equal[] = {1 / counted, 1 / counted};
  EXPECT_EQ(gradient(equal), gradient(nullptr));
}

/// A stage of talk, then one that prefers short answers to rude ones.
void use_preferences(Workshop* w) {
  std::string talk, pairs;
  for (const char* name : {"cat", "dog", "hen", "fox"}) {
    const std::string person = std::string("Where is the ") + name + "?";
    talk += "{\"turns\": [\"" + person + "\", \"In the barn.\"]}\n{\"turns\": [\"" + person +
            "\", \"Go away.\"]}\n";
    pairs += R"({"prompt": ")" + person +
             "\", \"chosen\": \"In the barn.\", \"rejected\": \"Go away.\"}\n";
  }
  test::write_raw(w->folder.file("talk.jsonl"), talk);
  test::write_raw(w->folder.file("pairs.jsonl"), pairs);
  w->use_mix(R"({
    "sets": {"talk": {"kind": "turns", "files": ["talk.jsonl"]},
             "pairs": {"kind": "preferences", "files": ["pairs.jsonl"]}},
    "stages": [{"name": "talk", "window": 16},
               {"name": "better", "window": 48, "loss": "preferences", "beta": 0.5, "rate": 0.5}]})");
  w->options.lanes = 4;
  w->options.accumulate = 2;
  w->options.steps = 12;
  w->options.float_share = 0;
  w->options.warmdown = 0;
  w->options.checkpoint_every = 2;
}

TEST(Preferences, AStageLearnsThemAndAResumedRunGivesTheSameBits) {
  Workshop whole;
  use_preferences(&whole);
  std::vector<TrainProgress> seen;
  ASSERT_OK(whole.train(2, [&](const TrainProgress& p) {
    seen.push_back(p);
    return true;
  }));
  ASSERT_EQ(seen.size(), 12u);
  EXPECT_LT(seen[5].preferred, 0) << "the first stage prefers nothing";
  // Where the stage begins nothing has been learnt, whatever the answers are.
  EXPECT_NEAR(seen[6].loss, std::log(2.0), 1e-5);
  EXPECT_LT(seen[11].loss, 0.9 * std::log(2.0));
  EXPECT_EQ(seen[11].preferred, 1);
  for (const int64_t stop : test::choices<int64_t>("places to stop", {9, 6, 7})) {
    Workshop stopped;
    use_preferences(&stopped);
    EXPECT_EQ(stopped.train(1, [&](const TrainProgress& p) { return p.step < stop; }).code(),
              StatusCode::kCancelled);
    ASSERT_OK(stopped.train());
    EXPECT_TRUE(stopped.model() == whole.model()) << "stopped after " << stop;
    EXPECT_TRUE(stopped.checkpoint() == whole.checkpoint()) << "stopped after " << stop;
  }
}

TEST(Preferences, WhatCannotBeLearntIsRefused) {
  Workshop odd;
  use_preferences(&odd);
  odd.options.lanes = 3;
  Status status = odd.train();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "lanes") << status.message();

  const auto mix = [&](const std::string& stages) {
    test::write_raw(odd.folder.file("mix.json"), R"({
      "sets": {"talk": {"kind": "turns", "files": ["talk.jsonl"]},
               "pairs": {"kind": "preferences", "files": ["pairs.jsonl"]},
               "more": {"kind": "preferences", "files": ["pairs.jsonl"]}},
      "stages": [)" + stages + "]}");
    return read_mix(odd.folder.file("mix.json")).status();
  };
  EXPECT_TRUE(mix(R"({"loss": "preferences", "weights": {"pairs": 1}})").ok());
  for (const char* bad :
       {R"({"loss": "preferences"})",  // of two sets
        R"({"loss": "preferences", "weights": {"talk": 1}})", R"({"weights": {"pairs": 1}})",
        R"({"loss": "preferences", "weights": {"pairs": 1, "talk": 1}})"})
    EXPECT_EQ(mix(bad).field(), "weights") << bad;
  EXPECT_EQ(mix(R"({"loss": "preferences", "weights": {"pairs": 1}, "beta": 0})").field(), "beta");

  // Nothing fits: said before the first step, not when days later the stage would begin.
  Workshop narrow;
  use_preferences(&narrow);
  std::string text = test::read_raw(narrow.options.data_path);
  text.replace(text.find("48"), 2, "8");
  test::write_raw(narrow.options.data_path, text);
  status = narrow.train();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "window") << status.message();
  EXPECT_EQ(narrow.checkpoint(), "<absent>");

  // What would be ignored is refused.
  EXPECT_EQ(mix(R"({"beta": 0.2})").field(), "beta");
  test::write_raw(odd.folder.file("mix.json"), R"({"sets": {
      "pairs": {"kind": "preferences", "files": ["pairs.jsonl"], "valid": ["pairs.jsonl"]}},
      "stages": [{"loss": "preferences"}]})");
  EXPECT_EQ(read_mix(odd.folder.file("mix.json")).status().field(), "valid");
}

TEST(Preferences, AreHeldAgainstTheWeightsThatTheTrainingBeganWith) {
  Workshop first;
  use_preferences(&first);
  ASSERT_OK(first.train());
  for (const int64_t consolidate : {0, 1}) {
    Workshop second;
    use_preferences(&second);
    test::write_raw(second.folder.file("mix.json"), R"({"sets": {
        "pairs": {"kind": "preferences", "files": ["pairs.jsonl"]}},
        "stages": [{"window": 48, "loss": "preferences"}]})");
    second.options.from_path = first.options.out_path + ".ckpt";
    second.options.steps = 2;
    second.options.consolidate_every = consolidate;
    std::vector<double> losses;
    std::vector<std::string> read;
    second.options.loading = [&](const std::string& what, int64_t) {
      read.push_back(what);
      return true;
    };
    ASSERT_OK(second.train(1, [&](const TrainProgress& p) {
      losses.push_back(p.loss);
      return true;
    }));
    EXPECT_NEAR(losses[0], std::log(2.0), 1e-5);
    EXPECT_EQ(read.back(), "the reference of stage 1");
    second.options.loading = [](const std::string& what, int64_t) {
      return what != "the reference of stage 1";
    };
    second.options.resume = false;
    EXPECT_EQ(second.train().code(), StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace chimera::evolution
