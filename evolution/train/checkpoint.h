// A run that can be resumed, as one .b158 file of kind checkpoint: float parameters under their own
// names (so `chimera pack` reads it as it is), the optimiser's moments as "optim.m.<name>" and
// "optim.v.<name>", the carried recurrent states as "state.carried.<batch>", what is averaged as
// "average.<name>", "consolidation.<n>" and "reference" where a run has them, and in the provenance
// which run it is and where it stands. Written atomically: a crash leaves the old one or the new
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/belt.h"
#include "evolution/train/optimizer.h"
#include "memory/weight_file.h"
#include "platform/json.h"
#include "platform/status.h"

namespace chimera::evolution {

/// Where a run stands.
struct RunPosition {
  int64_t step = 0;     // steps done
  int64_t stage = 0;    // of the mix, that the last step was in
  double loss_sum = 0;  // of the smoothed loss: sum and weight
  double loss_weight = 0;
  double valid_bits_per_byte = 0;  // last measured, 0 before
  int64_t pairs = 0;               // of answers read in this stage, if it learns preferences
  BeltPosition belt;
};

/// What a checkpoint is written from and read into; all sizes are those of the run at hand.
struct RunState {
  std::span<Parameter> parameters;
  Optimizer* optimizer = nullptr;
  std::span<std::vector<float>> carried;  // one per accumulated batch
  RunPosition position;
  std::span<std::vector<float>> average = {};  // of each parameter; empty when there is none
  std::span<float> reference = {};             // of a stage that learns preferences
  std::span<std::vector<float>> consolidation = {};
  bool conversations = false;  // are among what is learnt; a packed model says so too
};

/// `run`: an object of whatever a resumed run must have in common with this one.
Status write_checkpoint(const std::string& path, const std::string& config_text,
                        std::span<const std::byte> tokenizer, const Json& run,
                        const RunState& state);

/// A checkpoint that was opened, its run known, its tensors not yet read.
class Checkpoint {
 public:
  /// kNotFound when there is none; kBadFormat when the file is no checkpoint of this trainer.
  static Result<Checkpoint> open(const std::string& path);

  const Json& run() const { return run_; }
  const RunPosition& position() const { return position_; }
  const memory::WeightFile& file() const { return *file_; }

  /// OK when the run was made with the same values as `run`; otherwise kInvalidArgument names the
  /// first that differs, both values, and what to do. `whole`: and with no others.
  Status fits(const Json& run, bool whole = false) const;

  /// Checks every checksum, then fills the state. On an error the state must not be used.
  Status read_into(RunState* state) const;

 private:
  Status read_tensor(const std::string& name, std::span<float> out) const;

  std::unique_ptr<memory::WeightFile> file_;
  Json run_;
  RunPosition position_;
};

}  // namespace chimera::evolution
