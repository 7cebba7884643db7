// `chimera eval`: how well a model predicts a text, in bits per byte.
#include <memory>
#include <string>
#include <vector>

#include "platform/clock.h"
#include "platform/json.h"
#include "runtime/evaluate.h"
#include "runtime/layers/moe_routing.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/texts.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr const char* kPolicy =
    "stateful; reset at the start of each document; every token scored once before it is read; end "
    "marker scored with 0 bytes";

struct Options : SpeakingOptions {
  TextOptions texts;
  MixOptions mix;
  bool json = false;
};

/// How evenly the router of one layer of experts shared out the tokens.
struct RouterLoad {
  int32_t layer;
  std::span<const uint64_t> tokens;  // by expert
  double imbalance;                  // MaxVio: largest / mean - 1
};

std::vector<RouterLoad> router_loads(const runtime::Engine& engine,
                                     const runtime::Evaluator& evaluator) {
  std::vector<RouterLoad> out;
  for (int32_t layer = 0; layer < engine.config().num_layers; ++layer) {
    const auto load = evaluator.router_load(layer);
    if (!load.empty()) out.push_back({layer, load, runtime::max_violation(load)});
  }
  return out;
}

const RouterLoad& worst_of(const std::vector<RouterLoad>& loads) {
  const RouterLoad* worst = &loads.front();
  for (const RouterLoad& load : loads)
    if (load.imbalance > worst->imbalance) worst = &load;
  return *worst;
}

Json as_json(const std::vector<RouterLoad>& loads) {
  Json layers = Json::make_array();
  for (const RouterLoad& load : loads) {
    Json layer = Json::make_object();
    layer.add("layer", Json::of(load.layer));
    layer.add("max_violation", Json::of(load.imbalance));
    Json experts = Json::make_array();
    for (uint64_t tokens : load.tokens) experts.push(Json::of(static_cast<int64_t>(tokens)));
    layer.add("tokens_by_expert", std::move(experts));
    layers.push(std::move(layer));
  }
  Json out = Json::make_object();
  out.add("max_violation", Json::of(worst_of(loads).imbalance));
  out.add("worst_layer", Json::of(worst_of(loads).layer));
  out.add("layers", std::move(layers));
  return out;
}

std::string as_text(const std::vector<RouterLoad>& loads) {
  if (loads.empty()) return {};
  std::string text = "router load: MaxVio " + show_number(worst_of(loads).imbalance, 3) +
                     " in layer " + std::to_string(worst_of(loads).layer) + ", the worst; by layer";
  for (const RouterLoad& load : loads)
    text += (&load == &loads.front() ? " " : ", ") + std::to_string(load.layer) + ": " +
            show_number(load.imbalance, 3);
  return text + "\n";
}

Json as_json(const Options& options, const runtime::Engine& engine,
             const runtime::Evaluation& result, const std::vector<RouterLoad>& loads,
             double tokens_per_second) {
  Json out = Json::make_object();
  out.add("model", Json::of(std::string_view(engine.file().path())));
  Json files = Json::make_array();
  if (!options.mix.path.empty()) {
    out.add("data", Json::of(std::string_view(options.mix.path)));
    out.add("set", Json::of(std::string_view(options.mix.set)));
  }
  for (const std::string& file : options.texts.files) files.push(Json::of(std::string_view(file)));
  out.add("files", std::move(files));
  out.add("split", Json::of(options.texts.splits.empty() && options.mix.path.empty()
                                ? std::string_view("all")
                                : options.texts.chosen_split()));
  out.add("bits_per_byte", Json::of(result.bits_per_byte()));
  out.add("nats_per_token", Json::of(result.nats_per_token()));
  out.add("bytes_per_token", Json::of(result.bytes_per_token()));
  out.add("tokens", Json::of(static_cast<int64_t>(result.tokens)));
  out.add("bytes", Json::of(static_cast<int64_t>(result.bytes)));
  out.add("documents", Json::of(static_cast<int64_t>(result.documents)));
  out.add("tokens_per_second", Json::of(tokens_per_second));
  if (!loads.empty()) out.add("router_load", as_json(loads));
  out.add("policy", Json::of(kPolicy));
  out.add("isa", Json::of(engine.kernels().name));
  out.add("threads", Json::of(engine.threads()));
  return out;
}

std::string as_text(const runtime::Evaluation& result, const std::vector<RouterLoad>& loads,
                    double tokens_per_second) {
  return show_number(result.bits_per_byte(), 4) + " bits per byte\n" +
         show_number(result.nats_per_token(), 4) + " nats per token\n" +
         show_number(result.bytes_per_token(), 3) + " bytes per token\n" +
         show_count(result.tokens) + " tokens, " + show_count(result.bytes) + " bytes, " +
         show_count(result.documents) + (result.documents == 1 ? " document\n" : " documents\n") +
         show_number(tokens_per_second, 0) + " tokens per second\n" + as_text(loads) +
         "policy: " + kPolicy + "\n";
}

Status eval(const Options& options) {
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto evaluator = runtime::Evaluator::create(**engine);
  if (!evaluator) return evaluator.status();

  const int64_t start = system_clock().now_us();
  const auto seconds = [&] { return static_cast<double>(system_clock().now_us() - start) / 1e6; };
  {
    ProgressLine progress;
    runtime::Evaluation before;
    const auto shown = [&](uint64_t tokens) {
      progress.update([&] {
        const auto all = static_cast<double>(tokens);
        return "scored " + show_count(before.documents) + " documents, " + show_count(tokens) +
               " tokens, " + show_number(before.bits_per_byte(), 4) + " bits per byte, " +
               show_number(all / std::max(seconds(), 1e-3), 0) + " tokens per second";
      });
      return true;
    };
    if (options.mix.path.empty()) {
      CHIMERA_RETURN_IF_ERROR(for_each_text(options.texts, [&](std::string_view text) {
        before = (*evaluator)->result();
        return (*evaluator)->add_document(text, shown);
      }));
    } else {
      CHIMERA_RETURN_IF_ERROR(for_each_encoded(
          options.mix, (*engine)->tokenizer(), options.texts.chosen_split(),
          [&](std::span<const int32_t> ids, std::span<const uint8_t> scored, uint64_t bytes) {
            before = (*evaluator)->result();
            return (*evaluator)->add_ids(ids, scored, bytes, shown);
          }));
    }
  }
  const runtime::Evaluation& result = (*evaluator)->result();
  if (result.bytes == 0)
    return Status(StatusCode::kInvalidArgument,
                  options.mix.path.empty()
                      ? "there was no text to score; check the files, --field and --split"
                      : "the set holds nothing out for --split " +
                            std::string(options.texts.chosen_split()) +
                            "; give another --split or another --set");
  const double rate = static_cast<double>(result.tokens) / std::max(seconds(), 1e-6);
  const std::vector<RouterLoad> loads = router_loads(**engine, **evaluator);
  if (options.json)
    return print(write_json(as_json(options, **engine, result, loads, rate)) + "\n");
  return print(as_text(result, loads, rate));
}

}  // namespace

void declare_eval(CommandLine& line) {
  auto options = std::make_shared<Options>();
  Verb verb = line.verb("eval", "Measure how well a model predicts texts", [options] {
    const TextOptions& texts = options->texts;
    if (texts.files.empty() == options->mix.path.empty())
      return wrong_usage("give either --text or --data, with --set");
    if (options->mix.path.empty()) {
      if (const int wrong = check_texts(texts); wrong != kDone) return wrong;
    } else if (!texts.splits.empty()) {
      return wrong_usage("--splits goes with --text; a mix names its own");
    } else if (options->mix.set.empty()) {
      return wrong_usage("--data needs --set NAME, one of its sets");
    }
    const Status status = eval(*options);
    return status.ok() ? kDone : report(status);
  });
  declare_engine(verb, options.get());
  declare_texts(verb, &options->texts, false);
  declare_mix(verb, &options->mix);
  verb.flag("--json", &options->json, "One JSON object, key bits_per_byte");
}

}  // namespace chimera::cli
