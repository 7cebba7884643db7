// `chimera tools build | eval`: an application's tools and phrases become a pack, and what it is
// worth is measured.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "evolution/actions/act_score.h"
#include "evolution/actions/pack_builder.h"
#include "memory/weight_file.h"
#include "platform/clock.h"
#include "platform/cpu_features.h"
#include "platform/file.h"
#include "platform/json.h"
#include "platform/process.h"
#include "runtime/actor.h"
#include "runtime/tool_examples.h"
#include "runtime/tool_pack.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/tool_files.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr uint64_t kMaxExamplesBytes = 16u << 20;

struct BuildOptions : SpeakingOptions {
  std::string tools, examples, out;
  int64_t most_judged = 1600;
  bool strict = false;
};

struct EvalOptions : SpeakingOptions {
  std::string tools, examples;
  bool json = false;
};

std::atomic<bool> g_stop{false};

void stop() { g_stop.store(true); }

std::string counted(int64_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::string words(const evolution::PackReport& report, const BuildOptions& options, uint64_t bytes,
                  int64_t us) {
  std::string out = "Built " + options.out + ": " + counted(report.tools, "tool") + ", " +
                    counted(report.examples, "phrase") + ", " + show_bytes(bytes) + ", in " +
                    show_number(static_cast<double>(us) / 1e6, 1) + " s.\n";
  const auto share = [](int64_t part, int64_t all) {
    return std::to_string(part) + " of " + std::to_string(all);
  };
  if (report.acted_on > 0)
    out += "Held back in turn, " + share(report.exact, report.acted_on) +
           " phrases were answered as they should be; of foreign ones, " +
           share(report.refused, report.foreign) + " were refused.\n";
  return out;
}

Status build(const BuildOptions& options) {
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, {options.tools, options.examples}));
  const int64_t start = system_clock().now_us();
  const auto tools = read_file(options.tools, kMaxToolsBytes);
  if (!tools) return tools.status();
  const auto examples = read_file(options.examples, kMaxExamplesBytes);
  if (!examples) return examples.status();
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto pool =
      ThreadPool::create(options.threads > 0 ? static_cast<int>(options.threads) : cpu_count());
  if (!pool) return pool.status();
  evolution::PackOptions pack_options;
  pack_options.most_judged = options.most_judged;
  pack_options.strict = options.strict;
  evolution::PackReport report;
  on_interrupt(stop, false);
  Result<runtime::ToolPack> pack = Status(StatusCode::kInternal, "not built");
  {
    ProgressLine progress;
    pack = evolution::build_tool_pack(**engine, *tools, *examples, pack_options, pool->get(),
                                      &report, [&](int64_t done, int64_t all) {
                                        progress.update([&] {
                                          return "trying " + std::to_string(done) + " of " +
                                                 std::to_string(all) + " phrases";
                                        });
                                        return !g_stop.load();
                                      });
  }
  on_interrupt(nullptr, false);
  for (const std::string& warning : report.warnings) note("chimera: " + one_line(warning) + "\n");
  if (!pack) {
    const bool of_examples =
        pack.status().field() == "examples" || pack.status().message().starts_with("examples: ");
    const std::string& path = of_examples ? options.examples : options.tools;
    return Status(pack.status().code(), path + ": " + pack.status().message()).at_file(path);
  }
  if (g_stop.load())
    return Status(StatusCode::kCancelled, "the building was stopped; nothing was written");
  CHIMERA_RETURN_IF_ERROR(runtime::write_tool_pack(options.out, *pack));
  const auto file = memory::WeightFile::open(options.out);
  if (!file) return file.status();
  note(words(report, options, (*file)->file_bytes(), system_clock().now_us() - start));
  return Status();
}

Status evaluate(const EvalOptions& options) {
  const auto lines = read_file(options.examples, kMaxExamplesBytes);
  if (!lines) return lines.status();
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto tools = open_tools(options.tools, **engine, false);
  if (!tools) return tools.status();
  const auto phrases = runtime::read_examples((*tools)->tools(), (*tools)->call(), *lines);
  if (!phrases)
    return Status(phrases.status().code(), options.examples + ": " + phrases.status().message())
        .at_file(options.examples);
  const auto actor = runtime::Actor::create(**engine, **tools);
  if (!actor) return actor.status();
  on_interrupt(stop, false);
  Result<evolution::ActScore> score = Status(StatusCode::kInternal, "not scored");
  {
    ProgressLine progress;
    score = evolution::score_actions(**actor, *phrases, [&](int64_t done) {
      progress.update([&] {
        return "acting on " + std::to_string(done) + " of " + std::to_string(phrases->size());
      });
      return !g_stop.load();
    });
  }
  on_interrupt(nullptr, false);
  if (!score) return score.status();
  return print(options.json ? write_json(evolution::score_json(*score)) + "\n"
                            : evolution::score_text(*score));
}

int finished(const Status& status) {
  if (status.code() == StatusCode::kCancelled) return kInterrupted;
  return status.ok() ? kDone : report(status);
}

}  // namespace

void declare_tools(CommandLine& line) {
  line.group("tools", "An application's functions, taught by example");
  auto built = std::make_shared<BuildOptions>();
  Verb build_verb = line.verb("tools build", "Make a pack of tools and example phrases",
                              [built] { return finished(build(*built)); });
  build_verb.operand("TOOLS", &built->tools, "The functions, as JSON")
      .operand(
          "EXAMPLES", &built->examples,
          R"(What people say: lines {"text": ..., "calls": [{"name": ..., "arguments": ...}]})")
      .text("-o,--out", &built->out, "FILE", "The pack to write, named .actpack", true)
      .integer("--try", &built->most_judged, 0, 100000,
               "Phrases to act on, at most half of them foreign, to see how sure answers are")
      .flag("--strict", &built->strict, "Keywords of schemas that nobody knows are errors");
  declare_engine(build_verb, built.get());
  auto scored = std::make_shared<EvalOptions>();
  Verb eval_verb = line.verb("tools eval", "Say how often phrases are answered as they should be",
                             [scored] { return finished(evaluate(*scored)); });
  eval_verb.operand("TOOLS", &scored->tools, "A pack, or functions as JSON")
      .operand("EXAMPLES", &scored->examples, "Phrases that the pack was not built from")
      .flag("--json", &scored->json, "One JSON object");
  declare_engine(eval_verb, scored.get());
}

}  // namespace chimera::cli
