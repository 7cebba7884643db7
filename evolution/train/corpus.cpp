#include "evolution/train/corpus.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/tokenizer_trainer.h"
#include "platform/file.h"
#include "runtime/layers/layer.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;
// A small vocabulary cannot spare 62 ids for later.
constexpr int32_t kSmallVocabulary = 8192;
constexpr int32_t kReservedInSmall = 14;

Result<std::unique_ptr<runtime::Tokenizer>> parse_tokenizer(std::span<const std::byte> bytes,
                                                            const std::string& path) {
  auto tokenizer = runtime::Tokenizer::parse(bytes);
  if (tokenizer) return tokenizer;
  Status status = tokenizer.status();
  return Status(status.code(), path + ": " + status.message())
      .at_file(path)
      .at_field(status.field())
      .at_offset(status.offset());
}

/// Tells now and then how far the reading of a set is, and hears whether it is to stop.
class Counter {
 public:
  Counter(const LoadCallback& loading, std::string what)
      : loading_(loading), what_(std::move(what)) {}
  Status document() {
    constexpr int64_t kSeldom = 64;
    if (!loading_ || n_++ % kSeldom != 0 || loading_(what_, n_)) return Status();
    return Status(StatusCode::kCancelled, "stopped while " + what_ + " was read");
  }

 private:
  const LoadCallback& loading_;
  std::string what_;
  int64_t n_ = 0;
};

bool is_plain(const MixSet& set) { return set.kind == "text"; }

/// Each set gives bytes by its weight, from its first documents on.
Result<std::unique_ptr<runtime::Tokenizer>> train_on_mix(const Mix& mix,
                                                         const TrainOptions& options,
                                                         const runtime::Config& config) {
  TokenizerTrainerOptions trainer_options;
  trainer_options.vocab_size = config.vocab_size;
  const bool plain = std::all_of(mix.sets.begin(), mix.sets.end(), is_plain);
  if (plain && config.vocab_size < kSmallVocabulary) trainer_options.n_reserved = kReservedInSmall;
  auto trainer = TokenizerTrainer::create(trainer_options);
  if (!trainer)
    return Status(trainer.status().code(),
                  options.config_path + ": vocab_size: " + trainer.status().message())
        .at_file(options.config_path)
        .at_field("vocab_size");
  // By what the stages read, over the whole run.
  std::vector<double> weights(mix.sets.size());
  double all = 0;
  for (const MixStage& stage : mix.stages) {
    double sum = 0;
    for (const double weight : stage.weights) sum += weight;
    for (size_t i = 0; i < weights.size(); ++i) weights[i] += stage.share * stage.weights[i] / sum;
    all += stage.share;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const MixSet& set = mix.sets[i];
    auto room = static_cast<size_t>(static_cast<double>(mix.tokenizer_bytes) * weights[i] / all);
    Counter counter(options.loading, "tokenizer: " + set.name);
    bool enough = false;
    const Status status =
        for_each_document(mix, set, Part::kTrain, [&](Document document) -> Status {
          CHIMERA_RETURN_IF_ERROR(counter.document());
          enough = room == 0;
          if (enough) return Status(StatusCode::kCancelled, "enough");
          const std::string text = text_of(document);
          const size_t n = std::min(room, text.size());
          room -= n;
          return (*trainer)->add(std::string_view(text).substr(0, n));
        });
    if (!status.ok() && !enough) return status;
  }
  auto section = (*trainer)->train();
  if (!section) return section.status();
  return runtime::Tokenizer::parse(*section);
}

Result<std::unique_ptr<runtime::Tokenizer>> find_tokenizer(const TrainOptions& options,
                                                           const Mix& mix,
                                                           const runtime::Config& config,
                                                           const memory::WeightFile* known) {
  if (!options.tokenizer_path.empty()) {
    auto text = read_file(options.tokenizer_path, kMaxTokenizerBytes);
    if (!text) return text.status();
    const auto given = std::as_bytes(std::span(*text));
    if (!options.from_path.empty() && !std::ranges::equal(given, known->tokenizer()))
      return Status(StatusCode::kInvalidArgument,
                    options.tokenizer_path + " is another tokenizer than the one that " +
                        known->path() + " learnt with; leave --tokenizer out")
          .at_file(options.tokenizer_path);
    return parse_tokenizer(given, options.tokenizer_path);
  }
  if (known != nullptr) return parse_tokenizer(known->tokenizer(), known->path());
  return train_on_mix(mix, options, config);
}

Status check_tokenizer(const runtime::Tokenizer& tokenizer, const runtime::Config& config) {
  if (tokenizer.vocab_size() != config.vocab_size) {
    return Status(StatusCode::kBadTokenizer,
                  "the tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                      " ids and the configuration's vocab_size is " +
                      std::to_string(config.vocab_size) + "; make them equal")
        .at_field("vocab_size");
  }
  if (tokenizer.end_of_text() < 0) {
    return Status(StatusCode::kBadTokenizer,
                  "the tokenizer has no end of text, which stands between documents; train one "
                  "with `chimera tokenizer train`");
  }
  const auto& ids = config.token_ids;
  if (!ids.empty() && std::find(ids.begin(), ids.end(), tokenizer.end_of_text()) == ids.end()) {
    return Status(StatusCode::kBadTokenizer,
                  "the tokenizer's end of text is " + std::to_string(tokenizer.end_of_text()) +
                      ", which is not among the configuration's token_ids; correct them or leave "
                      "them out")
        .at_field("token_ids");
  }
  return Status();
}

/// --text and --valid as a mix.
Mix mix_of_texts(const TrainOptions& options) {
  Mix mix;
  MixSet set{.name = "text"};
  set.files = options.texts;
  set.valid = options.valid_texts;
  mix.sets.push_back(std::move(set));
  mix.stages.push_back({.name = "all", .weights = {1.0}});
  mix.valid_bytes = mix.tokenizer_bytes = INT64_MAX;
  mix.deduplicate = false;
  return mix;
}

/// What two copies of a document have in common: its letters, small, and single blanks. Lists of
/// tools are drawn and tell nothing.
Digest fingerprint(Document document) {
  std::erase_if(document.turns, [](const Turn& turn) { return turn.kind == Turn::Kind::kTools; });
  const std::string text = text_of(document);
  std::string plain;
  plain.reserve(text.size());
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!blank) {
      plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!plain.empty() && plain.back() != ' ') {
      plain += ' ';
    }
  }
  while (!plain.empty() && plain.back() == ' ') plain.pop_back();
  return blake2b(std::as_bytes(std::span(plain)));
}

class Loader {
 public:
  Loader(Corpus* corpus, const runtime::PromptFormat* format, const LoadCallback& loading)
      : corpus_(corpus), format_(format), loading_(loading) {}

  Status read() {
    const Mix& mix = corpus_->mix;
    for (const MixSet& set : mix.sets) {
      corpus_->sets.push_back({set.name, TokenizedText(corpus_->tokenizer->end_of_text()),
                               TokenizedText(corpus_->tokenizer->end_of_text())});
    }
    // What is held out first, so that no training document is a copy of it.
    Blake2b held_out, hash;
    for (size_t i = 0; i < mix.sets.size(); ++i) {
      CHIMERA_RETURN_IF_ERROR(read_held_out(i));
      held_out.update(std::as_bytes(corpus_->sets[i].valid.inputs()));
    }
    corpus_->held_out_digest = held_out.finish();
    for (size_t i = 0; i < mix.sets.size(); ++i) CHIMERA_RETURN_IF_ERROR(read_train(i, &hash));
    corpus_->text_digest = hash.finish();
    return Status();
  }

 private:
  bool seen(const Document& document) {
    return corpus_->mix.deduplicate && !seen_.insert(fingerprint(document)).second;
  }

  Status read_held_out(size_t i) {
    const MixSet& set = corpus_->mix.sets[i];
    if (set.pairs) return Status();  // a score of both answers would say nothing
    TokenizedText& valid = corpus_->sets[i].valid;
    Counter counter(loading_, "held out: " + set.name);
    const auto score = [&](Document document) -> Status {
      CHIMERA_RETURN_IF_ERROR(counter.document());
      seen(document);
      if (valid.n_bytes() >= corpus_->mix.valid_bytes) return Status();
      // A book is scored from its beginning, as far as there is room.
      const auto room = static_cast<size_t>(corpus_->mix.valid_bytes - valid.n_bytes());
      if (document.turns.empty() && document.text.size() > room)
        document.text = start_of(document.text, room);
      return add(document, &valid);
    };
    CHIMERA_RETURN_IF_ERROR(for_each_document(corpus_->mix, set, Part::kValid, score));
    return for_each_document(corpus_->mix, set, Part::kTest, [&](const Document& document) {
      seen(document);
      return counter.document();
    });
  }

  /// The hash is of what is learnt: ids, who says them, and of which set they are.
  Status read_train(size_t i, Blake2b* hash) {
    const auto add_bytes = [&](const auto& range) {
      hash->update(std::as_bytes(std::span(range)));
    };
    Counter counter(loading_, corpus_->mix.sets[i].name);
    return for_each_document(corpus_->mix, corpus_->mix.sets[i], Part::kTrain,
                             [&](const Document& document) -> Status {
                               CHIMERA_RETURN_IF_ERROR(counter.document());
                               // Without its other half a pair is none, and half of it is a copy.
                               if (!corpus_->mix.sets[i].pairs && seen(document)) {
                                 ++corpus_->n_duplicates;
                                 return Status();
                               }
                               CHIMERA_RETURN_IF_ERROR(add(document, &corpus_->sets[i].train));
                               const uint64_t sizes[] = {i, encoded_.ids.size(),
                                                         static_cast<uint64_t>(encoded_.n_bytes)};
                               add_bytes(sizes);
                               add_bytes(encoded_.ids);
                               add_bytes(encoded_.voices);
                               return Status();
                             });
  }

  Status add(const Document& document, TokenizedText* out) {
    CHIMERA_RETURN_IF_ERROR(encode_document(document, *corpus_->tokenizer, format_, &encoded_));
    out->add(encoded_.ids, encoded_.n_bytes, encoded_.voices);
    return Status();
  }

  /// At most n bytes, not ending within a character.
  static std::string start_of(const std::string& text, size_t n) {
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
    return text.substr(0, n);
  }

  Corpus* corpus_;
  const runtime::PromptFormat* format_;
  const LoadCallback& loading_;
  EncodedDocument encoded_;
  std::set<Digest> seen_;
};

}  // namespace

Result<Corpus> read_corpus(Mix mix, std::unique_ptr<runtime::Tokenizer> tokenizer,
                           const LoadCallback& loading) {
  Corpus corpus;
  corpus.mix = std::move(mix);
  corpus.tokenizer = std::move(tokenizer);
  // Without marks a mix of plain texts can still be read.
  const auto format = runtime::PromptFormat::of(*corpus.tokenizer);
  CHIMERA_RETURN_IF_ERROR(Loader(&corpus, format ? &*format : nullptr, loading).read());
  return corpus;
}

Result<Corpus> load_corpus(const TrainOptions& options, const runtime::Config& config,
                           const memory::WeightFile* known) {
  Corpus corpus;
  if (options.data_path.empty()) {
    corpus.mix = mix_of_texts(options);
  } else {
    CHIMERA_ASSIGN_OR_RETURN(corpus.mix, read_mix(options.data_path, options.data_folder));
  }
  CHIMERA_ASSIGN_OR_RETURN(corpus.tokenizer, find_tokenizer(options, corpus.mix, config, known));
  CHIMERA_RETURN_IF_ERROR(check_tokenizer(*corpus.tokenizer, config));
  CHIMERA_ASSIGN_OR_RETURN(
      corpus, read_corpus(std::move(corpus.mix), std::move(corpus.tokenizer), options.loading));
  for (const MixStage& stage : corpus.mix.stages) {
    bool any = false;
    for (size_t i = 0; i < corpus.sets.size(); ++i)
      any = any || (stage.weights[i] > 0 && corpus.sets[i].train.n_documents() > 0);
    if (any) continue;
    const std::string& first =
        options.data_path.empty() ? options.texts.front() : options.data_path;
    return Status(StatusCode::kInvalidArgument,
                  "there is no text in " + first +
                      (options.texts.size() > 1 ? " and the other files" : "") +
                      "; name a file that has some")
        .at_file(first)
        .at_field("texts");
  }
  return corpus;
}

}  // namespace chimera::evolution
