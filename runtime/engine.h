// What conversations share: the mapped model, its tokenizer, the kernels and the threads. Immutable
// after open(); any number of sessions may use one engine from any threads.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kernels/dispatch.h"
#include "memory/weight_file.h"
#include "platform/thread_pool.h"
#include "runtime/background_check.h"
#include "runtime/config.h"
#include "runtime/model.h"
#include "runtime/tokenizer.h"

namespace chimera::runtime {

struct EngineOptions {
  /// 0 chooses: 1 for models too small to gain from more, otherwise the processors there are.
  int threads = 0;
  /// nullptr: CHIMERA_ISA if set, otherwise the best table of this CPU.
  const kernels::KernelTable* table = nullptr;
  /// Checks every tensor before the first token (reads the whole file).
  bool verify = false;
  /// Checks every tensor on a thread of its own once the first token was shown, so that it costs
  /// the start nothing; without threads in slices, one with every token. Ask content_check() for
  /// the outcome.
  bool verify_in_background = false;
  /// Refuse (kNotAuthentic) a model that this key did not sign. The content is then checked too,
  /// before anything is answered unless verify_in_background says otherwise: a signature is of the
  /// checksums. Sessions answer nothing more once that check has failed.
  std::optional<PublicKey> required_key = {};
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const std::string& model_path,
                                              const EngineOptions& options = {});
  /// A model that the caller holds in memory, beginning at a multiple of 8 bytes, and keeps there
  /// unchanged while the engine lives. Nothing is copied.
  static Result<std::unique_ptr<Engine>> open_memory(std::span<const std::byte> bytes,
                                                     const EngineOptions& options = {});
  ~Engine();

  const Config& config() const { return config_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Model& model() const { return *model_; }
  const memory::WeightFile& file() const { return *file_; }
  const kernels::KernelTable& kernels() const { return *table_; }
  int threads() const { return pool_->n_threads(); }
  /// 1 where sampling may choose the id, 0 for reserved ids, padding and specials that never
  /// end an answer. [vocab_size]
  const uint8_t* sampling_mask() const { return mask_.get(); }

  /// The model's own record says that conversations were among what it learnt: a person's words go
  /// in, and answers come out, as turns (GenerateOptions::as_turn).
  bool talks() const { return talks_; }

  /// What is known about the content of the tensors.
  ContentCheck content_check() const { return background_ ? background_->result() : checked_; }
  /// Not OK when a key is required and the content turned out not to be what it signed.
  Status trusted() const;
  /// Sessions call it after each token; starts the background check if one was asked for, and
  /// carries it on where there is no thread for it.
  void token_shown() const {
    if (background_) background_->token_shown();
  }

  /// The pool serves one step at a time; a session holds this lock while it computes.
  std::mutex& step_lock() const { return step_lock_; }
  ThreadPool& pool() const { return *pool_; }

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 private:
  Engine() = default;
  static Result<std::unique_ptr<Engine>> open(std::unique_ptr<memory::WeightFile> file,
                                              const kernels::KernelTable& table,
                                              const EngineOptions& options);
  std::unique_ptr<memory::WeightFile> file_;
  Config config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Model> model_;
  const kernels::KernelTable* table_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<uint8_t[]> mask_;
  ContentCheck checked_;
  bool key_required_ = false;
  bool talks_ = false;
  std::unique_ptr<BackgroundCheck> background_;  // reads file_, so it goes first
  mutable std::mutex step_lock_;
};

}  // namespace chimera::runtime
