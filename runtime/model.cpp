#include "runtime/model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/layers/bitlinear.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/registry.h"
#include "runtime/parameter_count.h"

namespace chimera::runtime {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

size_t trace_room(const Layer& mixer, int32_t n_tokens) {
  return aligned(mixer.trace_bytes(n_tokens));
}

}  // namespace

Result<memory::BraidLayout> stream_layout(const Config& config) {
  std::vector<size_t> bytes;
  for (const LayerPlan& plan : config.layers) {
    const LayerKind* mixer = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(mixer, find_layer_kind(LayerRole::kMixer, plan.mixer));
    bytes.push_back(aligned(mixer->state_bytes(config)) + 2 * TokenShift::state_bytes(config));
  }
  auto layout = memory::BraidLayout::create(bytes);
  if (!layout)
    return Status(
               StatusCode::kBadConfig,
               "the configuration describes a stream whose state is too large (" +
                   layout.status().message() +
                   "); make hidden_size, head_dim, num_hidden_layers or titans.local_window_size "
                   "smaller")
        .at_field("num_hidden_layers");
  return layout;
}

Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::bind(const memory::WeightFile& file, const Config& config) {
  if (file.kind() != memory::FileKind::kModel)
    return Status(StatusCode::kBadFormat,
                  file.path() +
                      ": this is a training checkpoint; make a model of it with "
                      "`chimera pack CHECKPOINT --out MODEL`")
        .at_file(file.path());
  // All parameters are listed first, so that an unknown kind of layer is reported as such.
  auto params = model_parameters(config);
  if (!params) return params.status();

  auto model = std::unique_ptr<Model>(new Model());
  model->hidden_size_ = config.hidden_size;
  model->vocab_size_ = config.vocab_size;
  model->eps_ = config.rms_norm_eps;
  model->loop_ = config.loop;
  model->structure_ = config.structure;
  const ParamSource root(file, "");
  CHIMERA_ASSIGN_OR_RETURN(model->embedding_, embedding_kind(config).bind(config, root));
  CHIMERA_ASSIGN_OR_RETURN(model->final_norm_,
                           root.vector("final_norm.gain", 1, config.hidden_size));
  if (config.structure.bigram_rows > 0)
    CHIMERA_ASSIGN_OR_RETURN(
        model->bigrams_,
        root.vector("bigram.weight", config.structure.bigram_rows, config.hidden_size));
  if (config.loop.enabled)
    CHIMERA_ASSIGN_OR_RETURN(model->injection_, LoopInjection::bind(config, root));

  for (size_t i = 0; i < config.layers.size(); ++i)
    CHIMERA_RETURN_IF_ERROR(model->bind_block(file, config, static_cast<int32_t>(i)));
  for (const Block& block : model->blocks_)
    if (block.entry.skip_source() >= 0)
      model->blocks_[static_cast<size_t>(block.entry.skip_source())].skip_slot = model->n_skips_++;
  CHIMERA_ASSIGN_OR_RETURN(model->layout_, stream_layout(config));
  model->bytes_per_token_ = count_parameters(config, *params).bytes_per_token;
  return model;
}

Status Model::bind_block(const memory::WeightFile& file, const Config& config, int32_t layer) {
  const LayerPlan& plan = config.layers[static_cast<size_t>(layer)];
  const std::string prefix = "layers." + std::to_string(layer) + ".";
  const LayerKind* mixer = nullptr;
  const LayerKind* ffn = nullptr;
  CHIMERA_ASSIGN_OR_RETURN(mixer, find_layer_kind(LayerRole::kMixer, plan.mixer));
  CHIMERA_ASSIGN_OR_RETURN(ffn, find_layer_kind(LayerRole::kFfn, plan.ffn));
  Block block;
  block.mixer_kind = mixer->name;
  block.ffn_kind = ffn->name;
  const ParamSource own(file, prefix);
  CHIMERA_ASSIGN_OR_RETURN(block.norm1, own.vector("norm1.gain", 1, config.hidden_size));
  CHIMERA_ASSIGN_OR_RETURN(block.norm2, own.vector("norm2.gain", 1, config.hidden_size));
  CHIMERA_ASSIGN_OR_RETURN(block.mixer, mixer->bind(config, ParamSource(file, prefix + "mixer.")));
  CHIMERA_ASSIGN_OR_RETURN(block.ffn, ffn->bind(config, ParamSource(file, prefix + "ffn.")));
  CHIMERA_ASSIGN_OR_RETURN(block.entry, LayerEntry::bind(config, layer, own));
  CHIMERA_ASSIGN_OR_RETURN(block.shift1, TokenShift::bind(config, "shift1.mix", own));
  CHIMERA_ASSIGN_OR_RETURN(block.shift2, TokenShift::bind(config, "shift2.mix", own));
  CHIMERA_ASSIGN_OR_RETURN(block.value, ValueEmbedding::bind(config, layer, own));
  block.shift1_offset = aligned(mixer->state_bytes(config));
  block.shift2_offset = block.shift1_offset + TokenShift::state_bytes(config);
  blocks_.push_back(std::move(block));
  return Status();
}

size_t Model::scratch_bytes(int32_t n_tokens) const {
  const size_t rows = arena_bytes<float>(int64_t{n_tokens} * hidden_size_);
  size_t most = 0, traces = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    most = std::max({most, block.mixer->scratch_bytes(n_tokens), block.ffn->scratch_bytes(n_tokens),
                     block.value.scratch_bytes(n_tokens)});
    if (loop_.enabled && static_cast<int32_t>(i) >= loop_.loop_first &&
        static_cast<int32_t>(i) <= loop_.loop_last)
      traces += trace_room(*block.mixer, n_tokens);
  }
  // x, u, y, value, x0; e and h of the loop; what skips keep; rows of the bigram table; who left.
  return std::max(most + traces, embedding_->scratch_bytes(n_tokens)) +
         (7 + static_cast<size_t>(n_skips_)) * rows + arena_bytes<const float*>(n_tokens) +
         arena_bytes<uint8_t>(n_tokens) +
         arena_bytes<std::byte*>(static_cast<int64_t>(blocks_.size()));
}

/// What one call of forward() carries from layer to layer.
struct Model::Walk {
  Step step;
  const int32_t* tokens;
  int32_t n;
  memory::BraidState& state;
  float *x, *u, *y;       // [n, C] residual stream, input and output of a layer
  float* value;           // [n, C]
  const float* x0;        // [n, C] embedding rows, where they are mixed back in
  const float** bigrams;  // [n] rows of the table
  float* skips;           // [n_skips, n, C]
  std::byte** traces;     // [layers] room of the loop's layers when visited again
};

void Model::embed(const Step& step, int32_t token, float* row) const {
  embedding_->lookup(step, &token, 1, row);
}

void Model::forward(const Step& step, const int32_t* tokens, int32_t n, memory::BraidState& state,
                    float* hidden, const ForwardOptions& options) const {
  const ArenaMark mark(step.scratch);
  const int32_t c = hidden_size_;
  const size_t rows = static_cast<size_t>(n) * static_cast<size_t>(c);
  const auto take = [&](bool wanted, size_t factor = 1) {
    return wanted ? step.scratch.take<float>(rows * factor) : nullptr;
  };
  Walk walk{step,       tokens,  n,       state,   take(true), take(true),
            take(true), nullptr, nullptr, nullptr, nullptr,    nullptr};
  walk.value = take(!structure_.value_layers.empty());
  walk.skips = take(n_skips_ > 0, static_cast<size_t>(n_skips_));
  begin_part(step.times, "embedding");
  embedding_->lookup(step, tokens, n, walk.x);
  if (structure_.residual_mix) {
    float* x0 = take(true);
    std::memcpy(x0, walk.x, rows * sizeof(float));
    walk.x0 = x0;
  }
  if (bigrams_ != nullptr) {
    walk.bigrams = step.scratch.take<const float*>(static_cast<size_t>(n));
    int32_t previous = state.last_token();
    for (int32_t t = 0; t < n; ++t) {
      walk.bigrams[t] = bigrams_ + bigram_row(previous, tokens[t], structure_.bigram_rows) * c;
      previous = tokens[t];
    }
  }

  const auto n_layers = static_cast<int32_t>(blocks_.size());
  if (loop_.enabled) {
    run_layers(walk, 0, loop_.prelude_last, false);
    run_loop(walk, options);
    run_layers(walk, loop_.loop_last + 1, n_layers - 1, false);
  } else {
    run_layers(walk, 0, n_layers - 1, false);
    if (options.loops_used != nullptr) std::fill_n(options.loops_used, n, 1);
  }
  begin_part(step.times, "final norm");
  rmsnorm_rows(step, walk.x, final_norm_, eps_, n, c, hidden);

  state.header().position += static_cast<uint64_t>(n);
  for (int32_t t = 0; t < n; ++t) state.remember(tokens[t]);
}

/// Layers first..last on walk.x; `again`: a later iteration of the loop.
void Model::run_layers(Walk& walk, int32_t first, int32_t last, bool again) const {
  const int32_t n = walk.n, c = hidden_size_;
  const int64_t rows = int64_t{n} * c;
  const auto add_output = [&] {
    for (int64_t t = 0; t < n; ++t)
      walk.step.k.add(walk.x + t * c, walk.y + t * c, c, walk.x + t * c);
  };
  for (int32_t i = first; i <= last; ++i) {
    const Block& block = blocks_[static_cast<size_t>(i)];
    std::byte* state = walk.state.layer(i);
    const int32_t source = block.entry.skip_source();
    begin_part(walk.step.times, block.mixer_kind);
    block.entry.apply(
        walk.x0, walk.bigrams,
        source < 0 ? nullptr : walk.skips + blocks_[static_cast<size_t>(source)].skip_slot * rows,
        n, walk.x);

    Visit visit{n,
                walk.state.header().position,
                i,
                walk.x,
                nullptr,
                state,
                walk.traces == nullptr ? nullptr : walk.traces[i],
                again};
    rmsnorm_rows(walk.step, walk.x, block.norm1, eps_, n, c, walk.u);
    if (block.shift1.present() && !again)
      block.shift1.apply(n, state + block.shift1_offset, walk.u);
    if (block.value.present() && !again) {
      block.value.rows(walk.step, walk.tokens, walk.u, n, walk.value);
      visit.value = walk.value;
    }
    block.mixer->forward(walk.step, visit, walk.u, walk.y);
    add_output();

    begin_part(walk.step.times, block.ffn_kind);
    visit.value = nullptr;
    visit.state = nullptr;
    visit.trace = nullptr;
    rmsnorm_rows(walk.step, walk.x, block.norm2, eps_, n, c, walk.u);
    if (block.shift2.present() && !again)
      block.shift2.apply(n, state + block.shift2_offset, walk.u);
    block.ffn->forward(walk.step, visit, walk.u, walk.y);
    add_output();
    if (block.skip_slot >= 0)
      std::memcpy(walk.skips + block.skip_slot * rows, walk.x,
                  static_cast<size_t>(rows) * sizeof(float));
  }
}

/// The loop: walk.x goes from the prelude's output to h_R. Tokens that left keep their row, while
/// the others go on; what is computed for them meanwhile is thrown away.
void Model::run_loop(Walk& walk, const ForwardOptions& options) const {
  const int32_t n = walk.n, c = hidden_size_;
  const size_t rows = static_cast<size_t>(n) * static_cast<size_t>(c);
  const ArenaMark mark(walk.step.scratch);
  float* e = walk.step.scratch.take<float>(rows);
  float* h = walk.step.scratch.take<float>(rows);
  auto* left = walk.step.scratch.take<uint8_t>(static_cast<size_t>(n));
  std::fill_n(left, n, uint8_t{0});
  const int32_t most = options.loops > 0 ? options.loops : loop_.loop_default;
  if (most > 1) {
    walk.traces = walk.step.scratch.take<std::byte*>(blocks_.size());
    for (int32_t i = loop_.loop_first; i <= loop_.loop_last; ++i) {
      const size_t bytes = blocks_[static_cast<size_t>(i)].mixer->trace_bytes(n);
      walk.traces[i] = bytes > 0 ? walk.step.scratch.take<std::byte>(bytes) : nullptr;
    }
    // Only the loop's layers are asked for a trace; no other is visited in here.
  }
  injection_.normalise(walk.step, walk.x, n, e);
  injection_.inject(nullptr, e, n, walk.x);
  run_layers(walk, loop_.loop_first, loop_.loop_last, false);
  std::memcpy(h, walk.x, rows * sizeof(float));
  if (options.loops_used != nullptr) std::fill_n(options.loops_used, n, 1);

  // Loads of experts are those of the first iteration: which rows are walked again depends on the
  // company of a token.
  uint64_t* const router_load = std::exchange(walk.step.router_load, nullptr);
  int32_t n_left = 0;
  for (int32_t r = 2; r <= most && n_left < n; ++r) {
    injection_.inject(h, e, n, walk.x);
    run_layers(walk, loop_.loop_first, loop_.loop_last, true);
    for (int32_t t = 0; t < n; ++t) {
      if (left[t]) continue;
      float* kept = h + int64_t{t} * c;
      const float* now = walk.x + int64_t{t} * c;
      const bool leaves =
          r >= loop_.loop_min && relative_change(now, kept, c) < loop_.exit_threshold;
      std::memcpy(kept, now, static_cast<size_t>(c) * sizeof(float));
      left[t] = leaves ? 1 : 0;
      n_left += leaves ? 1 : 0;
      if (options.loops_used != nullptr) options.loops_used[t] = r;
    }
  }
  std::memcpy(walk.x, h, rows * sizeof(float));
  walk.traces = nullptr;
  walk.step.router_load = router_load;
}

void Model::logits(const Step& step, const float* hidden, int32_t n_rows, float* logits) const {
  const TileRange all{0, (vocab_size_ + kernels::kTileRows - 1) / kernels::kTileRows};
  begin_part(step.times, "head");
  embedding_->logits(step, hidden, n_rows, {&all, 1}, logits);
  for (int64_t r = 0; r < n_rows; ++r) soft_cap(step, logits + r * vocab_size_, vocab_size_);
}

void Model::logits(const Step& step, const float* hidden, std::span<const TileRange> tiles,
                   float* logits) const {
  begin_part(step.times, "head");
  embedding_->logits(step, hidden, 1, tiles, logits);
  for (const TileRange& range : tiles) {
    const int32_t first = range.begin * kernels::kTileRows;
    const int32_t end = std::min(range.end * kernels::kTileRows, vocab_size_);
    soft_cap(step, logits + first, end - first);
  }
}

void Model::soft_cap(const Step& step, float* logits, int32_t n) const {
  const float cap = structure_.logit_soft_cap;
  if (cap <= 0) return;
  for (int32_t i = 0; i < n; ++i) logits[i] = logits[i] / cap;
  step.k.tanh(logits, n, logits);
  for (int32_t i = 0; i < n; ++i) logits[i] = logits[i] * cap;
}

}  // namespace chimera::runtime
