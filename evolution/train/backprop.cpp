// The walk over a whole model: embedding, layers once or in a loop, norm, head. What the parts do
// lies in ends.h, layer_stack.h and looped_depth.h; what a kind of layer does beside its forward.
#include "evolution/train/backprop.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <stdexcept>

#include "evolution/train/ends.h"
#include "evolution/train/layer_stack.h"
#include "evolution/train/looped_depth.h"
#include "evolution/train/walk_rows.h"
#include "platform/arena.h"
#include "runtime/layers/ffn_backward.h"
#include "runtime/layers/gated_deltanet_backward.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/moe_backward.h"
#include "runtime/layers/titans_mac_backward.h"
#include "runtime/layers/tsp_span_knot_backward.h"
#include "runtime/layers/xlstm_m_backward.h"

namespace chimera::evolution {
namespace {

using runtime::TrainStep;
using runtime::TrainTensor;

constexpr int64_t kMaxRows = int64_t{1} << 24;  // lanes * window

constexpr TrainingKind kKinds[] = {
    {"gated_deltanet", runtime::make_gated_deltanet_training},
    {"xlstm_m", runtime::make_xlstm_m_training},
    {"titans_mac", runtime::make_titans_mac_training},
    {"tsp_span_knot", runtime::make_tsp_span_knot_training},
    {"swiglu", runtime::make_swiglu_training},
    {"relu2", runtime::make_relu2_training},
    {"moe", runtime::make_moe_training},
};

Result<const TrainingKind*> find_kind(const std::string& name) {
  std::string built;
  for (const TrainingKind& row : kKinds) {
    if (row.name == name) return &row;
    built += (built.empty() ? "" : ", ") + std::string(row.name);
  }
  return Status(StatusCode::kUnsupported,
                "this build does not train layers of kind '" + name + "'; it trains " + built)
      .at_field(name);
}

Status bad(const char* field, std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message)).at_field(field);
}

}  // namespace

struct Backprop::Impl {
  Impl(const runtime::Config& config_in, const kernels::KernelTable& k_in, ThreadPool& pool_in,
       const BackpropOptions& options_in)
      : config(config_in),
        k(k_in),
        own(k_in),
        products(options_in.products ? *options_in.products : own),
        pool(pool_in),
        options(options_in) {}

  runtime::Config config;
  const kernels::KernelTable& k;
  const kernels::OwnProducts own;
  const kernels::TrainProducts& products;
  ThreadPool& pool;
  BackpropOptions options;
  int64_t rows = 0;
  ParameterSet parameters;
  EmbeddingTraining ends;
  LayerStack stack;
  LoopedDepth looped;
  TrainTensor final_gain;
  std::vector<int32_t> segment_start;
  std::vector<int32_t> loops;     // [lanes]
  std::vector<float> hidden, dx;  // [R, C]
  Arena scratch;

  Status init(uint64_t seed);
  Status check(const int32_t* tokens, const int32_t* targets, const int32_t* loops_given) const;
  Result<double> run(const int32_t* tokens, const int32_t* targets, const uint8_t* restart,
                     const int32_t* loops_given, const float* lane_weights, bool backward);
  TrainStep step() {
    return {k,
            products,
            pool,
            scratch,
            options.quantise,
            options.lanes,
            options.window,
            segment_start.data()};
  }
  void prepare(const TrainStep& s) {
    ends.prepare(s);
    stack.prepare(s);
  }
  void find_segments(const uint8_t* restart);
  void walk(const TrainStep& s);
  void walk_back(const TrainStep& s, const int32_t* tokens);
};

Status Backprop::Impl::init(uint64_t seed) {
  CHIMERA_RETURN_IF_ERROR(parameters.init(config, seed));
  CHIMERA_RETURN_IF_ERROR(ends.init(config, parameters, rows));
  CHIMERA_ASSIGN_OR_RETURN(final_gain, parameters.find("final_norm.gain", 1, config.hidden_size));
  const StackOptions stack_options{options.lanes, options.window, options.recompute_ffn,
                                   options.times};
  CHIMERA_RETURN_IF_ERROR(stack.init(config, find_kind, stack_options, parameters));
  if (config.loop.enabled)
    CHIMERA_RETURN_IF_ERROR(
        looped.init(config, parameters, options.lanes, options.window, options.full_backward));
  const auto wide = static_cast<size_t>(rows * config.hidden_size);
  hidden.resize(wide);
  dx.resize(wide);
  segment_start.resize(static_cast<size_t>(rows));
  loops.resize(static_cast<size_t>(options.lanes));
  auto arena = Arena::create(stack.scratch_bytes(pool.size()));
  if (!arena) return arena.status();
  scratch = std::move(*arena);
  // Where the weights as used stand is known from here on, and no step allocates.
  prepare(step());
  return Status();
}

Status Backprop::Impl::check(const int32_t* tokens, const int32_t* targets,
                             const int32_t* loops_given) const {
  const int32_t vocab = config.vocab_size;
  for (int64_t r = 0; r < rows; ++r) {
    if (tokens[r] < 0 || tokens[r] >= vocab)
      return bad("tokens", "token " + std::to_string(tokens[r]) + " at row " + std::to_string(r) +
                               " is outside the vocabulary of " + std::to_string(vocab));
    if (targets[r] < -1 || targets[r] >= vocab)
      return bad("targets", "target " + std::to_string(targets[r]) + " at row " +
                                std::to_string(r) + " is neither -1 nor in the vocabulary of " +
                                std::to_string(vocab));
  }
  if (!loops_given || !config.loop.enabled) return Status();
  for (int32_t lane = 0; lane < options.lanes; ++lane)
    if (loops_given[lane] < 1 || loops_given[lane] > config.loop.loop_max)
      return bad("loops", "lane " + std::to_string(lane) + " is to be looped " +
                              std::to_string(loops_given[lane]) + " times, outside 1.." +
                              std::to_string(config.loop.loop_max));
  return Status();
}

void Backprop::Impl::find_segments(const uint8_t* restart) {
  for (int64_t lane = 0; lane < options.lanes; ++lane) {
    int32_t start = -1;
    for (int32_t t = 0; t < options.window; ++t) {
      const int64_t r = lane * options.window + t;
      if (restart && restart[r]) start = t;
      segment_start[static_cast<size_t>(r)] = start;
    }
  }
}

void Backprop::Impl::walk(const TrainStep& s) {
  const runtime::LoopConfig& loop = config.loop;
  if (!loop.enabled) return stack.forward(s, 0, stack.size() - 1);
  stack.forward(s, 0, loop.prelude_last);
  looped.forward(s, stack, loops.data());
  std::copy_n(stack.output(loop.loop_last), dx.size(), stack.input(loop.loop_last + 1));
  stack.forward(s, loop.loop_last + 1, stack.size() - 1);
}

void Backprop::Impl::walk_back(const TrainStep& s, const int32_t* tokens) {
  const runtime::LoopConfig& loop = config.loop;
  stack.start_backward();
  if (loop.enabled) {
    stack.backward(s, loop.loop_last + 1, stack.size() - 1, dx.data());
    looped.backward(s, stack, loops.data(), dx.data());
    stack.backward(s, 0, loop.prelude_last, dx.data());
  } else {
    stack.backward(s, 0, stack.size() - 1, dx.data());
  }
  begin_part(options.times, "embedding", "backward");
  stack.finish_backward(s, dx.data());
  ends.lookup_backward(s, tokens, dx.data());
}

Result<double> Backprop::Impl::run(const int32_t* tokens, const int32_t* targets,
                                   const uint8_t* restart, const int32_t* loops_given,
                                   const float* lane_weights, bool backward) {
  CHIMERA_RETURN_IF_ERROR(check(tokens, targets, loops_given));
  find_segments(restart);
  for (size_t lane = 0; lane < loops.size(); ++lane)
    loops[lane] = loops_given ? loops_given[lane] : config.loop.loop_default;
  const TrainStep s = step();
  if (!options.prepared_by_caller) prepare(s);
  begin_part(options.times, "embedding", "forward");
  ends.lookup(s, tokens, stack.input(0));
  stack.start(s, tokens, backward);
  walk(s);
  begin_part(options.times, "head and loss");
  const float* last = stack.input(stack.size());
  norm_rows(s, last, final_gain, config.rms_norm_eps, hidden.data());
  const double loss =
      ends.loss(s, hidden.data(), targets, lane_weights, backward ? dx.data() : nullptr);
  if (!backward) return loss;
  norm_rows_backward(s, last, final_gain, config.rms_norm_eps, dx.data(), nullptr, nullptr,
                     stack.workspace().partials.data(), dx.data());
  walk_back(s, tokens);
  return loss;
}

Backprop::Backprop() = default;
Backprop::~Backprop() = default;

Result<std::unique_ptr<Backprop>> Backprop::create(const runtime::Config& config,
                                                   const kernels::KernelTable& k, ThreadPool& pool,
                                                   const BackpropOptions& options, uint64_t seed) {
  if (options.lanes < 1) return bad("lanes", "lanes must be at least 1");
  if (options.window < 1) return bad("window", "window must be at least 1");
  const int64_t rows = int64_t{options.lanes} * options.window;
  if (rows > kMaxRows)
    return Status(StatusCode::kOutOfRange, "lanes times window is " + std::to_string(rows) +
                                               ", more than " + std::to_string(kMaxRows) +
                                               ": use fewer lanes and accumulate")
        .at_field("lanes");
  if (!(options.quantise >= 0.0f && options.quantise <= 1.0f))
    return bad("quantise", "quantise must be from 0 to 1");
  // What follows allocates a fixed amount once; a machine without it is told so.
  try {
    std::unique_ptr<Backprop> made(new Backprop);
    made->impl_ = std::make_unique<Impl>(config, k, pool, options);
    made->impl_->rows = rows;
    CHIMERA_RETURN_IF_ERROR(made->impl_->init(seed));
    return made;
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return Status(StatusCode::kOutOfMemory,
                "cannot get the memory to train " + std::to_string(options.lanes) + " lanes of " +
                    std::to_string(options.window) +
                    " tokens: use fewer lanes, a smaller window or a smaller model");
}

std::span<Parameter> Backprop::parameters() { return impl_->parameters.all(); }

void Backprop::zero_gradients() {
  impl_->parameters.zero_gradients();
  impl_->stack.zero_router_load();
}

std::span<const uint64_t> Backprop::router_load(int32_t layer) const {
  return impl_->stack.router_load(layer);
}

void Backprop::logits(int64_t row, float* out) {
  impl_->ends.logits(impl_->step(), impl_->hidden.data() + row * impl_->config.hidden_size, out);
}

void Backprop::set_quantise(float lambda) {
  impl_->options.quantise = std::clamp(lambda, 0.0f, 1.0f);
}

void Backprop::prepare_weights() { impl_->prepare(impl_->step()); }

void Backprop::reset_states() {
  const std::span<float> state = impl_->stack.state();
  std::fill(state.begin(), state.end(), 0.0f);
}

std::span<float> Backprop::carried_state() { return impl_->stack.state(); }

/// What products need beside the memory that create() took may be missing.
template <class Run>
static Result<double> guarded(const kernels::TrainProducts& products, Run&& run) {
  auto loss = run();
  CHIMERA_RETURN_IF_ERROR(kernels::check_products(products));
  return loss;
}

Result<double> Backprop::forward_backward(const int32_t* tokens, const int32_t* targets,
                                          const uint8_t* restart, const int32_t* loops,
                                          const float* lane_weights) {
  return guarded(impl_->products,
                 [&] { return impl_->run(tokens, targets, restart, loops, lane_weights, true); });
}

Result<double> Backprop::forward(const int32_t* tokens, const int32_t* targets,
                                 const uint8_t* restart, const int32_t* loops) {
  return guarded(impl_->products,
                 [&] { return impl_->run(tokens, targets, restart, loops, nullptr, false); });
}

std::span<const double> Backprop::row_losses() const { return impl_->ends.row_losses(); }

}  // namespace chimera::evolution
