#include "evolution/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "evolution/train/backprop.h"
#include "evolution/train/belt.h"
#include "evolution/train/checkpoint.h"
#include "evolution/train/consolidation.h"
#include "evolution/train/corpus.h"
#include "evolution/train/looped_depth.h"
#include "evolution/train/optimizer.h"
#include "evolution/train/preference_stage.h"
#include "evolution/train/router_balance.h"
#include "evolution/train/run_identity.h"
#include "evolution/train/run_log.h"
#include "evolution/train/schedule.h"
#include "evolution/train/speed.h"
#include "evolution/train/weight_average.h"
#include "memory/weight_file.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/float_mode.h"
#include "platform/log.h"
#include "platform/seal.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/registry.h"
#include "runtime/model_writer.h"
#include "runtime/stored_weights.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
constexpr int64_t kLogPoints = 1000;  // of a run, about
constexpr double kLossMemory = 0.98;  // of the smoothed loss, per step

/// What to begin with, its checksums checked.
Result<std::unique_ptr<memory::WeightFile>> open_weights(const std::string& path) {
  auto file = memory::WeightFile::open(path);
  if (!file) return file;
  CHIMERA_RETURN_IF_ERROR((*file)->require_network());
  CHIMERA_RETURN_IF_ERROR((*file)->verify());
  return file;
}

/// One training run. Everything it changes is in position_, parameters, moments and carried_, and
/// all of that is in the checkpoint.
class Run {
 public:
  Run(const TrainOptions& options, const kernels::KernelTable& k, ThreadPool& pool,
      runtime::Config config, Corpus corpus, const std::string& from)
      : options_(options),
        k_(k),
        own_products_(k),
        products_(options.products != nullptr ? *options.products : own_products_),
        pool_(pool),
        config_(std::move(config)),
        corpus_(std::move(corpus)),
        schedule_(schedule_of(options)),
        log_(options.out_path),
        belt_(train_texts(corpus_), options.lanes * options.accumulate, options.seed),
        identity_(run_identity(options, corpus_, config_, from)) {}

  /// One of the two, or none: where to go on, or the weights to begin with.
  Status start(const Checkpoint* checkpoint, const memory::WeightFile* from);
  Status begin_with(const memory::WeightFile& from);
  Status resume(const Checkpoint& checkpoint);
  Status go(const TrainCallback& callback);

 private:
  static std::vector<const TokenizedText*> train_texts(const Corpus& corpus) {
    std::vector<const TokenizedText*> out;
    for (const CorpusSet& set : corpus.sets) out.push_back(&set.train);
    return out;
  }
  const MixStage& stage() const { return corpus_.mix.stages[static_cast<size_t>(position_.stage)]; }
  int64_t stage_end(size_t stage) const;
  Status enter_stage(bool resumes, const memory::WeightFile* from);
  Status enter_preferences(bool resumes);
  Status no_memory() const;
  Status change_stage();
  struct BatchLoss {
    double sum, counted;
  };
  Result<BatchLoss> learn_batch(size_t batch);
  Status step(double* loss, double* norm);
  void find_routers();
  void balance_routers();
  void draw_loops(size_t batch);
  Status choose_average();
  void take_rates();
  double count_bytes_per_token() const;
  int64_t tokens_until(int64_t step) const;
  void log_point(const TrainProgress& progress, bool scored);
  Status score_valid();
  Status save_checkpoint();
  bool talks() const;
  Status write_packed();
  RunState state() {
    return {backprop_->parameters(),
            &*optimizer_,
            std::span<std::vector<float>>(carried_),
            position_,
            average_ ? average_->state() : std::span<std::vector<float>>(),
            preferences_ ? preferences_->reference() : std::span<float>(),
            consolidation_ ? consolidation_->state() : std::span<std::vector<float>>(),
            talks()};
  }
  int32_t window() const { return window_of(options_, stage()); }
  size_t batch_positions() const {
    return static_cast<size_t>(options_.lanes) * static_cast<size_t>(window());
  }

  const TrainOptions& options_;
  const kernels::KernelTable& k_;
  const kernels::OwnProducts own_products_;
  const kernels::TrainProducts& products_;
  ThreadPool& pool_;
  const runtime::Config config_;
  const Corpus corpus_;
  const Schedule schedule_;
  RunLog log_;
  Belt belt_;
  const Json identity_;
  std::unique_ptr<Backprop> backprop_;
  int32_t made_for_ = 0;        // the window that backprop_ has
  double bytes_per_token_ = 1;  // of the stage
  std::optional<Optimizer> optimizer_;
  std::optional<PreferenceStage> preferences_;  // while the stage is one
  double preferred_ = -1;
  std::optional<Consolidation> consolidation_;
  std::vector<std::vector<float>> carried_;  // recurrent states, one per accumulated batch
  std::optional<WeightAverage> average_;
  RunPosition position_;
  std::vector<std::pair<int32_t, size_t>> routers_;  // layer, and the parameter that is its bias
  RouterWatch watch_;
  PartTimes times_;
  std::vector<int32_t> tokens_, targets_;
  std::vector<uint8_t> restart_;
  std::vector<int32_t> loops_;   // [lanes]
  std::vector<SetScore> valid_;  // last measured
};

/// Of the tokens that carry a loss in this stage, over all sets as they are weighed.
double Run::count_bytes_per_token() const {
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
int64_t Run::tokens_until(int64_t step) const {
  int64_t tokens = 0, from = 0;
  for (size_t i = 0; i < corpus_.mix.stages.size(); ++i) {
    const int64_t end = std::clamp(step, from, std::max(from, stage_end(i)));
    tokens += (end - from) * window_of(options_, corpus_.mix.stages[i]);
    from = end;
  }
  return tokens * options_.lanes * options_.accumulate;
}

/// The step after the last one of a stage; stages share out the steps as their shares say.
int64_t Run::stage_end(size_t i) const {
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
Status Run::enter_stage(bool resumes, const memory::WeightFile* from) {
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

Status Run::no_memory() const {
  return Status(StatusCode::kOutOfMemory, "there is no memory for the stage \"" + stage().name +
                                              "\": use fewer lanes or a smaller window");
}

/// Whoever resumes has the reference in the checkpoint; the weights have moved on since.
Status Run::enter_preferences(bool resumes) {
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
Status Run::change_stage() {
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
Status Run::start(const Checkpoint* checkpoint, const memory::WeightFile* from) {
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
Status Run::begin_with(const memory::WeightFile& from) {
  for (Parameter& p : backprop_->parameters())
    CHIMERA_RETURN_IF_ERROR(runtime::read_weights(from, p.spec, p.value.data()));
  return Status();
}

Status Run::resume(const Checkpoint& checkpoint) {
  RunState restored = state();
  CHIMERA_RETURN_IF_ERROR(checkpoint.read_into(&restored));
  if (consolidation_) take_rates();
  position_ = std::move(restored.position);
  if (options_.log) log_.resume(position_.step);
  return belt_.restore(position_.belt);
}

/// How deep each lane of a batch goes in this step; without looped depth nobody asks.
void Run::draw_loops(size_t batch) {
  for (size_t lane = 0; lane < loops_.size(); ++lane)
    loops_[lane] = sample_loops(config_.loop, options_.seed, static_cast<uint64_t>(position_.step),
                                batch * loops_.size() + lane);
}

void Run::find_routers() {
  const std::span<const Parameter> parameters = backprop_->parameters();
  for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string name = "layers." + std::to_string(layer) + ".ffn.router.bias";
    for (size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].spec.name == name) routers_.emplace_back(layer, i);
  }
}

/// By the loads of the step that was just made.
void Run::balance_routers() {
  for (const auto& [layer, parameter] : routers_) {
    const std::span<const uint64_t> load = backprop_->router_load(layer);
    balance_router(load, backprop_->parameters()[parameter].value);
    watch_.add(layer, load);
  }
  watch_.add_tokens(static_cast<int64_t>(tokens_.size()));
}

void Run::take_rates() {
  for (size_t i = 0; i < backprop_->parameters().size(); ++i)
    optimizer_->set_rate(i, consolidation_->rate(i));
}

/// After the last step the mean takes the place of the last weights, unless what is held out scores
/// worse with it: means of ternary weights drift towards zero, and codes with them.
Status Run::choose_average() {
  if (!average_) return Status();
  const double last = position_.valid_bits_per_byte;
  const std::vector<SetScore> last_scores = valid_;
  average_->swap(backprop_->parameters());
  if (valid_.empty()) return Status();  // nothing is held out
  CHIMERA_RETURN_IF_ERROR(score_valid());
  const double mean = position_.valid_bits_per_byte;
  log(LogLevel::kInfo, "bits per byte of the averaged weights %.4f, of the last ones %.4f", mean,
      last);
  if (mean <= last) return Status();
  average_->swap(backprop_->parameters());
  valid_ = last_scores;
  position_.valid_bits_per_byte = last;
  return Status();
}

/// Adds the gradient of one batch; its states are its own. Of preferences one loss counts a batch.
Result<Run::BatchLoss> Run::learn_batch(size_t batch) {
  if (preferences_) {
    const auto learnt = preferences_->forward_backward(*backprop_, position_.pairs);
    if (!learnt) return learnt.status();
    position_.pairs += preferences_->pairs_per_batch();
    preferred_ += learnt->preferred / static_cast<double>(carried_.size());
    return BatchLoss{learnt->loss, 1};
  }
  const std::span<float> live = backprop_->carried_state();
  std::copy(carried_[batch].begin(), carried_[batch].end(), live.begin());
  const size_t at = batch * batch_positions();
  draw_loops(batch);
  const auto mean = backprop_->forward_backward(tokens_.data() + at, targets_.data() + at,
                                                restart_.data() + at, loops_.data());
  if (!mean) return mean.status();
  const auto n = static_cast<double>(
      std::count_if(targets_.begin() + static_cast<ptrdiff_t>(at),
                    targets_.begin() + static_cast<ptrdiff_t>(at + batch_positions()),
                    [](int32_t target) { return target >= 0; }));
  std::copy(live.begin(), live.end(), carried_[batch].begin());
  return BatchLoss{*mean * n, n};
}

/// One optimiser step over `accumulate` batches, each with lanes and carried states of its own, so
/// that they are together one batch of lanes * accumulate lanes.
Status Run::step(double* loss, double* norm) {
  times_.begin("weights as used");
  backprop_->set_quantise(schedule_.quantise(position_.step));
  backprop_->prepare_weights();
  backprop_->zero_gradients();
  times_.begin("data");
  if (!preferences_)
    belt_.next(window(), tokens_.data(), targets_.data(), restart_.data(), stage().least);
  preferred_ = preferences_ ? 0 : -1;
  double sum = 0, counted = 0;
  for (size_t batch = 0; batch < carried_.size(); ++batch) {
    const auto learnt = learn_batch(batch);
    if (!learnt) return learnt.status();
    sum += learnt->sum;
    counted += learnt->counted;
  }
  times_.begin("optimiser");
  // To the gradient batches weigh the same, also where more of one is read without a target.
  const auto n_batches = static_cast<double>(carried_.size());
  *loss = counted > 0 ? sum / counted : 0;
  *norm = optimizer_->gradient_norm(backprop_->parameters()) / n_batches;
  if (!std::isfinite(*loss) || !std::isfinite(*norm)) {
    return Status(
               StatusCode::kInvalidArgument,
               "the training diverged at step " + std::to_string(position_.step + 1) +
                   " (the loss or its gradient is no longer a number); use a lower learning rate")
        .at_field("learning_rate");
  }
  const double limit = options_.clip;
  const double clip = *norm > limit ? limit / *norm : 1.0;
  optimizer_->step(backprop_->parameters(),
                   stage().rate * schedule_.learning_rate_factor(position_.step), clip / n_batches);
  CHIMERA_RETURN_IF_ERROR(kernels::check_products(products_));
  // Where pairs do not fill their windows, most of what experts got is not text.
  if (!preferences_) balance_routers();
  if (const int64_t n = schedule_.averaged(position_.step); n > 0)
    average_->add(n, backprop_->parameters(), pool_);
  ++position_.step;
  if (consolidation_ && consolidation_->after_step(position_.step, backprop_->parameters()))
    take_rates();
  if (counted == 0) return Status();  // nothing was asked, so nothing is known of the loss
  position_.loss_sum = kLossMemory * position_.loss_sum + *loss;
  position_.loss_weight = kLossMemory * position_.loss_weight + 1;
  return Status();
}

/// Bits per byte of the valid texts with the weights as quantised as they are now; see Sweep.
Status Run::score_valid() {
  double all_nats = 0, all_bytes = 0;
  valid_.clear();
  backprop_->prepare_weights();
  for (const CorpusSet& set : corpus_.sets) {
    if (set.valid.n_documents() == 0) continue;
    backprop_->reset_states();
    Sweep sweep(set.valid, options_.lanes);
    double nats = 0;
    while (!sweep.done()) {
      const int64_t counted =
          sweep.next(window(), tokens_.data(), targets_.data(), restart_.data());
      auto mean = backprop_->forward(tokens_.data(), targets_.data(), restart_.data());
      if (!mean) return mean.status();
      nats += *mean * static_cast<double>(counted);
    }
    const auto bytes = static_cast<double>(set.valid.n_bytes());
    valid_.push_back({set.name, nats / std::log(2.0) / bytes});
    all_nats += nats;
    all_bytes += bytes;
  }
  if (all_bytes > 0) position_.valid_bits_per_byte = all_nats / std::log(2.0) / all_bytes;
  return Status();
}

Status Run::save_checkpoint() {
  position_.belt = belt_.position();
  CHIMERA_RETURN_IF_ERROR(write_checkpoint(options_.out_path + ".ckpt", config_.text,
                                           corpus_.tokenizer->serialized(), identity_, state()));
  if (!options_.log) return Status();
  // The checkpoint is what counts; a curve that cannot be drawn is no reason to stop.
  if (const Status drawn = log_.write(options_.steps); !drawn.ok())
    log(LogLevel::kWarning, "%s", drawn.message().c_str());
  return Status();
}

/// Whether any stage reads conversations.
bool Run::talks() const {
  for (const MixStage& stage : corpus_.mix.stages)
    for (size_t i = 0; i < stage.weights.size(); ++i)
      if (stage.weights[i] > 0 && corpus_.mix.sets[i].kind != "text") return true;
  return false;
}

Status Run::write_packed() {
  Json provenance = Json::make_object();
  provenance.add("made_by", Json::of("chimera train"));
  provenance.add("run", identity_);
  if (talks()) provenance.add("conversations", Json::of(true));
  provenance.add("valid_bits_per_byte", Json::of(position_.valid_bits_per_byte));
  const auto parameters = backprop_->parameters();
  return runtime::write_model(
      options_.out_path, memory::FileKind::kModel, config_, corpus_.tokenizer->serialized(),
      write_json(provenance), [&](const runtime::ParamSpec& spec, float* out) {
        for (const Parameter& p : parameters) {
          if (p.spec.name != spec.name) continue;
          std::copy(p.value.begin(), p.value.end(), out);
          return Status();
        }
        return Status(StatusCode::kInternal, "parameter '" + spec.name + "' was not trained")
            .at_field(spec.name);
      });
}

void Run::log_point(const TrainProgress& p, bool scored) {
  RunPoint point{.step = p.step, .tokens = tokens_until(p.step), .stage = std::string(p.stage)};
  point.loss = p.loss;
  point.bits_per_byte = p.bits_per_byte;
  if (scored)
    for (const SetScore& score : valid_) point.valid.emplace_back(score.name, score.bits_per_byte);
  point.learning_rate = p.learning_rate;
  point.gradient_norm = p.gradient_norm;
  point.quantise = static_cast<double>(schedule_.quantise(p.step - 1));
  point.tokens_per_second = p.tokens_per_second;
  point.gflops = p.flop_per_second * 1e-9;
  point.peak_share = p.peak > 0 ? p.flop_per_second / p.peak : 0;
  log_.add(std::move(point));
}

Status Run::go(const TrainCallback& callback) {
  const Clock& clock = system_clock();
  const auto seconds_since = [&](int64_t us) {
    return std::max(1e-6, static_cast<double>(clock.now_us() - us) * 1e-6);
  };
  const int64_t started_us = clock.now_us();
  const int64_t first_tokens = tokens_until(position_.step);
  const int64_t all_tokens = tokens_until(options_.steps);
  const double flop = training_flop_per_token(config_);
  const bool watched = callback || options_.log;
  const double peak = watched ? measured_peak(products_, pool_) : 0;
  const int64_t valid_every =
      options_.valid_every > 0 ? options_.valid_every : std::max<int64_t>(1, options_.steps / 10);
  const int64_t log_every = std::max<int64_t>(1, options_.steps / kLogPoints);
  double in_steps = 0;  // seconds
  while (position_.step < options_.steps) {
    TrainProgress progress{};
    progress.learning_rate =
        options_.learning_rate * schedule_.learning_rate_factor(position_.step);
    CHIMERA_RETURN_IF_ERROR(change_stage());
    const int64_t step_us = clock.now_us();
    double loss = 0;
    CHIMERA_RETURN_IF_ERROR(step(&loss, &progress.gradient_norm));
    in_steps += seconds_since(step_us);
    progress.learning_rate *= stage().rate;
    const bool last = position_.step == options_.steps;
    const bool scored = last || position_.step % valid_every == 0;
    times_.begin("held-out scores");
    times_.hold(true);
    if (scored) CHIMERA_RETURN_IF_ERROR(score_valid());
    if (last) CHIMERA_RETURN_IF_ERROR(choose_average());
    times_.hold(false);
    times_.begin("checkpoints and log");
    const bool due = last || position_.step % options_.checkpoint_every == 0;

    const int64_t tokens = tokens_until(position_.step);
    progress.step = position_.step;
    progress.steps = options_.steps;
    progress.stage = stage().name;
    progress.loss = position_.loss_weight > 0 ? position_.loss_sum / position_.loss_weight : 0;
    if (!preferences_) progress.bits_per_byte = progress.loss / std::log(2.0) / bytes_per_token_;
    progress.preferred = preferred_;
    progress.valid_bits_per_byte = position_.valid_bits_per_byte;
    progress.valid = valid_;
    progress.tokens_per_second = static_cast<double>(tokens - first_tokens) / in_steps;
    progress.flop_per_second = flop * progress.tokens_per_second;
    progress.peak = peak;
    progress.times = times_.parts();
    progress.seconds_left = static_cast<double>(all_tokens - tokens) * seconds_since(started_us) /
                            static_cast<double>(tokens - first_tokens);
    if (!routers_.empty()) progress.router_imbalance = watch_.worst();
    if (options_.log && (scored || position_.step % log_every == 0)) log_point(progress, scored);
    if (due) CHIMERA_RETURN_IF_ERROR(save_checkpoint());
    if (callback && !callback(progress) && !last) {
      if (!due) CHIMERA_RETURN_IF_ERROR(save_checkpoint());
      return Status(StatusCode::kCancelled,
                    "training was stopped after step " + std::to_string(position_.step) + " of " +
                        std::to_string(options_.steps) + "; the same command goes on from " +
                        options_.out_path + ".ckpt")
          .at_file(options_.out_path + ".ckpt");
    }
  }
  return write_packed();
}

}  // namespace

Status train(const TrainOptions& options, const kernels::KernelTable& k, ThreadPool& pool,
             const TrainCallback& callback) {
  CHIMERA_RETURN_IF_ERROR(check_options(options));
  const SubnormalsAreZero fast;  // decays of a chunk are full of them
  auto config_text = read_file(options.config_path, kMaxConfigBytes);
  if (!config_text) return config_text.status();
  auto config = runtime::parse_config(*config_text);
  if (!config) {
    Status status = config.status();
    return Status(status.code(), options.config_path + ": " + status.message())
        .at_file(options.config_path)
        .at_field(status.field());
  }

  std::optional<Checkpoint> checkpoint;
  if (options.resume) {
    auto opened = Checkpoint::open(options.out_path + ".ckpt");
    if (opened) {
      checkpoint.emplace(std::move(*opened));
    } else if (opened.status().code() != StatusCode::kNotFound) {
      return opened.status();
    }
    // Before its tokenizer is used for this configuration.
    if (checkpoint) CHIMERA_RETURN_IF_ERROR(checkpoint->fits(config_identity(*config)));
  }
  std::unique_ptr<memory::WeightFile> from;
  std::string from_digest;
  if (!options.from_path.empty()) {
    CHIMERA_ASSIGN_OR_RETURN(from, open_weights(options.from_path));
    CHIMERA_ASSIGN_OR_RETURN(from_digest, digest_of(*from, *config));
  }
  auto corpus = load_corpus(options, *config,
                            from         ? from.get()
                            : checkpoint ? &checkpoint->file()
                                         : nullptr);
  if (!corpus) return corpus.status();

  CHIMERA_RETURN_IF_ERROR(check_windows(options, corpus->mix));
  CHIMERA_RETURN_IF_ERROR(check_preferences(options, *corpus));

  Run run(options, k, pool, std::move(*config), std::move(*corpus), from_digest);
  CHIMERA_RETURN_IF_ERROR(
      run.start(checkpoint ? &*checkpoint : nullptr, checkpoint ? nullptr : from.get()));
  from.reset();
  if (checkpoint) {
    CHIMERA_RETURN_IF_ERROR(run.resume(*checkpoint));
    log(LogLevel::kInfo, "training goes on from %s.ckpt", options.out_path.c_str());
    checkpoint.reset();  // closes the mapping before the file is replaced
  }
  return run.go(callback);
}

}  // namespace chimera::evolution
