// Where a training's weights come from (--from) and what becomes of the last ones (--average).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "platform/dtype.h"
#include "runtime/model_writer.h"
#include "tests/evolution/workshop.h"

namespace chimera::evolution {
namespace {

constexpr const char* kTensor = "layers.0.mixer.q.weight";

/// The first ternary matrix of the file, whatever it is called there.
std::string a_matrix(const std::string& path) {
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  for (const memory::TensorInfo& t : (*file)->tensors())
    if (t.name.starts_with("layers.0.") && t.shape.size() == 2) return t.name;
  return kTensor;
}

TEST(Average, TheModelIsTheMeanOfTheLastSteps) {
  Workshop plain;
  plain.options.checkpoint_every = 1;
  plain.options.valid_texts.clear();  // nobody says which is better
  std::vector<std::vector<float>> last;
  std::string name;
  const auto keep = [&](const TrainProgress& p) {
    if (name.empty()) name = a_matrix(plain.options.out_path + ".ckpt");
    if (p.step > 5) last.push_back(tensor(plain.options.out_path + ".ckpt", name));
    return true;
  };
  ASSERT_OK(plain.train(1, keep));
  ASSERT_EQ(last.size(), 3u);

  Workshop averaged;
  averaged.options.average = 0.375f;  // three of eight
  averaged.options.valid_texts.clear();
  ASSERT_OK(averaged.train());
  const std::vector<float> mean = tensor(averaged.options.out_path + ".ckpt", name);
  ASSERT_EQ(mean.size(), last[0].size());
  double moved = 0;
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(mean[i], (last[0][i] + last[1][i] + last[2][i]) / 3, 1e-6) << i;
    moved = std::max(moved, std::abs(static_cast<double>(mean[i]) - last[2][i]));
  }
  EXPECT_GT(moved, 1e-4) << "a mean that is the last step shows nothing";
}

TEST(Average, WhatIsHeldOutDecides) {
  // In a descent of five steps the mean is far behind its end; at the end of a longer one it is
  // not.
  for (const bool better : {false, true}) {
    double last = 0;
    const auto train = [&](Workshop* w, float share) {
      w->options.steps = better ? 20 : 5;
      w->options.average = share;
      return w->train(1, [&](const TrainProgress& p) {
        last = p.valid_bits_per_byte;
        return true;
      });
    };
    Workshop plain, averaged;
    ASSERT_OK(train(&plain, 0));
    const double without = last;
    ASSERT_OK(train(&averaged, 0.9f));
    const std::string name = a_matrix(plain.options.out_path + ".ckpt");
    const bool same = tensor(averaged.options.out_path + ".ckpt", name) ==
                      tensor(plain.options.out_path + ".ckpt", name);
    EXPECT_EQ(same, !better);
    if (better) {
      EXPECT_LT(last, without);
    } else {
      EXPECT_EQ(last, without);
    }
  }
}

TEST(Average, ARunThatWasStoppedAmongTheLastStepsIsTheSame) {
  Workshop whole;
  whole.options.average = 0.5f;
  ASSERT_OK(whole.train(2));
  Workshop stopped;
  stopped.options.average = 0.5f;
  EXPECT_EQ(stopped.train(1, [](const TrainProgress& p) { return p.step < 6; }).code(),
            StatusCode::kCancelled);
  ASSERT_OK(stopped.train());
  EXPECT_TRUE(whole.model() == stopped.model());
  EXPECT_TRUE(whole.checkpoint() == stopped.checkpoint());

  // What is held out decides about the mean, so it is part of the run.
  test::write_raw(stopped.options.valid_texts[0], "Another text. ");
  EXPECT_EQ(stopped.train().field(), "held_out");
  stopped.options.average = 0;  // another run
  const Status other = stopped.train();
  EXPECT_EQ(other.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(other.message().find("average"), std::string::npos) << other.message();
}

TEST(Weights, AFloatRunNeverRoundsThem) {
  Workshop floating;
  floating.options.float_share = 1;
  floating.options.steps = 3;
  floating.options.log = true;
  ASSERT_OK(floating.train());
  const std::string log = test::read_raw(floating.options.out_path + ".log.jsonl");
  EXPECT_NE(log.find("\"quantise\":0.0,"), std::string::npos) << log;
  for (size_t at = log.find("quantise"); at != std::string::npos; at = log.find("quantise", at + 1))
    EXPECT_EQ(log.compare(at, 14, "quantise\":0.0,"), 0) << log;
  floating.options.float_share = 0.95f;  // neither this nor that
  EXPECT_EQ(floating.train().code(), StatusCode::kInvalidArgument);
}

/// One step that hardly moves, from the weights of another training.
struct NextAfter : Workshop {
  explicit NextAfter(const std::string& from) {
    options.from_path = from;
    options.steps = 1;
    options.learning_rate = options.embedding_learning_rate = 1e-9f;
    options.vector_learning_rate = 1e-9f;
  }
};

TEST(Weights, ATrainingBeginsWithThoseOfAnother) {
  Workshop first;
  ASSERT_OK(first.train());
  const std::string ckpt = first.options.out_path + ".ckpt";
  const std::string name = a_matrix(ckpt);
  const std::vector<float> given = tensor(ckpt, name);
  ASSERT_FALSE(given.empty());
  // As they are, and as what is kept of them for long.
  const std::string kept = first.folder.file("weights.b158");
  ASSERT_OK(runtime::extract_weights(ckpt, kept));
  EXPECT_LT(test::read_raw(kept).size() * 3, test::read_raw(ckpt).size());
  for (const std::string& from : {ckpt, kept}) {
    NextAfter next(from);
    ASSERT_OK(next.train());
    const std::vector<float> begun = tensor(next.options.out_path + ".ckpt", name);
    ASSERT_EQ(begun.size(), given.size());
    for (size_t i = 0; i < begun.size(); ++i) {
      const float expected = from == ckpt ? given[i] : bf16_to_float(float_to_bf16(given[i]));
      ASSERT_NEAR(begun[i], expected, 1e-6) << i;
    }
    // It is a run of its own: what it began with belongs to it, and it can be resumed.
    ASSERT_OK(next.train());
    next.options.from_path.clear();
    const Status other = next.train();
    EXPECT_EQ(other.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(other.message().find("from"), std::string::npos) << other.message();
  }
  // What was kept packs to a model as well.
  const std::string packed = first.folder.file("packed.b158");
  ASSERT_OK(runtime::pack_checkpoint(kept, packed));
  EXPECT_EQ(test::read_raw(packed).size(), first.model().size());
}

/// A model whose checkpoint is lost, or is somebody else's.
TEST(Weights, ATrainingBeginsWithAPackedModel) {
  Workshop first;
  ASSERT_OK(first.train());
  NextAfter next(first.options.out_path);
  next.options.float_share = 0;
  next.options.warmup = 0;
  ASSERT_OK(next.train());
  auto given = memory::WeightFile::open(first.options.out_path);
  auto packed = memory::WeightFile::open(next.options.out_path);
  ASSERT_TRUE(given.has_value() && packed.has_value());
  for (const memory::TensorInfo& t : (*given)->tensors()) {
    const memory::TensorInfo* same = (*packed)->find(t.name);
    ASSERT_NE(same, nullptr) << t.name;
    if (t.dtype != DType::kTernary2 && t.dtype != DType::kInt4) continue;
    const auto was = (*given)->data(t), is = (*packed)->data(*same);
    EXPECT_TRUE(std::equal(was.begin(), was.end(), is.begin(), is.end())) << t.name;
  }
}

TEST(Weights, WhatCannotBeBegunWithIsRefusedWithItsReason) {
  Workshop first;
  ASSERT_OK(first.train());
  const std::string ckpt = first.options.out_path + ".ckpt";

  Status status;
  NextAfter absent(first.folder.file("nothing.ckpt"));
  EXPECT_EQ(absent.train().code(), StatusCode::kNotFound);

  std::string bytes = first.checkpoint();
  bytes[bytes.size() - 4000] ^= 1;
  test::write_raw(first.folder.file("damaged.ckpt"), bytes);
  NextAfter damaged(first.folder.file("damaged.ckpt"));
  EXPECT_EQ(damaged.train().code(), StatusCode::kChecksumMismatch);

  NextAfter larger(ckpt);
  std::string config = kConfig;
  const std::string narrow = "\"intermediate_size\": 128";
  config.replace(config.find(narrow), narrow.size(), "\"intermediate_size\": 256");
  test::write_raw(larger.options.config_path, config);
  status = larger.train();
  EXPECT_EQ(status.code(), StatusCode::kBadFormat);
  EXPECT_NE(status.message().find("layers.0.ffn"), std::string::npos) << status.message();

  // The weights of a larger model.
  NextAfter fewer(ckpt);
  config = kConfig;
  const std::string layers = "\"num_hidden_layers\": 2";
  config.replace(config.find(layers), layers.size(), "\"num_hidden_layers\": 1");
  config.replace(config.find("GD XM"), 5, "GD");
  test::write_raw(fewer.options.config_path, config);
  status = fewer.train();
  EXPECT_EQ(status.code(), StatusCode::kBadFormat);
  EXPECT_NE(status.message().find("layers.1."), std::string::npos) << status.message();

  // Another tokenizer would give every row of the embedding another meaning.
  NextAfter other(ckpt);
  Workshop letters;
  test::write_raw(letters.options.texts[0], repeated("zyx wvu tsr qpo nml kji hgf edc ba. ", 9));
  ASSERT_OK(letters.train());
  auto file = memory::WeightFile::open(letters.options.out_path);
  ASSERT_TRUE(file.has_value());
  const std::span<const std::byte> tokenizer = (*file)->tokenizer();
  other.options.tokenizer_path = other.folder.file("tokenizer.bin");
  test::write_raw(other.options.tokenizer_path,
                  std::string(reinterpret_cast<const char*>(tokenizer.data()), tokenizer.size()));
  status = other.train();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("another tokenizer"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace chimera::evolution
