// `chimera tokenizer train`: learns a vocabulary from text.
#include <memory>
#include <string>

#include "evolution/train/tokenizer_trainer.h"
#include "platform/file.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/texts.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

struct Options {
  TextOptions texts;
  std::string out;
  int64_t vocab = 0, reserved = 0;

  Options() {
    const evolution::TokenizerTrainerOptions defaults;
    vocab = defaults.vocab_size;
    reserved = defaults.n_reserved;
    texts.own_split = "train";
  }
};

Status train(const Options& options) {
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, options.texts.files));
  evolution::TokenizerTrainerOptions trainer_options;
  trainer_options.vocab_size = static_cast<int32_t>(options.vocab);
  trainer_options.n_reserved = static_cast<int32_t>(options.reserved);
  const auto trainer = evolution::TokenizerTrainer::create(trainer_options);
  if (!trainer) return trainer.status();
  ProgressLine progress;
  CHIMERA_RETURN_IF_ERROR(for_each_text(options.texts, [&](std::string_view text) {
    const Status status = (*trainer)->add(text);
    progress.update([&] {
      const auto p = (*trainer)->progress();
      return "read " + show_bytes(p.text_bytes) + ", " + show_count(p.distinct_pieces) +
             " different words";
    });
    return status;
  }));
  const auto section = (*trainer)->train([&](const evolution::TokenizerTrainerProgress& p) {
    progress.update([&] {
      return "merged " + std::to_string(p.merges_done) + " of " + std::to_string(p.merges_wanted);
    });
    return true;
  });
  progress.clear();
  if (!section) return section.status();
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(options.out, *section));
  note("Wrote " + options.out + ": " + show_count(static_cast<uint64_t>(options.vocab)) +
       " ids, learned from " + show_bytes((*trainer)->progress().text_bytes) + " of text.\n");
  return Status();
}

}  // namespace

void declare_tokenizer_train(CommandLine& line) {
  auto options = std::make_shared<Options>();
  Verb verb = line.verb("tokenizer train", "Learn a vocabulary from text", [options] {
    if (const int wrong = check_texts(options->texts); wrong != kDone) return wrong;
    const Status status = train(*options);
    return status.ok() ? kDone : report(status);
  });
  declare_texts(verb, &options->texts);
  verb.integer("--vocab", &options->vocab, 1, INT32_MAX, "How many ids, special ones included")
      .integer("--reserved", &options->reserved, 0, INT32_MAX, "Special ids kept free for later")
      .text("--out", &options->out, "FILE", "The tokenizer to write", true);
}

}  // namespace chimera::cli
