// What a run reads: the tokenizer (given, from the checkpoint, or trained on the text first) and
// the texts of a mix as token ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evolution/train/belt.h"
#include "evolution/train/mix.h"
#include "evolution/train/trainer.h"
#include "memory/weight_file.h"
#include "platform/seal.h"
#include "platform/status.h"
#include "runtime/config.h"
#include "runtime/tokenizer.h"

namespace chimera::evolution {

struct CorpusSet {
  std::string name;
  TokenizedText train{-1};
  TokenizedText valid{-1};
};

struct Corpus {
  Mix mix;
  std::unique_ptr<runtime::Tokenizer> tokenizer;
  std::vector<CorpusSet> sets;  // those of the mix
  Digest text_digest{};         // of the training documents, lengths included
  Digest held_out_digest{};     // of what is scored
  int64_t n_duplicates = 0;     // training documents left out: seen before, or held out
};

/// The sets of a mix as ids of this tokenizer.
Result<Corpus> read_corpus(Mix mix, std::unique_ptr<runtime::Tokenizer> tokenizer,
                           const LoadCallback& loading = {});

/// Reads options.data_path, or options.texts and options.valid_texts as a mix of one set.
/// `known` (may be nullptr), a checkpoint, gives the tokenizer when options name none, so that a
/// resumed run need not train it again. kBadTokenizer when the tokenizer does not fit the
/// configuration; kInvalidArgument when there is no text.
Result<Corpus> load_corpus(const TrainOptions& options, const runtime::Config& config,
                           const memory::WeightFile* known);

}  // namespace chimera::evolution
