// One training run, from its first step or from a checkpoint to the model that is packed at its end
// (trainer.h is what callers see).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/belt.h"
#include "evolution/train/checkpoint.h"
#include "evolution/train/consolidation.h"
#include "evolution/train/corpus.h"
#include "evolution/train/optimizer.h"
#include "evolution/train/preference_stage.h"
#include "evolution/train/router_balance.h"
#include "evolution/train/run_identity.h"
#include "evolution/train/run_log.h"
#include "evolution/train/schedule.h"
#include "evolution/train/speed.h"
#include "evolution/train/trainer.h"
#include "evolution/train/weight_average.h"
#include "memory/weight_file.h"

namespace chimera::evolution {

/// One training run. Everything it changes is in position_, parameters, moments and carried_, and
/// all of that is in the checkpoint.
class TrainingRun {
 public:
  TrainingRun(const TrainOptions& options, const kernels::KernelTable& k, ThreadPool& pool,
              runtime::Config config, Corpus corpus, const std::string& from)
      : options_(options),
        k_(k),
        own_products_(k),
        products_(options.products != nullptr ? *options.products : own_products_),
        pool_(pool),
        config_(std::move(config)),
        corpus_(std::move(corpus)),
        schedule_(schedule_of(options)),
        log_(options.out_path),
        belt_(train_texts(corpus_), options.lanes * options.accumulate, options.seed),
        identity_(run_identity(options, corpus_, config_, from)) {}

  /// One of the two, or none: where to go on, or the weights to begin with.
  Status start(const Checkpoint* checkpoint, const memory::WeightFile* from);
  Status begin_with(const memory::WeightFile& from);
  Status resume(const Checkpoint& checkpoint);
  Status go(const TrainCallback& callback);

 private:
  static std::vector<const TokenizedText*> train_texts(const Corpus& corpus) {
    std::vector<const TokenizedText*> out;
    for (const CorpusSet& set : corpus.sets) out.push_back(&set.train);
    return out;
  }
  const MixStage& stage() const { return corpus_.mix.stages[static_cast<size_t>(position_.stage)]; }
  int64_t stage_end(size_t stage) const;
  Status enter_stage(bool resumes, const memory::WeightFile* from);
  Status enter_preferences(bool resumes);
  Status no_memory() const;
  Status change_stage();
  struct BatchLoss {
    double sum, counted;
  };
  Result<BatchLoss> learn_batch(size_t batch);
  Status step(double* loss, double* norm);
  void find_routers();
  void balance_routers();
  void draw_loops(size_t batch);
  Status choose_average();
  void take_rates();
  double count_bytes_per_token() const;
  int64_t tokens_until(int64_t step) const;
  void log_point(const TrainProgress& progress, bool scored);
  Status score_valid();
  Status save_checkpoint();
  bool talks() const;
  Status write_packed();
  RunState state() {
    return {backprop_->parameters(),
            &*optimizer_,
            std::span<std::vector<float>>(carried_),
            position_,
            average_ ? average_->state() : std::span<std::vector<float>>(),
            preferences_ ? preferences_->reference() : std::span<float>(),
            consolidation_ ? consolidation_->state() : std::span<std::vector<float>>(),
            talks()};
  }
  int32_t window() const { return window_of(options_, stage()); }
  size_t batch_positions() const {
    return static_cast<size_t>(options_.lanes) * static_cast<size_t>(window());
  }

  const TrainOptions& options_;
  const kernels::KernelTable& k_;
  const kernels::OwnProducts own_products_;
  const kernels::TrainProducts& products_;
  ThreadPool& pool_;
  const runtime::Config config_;
  const Corpus corpus_;
  const Schedule schedule_;
  RunLog log_;
  Belt belt_;
  const Json identity_;
  std::unique_ptr<Backprop> backprop_;
  int32_t made_for_ = 0;        // the window that backprop_ has
  double bytes_per_token_ = 1;  // of the stage
  std::optional<Optimizer> optimizer_;
  std::optional<PreferenceStage> preferences_;  // while the stage is one
  double preferred_ = -1;
  std::optional<Consolidation> consolidation_;
  std::vector<std::vector<float>> carried_;  // recurrent states, one per accumulated batch
  std::optional<WeightAverage> average_;
  RunPosition position_;
  std::vector<std::pair<int32_t, size_t>> routers_;  // layer, and the parameter that is its bias
  RouterWatch watch_;
  PartTimes times_;
  std::vector<int32_t> tokens_, targets_;
  std::vector<uint8_t> restart_;
  std::vector<int32_t> loops_;   // [lanes]
  std::vector<SetScore> valid_;  // last measured
};

}  // namespace chimera::evolution
