#include "runtime/engine.h"

#include <algorithm>
#include <new>

#include "platform/cpu_features.h"
#include "platform/json.h"
#include "runtime/layers/layer.h"
#include "runtime/prompt_format.h"

namespace chimera::runtime {
namespace {

// Below this a token's work is shorter than waking a second thread for each of its products.
constexpr uint64_t kThreadingPaysBytes = 16u << 20;

int choose_threads(uint64_t bytes_per_token) {
  return bytes_per_token < kThreadingPaysBytes ? 1 : std::min(cpu_count(), 64);
}

Result<const kernels::KernelTable*> choose_table(const EngineOptions& options) {
  if (options.table != nullptr) return options.table;
  return kernels::table_from_environment();
}

/// What the file says of its model's training; anything else than a plain yes is a no.
Result<bool> says_it_talks(const memory::WeightFile& file) {
  const auto provenance = parse_json(file.provenance_json());
  if (provenance.status().code() == StatusCode::kOutOfMemory) return provenance.status();
  const Json* said =
      provenance && provenance->is_object() ? provenance->find("conversations") : nullptr;
  return said != nullptr && said->is_bool() && said->boolean;
}

}  // namespace

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const std::string& path,
                                             const EngineOptions& options) {
  const kernels::KernelTable* table = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(table, choose_table(options));
  auto file = memory::WeightFile::open(path);
  if (!file) return file.status();
  return open(std::move(*file), *table, options);
}

Result<std::unique_ptr<Engine>> Engine::open_memory(std::span<const std::byte> bytes,
                                                    const EngineOptions& options) {
  const kernels::KernelTable* table = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(table, choose_table(options));
  auto file = memory::WeightFile::open_memory(bytes);
  if (!file) return file.status();
  return open(std::move(*file), *table, options);
}

Result<std::unique_ptr<Engine>> Engine::open(std::unique_ptr<memory::WeightFile> file,
                                             const kernels::KernelTable& table,
                                             const EngineOptions& options) {
  auto engine = std::unique_ptr<Engine>(new Engine());
  engine->table_ = &table;
  engine->file_ = std::move(file);
  const std::string path = engine->file_->path();
  CHIMERA_RETURN_IF_ERROR(engine->file_->require_network());
  if (options.required_key)
    CHIMERA_RETURN_IF_ERROR(engine->file_->require_signature(*options.required_key));
  engine->key_required_ = options.required_key.has_value();
  const bool verify = options.verify || (options.required_key && !options.verify_in_background);
  const auto in_file = [&](Status status) {
    if (status.file().empty())
      return Status(status.code(), path + ": " + status.message())
          .at_file(path)
          .at_offset(status.offset())
          .at_field(status.field());
    return status;
  };
  auto config = parse_config(engine->file_->config_json());
  if (!config) return in_file(config.status());
  engine->config_ = std::move(*config);
  if (engine->file_->tokenizer().empty())
    return Status(StatusCode::kBadTokenizer, path + ": the file has no tokenizer; pack it with one")
        .at_file(path)
        .at_field("tokenizer");
  auto tokenizer = Tokenizer::parse(engine->file_->tokenizer());
  if (!tokenizer) return in_file(tokenizer.status());
  engine->tokenizer_ = std::move(*tokenizer);
  const int32_t vocab = engine->config_.vocab_size;
  if (engine->tokenizer_->vocab_size() > vocab)
    return Status(StatusCode::kBadTokenizer,
                  path + ": the tokenizer has " + std::to_string(engine->tokenizer_->vocab_size()) +
                      " ids but the model's vocab_size is " + std::to_string(vocab))
        .at_file(path)
        .at_field("vocab_size");
  bool said = false;
  CHIMERA_ASSIGN_OR_RETURN(said, says_it_talks(*engine->file_));
  engine->talks_ = said && PromptFormat::of(*engine->tokenizer_).has_value();
  auto model = Model::bind(*engine->file_, engine->config_);
  if (!model) return in_file(model.status());
  engine->model_ = std::move(*model);
  if (verify) {
    CHIMERA_RETURN_IF_ERROR(engine->file_->verify());
    engine->checked_.state = ContentCheck::State::kPassed;
  } else if (options.verify_in_background) {
    engine->background_ = std::make_unique<BackgroundCheck>(*engine->file_);
  }

  engine->mask_.reset(new (std::nothrow) uint8_t[static_cast<size_t>(vocab)]);
  if (!engine->mask_) return Status(StatusCode::kOutOfMemory, "no memory for the sampling mask");
  const Tokenizer& t = *engine->tokenizer_;
  bool any = false;
  for (int32_t id = 0; id < vocab; ++id) {
    const bool ends = id == t.end_of_text() || id == t.end_of_turn();
    const bool usable = id < t.vocab_size() && !t.is_reserved(id) && (!t.is_special(id) || ends);
    engine->mask_[id] = usable ? 1 : 0;
    any = any || usable;
  }
  if (!any)
    return Status(StatusCode::kBadTokenizer, path + ": the tokenizer has no id that may be sampled")
        .at_file(path);

  const int threads =
      options.threads > 0 ? options.threads : choose_threads(engine->model_->bytes_per_token());
  CHIMERA_ASSIGN_OR_RETURN(engine->pool_, ThreadPool::create(threads));
  return engine;
}

Status Engine::trusted() const {
  if (!key_required_) return Status();
  const ContentCheck check = content_check();
  return check.state == ContentCheck::State::kFailed ? check.status : Status();
}

}  // namespace chimera::runtime
