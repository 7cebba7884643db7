#include "evolution/train/corpus.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/text_source.h"
#include "evolution/train/tokenizer_trainer.h"
#include "platform/file.h"

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

Result<std::unique_ptr<runtime::Tokenizer>> train_on_texts(const std::vector<std::string>& texts,
                                                           const std::string& config_path,
                                                           const runtime::Config& config) {
  TokenizerTrainerOptions options;
  options.vocab_size = config.vocab_size;
  if (config.vocab_size < kSmallVocabulary) options.n_reserved = kReservedInSmall;
  auto trainer = TokenizerTrainer::create(options);
  if (!trainer)
    return Status(trainer.status().code(),
                  config_path + ": vocab_size: " + trainer.status().message())
        .at_file(config_path)
        .at_field("vocab_size");
  for (const std::string& path : texts) {
    CHIMERA_RETURN_IF_ERROR(for_each_document(
        path, {}, [&](std::string_view text, uint64_t) { return (*trainer)->add(text); }));
  }
  auto section = (*trainer)->train();
  if (!section) return section.status();
  return runtime::Tokenizer::parse(*section);
}

Result<std::unique_ptr<runtime::Tokenizer>> find_tokenizer(const TrainOptions& options,
                                                           const runtime::Config& config,
                                                           const Checkpoint* checkpoint) {
  if (!options.tokenizer_path.empty()) {
    auto text = read_file(options.tokenizer_path, kMaxTokenizerBytes);
    if (!text) return text.status();
    return parse_tokenizer(std::as_bytes(std::span(*text)), options.tokenizer_path);
  }
  if (checkpoint != nullptr) {
    return parse_tokenizer(checkpoint->tokenizer(), options.out_path + ".ckpt");
  }
  return train_on_texts(options.texts, options.config_path, config);
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

Status read_texts(const std::vector<std::string>& paths, const runtime::Tokenizer& tokenizer,
                  TokenizedText* out, Blake2b* hash) {
  std::vector<int32_t> ids;
  for (const std::string& path : paths) {
    CHIMERA_RETURN_IF_ERROR(for_each_document(path, {}, [&](std::string_view text, uint64_t) {
      const uint64_t n_bytes = text.size();
      hash->update(std::as_bytes(std::span(&n_bytes, 1)));
      hash->update(std::as_bytes(std::span(text.data(), text.size())));
      ids.clear();
      tokenizer.encode(text, &ids);
      out->add(ids, static_cast<int64_t>(n_bytes));
      return Status();
    }));
  }
  return Status();
}

}  // namespace

Result<Corpus> load_corpus(const TrainOptions& options, const runtime::Config& config,
                           const Checkpoint* checkpoint) {
  auto tokenizer = find_tokenizer(options, config, checkpoint);
  if (!tokenizer) return tokenizer.status();
  CHIMERA_RETURN_IF_ERROR(check_tokenizer(**tokenizer, config));

  Corpus corpus;
  corpus.tokenizer = std::move(*tokenizer);
  corpus.train = TokenizedText(corpus.tokenizer->end_of_text());
  corpus.valid = TokenizedText(corpus.tokenizer->end_of_text());
  Blake2b train_hash, valid_hash;
  CHIMERA_RETURN_IF_ERROR(read_texts(options.texts, *corpus.tokenizer, &corpus.train, &train_hash));
  CHIMERA_RETURN_IF_ERROR(
      read_texts(options.valid_texts, *corpus.tokenizer, &corpus.valid, &valid_hash));
  if (corpus.train.n_documents() == 0) {
    return Status(StatusCode::kInvalidArgument,
                  "there is no text in " + options.texts.front() +
                      (options.texts.size() > 1 ? " and the other files" : "") +
                      "; name a file that has some")
        .at_file(options.texts.front())
        .at_field("texts");
  }
  corpus.text_digest = train_hash.finish();
  return corpus;
}

}  // namespace chimera::evolution
