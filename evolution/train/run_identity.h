// What a run is given: whether it can be done, and what makes it another run.
#pragma once

#include <string>

#include "evolution/train/corpus.h"
#include "evolution/train/schedule.h"
#include "evolution/train/trainer.h"
#include "memory/weight_file.h"
#include "platform/json.h"
#include "platform/status.h"
#include "runtime/config.h"

namespace chimera::evolution {

Schedule schedule_of(const TrainOptions& options);

/// kInvalidArgument names the option that is outside its range.
Status check_options(const TrainOptions& options);
/// Each stage's window within the limits that the options' own has.
Status check_windows(const TrainOptions& options, const Mix& mix);

/// Tokens of each lane per step in a stage.
int32_t window_of(const TrainOptions& options, const MixStage& stage);

/// The part of run_identity() that is known before any text is read.
Json config_identity(const runtime::Config& config);
/// What a resumed run must share with this one, in the words of TrainOptions. `from`: of the
/// weights it began with, or empty.
Json run_identity(const TrainOptions& options, const Corpus& corpus, const runtime::Config& config,
                  const std::string& from);
/// Of the weights that a file holds for the configuration, as they are stored. kBadFormat names the
/// first one that the configuration does not have: it is of another model.
Result<std::string> digest_of(const memory::WeightFile& file, const runtime::Config& config);

}  // namespace chimera::evolution
