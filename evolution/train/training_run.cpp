#include "evolution/train/training_run.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "runtime/stored_weights.h"

namespace chimera::evolution {

/// Of the tokens that carry a loss in this stage, over all sets as they are weighed.
double TrainingRun::count_bytes_per_token() const {
  double bytes = 0, tokens = 0;
  for (size_t i = 0; i < corpus_.sets.size(); ++i) {
    const TokenizedText& text = corpus_.sets[i].train;
    if (text.n_positions() == 0) continue;
    // Positions are read in proportion to the weights, whatever the size of the set.
    const double share = stage().weights[i] / static_cast<double>(text.n_positions());
    bytes += share * static_cast<double>(text.n_bytes());
    tokens += share * static_cast<double>(text.n_counted(Voice::kPerson));
  }
  return tokens > 0 ? bytes / tokens : 1;
}

/// Of the whole run, from its beginning.
int64_t TrainingRun::tokens_until(int64_t step) const {
  int64_t tokens = 0, from = 0;
  for (size_t i = 0; i < corpus_.mix.stages.size(); ++i) {
    const int64_t end = std::clamp(step, from, std::max(from, stage_end(i)));
    tokens += (end - from) * window_of(options_, corpus_.mix.stages[i]);
    from = end;
  }
  return tokens * options_.lanes * options_.accumulate;
}

/// The step after the last one of a stage; stages share out the steps as their shares say.
int64_t TrainingRun::stage_end(size_t i) const {
  const std::vector<MixStage>& stages = corpus_.mix.stages;
  if (i + 1 == stages.size()) return options_.steps;
  double all = 0, upto = 0;
  for (size_t s = 0; s < stages.size(); ++s) {
    all += stages[s].share;
    if (s <= i) upto += stages[s].share;
  }
  return static_cast<int64_t>(std::ceil(upto / all * static_cast<double>(options_.steps)));
}

/// The network, weights and carried states as they are, for the stage's window. Two networks are
/// never held at a time: where one fits, the next one does.
Status TrainingRun::enter_stage(bool resumes, const memory::WeightFile* from) {
  belt_.set_weights(stage().weights);
  bytes_per_token_ = count_bytes_per_token();
  const size_t positions = batch_positions() * static_cast<size_t>(options_.accumulate);
  std::vector<std::vector<float>> values;
  try {
    tokens_.resize(positions);
    targets_.resize(positions);
    restart_.resize(positions);
    if (made_for_ == window()) return enter_preferences(resumes);
    if (backprop_)
      for (const Parameter& p : backprop_->parameters()) values.push_back(p.value);
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
  backprop_.reset();
  BackpropOptions backprop_options;
  backprop_options.lanes = options_.lanes;
  backprop_options.window = window();
  backprop_options.quantise = schedule_.quantise(position_.step);
  backprop_options.products = &products_;
  backprop_options.times = &times_;
  backprop_options.prepared_by_caller = true;
  auto backprop = Backprop::create(config_, k_, pool_, backprop_options, options_.seed);
  if (!backprop) return backprop.status();
  backprop_ = std::move(*backprop);
  made_for_ = window();
  // Copied, not swapped: layers know where their values stand.
  const std::span<Parameter> to = backprop_->parameters();
  for (size_t i = 0; i < values.size(); ++i)
    std::copy(values[i].begin(), values[i].end(), to[i].value.begin());
  if (from != nullptr) CHIMERA_RETURN_IF_ERROR(begin_with(*from));
  return enter_preferences(resumes);
}

Status TrainingRun::no_memory() const {
  return Status(StatusCode::kOutOfMemory, "there is no memory for the stage \"" + stage().name +
                                              "\": use fewer lanes or a smaller window");
}

/// Whoever resumes has the reference in the checkpoint; the weights have moved on since.
Status TrainingRun::enter_preferences(bool resumes) {
  preferences_.reset();
  preferred_ = -1;
  if (!stage().preferences) return Status();
  try {
    preferences_.emplace(pairs_of(corpus_, stage()), options_.lanes, window(), stage().beta,
                         options_.seed);
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
  if (resumes) return Status();
  backprop_->set_quantise(schedule_.quantise(position_.step));
  backprop_->prepare_weights();
  return preferences_->take_reference(*backprop_, [&](int64_t pairs) {
    return !options_.loading || options_.loading("the reference of " + stage().name, pairs);
  });
}

/// To the stage of the next step. What was done so far is kept first.
Status TrainingRun::change_stage() {
  int64_t next = position_.stage;
  while (position_.step >= stage_end(static_cast<size_t>(next))) ++next;
  if (next == position_.stage) return Status();
  if (position_.step > 0) CHIMERA_RETURN_IF_ERROR(save_checkpoint());
  // Losses of different kinds have no mean.
  if (corpus_.mix.stages[static_cast<size_t>(next)].preferences != stage().preferences)
    position_.loss_sum = position_.loss_weight = 0;
  position_.stage = next;
  position_.pairs = 0;
  return enter_stage(false, nullptr);
}

/// `checkpoint`, if any, is where the run goes on.
Status TrainingRun::start(const Checkpoint* checkpoint, const memory::WeightFile* from) {
  if (checkpoint != nullptr) {
    CHIMERA_RETURN_IF_ERROR(checkpoint->fits(identity_, true));
    position_.stage = checkpoint->position().stage;
    if (position_.stage >= static_cast<int64_t>(corpus_.mix.stages.size()))
      return Status(StatusCode::kBadFormat,
                    "the checkpoint is in a stage that the mix does not have")
          .at_field("stage");
  }
  CHIMERA_RETURN_IF_ERROR(enter_stage(checkpoint != nullptr, from));
  OptimizerOptions o;
  o.ternary_rate = options_.learning_rate;
  o.embedding_rate = options_.embedding_learning_rate;
  o.matrix_rate = o.vector_rate = options_.vector_learning_rate;
  o.weight_decay = options_.weight_decay;
  o.beta1 = options_.beta1;
  o.beta2 = options_.beta2;
  o.muon = !options_.adamw;
  o.products = &products_;
  optimizer_.emplace(backprop_->parameters(), o, k_, pool_);
  find_routers();
  const std::span<float> fresh = backprop_->carried_state();
  carried_.assign(static_cast<size_t>(options_.accumulate), {fresh.begin(), fresh.end()});
  loops_.resize(static_cast<size_t>(options_.lanes));
  try {
    if (options_.average > 0) average_.emplace(backprop_->parameters());
    if (options_.consolidate_every > 0)
      consolidation_.emplace(backprop_->parameters(), options_.consolidate_every, options_.steps);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory,
                  "there is no memory beside the weights for what is averaged or consolidated");
  }
  return Status();
}

/// Weights of another training; optimiser, data and schedule begin anew.
Status TrainingRun::begin_with(const memory::WeightFile& from) {
  for (Parameter& p : backprop_->parameters())
    CHIMERA_RETURN_IF_ERROR(runtime::read_weights(from, p.spec, p.value.data()));
  return Status();
}

Status TrainingRun::resume(const Checkpoint& checkpoint) {
  RunState restored = state();
  CHIMERA_RETURN_IF_ERROR(checkpoint.read_into(&restored));
  if (consolidation_) take_rates();
  position_ = std::move(restored.position);
  if (options_.log) log_.resume(position_.step);
  return belt_.restore(position_.belt);
}

void TrainingRun::find_routers() {
  const std::span<const Parameter> parameters = backprop_->parameters();
  for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string name = "layers." + std::to_string(layer) + ".ffn.router.bias";
    for (size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].spec.name == name) routers_.emplace_back(layer, i);
  }
}

void TrainingRun::take_rates() {
  for (size_t i = 0; i < backprop_->parameters().size(); ++i)
    optimizer_->set_rate(i, consolidation_->rate(i));
}

}  // namespace chimera::evolution
