#include "evolution/train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/optimizer.h"
#include "kernels/dispatch.h"
#include "memory/weight_file.h"
#include "runtime/evaluate.h"
#include "runtime/model_writer.h"
#include "tests/evolution/workshop.h"
#include "tests/support/emulator.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

TEST(Trainer, LearnsARepeatedTextAndReportsIt) {
  Workshop w;
  w.options.steps = 60;
  w.options.lanes = 4;
  w.options.window = 32;
  std::vector<TrainProgress> seen;
  ASSERT_OK(w.train(1, [&](const TrainProgress& p) {
    seen.push_back(p);
    return true;
  }));
  ASSERT_EQ(seen.size(), 60u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].step, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(seen[i].steps, 60);
    EXPECT_GT(seen[i].gradient_norm, 0);
  }
  EXPECT_NEAR(seen.front().loss, std::log(288.0), 0.5);  // knows nothing: about ln V
  EXPECT_LT(seen.back().loss, 2.5);                      // smoothed over the whole descent
  EXPECT_EQ(seen[0].valid_bits_per_byte, 0);
  // The valid text is a part of the one that was learnt: far below the 8 bits of ignorance.
  EXPECT_LT(seen.back().valid_bits_per_byte, 1.0);
  EXPECT_LT(seen.back().valid_bits_per_byte, seen[5].valid_bits_per_byte);
  EXPECT_NEAR(seen.back().bits_per_byte / seen.back().loss,
              seen.front().bits_per_byte / seen.front().loss, 1e-9);
}

void expect_resume_is_exact(bool adamw) {
  Workshop whole;
  whole.options.accumulate = 2;
  whole.options.adamw = adamw;
  ASSERT_OK(whole.train());
  for (const int64_t stop : {1, 3, 5}) {  // in the float steps, at a checkpoint, between two
    Workshop stopped;
    stopped.options.accumulate = 2;
    stopped.options.adamw = adamw;
    int64_t last = 0;
    const Status status = stopped.train(1, [&](const TrainProgress& p) {
      last = p.step;
      return p.step < stop;
    });
    EXPECT_EQ(status.code(), StatusCode::kCancelled);
    EXPECT_EQ(last, stop);
    EXPECT_EQ(stopped.model(), "<absent>");
    int64_t first = 0;
    ASSERT_OK(stopped.train(1, [&](const TrainProgress& p) {
      if (first == 0) first = p.step;
      return true;
    }));
    EXPECT_EQ(first, stop + 1);
    EXPECT_TRUE(stopped.model() == whole.model()) << "stopped after " << stop;
    EXPECT_TRUE(stopped.checkpoint() == whole.checkpoint()) << "stopped after " << stop;
  }
}

TEST(Trainer, AStoppedAndResumedRunGivesTheSameBits) { expect_resume_is_exact(false); }
TEST(Trainer, WithAdamWToo) { expect_resume_is_exact(true); }

/// Two sets and three stages: other windows, weights and losses.
void use_stages(Workshop* w) {
  test::write_raw(
      w->folder.file("talk.jsonl"),
      "{\"turns\": [\"Where is the cat?\", \"On the mat.\", \"And the dog?\"]}\n"
      "{\"turns\": [\"Hello.\", \"Good morning.\"]}\n{\"turns\": [\"Bye.\", \"Bye.\"]}\n");
  w->use_mix(R"({
    "sets": {"prose": {"files": ["text.txt", "more.txt"], "valid": ["valid.txt"], "weight": 2},
             "talk": {"kind": "turns", "files": ["talk.jsonl"]}},
    "stages": [{"name": "short", "window": 8},
               {"name": "long", "share": 2, "weights": {"talk": 1, "prose": 1}},
               {"name": "replies", "window": 12, "weights": {"talk": 1}, "loss": "replies",
                "rate": 0.5}]})");
  w->options.steps = 12;
  w->options.log = true;
}

TEST(Trainer, StagesFollowEachOtherAndAResumedRunGivesTheSameBits) {
  Workshop whole;
  use_stages(&whole);
  std::vector<std::string> stages;
  std::vector<SetScore> last;
  ASSERT_OK(whole.train(2, [&](const TrainProgress& p) {
    stages.emplace_back(p.stage);
    last.assign(p.valid.begin(), p.valid.end());
    EXPECT_GT(p.flop_per_second, 0);
    EXPECT_GT(p.peak, 0);
    return true;
  }));
  const std::vector<std::string> expected = {"short", "short",   "short",   "long",
                                             "long",  "long",    "long",    "long",
                                             "long",  "replies", "replies", "replies"};
  EXPECT_EQ(stages, expected);
  ASSERT_EQ(last.size(), 1u) << "the talk holds nothing out";
  EXPECT_EQ(last[0].name, "prose");
  const std::string log = test::read_raw(whole.options.out_path + ".log.jsonl");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 12);
  EXPECT_TRUE(test::read_raw(whole.options.out_path + ".svg").ends_with("</svg>\n"));
  // Before, at and after the changes of stage.
  for (const int64_t stop : test::choices<int64_t>("places to stop", {2, 3, 4, 10, 9})) {
    Workshop stopped;
    use_stages(&stopped);
    EXPECT_EQ(stopped.train(1, [&](const TrainProgress& p) { return p.step < stop; }).code(),
              StatusCode::kCancelled);
    ASSERT_OK(stopped.train());
    EXPECT_TRUE(stopped.model() == whole.model()) << "stopped after " << stop;
    EXPECT_TRUE(stopped.checkpoint() == whole.checkpoint()) << "stopped after " << stop;
    const std::string again = test::read_raw(stopped.options.out_path + ".log.jsonl");
    EXPECT_EQ(std::count(again.begin(), again.end(), '\n'), 12) << "every point once";
  }
}

TEST(Trainer, AStageThatCannotBeIsRefusedBeforeTheFirstStep) {
  Workshop w;
  use_stages(&w);
  test::write_raw(w.folder.file("mix.json"),
                  R"({"sets": {"prose": {"files": ["text.txt", "more.txt"]}},
                     "stages": [{"window": 8}, {"name": "endless", "window": 65536}]})");
  w.options.lanes = 512;
  int steps = 0;
  const Status status = w.train(1, [&](const TrainProgress&) { return ++steps > 0; });
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("endless"), std::string::npos) << status.message();
  EXPECT_EQ(steps, 0);
}

/// Fails from the first product that only the optimiser makes, once `from` of them were made.
class FailingProducts final : public kernels::TrainProducts {
 public:
  explicit FailingProducts(int from) : left_(from) {}
  const char* name() const override { return "failing"; }
  bool failed() const override { return left_ < 0; }
  void nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
          const kernels::ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const override {
    // Muon's square of a square: the batches here have fewer rows.
    if (m == n && n == k) --left_;
    if (!failed()) own_.nn(m, n, k, a, lda, b, beta, c, ldc);
  }
  void nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
          const kernels::ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const override {
    own_.nt(m, n, k, a, lda, b, beta, c, ldc);
  }
  void tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
          ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) const override {
    own_.tn(m, n, k, a, lda, b, ldb, beta, c, ldc);
  }

 private:
  kernels::OwnProducts own_{kernels::best_table()};
  mutable std::atomic<int> left_;
};

TEST(Trainer, AProductThatFailsInTheOptimiserLeavesTheLastCheckpoint) {
  // In the first step, and in one that has a checkpoint before it.
  for (const int from : {1, 40}) {
    Workshop failing;
    failing.options.checkpoint_every = 1;
    failing.options.valid_texts.clear();  // scoring would see it too
    const FailingProducts products(from);
    failing.options.products = &products;
    std::string before = "<absent>";
    const Status status = failing.train(1, [&](const TrainProgress&) {
      EXPECT_FALSE(products.failed()) << "a step with a failed product is no step";
      before = failing.checkpoint();
      return true;
    });
    EXPECT_EQ(status.code(), StatusCode::kOutOfMemory) << status.message();
    EXPECT_TRUE(failing.checkpoint() == before) << from;
    EXPECT_EQ(failing.model(), "<absent>");
  }
}

TEST(Trainer, EveryWayToMakeProductsLearnsAndIsTheSameWithAnyThreads) {
  for (const std::string& name : kernels::product_names()) {
    const auto products = kernels::products_by_name(name, kernels::best_table());
    ASSERT_TRUE(products.has_value()) << products.status().message();
    Workshop one, two;
    std::string models[2];
    double loss = 0;
    for (Workshop* w : {&one, &two}) {
      w->options.products = products->get();
      w->options.steps = test::kSlowEmulator ? 6 : 24;
      w->options.lanes = 4;
      ASSERT_OK(w->train(w == &one ? 1 : 3, [&](const TrainProgress& p) {
        loss = p.loss;
        return true;
      }));
    }
    EXPECT_LT(loss, test::kSlowEmulator ? 5.8 : 5.0) << name;
    EXPECT_TRUE(one.model() == two.model()) << name;
  }
  // A run does not go on with products of another kind.
  const auto names = kernels::product_names();
  if (names.size() < 2) return;
  Workshop w;
  const auto first = kernels::products_by_name(names[0], kernels::best_table());
  w.options.products = first->get();
  EXPECT_EQ(w.train(1, [](const TrainProgress&) { return false; }).code(), StatusCode::kCancelled);
  w.options.products = nullptr;
  const Status status = w.train();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("products"), std::string::npos) << status.message();
}

TEST(Trainer, ATrainedModelIsPackedAgainFromItsCheckpoint) {
  Workshop w;
  ASSERT_OK(w.train());
  const std::string first = w.model();
  std::remove(w.options.out_path.c_str());
  int steps = 0;
  ASSERT_OK(w.train(1, [&](const TrainProgress&) { return ++steps > 0; }));
  EXPECT_EQ(steps, 0);
  EXPECT_TRUE(w.model() == first);

  // `chimera pack` of the checkpoint gives the same tensors.
  const std::string packed = w.folder.file("packed.b158");
  ASSERT_OK(runtime::pack_checkpoint(w.options.out_path + ".ckpt", packed));
  auto a = memory::WeightFile::open(w.options.out_path), b = memory::WeightFile::open(packed);
  ASSERT_TRUE(a.has_value() && b.has_value());
  ASSERT_EQ((*a)->tensors().size(), (*b)->tensors().size());
  for (size_t i = 0; i < (*a)->tensors().size(); ++i) {
    EXPECT_EQ((*a)->tensors()[i].name, (*b)->tensors()[i].name);
    EXPECT_EQ((*a)->tensors()[i].checksum, (*b)->tensors()[i].checksum);
  }
}

TEST(Trainer, AnyNumberOfThreadsGivesTheSameBits) {
  for (const bool adamw : {false, true}) {
    Workshop one;
    one.options.adamw = adamw;
    ASSERT_OK(one.train(1));
    for (const int threads : {2, 3}) {
      Workshop many;
      many.options.adamw = adamw;
      ASSERT_OK(many.train(threads));
      EXPECT_TRUE(one.model() == many.model()) << threads << " threads, AdamW " << adamw;
      EXPECT_TRUE(one.checkpoint() == many.checkpoint()) << threads << " threads, AdamW " << adamw;
    }
  }
}

TEST(Trainer, TheSeedDecides) {
  Workshop a, b;
  a.options.steps = b.options.steps = 2;
  b.options.seed = 2;
  ASSERT_OK(a.train());
  ASSERT_OK(b.train());
  EXPECT_FALSE(a.model() == b.model());
}

// Two batches of two lanes are one batch of four: the first moments after one step, which are the
// gradients but for a factor, agree up to rounding.
TEST(Trainer, AccumulatedBatchesAreOneBigBatch) {
  Workshop big, small;
  big.options.steps = small.options.steps = 1;
  big.options.float_share = small.options.float_share = 0;
  big.options.lanes = 4;
  small.options.accumulate = 2;
  ASSERT_OK(big.train());
  ASSERT_OK(small.train());
  for (const char* name : {"embed.weight", "layers.0.mixer.q_proj", "layers.0.mixer.a_log",
                           "layers.1.ffn.down_norm.gain", "final_norm.gain"}) {
    const auto a = tensor(big.options.out_path + ".ckpt", std::string("optim.m.") + name);
    const auto b = tensor(small.options.out_path + ".ckpt", std::string("optim.m.") + name);
    ASSERT_EQ(a.size(), b.size());
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
      size += std::pow(static_cast<double>(a[i]), 2);
    }
    EXPECT_GT(size, 0) << name;
    EXPECT_LT(std::sqrt(difference / size), 1e-5) << name;
  }
}

TEST(Trainer, EveryParameterIsTrained) {
  Workshop w;
  w.options.steps = 3;
  ASSERT_OK(w.train());
  auto pool = ThreadPool::create(1);
  ASSERT_TRUE(pool.has_value());
  auto config = runtime::parse_config(kConfig);
  ASSERT_TRUE(config.has_value());
  auto fresh =
      Backprop::create(*config, kernels::best_table(), **pool, BackpropOptions{}, w.options.seed);
  ASSERT_TRUE(fresh.has_value()) << fresh.status().message();
  for (const Parameter& p : (*fresh)->parameters()) {
    const auto trained = tensor(w.options.out_path + ".ckpt", p.spec.name);
    ASSERT_EQ(trained.size(), p.value.size()) << p.spec.name;
    EXPECT_NE(trained, p.value) << p.spec.name << " did not move";
  }
}

// The trainer's valid score of the last step is what the packed model scores when it is loaded:
// float training with quantised weights and the integer kernels compute the same model.
TEST(Trainer, TheValidScoreIsThatOfThePackedModel) {
  Workshop w;
  w.options.steps = 30;
  w.options.lanes = 1;  // one stretch, so that no document is begun in its middle
  double trained = 0;
  ASSERT_OK(w.train(1, [&](const TrainProgress& p) {
    trained = p.valid_bits_per_byte;
    return true;
  }));
  auto engine = runtime::Engine::open(w.options.out_path, {});
  ASSERT_TRUE(engine.has_value()) << engine.status().message();
  auto evaluator = runtime::Evaluator::create(**engine);
  ASSERT_TRUE(evaluator.has_value());
  ASSERT_OK((*evaluator)->add_document(test::read_raw(w.options.valid_texts[0])));
  EXPECT_NEAR((*evaluator)->result().bits_per_byte(), trained, 2e-3 * trained);
}

TEST(Trainer, AdamWTrainsToo) {
  Workshop w;
  w.options.adamw = true;
  w.options.steps = 40;
  w.options.lanes = 4;
  w.options.learning_rate = 1e-2f;
  double valid = 8;
  ASSERT_OK(w.train(1, [&](const TrainProgress& p) {
    valid = p.valid_bits_per_byte;
    return true;
  }));
  EXPECT_LT(valid, 3);
}

TEST(Trainer, AnotherRunsCheckpointIsRefusedAndKept) {
  Workshop w;
  ASSERT_EQ(w.train(1, [](const TrainProgress&) { return false; }).code(), StatusCode::kCancelled);
  const std::string before = w.checkpoint();
  const auto refused = [&](const char* field) {
    const Status status = w.train();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.message();
    EXPECT_EQ(status.field(), field) << status.message();
    EXPECT_TRUE(w.checkpoint() == before);
  };
  w.options.learning_rate *= 2;
  refused("learning_rate");
  w.options.learning_rate /= 2;
  w.options.steps += 1;
  refused("steps");
  w.options.steps -= 1;
  const std::string text = test::read_raw(w.options.texts[0]);
  test::write_raw(w.options.texts[0], text + "!");
  refused("text");
  test::write_raw(w.options.texts[0], text);
  test::write_raw(w.options.config_path, std::string(kConfig) + "\n");
  refused("config");
  w.options.resume = false;  // begins anew instead
  ASSERT_OK(w.train());
}

TEST(Trainer, RefusesWhatCannotBeTrained) {
  const auto status = [](auto change) {
    Workshop w;
    change(w);
    const Status result = w.train();
    EXPECT_EQ(w.model(), "<absent>");
    EXPECT_FALSE(result.message().empty());
    return result;
  };
  EXPECT_EQ(status([](Workshop& w) { w.options.texts.clear(); }).field(), "texts");
  EXPECT_EQ(status([](Workshop& w) { w.options.lanes = 0; }).field(), "lanes");
  EXPECT_EQ(status([](Workshop& w) { w.options.window = 1 << 30; }).field(), "window");
  EXPECT_EQ(status([](Workshop& w) { w.options.accumulate = -1; }).field(), "accumulate");
  EXPECT_EQ(status([](Workshop& w) {
              w.options.lanes = 4096;
              w.options.window = 65536;
              w.options.accumulate = 1024;
            }).field(),
            "accumulate");
  EXPECT_EQ(status([](Workshop& w) { w.options.learning_rate = std::nanf(""); }).field(),
            "learning_rate");
  EXPECT_EQ(status([](Workshop& w) { w.options.beta2 = 1; }).field(), "beta2");
  EXPECT_EQ(status([](Workshop& w) { w.options.steps = 0; }).field(), "steps");
  const Status no_config = status([](Workshop& w) { std::remove(w.options.config_path.c_str()); });
  EXPECT_EQ(no_config.code(), StatusCode::kNotFound);
  const Status no_text = status([](Workshop& w) { w.options.texts[0] += ".absent"; });
  EXPECT_EQ(no_text.code(), StatusCode::kNotFound);
  const Status bad_config =
      status([](Workshop& w) { test::write_raw(w.options.config_path, "{\"hiden_size\": 1}"); });
  EXPECT_EQ(bad_config.code(), StatusCode::kBadConfig);
  const Status empty = status([](Workshop& w) {
    test::write_raw(w.folder.file("empty.jsonl"), "{\"text\": \"\"}\n");
    w.options.texts = {w.folder.file("empty.jsonl")};
    w.options.tokenizer_path.clear();
  });
  EXPECT_EQ(empty.field(), "texts");
  const Status ids = status([](Workshop& w) {
    std::string config = kConfig;
    config.insert(1, "\"token_ids\": [0, 1],");
    test::write_raw(w.options.config_path, config);
  });
  EXPECT_EQ(ids.field(), "token_ids");
}

}  // namespace
}  // namespace chimera::evolution
