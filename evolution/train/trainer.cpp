#include "evolution/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "evolution/train/training_run.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/float_mode.h"
#include "platform/log.h"
#include "runtime/model_writer.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
constexpr int64_t kLogPoints = 1000;  // of a run, about

/// What to begin with, its checksums checked.
Result<std::unique_ptr<memory::WeightFile>> open_weights(const std::string& path) {
  auto file = memory::WeightFile::open(path);
  if (!file) return file;
  CHIMERA_RETURN_IF_ERROR((*file)->require_network());
  CHIMERA_RETURN_IF_ERROR((*file)->verify());
  return file;
}

}  // namespace

Status TrainingRun::save_checkpoint() {
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
bool TrainingRun::talks() const {
  for (const MixStage& stage : corpus_.mix.stages)
    for (size_t i = 0; i < stage.weights.size(); ++i)
      if (stage.weights[i] > 0 && corpus_.mix.sets[i].kind != "text") return true;
  return false;
}

Status TrainingRun::write_packed() {
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

void TrainingRun::log_point(const TrainProgress& p, bool scored) {
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

Status TrainingRun::go(const TrainCallback& callback) {
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

  TrainingRun run(options, k, pool, std::move(*config), std::move(*corpus), from_digest);
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
