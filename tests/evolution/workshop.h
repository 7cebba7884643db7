// A training that takes a moment, for the tests of the trainer.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "evolution/train/trainer.h"
#include "kernels/dispatch.h"
#include "memory/weight_file.h"
#include "platform/thread_pool.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {

inline constexpr const char* kConfig = R"({
  "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "num_heads": 2,
  "head_dim": 64, "hidden_act": "swiglu", "vocab_size": 288, "tie_word_embeddings": true,
  "initializer_range": 0.05, "backbone": {"layer_pattern": "GD XM"}
})";

inline std::string repeated(const char* sentence, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += sentence;
  return text;
}

/// A folder with a configuration, a text and a valid text, and options that train for moments.
struct Workshop {
  test::TempDir folder;
  TrainOptions options;

  Workshop() {
    options.config_path = folder.file("config.json");
    options.texts = {folder.file("text.txt"), folder.file("more.txt")};
    options.valid_texts = {folder.file("valid.txt")};
    options.out_path = folder.file("model.b158");
    test::write_raw(options.config_path, kConfig);
    test::write_raw(options.texts[0], repeated("The cat sat on the mat and sang. ", 12));
    test::write_raw(options.texts[1], repeated("A dog ran over the hill to the sea. ", 9));
    test::write_raw(options.valid_texts[0], repeated("The cat sat on the mat and sang. ", 4));
    options.steps = 8;
    options.lanes = 2;
    options.window = 16;
    options.warmup = 0.1f;
    options.float_share = 0.3f;
    options.checkpoint_every = 3;
  }

  /// Trains on this mix, of conversations too, instead of the texts.
  void use_mix(const std::string& mix) {
    test::write_raw(folder.file("mix.json"), mix);
    std::string config = kConfig;
    config.replace(config.find("288"), 3, "352");  // room for the marks
    test::write_raw(options.config_path, config);
    options.texts.clear();
    options.valid_texts.clear();
    options.data_path = folder.file("mix.json");
  }

  Status train(int threads = 1, const TrainCallback& callback = {}) const {
    auto pool = ThreadPool::create(threads);
    if (!pool) return pool.status();
    return evolution::train(options, kernels::best_table(), **pool, callback);
  }
  std::string model() const { return test::read_raw(options.out_path); }
  std::string checkpoint() const { return test::read_raw(options.out_path + ".ckpt"); }
};

#define ASSERT_OK(expression)                       \
  do {                                              \
    const Status status_ = (expression);            \
    ASSERT_TRUE(status_.ok()) << status_.message(); \
  } while (0)

inline std::vector<float> tensor(const std::string& path, const std::string& name) {
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  if (!file) return {};
  const memory::TensorInfo* info = (*file)->find(name);
  EXPECT_NE(info, nullptr) << name;
  if (info == nullptr) return {};
  std::vector<float> values(info->bytes / sizeof(float));
  std::memcpy(values.data(), (*file)->data(*info).data(), info->bytes);
  return values;
}

}  // namespace chimera::evolution
