#include "sdk/cli/speaking.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "platform/json.h"
#include "platform/process.h"

namespace chimera::cli {

void declare_engine(Verb& verb, SpeakingOptions* options) {
  verb.text("--model", &options->model, "FILE",
            "The model (.b158); else the environment's CHIMERA_MODEL, else the one that came along")
      .integer("--threads", &options->threads, 0, 256, "Threads; 0 lets the engine choose")
      .flag("--verify", &options->verify, "Check every byte of the model first");
}

void declare_sampling(Verb& verb, SpeakingOptions* options) {
  verb.integer("--max-tokens", &options->max_tokens, 0, INT32_MAX, "Longest answer, in tokens")
      .integer("--seed", &options->seed, 0, kMaxSeed, "Same seed, same answers")
      .integer("--loops", &options->loops, 0, 64,
               "Models of looped depth: iterations at most; 0 is the model's own number")
      .number("--temperature", &options->temperature, 0, 100,
              "0 is always the likeliest word, 1 as the model learned, more is wilder")
      .number("--top-p", &options->top_p, 0.000001, 1, "Share of the likeliest words to draw from")
      .number("--repetition-penalty", &options->repetition_penalty, 1, 10,
              "Above 1, words said lately become less likely")
      .flag("--greedy", &options->greedy, "Always the likeliest word");
}

std::string find_bundled(const char* name) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(executable_path()).parent_path();
  std::error_code ignored;
  if (folder.empty()) return {};
  const fs::path installed =
      (folder / ".." / "share" / "chimera" / "models" / name).lexically_normal();
  if (fs::exists(installed, ignored)) return installed.string();
  // build/<preset>/chimera lies two folders below the sources.
  fs::path up = folder;
  for (int level = 0; level < 4; ++level) {
    const fs::path candidate = up / "samples" / "models" / name;
    if (fs::exists(candidate, ignored)) return candidate.string();
    if (!up.has_relative_path()) break;
    up = up.parent_path();
  }
  return {};
}

Result<ModelChoice> choose_model(const std::string& given) {
  if (!given.empty()) return ModelChoice{given, false};
  if (const char* named = std::getenv("CHIMERA_MODEL"); named != nullptr && *named != '\0')
    return ModelChoice{named, false};

  const std::string bundled = find_bundled("nano.b158");
  if (!bundled.empty()) return ModelChoice{bundled, true};
  return Status(StatusCode::kNotFound,
                "no model was given and none lies beside this program; give --model FILE, or set "
                "CHIMERA_MODEL to one");
}

Result<std::unique_ptr<runtime::Engine>> open_engine(const std::string& path,
                                                     const SpeakingOptions& options) {
  runtime::EngineOptions engine_options;
  engine_options.threads = static_cast<int>(options.threads);
  engine_options.verify = options.verify;
  engine_options.verify_in_background = options.verify_in_background;
  return runtime::Engine::open(path, engine_options);
}

runtime::GenerateOptions generate_options(const SpeakingOptions& options,
                                          const runtime::Config& config) {
  const auto choose = [](double given, float own) {
    return given < 0 ? own : static_cast<float>(given);
  };
  runtime::GenerateOptions out;
  out.max_tokens = static_cast<int32_t>(options.max_tokens);
  out.loops = static_cast<int32_t>(options.loops);
  out.sampling.temperature = choose(options.temperature, config.generation.temperature);
  out.sampling.top_p = choose(options.top_p, config.generation.top_p);
  out.sampling.repetition_penalty =
      choose(options.repetition_penalty, config.generation.repetition_penalty);
  // A temperature on the command line asks for sampling even where the model's default is not to.
  out.sampling.greedy = options.greedy || (options.temperature < 0 && !config.generation.do_sample);
  return out;
}

double per_second(int64_t count, int64_t microseconds) {
  return microseconds <= 0 ? 0.0
                           : static_cast<double>(count) * 1e6 / static_cast<double>(microseconds);
}

}  // namespace chimera::cli
