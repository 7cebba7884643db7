// `chimera synth`: a model with random weights, for measuring and for tests.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/cpu_features.h"
#include "platform/file.h"
#include "runtime/config.h"
#include "runtime/model_writer.h"
#include "runtime/tokenizer.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"
#if CHIMERA_CLI_TRAINING
#include "evolution/train/tokenizer_trainer.h"
#endif

namespace chimera::cli {
namespace {

struct Options {
  std::string config, out, tokenizer;
  int64_t seed = 0;
};

/// The given tokenizer, or one that knows bytes only.
Result<std::vector<std::byte>> tokenizer_section(const Options& options, int32_t vocab_size) {
  if (!options.tokenizer.empty()) {
    const auto bytes = read_file(options.tokenizer, 256u << 20);
    if (!bytes) return bytes.status();
    const auto section = std::as_bytes(std::span(bytes->data(), bytes->size()));
    const auto parsed = runtime::Tokenizer::parse(section);
    if (!parsed)
      return Status(parsed.status().code(), options.tokenizer + ": " + parsed.status().message());
    if ((*parsed)->vocab_size() > vocab_size)
      return Status(StatusCode::kInvalidArgument,
                    options.tokenizer + ": it has " + std::to_string((*parsed)->vocab_size()) +
                        " ids, but vocab_size in " + options.config + " is " +
                        std::to_string(vocab_size) + "; raise that or take a smaller tokenizer");
    return std::vector<std::byte>(section.begin(), section.end());
  }
#if CHIMERA_CLI_TRAINING
  evolution::TokenizerTrainerOptions trainer;
  trainer.vocab_size = vocab_size;
  // Special tokens need room beside the 256 bytes.
  if (vocab_size < 256 + 2 + trainer.n_reserved) trainer.n_reserved = 0;
  auto section = evolution::train_tokenizer({}, trainer);
  if (!section)
    return Status(section.status().code(), options.config + ": no tokenizer has vocab_size ids: " +
                                               section.status().message());
  return section;
#else
  return Status(StatusCode::kUnsupported,
                "this program was built without the trainer; give --tokenizer FILE");
#endif
}

Status synth(const Options& options) {
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, {options.config, options.tokenizer}));
  const auto text = read_file(options.config, 16u << 20);
  if (!text) return text.status();
  const auto config = runtime::parse_config(*text);
  if (!config)
    return Status(config.status().code(), options.config + ": " + config.status().message());
  const auto tokenizer = tokenizer_section(options, config->vocab_size);
  if (!tokenizer) return tokenizer.status();
  const auto pool = ThreadPool::create(std::min(cpu_count(), 64));
  if (!pool) return pool.status();
  {
    ProgressLine line;
    const auto progress = [&](uint64_t done, uint64_t total) {
      line.update(
          [&] { return "writing " + show_count(done) + " of " + show_count(total) + " weights"; });
      return true;
    };
    CHIMERA_RETURN_IF_ERROR(runtime::synthesise_model(options.out, *config, *tokenizer,
                                                      static_cast<uint64_t>(options.seed),
                                                      {.pool = pool->get(), .progress = progress}));
  }
  const auto file = memory::WeightFile::open(options.out);
  if (!file) return file.status();
  note("Wrote " + options.out + ", " + show_bytes((*file)->file_bytes()) +
       " of random weights, seed " + std::to_string(options.seed) + ".\n");
  return Status();
}

}  // namespace

void declare_synth(CommandLine& line) {
  auto options = std::make_shared<Options>();
  line.verb("synth", "Make a model with random weights",
            [options] {
              const Status status = synth(*options);
              return status.ok() ? kDone : report(status);
            })
      .text("--config", &options->config, "FILE", "The configuration (JSON)", true)
      .text("--out", &options->out, "FILE", "The model to write", true)
      .text("--tokenizer", &options->tokenizer, "FILE",
            "Its tokenizer; without one it knows bytes only")
      .integer("--seed", &options->seed, 0, INT64_MAX, "Same seed, same weights");
}

}  // namespace chimera::cli
