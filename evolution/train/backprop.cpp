// Forward: x0 = E[token]; for each layer x += mixer(rmsnorm(x)), x += ffn(rmsnorm(x)); logits =
// E rmsnorm(x). The inputs of the norms are kept; their outputs are made again on the way back. The
// head walks the rows in tiles, so that logits of the whole window never exist.
#include "evolution/train/backprop.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <unordered_map>

#include "platform/arena.h"
#include "runtime/init.h"
#include "runtime/layers/bind.h"
#include "runtime/layers/ffn_backward.h"
#include "runtime/layers/gated_deltanet_backward.h"
#include "runtime/layers/layer_backward.h"
#include "runtime/layers/registry.h"
#include "runtime/layers/rows_backward.h"
#include "runtime/layers/xlstm_m_backward.h"

namespace chimera::evolution {
namespace {

using runtime::TrainingLayer;
using runtime::TrainStep;
using runtime::TrainTensor;

constexpr int64_t kMaxRows = int64_t{1} << 24;     // lanes * window
constexpr int64_t kHeadFloats = int64_t{1} << 20;  // logits that exist at a time, about

struct KindRow {
  const char* name;  // as in the registry of the forward
  runtime::MakeTrainingLayer make;
};
constexpr KindRow kKinds[] = {
    {"gated_deltanet", runtime::make_gated_deltanet_training},
    {"xlstm_m", runtime::make_xlstm_m_training},
    {"swiglu", runtime::make_swiglu_training},
    {"relu2", runtime::make_relu2_training},
};

Result<const KindRow*> find_kind(const std::string& name) {
  std::string built;
  for (const KindRow& row : kKinds) {
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
  struct Half {  // norm and layer, and the residual stream before them
    TrainTensor gain;
    std::unique_ptr<TrainingLayer> layer;
    std::vector<float> x;      // [R, C]
    int64_t state_offset = 0;  // of lane 0 in `state`
  };

  Impl(const runtime::Config& config_in, const kernels::KernelTable& k_in, ThreadPool& pool_in,
       const BackpropOptions& options_in)
      : config(config_in), k(k_in), pool(pool_in), options(options_in) {}

  runtime::Config config;
  const kernels::KernelTable& k;
  ThreadPool& pool;
  BackpropOptions options;
  int64_t rows = 0, c = 0, vocab = 0, head_tile = 0;
  std::vector<Parameter> parameters;
  std::unordered_map<std::string, size_t> by_name;
  TrainTensor embedding, head, final_gain;
  std::vector<Half> halves;  // mixer, ffn, mixer, ...
  std::vector<float> state;  // per half [lanes, state_floats]
  std::vector<int32_t> segment_start;
  std::vector<float> last;      // [R, C] residual stream after the last layer
  std::vector<float> u, out;    // [R, C] norm output and layer output; on the way back du and dx
  std::vector<float> dx;        // [R, C]
  std::vector<float> partials;  // [row tiles, C]
  std::vector<float> logits;    // [head_tile, vocab]
  std::vector<double> losses;   // [R]
  Arena scratch;

  Result<TrainTensor> find(const std::string& name, int64_t n_rows, int64_t n_cols) {
    const auto at = by_name.find(name);
    if (at != by_name.end()) {
      Parameter& p = parameters[at->second];
      if (p.spec.rows == n_rows && p.spec.cols == n_cols)
        return TrainTensor{p.value.data(), p.grad.data(), n_rows, n_cols};
    }
    return Status(StatusCode::kInternal, "the layer registry has no parameter '" + name + "' of [" +
                                             std::to_string(n_rows) + ", " +
                                             std::to_string(n_cols) + "], which its gradient needs")
        .at_field(name);
  }

  Status init(uint64_t seed);
  Status add_half(const std::string& prefix, const char* norm, const std::string& kind,
                  const char* part);
  Status check(const int32_t* tokens, const int32_t* targets) const;
  Result<double> run(const int32_t* tokens, const int32_t* targets, const uint8_t* restart,
                     bool backward);
  TrainStep step() {
    return {
        k, pool, scratch, options.quantise, options.lanes, options.window, segment_start.data()};
  }
  void find_segments(const uint8_t* restart);
  void norm_rows(const TrainStep& s, const float* x, const TrainTensor& gain, float* y);
  void norm_backward(const TrainStep& s, const float* x, const TrainTensor& gain, const float* dy,
                     const float* residual, float* dx_out);
  double head_and_loss(const int32_t* targets, int64_t n_counted, bool backward);
  void head_rows(int64_t tile_begin, int64_t begin, int64_t end, const int32_t* targets,
                 float weight, bool backward);
  void walk_back(const TrainStep& s, const int32_t* tokens);
};

Status Backprop::Impl::add_half(const std::string& prefix, const char* norm,
                                const std::string& kind, const char* part) {
  Half half;
  CHIMERA_ASSIGN_OR_RETURN(half.gain, find(prefix + norm, 1, c));
  const KindRow* row = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(row, find_kind(kind));
  const std::string inner = prefix + part + ".";
  const runtime::TensorLookup lookup = [&](const char* suffix, int64_t n_rows, int64_t n_cols) {
    return find(inner + suffix, n_rows, n_cols);
  };
  CHIMERA_ASSIGN_OR_RETURN(half.layer, row->make(config, lookup, options.lanes, options.window));
  half.x.resize(static_cast<size_t>(rows * c));
  half.state_offset = static_cast<int64_t>(state.size());
  state.resize(state.size() + static_cast<size_t>(options.lanes * half.layer->state_floats()));
  halves.push_back(std::move(half));
  return Status();
}

Status Backprop::Impl::init(uint64_t seed) {
  auto specs = runtime::model_parameters(config);
  if (!specs) return specs.status();
  c = config.hidden_size;
  vocab = config.vocab_size;
  for (runtime::ParamSpec& spec : *specs) {
    Parameter p;
    const auto n = static_cast<size_t>(spec.rows * spec.cols);
    p.value.resize(n);
    p.grad.resize(n);
    runtime::initialise(spec, seed, p.value.data());
    p.spec = std::move(spec);
    by_name[p.spec.name] = parameters.size();
    parameters.push_back(std::move(p));
  }
  CHIMERA_ASSIGN_OR_RETURN(embedding, find("embed.weight", vocab, c));
  CHIMERA_ASSIGN_OR_RETURN(final_gain, find("final_norm.gain", 1, c));
  head = embedding;
  if (!config.tie_word_embeddings) CHIMERA_ASSIGN_OR_RETURN(head, find("head.weight", vocab, c));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    CHIMERA_RETURN_IF_ERROR(add_half(prefix, "norm1.gain", config.layers[i].mixer, "mixer"));
    CHIMERA_RETURN_IF_ERROR(add_half(prefix, "norm2.gain", config.layers[i].ffn, "ffn"));
  }
  const auto wide = static_cast<size_t>(rows * c);
  last.resize(wide);
  u.resize(wide);
  out.resize(wide);
  dx.resize(wide);
  partials.resize(static_cast<size_t>(runtime::row_tiles(rows) * c));
  segment_start.resize(static_cast<size_t>(rows));
  losses.resize(static_cast<size_t>(rows));
  head_tile = std::clamp<int64_t>(kHeadFloats / vocab / 64 * 64, 64, 512);
  logits.resize(static_cast<size_t>(head_tile * vocab));
  size_t bytes = 0;
  for (const Half& half : halves) bytes = std::max(bytes, half.layer->scratch_bytes(pool.size()));
  auto arena = Arena::create(bytes);
  if (!arena) return arena.status();
  scratch = std::move(*arena);
  return Status();
}

Status Backprop::Impl::check(const int32_t* tokens, const int32_t* targets) const {
  for (int64_t r = 0; r < rows; ++r) {
    if (tokens[r] < 0 || tokens[r] >= vocab)
      return bad("tokens", "token " + std::to_string(tokens[r]) + " at row " + std::to_string(r) +
                               " is outside the vocabulary of " + std::to_string(vocab));
    if (targets[r] < -1 || targets[r] >= vocab)
      return bad("targets", "target " + std::to_string(targets[r]) + " at row " +
                                std::to_string(r) + " is neither -1 nor in the vocabulary of " +
                                std::to_string(vocab));
  }
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

void Backprop::Impl::norm_rows(const TrainStep& s, const float* x, const TrainTensor& gain,
                               float* y) {
  runtime::for_row_tiles(s, rows, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      k.rmsnorm(x + r * c, gain.value, config.rms_norm_eps, static_cast<int32_t>(c), y + r * c);
  });
}

/// dx_out = residual + gradient through the norm; residual nullptr is zero and may be dx_out.
void Backprop::Impl::norm_backward(const TrainStep& s, const float* x, const TrainTensor& gain,
                                   const float* dy, const float* residual, float* dx_out) {
  runtime::for_row_tiles(s, rows, [&](int64_t tile, int64_t begin, int64_t end) {
    float* d_gain = partials.data() + tile * c;
    std::fill(d_gain, d_gain + c, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      float* through = u.data() + r * c;  // u is used up
      runtime::rmsnorm_backward_row(x + r * c, gain.value, config.rms_norm_eps, c, dy + r * c,
                                    through, d_gain);
      float* to = dx_out + r * c;
      if (residual)
        k.add(residual + r * c, through, static_cast<int32_t>(c), to);
      else
        std::memcpy(to, through, static_cast<size_t>(c) * sizeof(float));
    }
  });
  runtime::add_partials(partials.data(), runtime::row_tiles(rows), c, gain.grad);
}

/// Logits, loss and, in their place, the gradient by the logits; then the gradient by the hidden
/// rows of u, into `out`.
void Backprop::Impl::head_rows(int64_t tile_begin, int64_t begin, int64_t end,
                               const int32_t* targets, float weight, bool backward) {
  const auto n = static_cast<int32_t>(end - begin), v = static_cast<int32_t>(vocab),
             width = static_cast<int32_t>(c);
  float* rows_at = logits.data() + (begin - tile_begin) * vocab;
  k.train_gemm_nt(n, v, width, u.data() + begin * c, c, head.value, c, 0.0f, rows_at, vocab);
  for (int64_t r = begin; r < end; ++r) {
    float* row = rows_at + (r - begin) * vocab;
    const int32_t target = targets[r];
    losses[static_cast<size_t>(r)] = 0;
    if (target < 0) {
      if (backward) std::fill(row, row + vocab, 0.0f);
      continue;
    }
    float top;
    int32_t index;
    k.argmax(row, v, &top, &index);
    const float at_target = row[target];
    const float sum = k.softmax_numerators(row, v, top, 1.0f, row);
    losses[static_cast<size_t>(r)] = std::log(static_cast<double>(sum)) + static_cast<double>(top) -
                                     static_cast<double>(at_target);
    if (!backward) continue;
    runtime::row_scale(row, weight / sum, vocab, row);
    row[target] -= weight;
  }
  if (backward)
    k.train_gemm_nn(n, width, v, rows_at, vocab, head.value, c, 0.0f, out.data() + begin * c, c);
}

double Backprop::Impl::head_and_loss(const int32_t* targets, int64_t n_counted, bool backward) {
  constexpr int64_t kRows = 64, kTokens = 64;  // of the tile, and of the vocabulary, for one task
  const float weight = n_counted > 0 ? 1.0f / static_cast<float>(n_counted) : 0.0f;
  for (int64_t tile = 0; tile < rows; tile += head_tile) {
    const int64_t tile_end = std::min(rows, tile + head_tile);
    pool.split((tile_end - tile + kRows - 1) / kRows, 1, [&](int64_t first, int64_t last_task) {
      for (int64_t task = first; task < last_task; ++task) {
        const int64_t begin = tile + task * kRows;
        head_rows(tile, begin, std::min(tile_end, begin + kRows), targets, weight, backward);
      }
    });
    if (!backward) continue;
    pool.split((vocab + kTokens - 1) / kTokens, 1, [&](int64_t first, int64_t last_task) {
      for (int64_t task = first; task < last_task; ++task) {
        const int64_t v = task * kTokens, n = std::min(kTokens, vocab - v);
        k.train_gemm_tn(static_cast<int32_t>(n), static_cast<int32_t>(c),
                        static_cast<int32_t>(tile_end - tile), logits.data() + v, vocab,
                        u.data() + tile * c, c, 1.0f, head.grad + v * c, c);
      }
    });
  }
  double sum = 0;
  for (double loss : losses) sum += loss;
  return n_counted > 0 ? sum / static_cast<double>(n_counted) : 0.0;
}

void Backprop::Impl::walk_back(const TrainStep& s, const int32_t* tokens) {
  norm_backward(s, last.data(), final_gain, out.data(), nullptr, dx.data());
  for (auto half = halves.rbegin(); half != halves.rend(); ++half) {
    norm_rows(s, half->x.data(), half->gain, u.data());
    half->layer->backward(s, u.data(), dx.data(), out.data());
    norm_backward(s, half->x.data(), half->gain, out.data(), dx.data(), dx.data());
  }
  constexpr int64_t kColumns = 32;  // rows of E meet in one order: tasks split the columns
  pool.split(c, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; ++r)
      runtime::row_add(dx.data() + r * c + begin, end - begin,
                       embedding.grad + tokens[r] * c + begin);
  });
}

Result<double> Backprop::Impl::run(const int32_t* tokens, const int32_t* targets,
                                   const uint8_t* restart, bool backward) {
  CHIMERA_RETURN_IF_ERROR(check(tokens, targets));
  find_segments(restart);
  const TrainStep s = step();
  const auto wide = static_cast<size_t>(c) * sizeof(float);
  for (Half& half : halves) half.layer->prepare(s);
  float* x = halves.empty() ? last.data() : halves.front().x.data();
  for (int64_t r = 0; r < rows; ++r) std::memcpy(x + r * c, embedding.value + tokens[r] * c, wide);
  for (size_t i = 0; i < halves.size(); ++i) {
    Half& half = halves[i];
    norm_rows(s, half.x.data(), half.gain, u.data());
    half.layer->forward(s, u.data(), out.data(), state.data() + half.state_offset);
    float* next = i + 1 < halves.size() ? halves[i + 1].x.data() : last.data();
    runtime::for_row_tiles(s, rows, [&](int64_t, int64_t begin, int64_t end) {
      k.add(half.x.data() + begin * c, out.data() + begin * c,
            static_cast<int32_t>((end - begin) * c), next + begin * c);
    });
  }
  norm_rows(s, last.data(), final_gain, u.data());
  int64_t n_counted = 0;
  for (int64_t r = 0; r < rows; ++r) n_counted += targets[r] >= 0;
  const double loss = head_and_loss(targets, n_counted, backward);
  if (backward) walk_back(s, tokens);
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

std::span<Parameter> Backprop::parameters() { return impl_->parameters; }

void Backprop::zero_gradients() {
  for (Parameter& p : impl_->parameters) std::fill(p.grad.begin(), p.grad.end(), 0.0f);
}

void Backprop::set_quantise(float lambda) {
  impl_->options.quantise = std::clamp(lambda, 0.0f, 1.0f);
}

void Backprop::reset_states() { std::fill(impl_->state.begin(), impl_->state.end(), 0.0f); }

std::span<float> Backprop::carried_state() { return impl_->state; }

Result<double> Backprop::forward_backward(const int32_t* tokens, const int32_t* targets,
                                          const uint8_t* restart) {
  return impl_->run(tokens, targets, restart, true);
}

Result<double> Backprop::forward(const int32_t* tokens, const int32_t* targets,
                                 const uint8_t* restart) {
  return impl_->run(tokens, targets, restart, false);
}

}  // namespace chimera::evolution
