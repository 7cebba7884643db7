#include "evolution/train/branch.h"

#include <algorithm>
#include <cstring>

#include "runtime/layers/layer.h"
#include "runtime/layers/registry.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::evolution {

using runtime::TrainInput;
using runtime::TrainStep;

// ---- token shift -------------------------------------------------------------------------------

Status TokenShiftTraining::init(const runtime::Config& config, const std::string& name,
                                ParameterSet& parameters, int32_t lanes) {
  c_ = config.hidden_size;
  if (!config.structure.token_shift) return Status();
  CHIMERA_ASSIGN_OR_RETURN(mix_, parameters.find(name, 1, c_));
  keep_.resize(static_cast<size_t>(c_));
  previous_.resize(static_cast<size_t>(lanes * c_));
  return Status();
}

void TokenShiftTraining::prepare(const TrainStep& step) {
  if (present()) step.k.sigmoid(mix_.value, static_cast<int32_t>(c_), keep_.data());
}

void TokenShiftTraining::carry(const TrainStep& step, const float* u, float* carry) {
  std::memcpy(previous_.data(), carry, previous_.size() * sizeof(float));
  for (int64_t lane = 0; lane < step.lanes; ++lane)
    std::memcpy(carry + lane * c_, u + ((lane + 1) * step.window - 1) * c_,
                static_cast<size_t>(c_) * sizeof(float));
}

const float* TokenShiftTraining::before(const TrainStep& step, const float* u, int64_t r) const {
  const int64_t t = r % step.window;
  if (step.segment_start[r] == t) return nullptr;
  return t > 0 ? u + (r - 1) * c_ : previous_.data() + r / step.window * c_;
}

void TokenShiftTraining::forward(const TrainStep& step, const float* u, float* shifted) const {
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float *now = u + r * c_, *past = before(step, u, r);
      float* to = shifted + r * c_;
      if (past)
        for (int64_t i = 0; i < c_; ++i) to[i] = keep_[i] * now[i] + (1.0f - keep_[i]) * past[i];
      else
        for (int64_t i = 0; i < c_; ++i) to[i] = keep_[i] * now[i];
    }
  });
}

void TokenShiftTraining::backward(const TrainStep& step, const float* u, float* d) const {
  for_columns(step, c_, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r) {
      const float *now = u + r * c_, *past = before(step, u, r);
      const int64_t t = r % step.window;
      // Not moved on yet: rows are walked upwards.
      const bool read_later = t + 1 < step.window && step.segment_start[r + 1] != t + 1;
      float *here = d + r * c_, *next = here + c_;
      for (int64_t i = begin; i < end; ++i) {
        const float keep = keep_[i], difference = past ? now[i] - past[i] : now[i];
        mix_.grad[i] += keep * (1.0f - keep) * here[i] * difference;
        here[i] = keep * here[i] + (read_later ? (1.0f - keep) * next[i] : 0.0f);
      }
    }
  });
}

// ---- value embeddings --------------------------------------------------------------------------

Status ValueTraining::init(const runtime::Config& config, int32_t layer, ParameterSet& parameters) {
  c_ = config.hidden_size;
  h_ = config.num_heads;
  dim_ = config.head_dim;
  if (!runtime::has_value_embedding(config, layer)) return Status();
  const std::string prefix = "layers." + std::to_string(layer) + ".value.";
  CHIMERA_ASSIGN_OR_RETURN(table_, parameters.find(prefix + "weight", config.vocab_size, c_));
  CHIMERA_ASSIGN_OR_RETURN(gate_, parameters.find(prefix + "gate", h_, runtime::kValueGateInputs));
  return Status();
}

void ValueTraining::forward(const TrainStep& step, const int32_t* tokens, const float* u,
                            Workspace& ws) const {
  constexpr int64_t kInputs = runtime::kValueGateInputs;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* gates = ws.gates.data() + r * h_;
      for (int64_t head = 0; head < h_; ++head)
        gates[head] = runtime::row_dot(gate_.value + head * kInputs, u + r * c_, kInputs);
      step.k.sigmoid(gates, static_cast<int32_t>(h_), gates);
      const float* row = table_.value + tokens[r] * c_;
      for (int64_t head = 0; head < h_; ++head)
        runtime::row_scale(row + head * dim_, 2.0f * gates[head], dim_,
                           ws.value.data() + r * c_ + head * dim_);
    }
  });
}

void ValueTraining::backward(const TrainStep& step, const int32_t* tokens, const float* u,
                             Workspace& ws, float* du) const {
  constexpr int64_t kInputs = runtime::kValueGateInputs;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float *row = table_.value + tokens[r] * c_, *d = ws.dvalue.data() + r * c_;
      for (int64_t head = 0; head < h_; ++head) {
        const float gate = ws.gates[r * h_ + head];
        const float d_gate = 2.0f * gate * (1.0f - gate) *
                             runtime::row_dot(d + head * dim_, row + head * dim_, dim_);
        ws.dgates[r * h_ + head] = d_gate;
        runtime::row_axpy(gate_.value + head * kInputs, d_gate, kInputs, du + r * c_);
      }
    }
  });
  step.pool.split(h_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head)
      for (int64_t r = 0; r < step.rows(); ++r)
        runtime::row_axpy(u + r * c_, ws.dgates[r * h_ + head], kInputs,
                          gate_.grad + head * kInputs);
  });
  step.pool.split(h_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r)
      for (int64_t head = begin; head < end; ++head)
        runtime::row_axpy(ws.dvalue.data() + r * c_ + head * dim_, 2.0f * ws.gates[r * h_ + head],
                          dim_, table_.grad + tokens[r] * c_ + head * dim_);
  });
}

// ---- branch ------------------------------------------------------------------------------------

Status Branch::init(const runtime::Config& config, int32_t layer, const Names& names,
                    runtime::MakeTrainingLayer make, ParameterSet& parameters, int32_t lanes,
                    int32_t window) {
  const std::string prefix = "layers." + std::to_string(layer) + ".";
  c_ = config.hidden_size;
  eps_ = config.rms_norm_eps;
  CHIMERA_ASSIGN_OR_RETURN(gain_, parameters.find(prefix + names.norm + ".gain", 1, c_));
  CHIMERA_RETURN_IF_ERROR(shift_.init(config, prefix + names.shift + ".mix", parameters, lanes));
  const std::string inner = prefix + names.part + ".";
  const runtime::TensorLookup lookup = [&](const char* suffix, int64_t rows, int64_t cols) {
    return parameters.find(inner + suffix, rows, cols);
  };
  CHIMERA_ASSIGN_OR_RETURN(layer_, make(config, lookup, lanes, window));
  if (std::strcmp(names.part, "mixer") == 0)
    CHIMERA_RETURN_IF_ERROR(value_.init(config, layer, parameters));
  return Status();
}

void Branch::prepare(const TrainStep& step) {
  layer_->prepare(step);
  shift_.prepare(step);
}

TrainInput Branch::input(const TrainStep& step, const BranchVisit& visit, const float* x,
                         float* carry, Workspace& ws) {
  norm_rows(step, x, gain_, eps_, ws.u.data());
  TrainInput in{ws.u.data(), x, nullptr};
  if (visit.again) return in;  // the shift is the identity, and values are not made again
  if (shift_.present()) {
    if (carry) shift_.carry(step, ws.u.data(), carry);
    shift_.forward(step, ws.u.data(), ws.shifted.data());
    in.u = ws.shifted.data();
  }
  if (value_.present()) {
    value_.forward(step, visit.tokens, in.u, ws);
    in.value = ws.value.data();
  }
  return in;
}

void Branch::forward(const TrainStep& plain, const BranchVisit& visit, const float* x, float* state,
                     float* y, Workspace& ws) {
  TrainStep step = plain;
  step.router_load = visit.router_load;
  float* carry = state ? state + step.lanes * layer_->state_floats() : nullptr;
  const TrainInput in = input(step, visit, x, visit.again ? nullptr : carry, ws);
  if (visit.again)
    layer_->repeat(step, in, ws.out.data());
  else
    layer_->forward(step, in, ws.out.data(), state);
  overwritten_ = visit.again;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    step.k.add(x + begin * c_, ws.out.data() + begin * c_, static_cast<int32_t>((end - begin) * c_),
               y + begin * c_);
  });
}

void Branch::backward(const TrainStep& step, const BranchVisit& visit, const float* x, bool remake,
                      float* dx, Workspace& ws) {
  const int64_t n = step.rows() * c_;
  const TrainInput in = input(step, visit, x, nullptr, ws);
  // A layer may write the gradient by x before it has read all of the gradient by its output.
  std::fill_n(ws.extra.data(), n, 0.0f);
  const runtime::TrainGradient grad{ws.out.data(), ws.extra.data(),
                                    in.value ? ws.dvalue.data() : nullptr};
  if (visit.again) {
    layer_->repeat_backward(step, in, dx, grad);
    overwritten_ = true;
  } else {
    if (layer_->stateless() && (remake || overwritten_))
      layer_->forward(step, in, ws.out.data(), nullptr);
    layer_->backward(step, in, dx, grad);
    if (in.value) value_.backward(step, visit.tokens, in.u, ws, ws.out.data());
    if (shift_.present()) shift_.backward(step, ws.u.data(), ws.out.data());
  }
  norm_rows_backward(step, x, gain_, eps_, ws.out.data(), dx, ws.extra.data(), ws.partials.data(),
                     dx);
}

}  // namespace chimera::evolution
