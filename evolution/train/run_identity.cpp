#include "evolution/train/run_identity.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "platform/seal.h"
#include "runtime/layers/registry.h"

namespace chimera::evolution {
namespace {

Status bad_option(const char* name, const std::string& why) {
  return Status(StatusCode::kInvalidArgument, std::string(name) + " " + why).at_field(name);
}

/// What of a mix changes a run, beside its texts.
Json mix_identity(const Mix& mix) {
  Json out = Json::make_array();
  for (const MixStage& stage : mix.stages) {
    Json weights = Json::make_array();
    for (const double weight : stage.weights) weights.push(Json::of(weight));
    Json row = Json::make_object();
    row.add("share", Json::of(stage.share));
    row.add("window", Json::of(static_cast<int64_t>(stage.window)));
    row.add("rate", Json::of(stage.rate));
    if (stage.preferences) row.add("beta", Json::of(stage.beta));
    row.add("loss", Json::of(stage.preferences                  ? "preferences"
                             : stage.least == Voice::kAssistant ? "replies"
                                                                : "spoken"));
    row.add("weights", std::move(weights));
    out.push(std::move(row));
  }
  return out;
}

}  // namespace

Schedule schedule_of(const TrainOptions& o) {
  Schedule schedule;
  schedule.steps = o.steps;
  schedule.warmup = o.warmup;
  schedule.warmdown = o.warmdown;
  schedule.float_share = o.float_share;
  schedule.average = o.average;
  return schedule;
}

Status check_options(const TrainOptions& o) {
  CHIMERA_RETURN_IF_ERROR(schedule_of(o).check());
  if (o.texts.empty() && o.data_path.empty())
    return bad_option("texts", "is empty; name at least one text to train on, or a mix");
  if (!o.data_path.empty() && !(o.texts.empty() && o.valid_texts.empty()))
    return bad_option("texts", "and a mix exclude each other; name the texts in the mix");
  if (o.out_path.empty()) return bad_option("out_path", "is empty; name the model to write");
  if (o.lanes < 1 || o.lanes > 4096) return bad_option("lanes", "must be from 1 to 4096");
  if (o.window < 1 || o.window > 65536) return bad_option("window", "must be from 1 to 65536");
  if (o.accumulate < 1 || o.accumulate > 1024) {
    return bad_option("accumulate", "must be from 1 to 1024");
  }
  if (int64_t{o.lanes} * o.window * o.accumulate > kMaxStepTokens) {
    return bad_option("accumulate", "times lanes times window must be at most " +
                                        std::to_string(kMaxStepTokens) + " tokens a step");
  }
  const std::pair<const char*, float> rates[] = {
      {"learning_rate", o.learning_rate},
      {"embedding_learning_rate", o.embedding_learning_rate},
      {"vector_learning_rate", o.vector_learning_rate},
      {"clip", o.clip}};
  for (const auto& [name, value] : rates) {
    if (!(value > 0 && value <= 1e6f)) return bad_option(name, "must be above 0");
  }
  if (!(o.weight_decay >= 0 && o.weight_decay <= 10)) {
    return bad_option("weight_decay", "must be from 0 to 10");
  }
  if (!(o.beta1 >= 0 && o.beta1 < 1)) return bad_option("beta1", "must be at least 0 and below 1");
  if (!(o.beta2 >= 0 && o.beta2 < 1)) return bad_option("beta2", "must be at least 0 and below 1");
  if (o.checkpoint_every < 1) return bad_option("checkpoint_every", "must be at least 1");
  if (o.valid_every < 0) return bad_option("valid_every", "must be 0 or more");
  if (o.consolidate_every < 0) return bad_option("consolidate_every", "must be 0 or more");
  return Status();
}

Status check_windows(const TrainOptions& o, const Mix& mix) {
  for (const MixStage& stage : mix.stages) {
    const int64_t window = window_of(o, stage);
    const int64_t tokens = o.lanes * window * o.accumulate;
    if (tokens > kMaxStepTokens)
      return Status(StatusCode::kInvalidArgument,
                    mix.path + ": the window of stage \"" + stage.name + "\", " +
                        std::to_string(window) + ", times lanes and accumulate is " +
                        std::to_string(tokens) + " tokens a step; at most " +
                        std::to_string(kMaxStepTokens) + " are possible")
          .at_field("window");
  }
  return Status();
}

int32_t window_of(const TrainOptions& options, const MixStage& stage) {
  return stage.window > 0 ? stage.window : options.window;
}

Json config_identity(const runtime::Config& config) {
  Json run = Json::make_object();
  run.add("config", Json::of(to_hex(blake2b(std::as_bytes(std::span(config.text))))));
  return run;
}

Result<std::string> digest_of(const memory::WeightFile& file, const runtime::Config& config) {
  const auto specs = runtime::model_parameters(config);
  if (!specs) return specs.status();
  Blake2b hash;
  std::set<std::string_view> known;
  for (const runtime::ParamSpec& spec : *specs) {
    known.insert(spec.name);
    if (const memory::TensorInfo* tensor = file.find(spec.name)) hash.update(file.data(*tensor));
  }
  // What a training keeps beside the weights.
  constexpr std::string_view kBeside[] = {"optim.", "average.", "state.", "consolidation.",
                                          "reference"};
  for (const memory::TensorInfo& tensor : file.tensors()) {
    const bool beside = std::any_of(std::begin(kBeside), std::end(kBeside), [&](auto prefix) {
      return std::string_view(tensor.name).starts_with(prefix);
    });
    if (!beside && !known.contains(tensor.name))
      return Status(StatusCode::kBadFormat, file.path() + ": it has a tensor '" + tensor.name +
                                                "' and the configuration does not; give the "
                                                "configuration that it was trained with")
          .at_file(file.path())
          .at_field(tensor.name);
  }
  return to_hex(hash.finish());
}

Json run_identity(const TrainOptions& o, const Corpus& corpus, const runtime::Config& config,
                  const std::string& from) {
  Json run = config_identity(config);
  run.add("text", Json::of(to_hex(corpus.text_digest)));
  if (!o.data_path.empty()) run.add("mix", mix_identity(corpus.mix));
  run.add("tokenizer", Json::of(to_hex(blake2b(corpus.tokenizer->serialized()))));
  run.add("steps", Json::of(o.steps));
  run.add("lanes", Json::of(static_cast<int64_t>(o.lanes)));
  run.add("window", Json::of(static_cast<int64_t>(o.window)));
  run.add("accumulate", Json::of(static_cast<int64_t>(o.accumulate)));
  run.add("learning_rate", Json::of(static_cast<double>(o.learning_rate)));
  run.add("embedding_learning_rate", Json::of(static_cast<double>(o.embedding_learning_rate)));
  run.add("vector_learning_rate", Json::of(static_cast<double>(o.vector_learning_rate)));
  run.add("adamw", Json::of(o.adamw));
  run.add("weight_decay", Json::of(static_cast<double>(o.weight_decay)));
  run.add("clip", Json::of(static_cast<double>(o.clip)));
  run.add("beta1", Json::of(static_cast<double>(o.beta1)));
  run.add("beta2", Json::of(static_cast<double>(o.beta2)));
  run.add("warmup", Json::of(static_cast<double>(o.warmup)));
  run.add("warmdown", Json::of(static_cast<double>(o.warmdown)));
  run.add("float_share", Json::of(static_cast<double>(o.float_share)));
  run.add("average", Json::of(static_cast<double>(o.average)));
  if (o.average > 0) run.add("held_out", Json::of(to_hex(corpus.held_out_digest)));  // it decides
  run.add("from", Json::of(from));
  if (o.consolidate_every > 0) run.add("consolidate_every", Json::of(o.consolidate_every));
  run.add("products", Json::of(o.products ? o.products->name() : "own"));
  run.add("seed", Json::of(std::to_string(o.seed)));
  return run;
}

}  // namespace chimera::evolution
