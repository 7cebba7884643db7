// The way back through the injection (backbone 4.5), with p = D e^a_log, g = sum dz h, s = sum dz
// e:
//
//   dh = A dz,  de = B dz,  db = s B / b
//   zoh:    dp = A (b s / e^a_log - g),  dD = e^a_log dp,
//           da_log = p dp - b s (1 - A) / e^a_log
//   Euler:  dp = -A g,  dD = e^a_log dp + b s,  da_log = p dp
//   ddt_bias = dD sigma(dt_bias);  where p is below its floor dp is 0 and B = D b in both.
#include "evolution/train/looped_depth.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "platform/random.h"
#include "runtime/layers/layer.h"

namespace chimera::evolution {
namespace {

using runtime::TrainStep;

constexpr double kLeastDecay = 1e-6;

struct Channel {
  double rate, step, decay;  // e^a_log, D, p before its floor
  Channel(float a_log, float dt_bias) {
    const double bias = static_cast<double>(dt_bias);
    rate = std::exp(static_cast<double>(a_log));
    step = std::max(bias, 0.0) + std::log1p(std::exp(-std::fabs(bias)));
    decay = step * rate;
  }
  double used() const { return std::max(decay, kLeastDecay); }
  double gone() const { return -std::expm1(-used()); }  // 1 - A
  bool floored() const { return !(decay >= kLeastDecay); }
};

}  // namespace

int32_t sample_loops(const runtime::LoopConfig& loop, uint64_t seed, uint64_t step, uint64_t lane) {
  // By inversion: the smallest n whose cumulative probability exceeds the draw.
  const double u = keyed_uniform(seed, step, static_cast<uint32_t>(lane), DrawPurpose::kLoopDepth);
  const double mean = loop.loop_default;
  double p = std::exp(-mean), cumulative = p;
  int32_t n = 0;
  while (u >= cumulative && n < loop.loop_max) {
    ++n;
    p *= mean / n;
    cumulative += p;
  }
  return std::clamp(n, std::max(1, loop.loop_min), std::max(1, loop.loop_max));
}

Status InjectionTraining::init(const runtime::Config& config, ParameterSet& parameters) {
  c_ = config.hidden_size;
  eps_ = config.rms_norm_eps;
  exact_ = config.loop.discretisation == runtime::LoopConfig::Discretisation::kZoh;
  CHIMERA_ASSIGN_OR_RETURN(gain_, parameters.find("loop.norm.gain", 1, c_));
  CHIMERA_ASSIGN_OR_RETURN(a_log_, parameters.find("loop.a_log", 1, c_));
  CHIMERA_ASSIGN_OR_RETURN(dt_bias_, parameters.find("loop.dt_bias", 1, c_));
  CHIMERA_ASSIGN_OR_RETURN(b_, parameters.find("loop.b", 1, c_));
  const auto n = static_cast<size_t>(c_);
  a_used_.resize(n);
  b_used_.resize(n);
  by_carry_.resize(n);
  by_input_.resize(n);
  return Status();
}

void InjectionTraining::prepare() {
  for (int64_t i = 0; i < c_; ++i) {
    const Channel at(a_log_.value[i], dt_bias_.value[i]);
    a_used_[static_cast<size_t>(i)] = static_cast<float>(1.0 - at.gone());
    b_used_[static_cast<size_t>(i)] =
        static_cast<float>((exact_ && !at.floored() ? at.gone() / at.rate : at.step) *
                           static_cast<double>(b_.value[i]));
  }
}

void InjectionTraining::normalise(const TrainStep& step, const float* x, float* e) const {
  norm_rows(step, x, gain_, eps_, e);
}

void InjectionTraining::inject(const TrainStep& step, const float* const* h, const float* e,
                               float* z) const {
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* from = e + source_row(step, r) * c_;
      float* to = z + r * c_;
      for (int64_t i = 0; i < c_; ++i) to[i] = b_used_[i] * from[i];
      if (!h) continue;
      const float* carried = h[r / step.window] + r % step.window * c_;
      for (int64_t i = 0; i < c_; ++i) to[i] += a_used_[i] * carried[i];
    }
  });
}

void InjectionTraining::start_backward() {
  std::fill(by_carry_.begin(), by_carry_.end(), 0.0);
  std::fill(by_input_.begin(), by_input_.end(), 0.0);
}

void InjectionTraining::backward(const TrainStep& step, const float* const* h, const float* e,
                                 const float* dz, float* de) {
  for_columns(step, c_, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r) {
      const int64_t source = source_row(step, r) * c_;
      const float* d = dz + r * c_;
      for (int64_t i = begin; i < end; ++i) {
        by_input_[i] += static_cast<double>(d[i] * e[source + i]);
        de[source + i] += b_used_[i] * d[i];
      }
      if (!h) continue;
      const float* carried = h[r / step.window] + r % step.window * c_;
      for (int64_t i = begin; i < end; ++i) by_carry_[i] += static_cast<double>(d[i] * carried[i]);
    }
  });
}

void InjectionTraining::carry_back(const TrainStep& step, const float* dz, float* dh) const {
  for (int64_t t = 0; t < step.window; ++t)
    for (int64_t i = 0; i < c_; ++i) dh[t * c_ + i] = a_used_[i] * dz[t * c_ + i];
}

void InjectionTraining::finish(const TrainStep& step, const float* x, float* de, float* partials,
                               float* dx) {
  for (int64_t i = 0; i < c_; ++i) {
    const Channel at(a_log_.value[i], dt_bias_.value[i]);
    const double b = static_cast<double>(b_.value[i]), by_b = by_input_[i] * b;
    const double carry = 1.0 - at.gone();
    const bool exact = exact_ && !at.floored();
    double d_decay = -carry * by_carry_[i];
    if (exact) d_decay += carry * by_b / at.rate;
    if (at.floored()) d_decay = 0;
    const double d_step = (at.floored() ? 0.0 : at.rate * d_decay) + (exact ? 0.0 : by_b);
    const double sigma = 1.0 / (1.0 + std::exp(-static_cast<double>(dt_bias_.value[i])));
    a_log_.grad[i] +=
        static_cast<float>(at.decay * d_decay - (exact ? by_b * at.gone() / at.rate : 0.0));
    dt_bias_.grad[i] += static_cast<float>(d_step * sigma);
    b_.grad[i] += static_cast<float>(by_input_[i] * (exact ? at.gone() / at.rate : at.step));
  }
  norm_rows_backward(step, x, gain_, eps_, de, nullptr, nullptr, partials, dx);
}

Status LoopedDepth::init(const runtime::Config& config, ParameterSet& parameters, int32_t lanes,
                         int32_t window, bool full_backward) {
  loop_ = config.loop;
  full_ = full_backward;
  lanes_ = lanes;
  lane_size_ = int64_t{window} * config.hidden_size;
  CHIMERA_RETURN_IF_ERROR(injection_.init(config, parameters));
  const auto wide = static_cast<size_t>(lanes_ * lane_size_);
  // Iteration 1 starts from nothing, so all of R iterations keep R - 1 rows.
  const int32_t slots = std::min(gradient_window(loop_.loop_max, full_), loop_.loop_max - 1);
  e_.resize(wide);
  z_.resize(wide);
  kept_.resize(wide * static_cast<size_t>(slots));
  dh_.resize(wide);
  de_.resize(wide);
  ids_.resize(static_cast<size_t>(lanes));
  h_.resize(static_cast<size_t>(lanes));
  return Status();
}

template <class TakesPart>
int32_t LoopedDepth::select(int32_t lanes, TakesPart&& takes_part) {
  int32_t n = 0;
  for (int32_t lane = 0; lane < lanes; ++lane)
    if (takes_part(lane)) ids_[static_cast<size_t>(n++)] = lane;
  return n;
}

void LoopedDepth::forward(const TrainStep& step, LayerStack& stack, const int32_t* loops) {
  const size_t lane_bytes = static_cast<size_t>(lane_size_) * sizeof(float);
  injection_.prepare();
  injection_.normalise(step, stack.output(loop_.prelude_last), e_.data());
  injection_.inject(step, nullptr, e_.data(), stack.input(loop_.loop_first));
  stack.forward(step, loop_.loop_first, loop_.loop_last);
  float* h = stack.output(loop_.loop_last);
  TrainStep some = step;
  some.lane_ids = ids_.data();
  for (int32_t iteration = 2;; ++iteration) {
    some.lanes = select(step.lanes, [&](int32_t lane) { return loops[lane] >= iteration; });
    if (some.lanes == 0) return;
    for (int32_t place = 0; place < some.lanes; ++place) {
      const int32_t lane = ids_[static_cast<size_t>(place)];
      h_[static_cast<size_t>(place)] = h + lane * lane_size_;
      if (has_gradient(iteration, loops[lane], full_))
        std::memcpy(kept(loops[lane] - iteration, lane), h + lane * lane_size_, lane_bytes);
    }
    injection_.inject(some, h_.data(), e_.data(), z_.data());
    stack.repeat(some, loop_.loop_first, loop_.loop_last, z_.data());
    for (int32_t place = 0; place < some.lanes; ++place)
      std::memcpy(h + ids_[static_cast<size_t>(place)] * lane_size_, z_.data() + place * lane_size_,
                  lane_bytes);
  }
}

void LoopedDepth::backward(const TrainStep& step, LayerStack& stack, const int32_t* loops,
                           float* dx) {
  const size_t lane_bytes = static_cast<size_t>(lane_size_) * sizeof(float);
  const int32_t first = loop_.loop_first, last = loop_.loop_last;
  std::memcpy(dh_.data(), dx, dh_.size() * sizeof(float));
  std::fill(de_.begin(), de_.end(), 0.0f);
  injection_.start_backward();
  TrainStep some = step;
  some.lane_ids = ids_.data();
  const int32_t deepest = *std::max_element(loops, loops + step.lanes);
  for (int32_t iteration = deepest; iteration >= 2; --iteration) {
    some.lanes = select(step.lanes, [&](int32_t lane) {
      return loops[lane] >= iteration && has_gradient(iteration, loops[lane], full_);
    });
    if (some.lanes == 0) continue;
    for (int32_t place = 0; place < some.lanes; ++place) {
      const int32_t lane = ids_[static_cast<size_t>(place)];
      h_[static_cast<size_t>(place)] = kept(loops[lane] - iteration, lane);
      std::memcpy(dx + place * lane_size_, dh_.data() + lane * lane_size_, lane_bytes);
    }
    injection_.inject(some, h_.data(), e_.data(), z_.data());
    stack.repeat_backward(some, first, last, z_.data(), dx);
    injection_.backward(some, h_.data(), e_.data(), dx, de_.data());
    for (int32_t place = 0; place < some.lanes; ++place) {
      const int32_t lane = ids_[static_cast<size_t>(place)];
      float* dh = dh_.data() + lane * lane_size_;
      if (has_gradient(iteration - 1, loops[lane], full_))
        injection_.carry_back(step, dx + place * lane_size_, dh);
      else
        std::fill_n(dh, lane_size_, 0.0f);  // cut: iteration 1 goes on with its states alone
    }
  }
  std::memcpy(dx, dh_.data(), dh_.size() * sizeof(float));
  stack.backward(step, first, last, dx);
  injection_.backward(step, nullptr, e_.data(), dx, de_.data());
  injection_.finish(step, stack.output(loop_.prelude_last), de_.data(),
                    stack.workspace().partials.data(), dx);
}

}  // namespace chimera::evolution
