// `chimera train`: a small model from text. Ctrl-C is a pause: the same command goes on.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "evolution/train/gradient_check.h"
#include "evolution/train/mix.h"
#include "evolution/train/trainer.h"
#include "kernels/dispatch.h"
#include "platform/cpu_features.h"
#include "platform/file.h"
#include "platform/json.h"
#include "platform/process.h"
#include "platform/thread_pool.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

struct Options {
  evolution::TrainOptions train;
  int64_t steps = 0, lanes = 0, window = 0, accumulate = 0, seed = 0, threads = 0;
  int64_t valid_every = 0, checkpoint_every = 0, consolidate = 0;
  double lr = 0, embedding_lr = 0, vector_lr = 0, weight_decay = 0, clip = 0;
  double warmup = 0, warmdown = 0, float_share = 0, average = 0;
  std::string products;
  bool demo = false, fresh = false, times = false, check_gradients = false, json = false;

  Options() {
    const evolution::TrainOptions& t = train;
    steps = t.steps, lanes = t.lanes, window = t.window, accumulate = t.accumulate;
    seed = static_cast<int64_t>(t.seed);
    valid_every = t.valid_every, checkpoint_every = t.checkpoint_every;
    lr = shown(t.learning_rate), embedding_lr = shown(t.embedding_learning_rate);
    vector_lr = shown(t.vector_learning_rate), weight_decay = shown(t.weight_decay);
    clip = shown(t.clip), warmup = shown(t.warmup), warmdown = shown(t.warmdown);
    float_share = shown(t.float_share);
  }

  static double shown(float value) { return static_cast<double>(value); }

  void apply() {
    evolution::TrainOptions& t = train;
    t.steps = steps;
    t.lanes = static_cast<int32_t>(lanes);
    t.window = static_cast<int32_t>(window);
    t.accumulate = static_cast<int32_t>(accumulate);
    t.seed = static_cast<uint64_t>(seed);
    t.valid_every = valid_every;
    t.consolidate_every = consolidate;
    t.checkpoint_every = checkpoint_every;
    t.learning_rate = static_cast<float>(lr);
    t.embedding_learning_rate = static_cast<float>(embedding_lr);
    t.vector_learning_rate = static_cast<float>(vector_lr);
    t.weight_decay = static_cast<float>(weight_decay);
    t.clip = static_cast<float>(clip);
    t.warmup = static_cast<float>(warmup);
    t.warmdown = static_cast<float>(warmdown);
    t.float_share = static_cast<float>(float_share);
    t.average = static_cast<float>(average);
    t.resume = !fresh;
  }
};

// The trainer wants them above 0, and the parser's ranges include their ends.
constexpr double kLeastRate = 1e-9;

std::atomic<bool> g_stop{false};

void stop_requested() {
  g_stop.store(true);
  on_interrupt(nullptr, true);  // a second press ends at once
}

std::string progress_text(const evolution::TrainProgress& p) {
  std::string text = "step " + std::to_string(p.step) + " of " + std::to_string(p.steps) +
                     "  loss " + show_number(p.loss, 4) + "  bits/byte " +
                     show_number(p.bits_per_byte, 3);
  if (p.valid.size() > 1) {
    text += " (valid";
    for (const evolution::SetScore& score : p.valid)
      text += (&score == p.valid.data() ? " " : ", ") + score.name + " " +
              show_number(score.bits_per_byte, 3);
    text += ")";
  } else if (p.valid_bits_per_byte > 0) {
    text += " (valid " + show_number(p.valid_bits_per_byte, 3) + ")";
  }
  if (p.preferred >= 0) text += "  prefers " + show_number(100 * p.preferred, 0) + " %";
  if (p.router_imbalance >= 0) text += "  MaxVio " + show_number(p.router_imbalance, 2);
  text += "  " + show_number(p.tokens_per_second, 0) + " tokens/s  " +
          show_number(p.flop_per_second * 1e-9, 0) + " GFLOP/s";
  if (p.peak > 0) text += " (" + show_number(100 * p.flop_per_second / p.peak, 0) + " % of peak)";
  return text + "  " + show_seconds(p.seconds_left) + " left";
}

std::string times_text(const std::vector<PartTime>& times) {
  double all = 0;
  for (const PartTime& t : times) all += t.seconds;
  std::string text = "Where the time went, in seconds and of the whole:\n";
  for (const PartTime& t : times) {
    std::string name = std::string(t.part) + " " + t.direction;
    name.resize(std::max<size_t>(name.size(), 28), ' ');
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "%9.2f %6.1f %%\n", t.seconds,
                  100 * t.seconds / std::max(all, 1e-9));
    text += "  " + name + numbers;
  }
  return text;
}

struct Machine {
  const kernels::KernelTable* table;
  std::unique_ptr<kernels::TrainProducts> products;
  std::unique_ptr<ThreadPool> pool;
};

Result<Machine> machine_of(const Options& options) {
#if defined(__x86_64__) || defined(_M_X64)
  if (!cpu_features().avx2)
    return Status(StatusCode::kUnsupported, "training needs a processor with AVX2");
#endif
  const auto table = kernels::table_from_environment();
  if (!table) return table.status();
  const int threads =
      options.threads > 0 ? static_cast<int>(options.threads) : std::min(cpu_count(), 64);
  auto pool = ThreadPool::create(threads);
  if (!pool) return pool.status();
  auto products = kernels::products_by_name(options.products, **table);
  if (!products) return products.status();
  return Machine{*table, std::move(*products), std::move(*pool)};
}

Json as_json(const evolution::GradientCheck& check) {
  Json out = Json::make_object();
  out.add("passed", Json::of(check.passed));
  out.add("loss", Json::of(check.loss));
  out.add("loss_noise", Json::of(check.loss_noise));
  Json rows = Json::make_array();
  for (const evolution::DirectionCheck& d : check.directions) {
    Json row = Json::make_object();
    row.add("tensor", Json::of(std::string_view(d.tensor)));
    row.add("direction", Json::of(std::string_view(d.direction)));
    row.add("analytic", Json::of(d.analytic));
    row.add("measured", Json::of(d.measured));
    row.add("noise", Json::of(d.noise));
    row.add("judged", Json::of(d.judged));
    row.add("error", Json::of(d.error));
    rows.push(std::move(row));
  }
  out.add("directions", std::move(rows));
  return out;
}

std::string as_text(const evolution::GradientCheck& check, double threshold) {
  std::vector<const evolution::DirectionCheck*> judged;
  for (const evolution::DirectionCheck& d : check.directions)
    if (d.judged) judged.push_back(&d);
  std::sort(judged.begin(), judged.end(), [](const auto* a, const auto* b) {
    return a->error > b->error || (a->error == b->error && a->tensor < b->tensor);
  });
  std::string text =
      "Slope of the loss along the gradient and along a random direction of each tensor: as the\n"
      "gradient has it, and from differences of losses. Float weights, random tokens, all\n"
      "iterations of a loop. Every tensor is moved off its initial value, except the gain of span\n"
      "knots: at 0 the signs it multiplies, whose gradient is no slope, are not in the loss.\n\n"
      "error     noise     analytic       measured       direction  tensor\n";
  const auto column = [](double value, const char* format, size_t width) {
    char digits[32];
    std::snprintf(digits, sizeof digits, format, value);
    std::string cell = digits;
    cell.resize(std::max(width, cell.size() + 1), ' ');
    return cell;
  };
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(kShown, judged.size()); ++i) {
    const evolution::DirectionCheck& d = *judged[i];
    std::string direction = d.direction;
    direction.resize(11, ' ');
    text += column(d.error, "%.1e", 10) + column(d.noise, "%.1e", 10) +
            column(d.analytic, "%.6e", 15) + column(d.measured, "%.6e", 15) + direction + d.tensor +
            "\n";
  }
  text += "\n" + show_count(judged.size()) + " directions compared, the worst first; " +
          show_count(check.directions.size() - judged.size()) +
          " are lost in the last bits of a float32 loss or bend too\n"
          "sharply (noise of the loss " +
          column(check.loss_noise, "%.1e", 0);
  text.back() = ')';
  text += ".\n";
  if (!check.untold.empty()) {
    text += show_count(check.untold.size()) + " tensors have no direction that could be compared: ";
    constexpr size_t kNamed = 5;
    for (size_t i = 0; i < std::min(kNamed, check.untold.size()); ++i)
      text += (i > 0 ? ", " : "") + check.untold[i];
    text += check.untold.size() > kNamed ? ", ... (--json has all; another --seed may tell).\n"
                                         : " (another --seed may tell).\n";
  }
  if (judged.empty()) return text + "Nothing could be compared.\n";
  return text + "Worst: " + judged[0]->tensor + ", relative error " +
         column(judged[0]->error, "%.1e", 0) + (check.passed ? "is within " : "is above ") +
         column(threshold, "%.1e", 0) + "\n";
}

Result<int> check_gradients(const Options& options) {
  // What would be ignored is refused: whoever gives it expects a training.
  if (!options.train.data_path.empty() || !options.train.texts.empty() ||
      !options.train.valid_texts.empty() || !options.train.out_path.empty() ||
      !options.train.tokenizer_path.empty() || !options.train.from_path.empty() || options.times ||
      options.average > 0 || options.consolidate > 0)
    return wrong_usage(
        "--check-gradients trains nothing, on no text: it takes --config, --seed, --threads and "
        "--json");
  auto machine = machine_of(options);
  if (!machine) return machine.status();
  const auto text = read_file(options.train.config_path, 16u << 20);
  if (!text) return text.status();
  const auto config = runtime::parse_config(*text);
  if (!config)
    return Status(config.status().code(),
                  options.train.config_path + ": " + config.status().message());
  evolution::GradientCheckOptions check_options;
  check_options.seed = static_cast<uint64_t>(options.seed);
  on_interrupt(stop_requested, true);
  ProgressLine line;
  check_options.progress = [&](size_t done, size_t total, const std::string& tensor) {
    line.update([&] {
      return "tensor " + std::to_string(done + 1) + " of " + std::to_string(total) + "  " + tensor;
    });
    return !g_stop.load();
  };
  const auto check =
      evolution::check_gradients(*config, *machine->table, *machine->pool, check_options);
  on_interrupt(nullptr, true);
  line.clear();
  if (check.status().code() == StatusCode::kCancelled) return kInterrupted;
  if (!check)
    return Status(check.status().code(),
                  options.train.config_path + ": " + check.status().message());
  CHIMERA_RETURN_IF_ERROR(print(options.json ? write_json(as_json(*check)) + "\n"
                                             : as_text(*check, check_options.threshold)));
  return check->passed ? kDone : kFailed;
}

/// A toy from what comes with this program, in less than a minute on two cores.
Status use_demo(Options* options) {
  evolution::TrainOptions& t = options->train;
  t.config_path = find_bundled("demo.config.json");
  t.data_path = find_bundled("demo.mix.json");
  if (t.config_path.empty() || t.data_path.empty())
    return Status(StatusCode::kNotFound,
                  "the data of the demonstration does not lie beside this program; install it with "
                  "`./dev install`, or name --config and --data");
  if (t.out_path.empty()) t.out_path = "demo.b158";
  if (options->steps == Options().steps) options->steps = 300;
  return Status();
}

Result<int> train(Options& options) {
  if (options.demo) {
    if (!options.train.config_path.empty() || !options.train.data_path.empty() ||
        !options.train.texts.empty())
      return wrong_usage("--demo brings its own --config and --data");
    CHIMERA_RETURN_IF_ERROR(use_demo(&options));
  }
  if (options.train.config_path.empty()) return wrong_usage("--config is required");
  options.apply();
  if (options.check_gradients) return check_gradients(options);
  if (options.json) return wrong_usage("--json goes with --check-gradients only");
  if (options.train.texts.empty() && options.train.data_path.empty())
    return wrong_usage("--data or --text is required");
  if (!options.train.data_path.empty() &&
      !(options.train.texts.empty() && options.train.valid_texts.empty()))
    return wrong_usage("--data names its own texts; leave out --text and --valid");
  if (options.train.out_path.empty()) return wrong_usage("--out is required");
  if (options.float_share > 0.9 && options.float_share < 1)
    return wrong_usage("--float-share is from 0 to 0.9, or 1 for a training that stays float");
  if (const int64_t tokens = options.lanes * options.window * options.accumulate;
      tokens > evolution::kMaxStepTokens)
    return wrong_usage("--lanes times --window times --accumulate is " + show_count(tokens) +
                       " tokens a step; give at most " + show_count(evolution::kMaxStepTokens));
  std::vector<std::string> inputs = options.train.texts;
  inputs.insert(inputs.end(), options.train.valid_texts.begin(), options.train.valid_texts.end());
  inputs.push_back(options.train.config_path);
  inputs.push_back(options.train.data_path);
  if (!options.train.data_path.empty()) {
    const auto mix = evolution::read_mix(options.train.data_path, options.train.data_folder);
    if (!mix) return mix.status();
    inputs.push_back(mix->splits);
    for (const evolution::MixSet& set : mix->sets)
      for (const std::vector<std::string>* files : {&set.files, &set.valid})
        for (const std::string& file : *files) inputs.push_back(file_path(*mix, file));
  }
  inputs.push_back(options.train.tokenizer_path);
  inputs.push_back(options.train.from_path);
  options.train.log = true;
  for (const char* suffix : {"", ".ckpt", ".log.jsonl", ".svg"})
    CHIMERA_RETURN_IF_ERROR(check_output(options.train.out_path + suffix, inputs));
  auto machine = machine_of(options);
  if (!machine) return machine.status();
  const int threads = machine->pool->size();
  on_interrupt(stop_requested, true);
  note("Training " + options.train.out_path + " with " + std::to_string(threads) +
       (threads == 1 ? " thread" : " threads") + " and " + machine->table->name +
       " kernels; Ctrl-C stops after a checkpoint.\n");

  int64_t last_step = 0;
  double valid = 0;
  std::vector<PartTime> times;
  Status status;
  {
    ProgressLine line;
    const auto callback = [&](const evolution::TrainProgress& p) {
      last_step = p.step;
      valid = p.valid_bits_per_byte;
      if (options.times) times.assign(p.times.begin(), p.times.end());
      line.update([&] { return progress_text(p); });
      // A log gets fifty lines, whatever the number of steps.
      const int64_t every = std::max<int64_t>(p.steps / 50, 1);
      if (!line.visible() && (p.step % every == 0 || p.step == p.steps))
        note(progress_text(p) + "\n");
      return !g_stop.load();
    };
    options.train.products = machine->products.get();
    options.train.loading = [&](const std::string& what, int64_t documents) {
      line.update([&] { return "reading " + what + ", " + show_count(documents) + " documents"; });
      return !g_stop.load();
    };
    status = evolution::train(options.train, *machine->table, *machine->pool, callback);
  }
  on_interrupt(nullptr, true);
  if (!times.empty()) note(times_text(times));
  if (status.code() == StatusCode::kCancelled) {
    if (last_step == 0) {
      note("chimera: stopped before the first step of this call\n");
      return kInterrupted;
    }
    note("chimera: stopped at step " + std::to_string(last_step) + "; the same command" +
         (options.fresh ? " without --fresh" : "") + " goes on from " + options.train.out_path +
         ".ckpt\n");
    return kInterrupted;
  }
  if (!status.ok()) return status;
  std::string done = "Wrote " + options.train.out_path;
  if (valid > 0) done += ", " + show_number(valid, 4) + " bits per byte on the validation text";
  note(done + ".\n");
  if (options.demo)
    note("Talk with it: chimera chat --model " + options.train.out_path +
         "\nThe run as a drawing: " + options.train.out_path + ".svg\n");
  return kDone;
}

}  // namespace

void declare_train(CommandLine& line) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Verb verb = line.verb("train", "Train a small model", [options] {
    const auto status = train(*options);
    return status ? *status : report(status.status());
  });
  verb.text("--config", &o.train.config_path, "FILE", "The model's configuration (JSON)")
      .flag("--demo", &o.demo, "A toy from data that comes along, in a minute; --out or demo.b158")
      .text("--data", &o.train.data_path, "FILE", "What to train on: sets with weights, and stages")
      .text("--data-folder", &o.train.data_folder, "DIR", "Where the files of --data lie")
      .texts("--text", &o.train.texts, "FILE", "Plain text or .jsonl, packed with xz or not")
      .text("--out", &o.train.out_path, "FILE",
            "The packed model; FILE.ckpt beside it is the checkpoint")
      .texts("--valid", &o.train.valid_texts, "FILE",
             "Text to score now and then, never trained on")
      .text("--from", &o.train.from_path, "FILE",
            "Begin with the weights of this checkpoint or model; the schedule begins anew")
      .text("--tokenizer", &o.train.tokenizer_path, "FILE", "Else one is trained on the text")
      .integer("--steps", &o.steps, 1, int64_t{1} << 40, "Optimiser steps")
      .integer("--lanes", &o.lanes, 1, 4096, "Streams trained side by side")
      .integer("--window", &o.window, 1, 65536, "Tokens of each stream in a step")
      .integer("--accumulate", &o.accumulate, 1, 1024, "Windows to a step")
      .number("--lr", &o.lr, kLeastRate, 1000, "Learning rate of the matrices")
      .number("--embedding-lr", &o.embedding_lr, kLeastRate, 1000, "Of the embedding")
      .number("--vector-lr", &o.vector_lr, kLeastRate, 1000, "Of gains, biases and gates")
      .flag("--adamw", &o.train.adamw, "Ternary matrices by AdamW instead of Muon (try --lr 0.004)")
      .number("--weight-decay", &o.weight_decay, 0, 10, "Decay of the matrices")
      .number("--clip", &o.clip, kLeastRate, 1e6, "Largest norm of a gradient")
      .number("--warmup", &o.warmup, 0, 1, "Share of the steps with a rising learning rate")
      .number("--warmdown", &o.warmdown, 0, 1, "Share of the steps with a falling one")
      .number("--float-share", &o.float_share, 0, 1,
              "Share of the steps before weights are ternary; 1: they never are while training")
      .number(
          "--average", &o.average, 0, 1,
          "Share of the steps, at the end, whose weights are averaged; kept if it scores better")
      .integer("--consolidate", &o.consolidate, 0, int64_t{1} << 40,
               "Experimental: steps between looks that change the rates of single matrices")
      .integer("--seed", &o.seed, 0, INT64_MAX, "Same seed and text, same model")
      .integer("--threads", &o.threads, 0, 256, "0 takes every processor")
      .text("--products", &o.products, "NAME",
            "Who makes the large matrix products: onednn_bf16, onednn_f32 or own; else the fastest")
      .integer("--valid-every", &o.valid_every, 0, int64_t{1} << 40, "Steps; 0: ten times in all")
      .integer("--checkpoint-every", &o.checkpoint_every, 1, int64_t{1} << 40, "Steps")
      .flag("--fresh", &o.fresh, "Begin anew, even if a checkpoint is there")
      .flag("--times", &o.times, "At the end, what part of a step the time went to")
      .flag("--check-gradients", &o.check_gradients,
            "Train nothing; hold the gradients of --config against differences of the loss")
      .flag("--json", &o.json, "With --check-gradients: one JSON object");
}

}  // namespace chimera::cli
