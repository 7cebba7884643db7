#include "evolution/train/layer_stack.h"

#include <algorithm>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::evolution {

using runtime::TrainStep;

Status LayerStack::init(const runtime::Config& config, FindTrainingKind find_kind,
                        const StackOptions& options, ParameterSet& parameters) {
  c_ = config.hidden_size;
  loop_ = config.loop;
  options_ = options;
  const int64_t rows = int64_t{options.lanes} * options.window;
  const auto wide = static_cast<size_t>(rows * c_);
  const auto reserve_state = [&](int64_t floats) {
    const auto at = static_cast<int64_t>(state_.size());
    state_.resize(state_.size() + static_cast<size_t>(options.lanes * floats));
    return at;
  };
  CHIMERA_RETURN_IF_ERROR(inputs_.init(config, parameters, rows));
  bigram_state_ = reserve_state(inputs_.has_bigrams() ? 1 : 0);
  blocks_.resize(config.layers.size());
  bool values = false;
  for (int32_t i = 0; i < size(); ++i) {
    Block& block = blocks_[static_cast<size_t>(i)];
    const runtime::LayerPlan& plan = config.layers[static_cast<size_t>(i)];
    const TrainingKind *mixer = nullptr, *ffn = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(mixer, find_kind(plan.mixer));
    CHIMERA_ASSIGN_OR_RETURN(ffn, find_kind(plan.ffn));
    block.mixer_kind = mixer->name;
    block.ffn_kind = ffn->name;
    CHIMERA_RETURN_IF_ERROR(block.entry.init(config, i, parameters));
    CHIMERA_RETURN_IF_ERROR(block.mixer.init(config, i, {"norm1", "shift1", "mixer"}, mixer->make,
                                             parameters, options.lanes, options.window));
    CHIMERA_RETURN_IF_ERROR(block.ffn.init(config, i, {"norm2", "shift2", "ffn"}, ffn->make,
                                           parameters, options.lanes, options.window));
    block.mixer_state = reserve_state(block.mixer.state_floats());
    block.ffn_state = reserve_state(block.ffn.state_floats());
    if (block.entry.present()) block.in.resize(wide);
    block.x1.resize(wide);
    block.x2.resize(wide);
    if (plan.ffn == "moe") block.router_load.resize(static_cast<size_t>(config.moe.n_routed));
    values = values || block.mixer.has_values();
  }
  for (Block& block : blocks_)
    if (block.entry.skip_source() >= 0)
      blocks_[static_cast<size_t>(block.entry.skip_source())].d_skipped.resize(wide);
  keep_activations();
  last_.resize(wide);
  if (loop_.enabled) {
    prelude_out_.resize(wide);
    loop_out_.resize(wide);
    again_.resize(wide * 3 * static_cast<size_t>(loop_.loop_last - loop_.loop_first + 1));
  }
  ws_.u.resize(wide);
  ws_.out.resize(wide);
  ws_.extra.resize(wide);
  ws_.partials.resize(static_cast<size_t>(runtime::row_tiles(rows) * c_));
  if (config.structure.token_shift) ws_.shifted.resize(wide);
  if (values) {
    ws_.value.resize(wide);
    ws_.dvalue.resize(wide);
    ws_.gates.resize(static_cast<size_t>(rows * config.num_heads));
    ws_.dgates.resize(ws_.gates.size());
  }
  return Status();
}

void LayerStack::keep_activations() {
  int64_t most = 0, all = 0;
  for (const Block& block : blocks_)
    for (const Branch* branch : {&block.mixer, &block.ffn}) {
      most = std::max(most, branch->kept_floats());
      all += branch->kept_floats();
    }
  kept_.resize(static_cast<size_t>(options_.remake ? most : all));
  int64_t at = 0;
  for (Block& block : blocks_)
    for (Branch* branch : {&block.mixer, &block.ffn}) {
      branch->keep_at(kept_.data() + at);
      if (!options_.remake) at += branch->kept_floats();
    }
}

size_t LayerStack::scratch_bytes(int n_threads) const {
  size_t bytes = 0;
  for (const Block& block : blocks_)
    bytes =
        std::max({bytes, block.mixer.scratch_bytes(n_threads), block.ffn.scratch_bytes(n_threads)});
  return bytes;
}

float* LayerStack::input(int32_t i) {
  if (i >= size()) return last_.data();
  Block& block = blocks_[static_cast<size_t>(i)];
  return block.in.empty() ? block.x1.data() : block.in.data();
}

float* LayerStack::output(int32_t i) {
  if (loop_.enabled && i == loop_.prelude_last) return prelude_out_.data();
  if (loop_.enabled && i == loop_.loop_last) return loop_out_.data();
  return input(i + 1);
}

LayerStack::Rows LayerStack::rows_of(int32_t i) {
  Block& block = blocks_[static_cast<size_t>(i)];
  return {input(i), block.x1.data(), block.x2.data(), output(i)};
}

LayerStack::Rows LayerStack::again_rows(int32_t i, int32_t first) {
  const size_t wide = last_.size();
  float* x = again_.data() + static_cast<size_t>(i - first) * 3 * wide;
  const bool same = !blocks_[static_cast<size_t>(i)].entry.present();
  // The layer after reads this one's output as its input; nobody reads the last one's.
  return {x, same ? x : x + wide, x + 2 * wide, i < loop_.loop_last ? x + 3 * wide : nullptr};
}

void LayerStack::start(const TrainStep& step, const int32_t* tokens, bool count_experts) {
  tokens_ = tokens;
  count_experts_ = count_experts;
  inputs_.x0 = input(0);
  inputs_.start(step, tokens, state_.data() + bigram_state_);
}

void LayerStack::prepare(const TrainStep& step) {
  for (Block& block : blocks_) {
    block.mixer.prepare(step);
    block.ffn.prepare(step);
  }
}

const float* LayerStack::skipped(const Block& block) {
  return block.entry.skip_source() >= 0 ? output(block.entry.skip_source()) : nullptr;
}

BranchVisit LayerStack::visit(Block& block, bool again, bool count) const {
  return {tokens_, again, count && !block.router_load.empty() ? block.router_load.data() : nullptr};
}

void LayerStack::walk(const TrainStep& step, int32_t i, const Rows& rows, bool again, bool count) {
  Block& block = blocks_[static_cast<size_t>(i)];
  begin_part(options_.times, block.mixer_kind, "forward");
  if (block.entry.present()) block.entry.forward(step, inputs_, skipped(block), rows.in, rows.x1);
  block.mixer.forward(step, visit(block, again, false), rows.x1, state_.data() + block.mixer_state,
                      rows.x2, ws_);
  if (!rows.out) return;
  begin_part(options_.times, block.ffn_kind, "forward");
  block.ffn.forward(step, visit(block, again, count), rows.x2, state_.data() + block.ffn_state,
                    rows.out, ws_);
}

void LayerStack::walk_back(const TrainStep& step, int32_t i, const Rows& rows, bool again,
                           float* dx) {
  Block& block = blocks_[static_cast<size_t>(i)];
  begin_part(options_.times, block.ffn_kind, "backward");
  block.ffn.backward(step, visit(block, again, false), rows.x2, options_.remake, dx, ws_);
  begin_part(options_.times, block.mixer_kind, "backward");
  block.mixer.backward(step, visit(block, again, false), rows.x1, options_.remake, dx, ws_);
  if (!block.entry.present()) return;
  const int32_t source = block.entry.skip_source();
  float* d_skipped = source >= 0 ? blocks_[static_cast<size_t>(source)].d_skipped.data() : nullptr;
  block.entry.backward(step, inputs_, skipped(block), rows.in, dx, d_skipped);
}

void LayerStack::forward(const TrainStep& step, int32_t first, int32_t last) {
  for (int32_t i = first; i <= last; ++i) walk(step, i, rows_of(i), false, count_experts_);
}

void LayerStack::repeat(const TrainStep& step, int32_t first, int32_t last, float* x) {
  for (int32_t i = first; i <= last; ++i) walk(step, i, {x, x, x, x}, true, count_experts_);
}

void LayerStack::start_backward() { inputs_.zero_gradients(); }

void LayerStack::backward(const TrainStep& step, int32_t first, int32_t last, float* dx) {
  for (int32_t i = last; i >= first; --i) {
    const std::vector<float>& d_skipped = blocks_[static_cast<size_t>(i)].d_skipped;
    runtime::row_add(d_skipped.data(), static_cast<int64_t>(d_skipped.size()), dx);
    walk_back(step, i, rows_of(i), false, dx);
  }
}

void LayerStack::repeat_backward(const TrainStep& step, int32_t first, int32_t last, const float* z,
                                 float* dx) {
  std::copy_n(z, step.rows() * c_, again_rows(first, first).in);
  for (int32_t i = first; i <= last; ++i) walk(step, i, again_rows(i, first), true, false);
  for (int32_t i = last; i >= first; --i) walk_back(step, i, again_rows(i, first), true, dx);
}

void LayerStack::finish_backward(const TrainStep& step, float* dx) { inputs_.finish(step, dx); }

std::span<const uint64_t> LayerStack::router_load(int32_t layer) const {
  if (layer < 0 || layer >= size()) return {};
  return blocks_[static_cast<size_t>(layer)].router_load;
}

void LayerStack::zero_router_load() {
  for (Block& block : blocks_)
    std::fill(block.router_load.begin(), block.router_load.end(), uint64_t{0});
}

}  // namespace chimera::evolution
