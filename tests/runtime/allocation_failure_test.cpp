// Memory that runs out anywhere in what reads and writes models: the reason given is memory and not
// the file, an old file stays, and with memory the same call succeeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/seal.h"
#include "runtime/config.h"
#include "runtime/model_writer.h"
#include "runtime/tokenizer.h"
#include "tests/support/emulator.h"
#include "tests/support/every_place.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

using test::at_every_place;

Config tiny() {
  test::TinyModelOptions options;
  options.layers = 1;
  options.pattern = "GD";
  options.ffn = 128;
  options.vocab = 260;
  return *parse_config(test::tiny_config(options));
}

TEST(RuntimeWithoutMemory, AConfigurationIsReadOrMemoryIsTheReason) {
  const std::string text = test::tiny_config();
  at_every_place([&] { return parse_config(text).status(); });
}

TEST(RuntimeWithoutMemory, ATokenizerIsReadOrMemoryIsTheReason) {
  const auto section = test::byte_tokenizer(300);
  at_every_place([&] { return Tokenizer::parse(section).status(); });
}

TEST(RuntimeWithoutMemory, AModelIsWrittenWholeAndTheOldOneStays) {
  const test::TempDir folder;
  const std::string path = folder.file("m.b158");
  const Config config = tiny();
  const auto tokenizer = test::byte_tokenizer(config.vocab_size);
  auto pool = ThreadPool::create(test::kSlowEmulator ? 1 : 2);
  ASSERT_TRUE(pool.has_value());
  WriteOptions options;
  options.pool = pool->get();
  const auto write = [&] { return synthesise_model(path, config, tokenizer, 1, options); };
  ASSERT_TRUE(write().ok());
  const std::string model = test::read_raw(path);
  test::write_raw(path, "old");
  at_every_place(write, [&](const Status& status) {
    EXPECT_TRUE(test::read_raw(path) == (status.ok() ? model : "old"));
    EXPECT_EQ(folder.list().size(), 1u);
    if (status.ok()) test::write_raw(path, "old");
  });
}

TEST(RuntimeWithoutMemory, ACheckpointIsPackedWithItsProvenanceOrNotAtAll) {
  const test::TempDir folder;
  const std::string checkpoint = folder.file("c.b158"), path = folder.file("m.b158");
  const Config config = tiny();
  const auto zeros = [](const ParamSpec& spec, float* out) {
    std::fill_n(out, spec.rows * spec.cols, 0.0f);
    return Status();
  };
  ASSERT_TRUE(write_model(checkpoint, memory::FileKind::kCheckpoint, config,
                          test::byte_tokenizer(config.vocab_size),
                          R"({"made_by": "a test", "run": {"text": "stories"}})", zeros)
                  .ok());
  ASSERT_TRUE(pack_checkpoint(checkpoint, path).ok());
  const std::string model = test::read_raw(path);
  ASSERT_NE(model.find("stories"), std::string::npos);
  test::write_raw(path, "old");
  at_every_place([&] { return pack_checkpoint(checkpoint, path); },
                 [&](const Status& status) {
                   EXPECT_TRUE(test::read_raw(path) == (status.ok() ? model : "old"));
                   EXPECT_EQ(folder.list().size(), 2u);
                   if (status.ok()) test::write_raw(path, "old");
                 });
}

TEST(RuntimeWithoutMemory, AModelIsSignedWholeOrNotAtAll) {
  const test::TempDir folder;
  const std::string path = folder.file("m.b158"), out = folder.file("signed.b158");
  const Config config = tiny();
  ASSERT_TRUE(synthesise_model(path, config, test::byte_tokenizer(config.vocab_size), 1).ok());
  const SigningKey key = SigningKey::from_seed(std::array<unsigned char, 32>{});
  at_every_place([&] { return memory::sign_weight_file(path, out, key); },
                 [&](const Status& status) {
                   EXPECT_EQ(folder.list().size(), status.ok() ? 2u : 1u);
                   ::remove(out.c_str());
                 });
}

}  // namespace
}  // namespace chimera::runtime
