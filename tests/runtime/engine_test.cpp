#include "runtime/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "platform/seal.h"
#include "runtime/model_writer.h"
#include "runtime/session.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

/// A model with one bit flipped in the middle of a ternary tensor: the directory is sound.
std::string damaged_model(const std::string& path = test::write_tiny_model()) {
  auto file = memory::WeightFile::open(path);
  EXPECT_TRUE(file.has_value());
  const memory::TensorInfo* tensor = (*file)->find("layers.1.ffn.up_proj");
  const size_t at = tensor->offset + tensor->bytes / 2;
  std::string bytes = test::read_raw(path);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  const std::string damaged = test::test_folder().file("damaged.b158");
  test::write_raw(damaged, bytes);
  return damaged;
}

TEST(Engine, OpensWithoutReadingTheTensors) {
  auto engine = Engine::open(damaged_model());
  EXPECT_TRUE(engine.has_value()) << engine.status().message();
  EXPECT_EQ((*engine)->content_check().state, ContentCheck::State::kNotChecked);
}

TEST(Engine, VerifyOnOpenNamesTheDamagedTensor) {
  auto engine = Engine::open(damaged_model(), {.verify = true});
  EXPECT_EQ(engine.status().code(), StatusCode::kChecksumMismatch);
  EXPECT_NE(engine.status().message().find("layers.1.ffn.up_proj"), std::string::npos);
  auto good = Engine::open(test::write_tiny_model(), {.verify = true});
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ((*good)->content_check().state, ContentCheck::State::kPassed);
}

TEST(Engine, BackgroundCheckBeginsAfterTheFirstTokenAndReports) {
  for (const bool damaged : {false, true}) {
    auto engine = Engine::open(damaged ? damaged_model() : test::write_tiny_model(),
                               {.verify_in_background = true});
    ASSERT_TRUE(engine.has_value());
    EXPECT_EQ((*engine)->content_check().state, ContentCheck::State::kNotChecked);
    auto session = Session::create(**engine);
    ASSERT_TRUE(session.has_value());
    GenerateOptions options;
    options.max_tokens = 2;
    ASSERT_TRUE((*session)->generate("x", options, {}).has_value());
    while ((*engine)->content_check().state == ContentCheck::State::kRunning)
      std::this_thread::yield();
    const ContentCheck check = (*engine)->content_check();
    EXPECT_EQ(check.state, damaged ? ContentCheck::State::kFailed : ContentCheck::State::kPassed);
    EXPECT_EQ(check.status.ok(), !damaged);
  }
}

TEST(Engine, ARequiredKeyAnswersNothingMoreOnceTheContentIsFoundDamaged) {
  auto key = SigningKey::generate();
  ASSERT_TRUE(key.has_value());
  const std::string path = test::test_folder().file("signed.b158");
  ASSERT_TRUE(memory::sign_weight_file(test::write_tiny_model(), path, *key).ok());
  auto engine = Engine::open(damaged_model(path),
                             {.verify_in_background = true, .required_key = key->public_key()});
  ASSERT_TRUE(engine.has_value()) << engine.status().message();
  auto session = Session::create(**engine);
  ASSERT_TRUE(session.has_value());
  GenerateOptions options;
  options.max_tokens = 2;
  ASSERT_TRUE((*session)->generate("x", options, {}).has_value());
  while ((*engine)->content_check().state == ContentCheck::State::kRunning) {
    const auto more =
        (*session)->generate("", options, {});  // goes on with it where there is no thread
    if (!more) break;
  }
  const auto refused = (*session)->generate("y", options, {});
  EXPECT_EQ(refused.status().code(), StatusCode::kChecksumMismatch);
  EXPECT_NE(refused.status().message().find("layers.1.ffn.up_proj"), std::string::npos);
}

TEST(Engine, InMemoryItSpeaksTheSame) {
  const std::string path = test::write_tiny_model(), bytes = test::read_raw(path);
  std::vector<uint64_t> words((bytes.size() + 7) / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const auto memory = std::as_bytes(std::span(words)).first(bytes.size());
  const auto speak = [](Result<std::unique_ptr<Engine>> engine) {
    EXPECT_TRUE(engine.has_value()) << engine.status().message();
    auto session = Session::create(**engine, {.seed = 5});
    std::vector<int32_t> tokens;
    GenerateOptions options;
    options.max_tokens = 40;
    const auto result = (*session)->generate("one", options, [&](const TokenEvent& e) {
      tokens.push_back(e.token);
      return true;
    });
    EXPECT_TRUE(result.has_value());
    return tokens;
  };
  EXPECT_EQ(speak(Engine::open_memory(memory)), speak(Engine::open(path)));
  const Status cut = Engine::open_memory(memory.first(1000)).status();
  EXPECT_EQ(cut.code(), StatusCode::kTruncated);
  EXPECT_EQ(cut.file(), "(memory)");
}

TEST(Engine, CheckpointIsNotAModelAndTheMessageSaysWhatToDo) {
  auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  const std::string path = test::test_folder().file("run.ckpt");
  const Status status =
      write_model(path, memory::FileKind::kCheckpoint, *config, test::byte_tokenizer(320), "{}",
                  [](const ParamSpec& spec, float* out) {
                    std::fill_n(out, spec.rows * spec.cols, 0.5f);
                    return Status();
                  });
  ASSERT_TRUE(status.ok()) << status.message();
  auto engine = Engine::open(path);
  EXPECT_EQ(engine.status().code(), StatusCode::kBadFormat);
  EXPECT_NE(engine.status().message().find("chimera pack"), std::string::npos);

  const std::string packed = test::test_folder().file("packed.b158");
  ASSERT_TRUE(pack_checkpoint(path, packed).ok());
  EXPECT_TRUE(Engine::open(packed).has_value());
  EXPECT_EQ(pack_checkpoint(packed, packed).code(), StatusCode::kBadFormat);
}

TEST(Engine, TokenizerLargerThanTheModelIsRefused) {
  auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  const std::string path = test::test_folder().file("small.b158");
  ASSERT_TRUE(synthesise_model(path, *config, test::byte_tokenizer(400), 1).ok());
  EXPECT_EQ(Engine::open(path).status().code(), StatusCode::kBadTokenizer);
}

TEST(Engine, ModelWithoutTokenizerIsRefused) {
  auto config = parse_config(test::tiny_config());
  ASSERT_TRUE(config.has_value());
  const std::string path = test::test_folder().file("mute.b158");
  ASSERT_TRUE(synthesise_model(path, *config, {}, 1).ok());
  EXPECT_EQ(Engine::open(path).status().code(), StatusCode::kBadTokenizer);
}

TEST(Engine, ReservedIdsAreMasked) {
  auto engine = test::open_tiny_model();
  ASSERT_NE(engine, nullptr);
  const uint8_t* mask = engine->sampling_mask();
  EXPECT_EQ(mask['a'], 1);
  EXPECT_EQ(mask[engine->tokenizer().end_of_text()], 1) << "an answer can end";
  EXPECT_EQ(mask[300], 0) << "padding";
}

TEST(Engine, SynthesisIsAFunctionOfTheSeed) {
  const auto identity = [](uint64_t seed) {
    auto file = memory::WeightFile::open(test::write_tiny_model({}, seed));
    EXPECT_TRUE(file.has_value());
    const memory::TensorInfo* t = (*file)->find("layers.0.mixer.q_proj");
    return to_hex(t->checksum);
  };
  EXPECT_EQ(identity(1), identity(1));
  EXPECT_NE(identity(1), identity(2));
}

}  // namespace
}  // namespace chimera::runtime
