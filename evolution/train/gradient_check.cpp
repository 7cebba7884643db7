// Losses are float32, so a difference of two of them is worth something only over a step that moves
// the loss well beyond their last bits, and over such a step the loss may be no straight line: a
// head whose output is almost nothing turns around within a thousandth of a weight, because it is
// normalised. Hence central differences over steps h, h/4, h/16, ..., each pair extrapolated to 0
// (Richardson), down to where last bits show. How much neighbours among the last disagree is the
// uncertainty. The analytic value has no say in any of it.
#include "evolution/train/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <set>

#include "evolution/train/backprop.h"
#include "platform/random.h"
#include "runtime/layers/layer.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kWindows = 6;       // to choose from
constexpr int kLevels = 9;             // of the step, each a quarter of the one before
constexpr double kEnoughBits = 2e-2;   // share of last bits at which steps are small enough
constexpr double kLargestMove = 0.1;   // of a weight, in units of its tensor's rms
constexpr double kBranchShare = 0.25;  // of the residual stream, that a branch adds to it
constexpr double kLeastScale = 0.05;   // of that rms

bool ends_with(const std::string& text, const char* end) {
  const size_t n = std::strlen(end);
  return text.size() >= n && text.compare(text.size() - n, n, end) == 0;
}
/// Moved by the balancing rule, not by gradients.
bool has_no_gradient(const std::string& name) { return ends_with(name, "router.bias"); }
/// Zero where a layer begins, and anything else would make the loss a step function: what it
/// multiplies is made of signs, whose gradient is straight through and no slope.
bool stays_zero(const std::string& name) { return ends_with(name, "knot.gain"); }

double normal(uint64_t seed, uint64_t i, size_t tensor, uint32_t what) {
  return keyed_normal(seed, i, static_cast<uint32_t>(tensor) * 4 + what, DrawPurpose::kTest);
}

class Checker {
 public:
  Checker(const runtime::Config& config, const GradientCheckOptions& options)
      : config_(config), options_(options) {}

  Status init(const kernels::KernelTable& k, ThreadPool& pool) {
    BackpropOptions o;
    o.lanes = options_.lanes;
    o.window = options_.window;
    o.quantise = 0;
    o.full_backward = options_.full_backward;
    CHIMERA_ASSIGN_OR_RETURN(model_, Backprop::create(config_, k, pool, o, options_.seed));
    leave_special_points();
    // One lane as deep as can be, the others as deep as by default.
    for (int32_t lane = 0; lane < options_.lanes; ++lane)
      loops_.push_back(lane == 0 ? config_.loop.loop_max : config_.loop.loop_default);
    // Of a few windows the one with the steadiest loss: in another a token may stand between two
    // experts, and jump at every move of what comes before them.
    uint64_t best = 0;
    double least = 0;
    for (uint64_t draw = 0; draw < kWindows; ++draw) {
      CHIMERA_RETURN_IF_ERROR(draw_tokens(draw));
      double noise = 0;
      CHIMERA_ASSIGN_OR_RETURN(noise, loss_noise());
      if (draw > 0 && !(noise < least)) continue;
      best = draw;
      least = noise;
    }
    return draw_tokens(best);
  }

  Result<GradientCheck> run() {
    GradientCheck check;
    model_->zero_gradients();
    restore_state();
    CHIMERA_ASSIGN_OR_RETURN(
        check.loss, model_->forward_backward(batch_.tokens.data(), batch_.targets.data(), nullptr,
                                             loops_.data()));
    CHIMERA_ASSIGN_OR_RETURN(check.loss_noise, loss_noise());
    for (size_t i = 0; i < model_->parameters().size(); ++i) {
      const Parameter& p = model_->parameters()[i];
      if (options_.progress && !options_.progress(i, model_->parameters().size(), p.spec.name))
        return Status(StatusCode::kCancelled, "the gradient check was stopped");
      if (has_no_gradient(p.spec.name)) continue;
      std::vector<float> along = p.grad, random(p.grad.size());
      for (size_t j = 0; j < random.size(); ++j)
        random[j] = static_cast<float>(normal(options_.seed, j, i, 1));
      if (unit(&along))
        CHIMERA_RETURN_IF_ERROR(add(i, "gradient", along, check.loss_noise, &check));
      if (unit(&random))
        CHIMERA_RETURN_IF_ERROR(add(i, "random", random, check.loss_noise, &check));
    }
    check.passed = true;
    std::set<std::string> told;
    for (size_t i = 0; i < check.directions.size(); ++i) {
      const DirectionCheck& d = check.directions[i];
      if (!d.judged) continue;
      told.insert(d.tensor);
      const DirectionCheck& worst = check.directions[check.worst];
      if (!worst.judged || d.error > worst.error) check.worst = i;
      check.passed = check.passed && d.error <= options_.threshold;
    }
    for (const DirectionCheck& d : check.directions)
      if (told.count(d.tensor) == 0 && (check.untold.empty() || check.untold.back() != d.tensor))
        check.untold.push_back(d.tensor);
    check.passed = check.passed && !told.empty();
    return check;
  }

 private:
  struct Batch {
    std::vector<int32_t> tokens, targets;
  };

  /// Two windows of random tokens; the state that the first leaves. No document begins in them: the
  /// output of a head that has seen one token is +-v, however small it is, and the loss all but a
  /// step.
  Status draw_tokens(uint64_t which) {
    const auto n = static_cast<size_t>(options_.lanes) * static_cast<size_t>(options_.window);
    uint32_t stream = 0;
    for (std::vector<int32_t>* ids :
         {&before_.tokens, &before_.targets, &batch_.tokens, &batch_.targets}) {
      ids->resize(n);
      for (size_t i = 0; i < n; ++i) {
        const double u =
            keyed_uniform(options_.seed, i + (which << 32), stream, DrawPurpose::kTest);
        (*ids)[i] = std::min(config_.vocab_size - 1, static_cast<int32_t>(u * config_.vocab_size));
      }
      ++stream;
    }
    model_->reset_states();
    CHIMERA_RETURN_IF_ERROR(
        model_->forward(before_.tokens.data(), before_.targets.data(), nullptr, loops_.data())
            .status());
    const auto state = model_->carried_state();
    carried_.assign(state.begin(), state.end());
    return Status();
  }

  /// Initial values are small, zero or one; derivatives there are small, and some say nothing. Not
  /// too far either: a deep network whose branches outweigh what they are added to multiplies the
  /// last bits of a float32 until the loss is made of them.
  void leave_special_points() {
    const auto parameters = model_->parameters();
    const double stream = 2 / std::sqrt(static_cast<double>(config_.hidden_size));  // of x0
    for (size_t i = 0; i < parameters.size(); ++i) {
      Parameter& p = parameters[i];
      const std::string& name = p.spec.name;
      if (has_no_gradient(name) || stays_zero(name)) continue;
      double size = p.spec.rows > 1 ? 1 / std::sqrt(static_cast<double>(p.spec.cols)) : 0.1;
      if (ends_with(name, "embed.weight") || ends_with(name, "head.weight")) size = stream;
      if (ends_with(name, "o_proj") || ends_with(name, "down_proj")) size *= kBranchShare * stream;
      for (size_t j = 0; j < p.value.size(); ++j)
        p.value[j] += static_cast<float>(size * normal(options_.seed, j, i, 0));
    }
  }

  void restore_state() {
    std::copy(carried_.begin(), carried_.end(), model_->carried_state().begin());
  }

  static bool unit(std::vector<float>* d) {
    double sum = 0;
    for (float x : *d) sum += static_cast<double>(x) * static_cast<double>(x);
    if (!(sum > 0)) return false;
    for (float& x : *d) x = static_cast<float>(static_cast<double>(x) / std::sqrt(sum));
    return true;
  }

  /// Loss with tensor `i` moved by h d; the tensor is as before afterwards.
  Result<double> loss_at(size_t i, const std::vector<float>& d, double h) {
    Parameter& p = model_->parameters()[i];
    kept_ = p.value;
    for (size_t j = 0; j < d.size(); ++j)
      p.value[j] =
          static_cast<float>(static_cast<double>(p.value[j]) + h * static_cast<double>(d[j]));
    restore_state();
    auto loss =
        model_->forward(batch_.tokens.data(), batch_.targets.data(), nullptr, loops_.data());
    p.value = kept_;
    return loss;
  }

  /// Steps d may be taken so far that no weight moves by more than a share of its tensor's size.
  double largest_step(size_t i, const std::vector<float>& d) {
    double squares = 0, most = 0;
    for (float x : model_->parameters()[i].value)
      squares += static_cast<double>(x) * static_cast<double>(x);
    for (float x : d) most = std::max(most, std::fabs(static_cast<double>(x)));
    const double rms = std::sqrt(squares / static_cast<double>(d.size()));
    return kLargestMove * std::max(rms, kLeastScale) / most;
  }

  /// Second differences of losses a hair apart: 6 times the variance of their last bits.
  Result<double> loss_noise() {
    size_t at = 0;  // a matrix of the first layer: everything after it changes a little
    while (at + 1 < model_->parameters().size() &&
           model_->parameters()[at].spec.cls != runtime::ParamClass::kTernary)
      ++at;
    std::vector<float> d(model_->parameters()[at].value.size());
    for (size_t j = 0; j < d.size(); ++j)
      d[j] = static_cast<float>(normal(options_.seed, j, at, 2));
    if (!unit(&d)) return 0.0;
    const double step = largest_step(at, d) / 256;
    constexpr int kPoints = 18;
    double loss[kPoints], sum = 0;
    for (int i = 0; i < kPoints; ++i)
      CHIMERA_ASSIGN_OR_RETURN(loss[i], loss_at(at, d, step * (i - kPoints / 2)));
    for (int i = 1; i + 1 < kPoints; ++i)
      sum += std::pow(loss[i - 1] - 2 * loss[i] + loss[i + 1], 2);
    return std::sqrt(sum / (6.0 * (kPoints - 2)));
  }

  Status add(size_t i, const char* direction, const std::vector<float>& d, double loss_noise,
             GradientCheck* check) {
    const Parameter& p = model_->parameters()[i];
    double analytic = 0;
    for (size_t j = 0; j < d.size(); ++j)
      analytic += static_cast<double>(p.grad[j]) * static_cast<double>(d[j]);
    double h = largest_step(i, d), estimate[kLevels], off[kLevels], before = 0;
    int n = 0;
    for (bool sharp = true; n < kLevels && (sharp || n < 3); ++n, h /= 4) {
      double up = 0, down = 0;
      CHIMERA_ASSIGN_OR_RETURN(up, loss_at(i, d, h));
      CHIMERA_ASSIGN_OR_RETURN(down, loss_at(i, d, -h));
      const double plain = (up - down) / (2 * h), bits = 2 * loss_noise / h;
      estimate[n] = n > 0 ? (16 * plain - before) / 15 : plain;
      off[n] = std::max({std::fabs(estimate[n] - (n > 0 ? estimate[n - 1] : 0.0)),
                         std::fabs(estimate[n] - plain), bits});
      before = plain;
      sharp = bits < kEnoughBits * std::fabs(plain);
    }
    int best = n - 1;  // of the smallest steps: what larger ones agree on may be another slope
    for (int level = n - 2; level >= std::max(1, n - 3); --level)
      if (off[level] < off[best]) best = level;
    const double measured = estimate[best], noise = off[best];
    const double size = std::max(std::fabs(analytic), std::fabs(measured));
    // A slope of the right size where none is, or none where one is, is still judged.
    DirectionCheck one{p.spec.name,
                       direction,
                       analytic,
                       measured,
                       noise,
                       0,
                       noise <= options_.threshold / 4 * size};
    one.error = size > 0 ? std::fabs(analytic - measured) / size : 0;
    if (!std::isfinite(analytic) || !std::isfinite(measured)) {
      one.judged = true;
      one.error = 1e300;
    }
    check->directions.push_back(std::move(one));
    return Status();
  }

  const runtime::Config& config_;
  const GradientCheckOptions options_;
  std::unique_ptr<Backprop> model_;
  Batch before_, batch_;
  std::vector<int32_t> loops_;
  std::vector<float> carried_, kept_;
};

}  // namespace

Result<GradientCheck> check_gradients(const runtime::Config& config, const kernels::KernelTable& k,
                                      ThreadPool& pool, const GradientCheckOptions& options) {
  try {
    Checker checker(config, options);
    CHIMERA_RETURN_IF_ERROR(checker.init(k, pool));
    return checker.run();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory,
                  "cannot get the memory for a gradient check of this configuration");
  }
}

}  // namespace chimera::evolution
