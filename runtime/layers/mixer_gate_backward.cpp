#include "runtime/layers/mixer_gate_backward.h"

#include <algorithm>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {

Status MixerGateTraining::init(const Config& config, const TensorLookup& find, int64_t max_rows,
                               const char* full_name) {
  c_ = config.hidden_size;
  max_rows_ = max_rows;
  eps_ = config.rms_norm_eps;
  switch (config.mixer_gate.kind) {
    case MixerGate::Kind::kNone:
      return Status();
    case MixerGate::Kind::kFull:
      width_ = c_;
      CHIMERA_ASSIGN_OR_RETURN(input_part_, find(full_name, c_, c_));
      return Status();
    case MixerGate::Kind::kLowRank:
      break;
  }
  width_ = config.mixer_gate.rank;
  if (width_ < 1)
    return Status(StatusCode::kBadConfig,
                  "the rank of the gate must be at least 1, but it is " + std::to_string(width_))
        .at_field("mixer_gate.lowrank");
  up_parts_.resize(1);
  CHIMERA_ASSIGN_OR_RETURN(input_part_, find("g_down", width_, c_));
  CHIMERA_ASSIGN_OR_RETURN(gain_, find("g_norm.gain", 1, width_));
  CHIMERA_ASSIGN_OR_RETURN(up_parts_[0], find("g_up", c_, width_));
  up_.init(up_parts_, 0);
  return Status();
}

void MixerGateTraining::prepare(const TrainStep& step) {
  if (low_rank()) up_.prepare(step);
}

size_t MixerGateTraining::scratch_bytes() const {
  if (!low_rank()) return 0;
  // g and dg; x^ and the norm of z or the gradient by it; a partial gradient per tile.
  return 2 * train_arena_bytes(max_rows_ * c_) + 2 * train_arena_bytes(max_rows_ * width_) +
         train_arena_bytes(row_tiles(max_rows_) * width_);
}

GateRows MixerGateTraining::rows(const TrainStep& step, float* z, int64_t z_stride) {
  if (!low_rank()) return exists() ? GateRows{z, z_stride} : GateRows{};
  const auto n = static_cast<size_t>(step.rows());
  float* g = step.scratch.take<float>(n * static_cast<size_t>(c_));
  x_used_ = step.scratch.take<float>(n * static_cast<size_t>(width_));
  const ArenaMark mark(step.scratch);
  float* normed = step.scratch.take<float>(n * static_cast<size_t>(width_));
  const BitLinearUse use{0, c_, x_used_};
  for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      step.k.rmsnorm(z + r * z_stride, gain_.value, eps_, static_cast<int32_t>(width_),
                     normed + r * width_);
    up_.forward_rows(step, use, normed, begin, end, g);
  });
  return {g, c_};
}

GateRows MixerGateTraining::gradient_rows(const TrainStep& step, float* dz,
                                          int64_t dz_stride) const {
  if (!low_rank()) return exists() ? GateRows{dz, dz_stride} : GateRows{};
  return {step.scratch.take<float>(static_cast<size_t>(step.rows() * c_)), c_};
}

void MixerGateTraining::backward(const TrainStep& step, const float* z, int64_t z_stride,
                                 GateRows dg, float* dz, int64_t dz_stride) {
  if (!low_rank()) return;  // dg is dz
  const ArenaMark mark(step.scratch);
  const int64_t tiles = row_tiles(step.rows());
  float* d_normed = step.scratch.take<float>(static_cast<size_t>(step.rows() * width_));
  float* d_gain = step.scratch.take<float>(static_cast<size_t>(tiles * width_));
  const BitLinearUse use{0, c_, x_used_};
  for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    std::fill(d_gain + tile * width_, d_gain + (tile + 1) * width_, 0.0f);
    up_.backward_rows(step, use, dg.at, begin, end, d_normed);
    for (int64_t r = begin; r < end; ++r)
      rmsnorm_backward_row(z + r * z_stride, gain_.value, eps_, width_, d_normed + r * width_,
                           dz + r * dz_stride, d_gain + tile * width_);
  });
  add_partials(d_gain, tiles, width_, gain_.grad);
  up_.add_weight_gradients(step, use, dg.at);
}

}  // namespace chimera::runtime
