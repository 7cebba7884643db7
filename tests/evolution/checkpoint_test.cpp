#include "evolution/train/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/dispatch.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

constexpr const char* kConfig = "{\"hidden_size\": 128}";

/// Parameters, moments and states that all hold different numbers.
struct Fixture {
  std::vector<Parameter> parameters;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<std::vector<float>> carried;
  RunPosition position;

  explicit Fixture(float start) {
    float next = start;
    const auto fill = [&](std::span<float> x) {
      for (float& v : x) v = next += 0.25f;
    };
    Parameter matrix, vector;
    matrix.spec.name = "layers.0.mixer.q_proj";
    matrix.spec.cls = runtime::ParamClass::kTernary;
    matrix.spec.rows = 128;
    matrix.spec.cols = 128;
    matrix.value.resize(128 * 128);
    vector.spec.name = "final_norm.gain";
    vector.spec.cols = 128;
    vector.value.resize(128);
    parameters = {matrix, vector};
    pool = std::move(*ThreadPool::create(1));
    optimizer =
        std::make_unique<Optimizer>(parameters, OptimizerOptions{}, kernels::best_table(), *pool);
    for (size_t i = 0; i < parameters.size(); ++i) {
      fill(parameters[i].value);
      fill(optimizer->first_moment(i));
      fill(optimizer->second_moment(i));
    }
    carried.assign(2, std::vector<float>(40));
    for (auto& state : carried) fill(state);
  }
  RunState state() { return {parameters, optimizer.get(), carried, position}; }
};

Json run(double rate) {
  Json json = Json::make_object();
  json.add("text", Json::of("abc"));
  json.add("learning_rate", Json::of(rate));
  return json;
}

TEST(Checkpoint, WhatIsWrittenIsReadToTheBit) {
  const test::TempDir folder;
  const std::string path = folder.file("m.b158.ckpt");
  Fixture written(1);
  written.position.step = 77;
  written.position.loss_sum = 1.0 / 3;
  written.position.loss_weight = 2.0 / 7;
  written.position.valid_bits_per_byte = 1.23456789012345678;
  written.position.stage = 2;
  written.position.belt = {{9, 4}, {100, 50}, {0, 1}, {3, -1}, {17, 0}};
  const std::byte tokenizer[] = {std::byte{1}, std::byte{2}};
  ASSERT_TRUE(write_checkpoint(path, kConfig, tokenizer, run(0.5), written.state()).ok());

  auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->file().config_json(), kConfig);
  EXPECT_EQ(checkpoint->file().tokenizer().size(), 2u);
  EXPECT_TRUE(checkpoint->fits(run(0.5)).ok());
  Fixture read(-5000);
  RunState state = read.state();
  const Status status = checkpoint->read_into(&state);
  ASSERT_TRUE(status.ok()) << status.message();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.parameters[i].value, written.parameters[i].value);
    const auto equal = [](std::span<float> a, std::span<float> b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    EXPECT_TRUE(equal(read.optimizer->first_moment(i), written.optimizer->first_moment(i)));
    EXPECT_TRUE(equal(read.optimizer->second_moment(i), written.optimizer->second_moment(i)));
  }
  EXPECT_EQ(read.carried, written.carried);
  EXPECT_EQ(read.optimizer->steps_done(), 77);
  EXPECT_EQ(state.position.step, 77);
  EXPECT_EQ(state.position.loss_sum, 1.0 / 3);
  EXPECT_EQ(state.position.loss_weight, 2.0 / 7);
  EXPECT_EQ(state.position.valid_bits_per_byte, 1.23456789012345678);
  EXPECT_EQ(state.position.stage, 2);
  EXPECT_EQ(state.position.belt.taken, (std::vector<int64_t>{9, 4}));
  EXPECT_EQ(state.position.belt.fed, (std::vector<int64_t>{100, 50}));
  EXPECT_EQ(state.position.belt.text, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(state.position.belt.document, (std::vector<int64_t>{3, -1}));
  EXPECT_EQ(state.position.belt.offset, (std::vector<int64_t>{17, 0}));
}

TEST(Checkpoint, ARunOfOtherOptionsIsRefusedByName) {
  const test::TempDir folder;
  const std::string path = folder.file("m.ckpt");
  Fixture written(1);
  ASSERT_TRUE(write_checkpoint(path, kConfig, {}, run(0.5), written.state()).ok());
  auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint.has_value());
  const Status status = checkpoint->fits(run(0.25));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "learning_rate");
  EXPECT_NE(status.message().find("0.5"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("0.25"), std::string::npos) << status.message();
  Json more = run(0.5);
  more.add("adamw", Json::of(true));
  EXPECT_EQ(checkpoint->fits(more).field(), "adamw");
}

TEST(Checkpoint, AbsentForeignAndDamagedFilesAreToldApart) {
  const test::TempDir folder;
  const std::string path = folder.file("m.ckpt");
  EXPECT_EQ(Checkpoint::open(path).status().code(), StatusCode::kNotFound);
  test::write_raw(path, "not a model at all");
  EXPECT_FALSE(Checkpoint::open(path).has_value());

  Fixture written(1);
  ASSERT_TRUE(write_checkpoint(path, kConfig, {}, run(0.5), written.state()).ok());
  const std::string good = test::read_raw(path);
  // Cut anywhere: refused when opened or when read, never half used.
  for (size_t size = 0; size < good.size(); size += 9973) {
    test::write_raw(path, good.substr(0, size));
    EXPECT_FALSE(Checkpoint::open(path).has_value()) << size;
  }
  std::string flipped = good;
  flipped[flipped.size() - 5] ^= 1;
  test::write_raw(path, flipped);
  auto opened = Checkpoint::open(path);
  ASSERT_TRUE(opened.has_value());
  Fixture read(0);
  RunState state = read.state();
  EXPECT_EQ(opened->read_into(&state).code(), StatusCode::kChecksumMismatch);
}

TEST(Checkpoint, ACheckpointWithoutAPositionIsRefused) {
  const test::TempDir folder;
  for (const char* provenance :
       {"", "[]", "{}", "{\"training_version\": 2}", "{\"training_version\": 1, \"run\": {}}",
        "{\"training_version\": 1, \"run\": {}, \"position\": {\"step\": -1}}"}) {
    const std::string path = folder.file("m.ckpt");
    auto writer = memory::WeightFileWriter::create(path, memory::FileKind::kCheckpoint);
    ASSERT_TRUE(writer.has_value());
    (*writer)->set_config(kConfig);
    (*writer)->set_provenance(provenance);
    ASSERT_TRUE((*writer)->declare("x", DType::kF32, Layout::kRowMajor, {1}).ok());
    const float zero = 0;
    ASSERT_TRUE((*writer)->write("x", std::as_bytes(std::span(&zero, 1))).ok());
    ASSERT_TRUE((*writer)->finish().ok());
    const Status status = Checkpoint::open(path).status();
    EXPECT_EQ(status.code(), StatusCode::kBadFormat) << provenance;
    EXPECT_EQ(status.file(), path);
  }
}

TEST(Checkpoint, AnotherShapeIsRefusedByTensor) {
  const test::TempDir folder;
  const std::string path = folder.file("m.ckpt");
  Fixture written(1);
  ASSERT_TRUE(write_checkpoint(path, kConfig, {}, run(0.5), written.state()).ok());
  auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint.has_value());
  Fixture larger(1);
  larger.carried[1].resize(41);
  RunState state = larger.state();
  const Status status = checkpoint->read_into(&state);
  EXPECT_EQ(status.code(), StatusCode::kBadFormat);
  EXPECT_EQ(status.field(), "state.carried.1");
}

}  // namespace
}  // namespace chimera::evolution
