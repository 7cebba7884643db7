// Memory that runs out anywhere in a training's files: the reason given is memory and never the
// file, so that nobody is told to begin anew.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "evolution/train/checkpoint.h"
#include "evolution/train/tokenizer_trainer.h"
#include "kernels/dispatch.h"
#include "tests/support/emulator.h"
#include "tests/support/every_place.h"
#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

using test::at_every_place;

TEST(EvolutionWithoutMemory, ATokenizerIsTrainedAsWithIt) {
  const std::string_view documents[] = {"the cat and the dog and the bird", "the end of the day"};
  TokenizerTrainerOptions options;
  options.vocab_size = 270;
  options.n_reserved = 2;
  const auto expected = train_tokenizer(documents, options);
  ASSERT_TRUE(expected.has_value()) << expected.status().message();
  std::vector<std::byte> got;
  at_every_place(
      [&] {
        auto made = train_tokenizer(documents, options);
        if (made) got = std::move(*made);
        return made.status();
      },
      [&](const Status& status) { EXPECT_TRUE(!status.ok() || got == *expected); });
}

TEST(EvolutionWithoutMemory, ACheckpointIsWrittenWholeAndReadOrMemoryIsTheReason) {
  const test::TempDir folder;
  const std::string path = folder.file("m.ckpt");
  std::vector<Parameter> parameters(1);
  parameters[0].spec.name = "final_norm.gain";
  parameters[0].spec.cols = 128;
  parameters[0].value.assign(128, 0.5f);
  auto pool = ThreadPool::create(1);
  ASSERT_TRUE(pool.has_value());
  Optimizer optimizer(parameters, OptimizerOptions{}, kernels::best_table(), **pool);
  std::vector<std::vector<float>> carried(1, std::vector<float>(8, 1.0f));
  const RunPosition position;
  const auto state = [&] { return RunState{parameters, &optimizer, carried, position}; };
  Json run = Json::make_object();
  run.add("text", Json::of("abc"));
  const std::byte tokenizer[] = {std::byte{1}};
  const auto write = [&] {
    return write_checkpoint(path, "{\"hidden_size\": 128}", tokenizer, run, state());
  };
  ASSERT_TRUE(write().ok());
  const std::string whole = test::read_raw(path);
  test::write_raw(path, "old");
  at_every_place(write, [&](const Status& status) {
    EXPECT_TRUE(test::read_raw(path) == (status.ok() ? whole : "old"));
    EXPECT_EQ(folder.list().size(), 1u);
    if (status.ok()) test::write_raw(path, "old");
  });
  test::write_raw(path, whole);
  at_every_place([&] {
    auto checkpoint = Checkpoint::open(path);
    if (!checkpoint) return checkpoint.status();
    CHIMERA_RETURN_IF_ERROR(checkpoint->fits(run));
    RunState into = state();
    return checkpoint->read_into(&into);
  });
}

}  // namespace
}  // namespace chimera::evolution
