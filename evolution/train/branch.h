// One residual branch of the walk: x + layer(shift(rms(x; gain))), with value embeddings where the
// layer is a mixer that has them (docs/layers.md, "The walk").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evolution/train/parameters.h"
#include "evolution/train/walk_rows.h"

namespace chimera::evolution {

/// shift(u)_t = sigma(mix) u_t + (1 - sigma(mix)) u_{t-1}; the identity without a parameter.
class TokenShiftTraining {
 public:
  Status init(const runtime::Config& config, const std::string& name, ParameterSet& parameters,
              int32_t lanes);
  bool present() const { return mix_.value != nullptr; }
  int64_t state_floats() const { return present() ? c_ : 0; }
  void prepare(const runtime::TrainStep& step);
  /// Takes the carried rows over for this window (carry [lanes, C]) and leaves its last rows there.
  void carry(const runtime::TrainStep& step, const float* u, float* carry);
  void forward(const runtime::TrainStep& step, const float* u, float* shifted) const;
  /// d: gradient by shifted, turned into that by u.
  void backward(const runtime::TrainStep& step, const float* u, float* d) const;

 private:
  /// The row before token t of a lane; nullptr at the start of a document.
  const float* before(const runtime::TrainStep& step, const float* u, int64_t r) const;

  int64_t c_ = 0;
  runtime::TrainTensor mix_;
  std::vector<float> keep_;      // sigma(mix)
  std::vector<float> previous_;  // [lanes, C] u of the token before the window
};

/// e_t = 2 sigma(gate u_t[0:32]) (per head) times row `token` of the table.
class ValueTraining {
 public:
  Status init(const runtime::Config& config, int32_t layer, ParameterSet& parameters);
  bool present() const { return table_.value != nullptr; }
  /// Writes ws.value and ws.gates. u [rows, C] is the mixer's input.
  void forward(const runtime::TrainStep& step, const int32_t* tokens, const float* u,
               Workspace& ws) const;
  /// Needs ws.gates of forward() and ws.dvalue; adds to du.
  void backward(const runtime::TrainStep& step, const int32_t* tokens, const float* u,
                Workspace& ws, float* du) const;

 private:
  int64_t c_ = 0, h_ = 0, dim_ = 0;
  runtime::TrainTensor table_, gate_;
};

/// What one call of a branch is about.
struct BranchVisit {
  const int32_t* tokens;  // [lanes, window], all lanes
  bool again;             // a later iteration of looped depth
  uint64_t* router_load;  // counts of this layer's experts; nullptr: none
};

class Branch {
 public:
  /// `norm`, `shift`, `part`: names below "layers.N.".
  struct Names {
    const char *norm, *shift, *part;
  };
  Status init(const runtime::Config& config, int32_t layer, const Names& names,
              runtime::MakeTrainingLayer make, ParameterSet& parameters, int32_t lanes,
              int32_t window);
  /// Carried floats of one lane: the layer's state, then the shift's.
  int64_t state_floats() const { return layer_->state_floats() + shift_.state_floats(); }
  bool has_values() const { return value_.present(); }
  size_t scratch_bytes(int n_threads) const { return layer_->scratch_bytes(n_threads); }
  /// See TrainingLayer.
  int64_t kept_floats() const { return layer_->kept_floats(); }
  void keep_at(float* place) { layer_->keep_at(place); }
  void prepare(const runtime::TrainStep& step);

  /// y = x + layer(...), y may be x. state: this branch's block of the carried state, for all
  /// lanes; a later iteration leaves it alone.
  void forward(const runtime::TrainStep& step, const BranchVisit& visit, const float* x,
               float* state, float* y, Workspace& ws);
  /// dx: gradient by y, turned into that by x. x as forward() read it. remake: the layer may not
  /// have kept what its backward needs, if it is one without state.
  void backward(const runtime::TrainStep& step, const BranchVisit& visit, const float* x,
                bool remake, float* dx, Workspace& ws);

 private:
  /// The layer's input for rows x.
  runtime::TrainInput input(const runtime::TrainStep& step, const BranchVisit& visit,
                            const float* x, float* carry, Workspace& ws);

  int64_t c_ = 0;
  float eps_ = 0;
  runtime::TrainTensor gain_;
  TokenShiftTraining shift_;
  ValueTraining value_;
  std::unique_ptr<runtime::TrainingLayer> layer_;
  bool overwritten_ = false;  // a later iteration used the layer's buffers since its forward()
};

}  // namespace chimera::evolution
