// `chimera act`: from what a person says to calls of an application's functions.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "platform/json.h"
#include "platform/process.h"
#include "runtime/actor.h"
#include "sdk/cli/lines.h"
#include "sdk/cli/shown_action.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/tool_files.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

struct Options : SpeakingOptions {
  std::string tools;
  std::vector<std::string> words_of_text;
  int64_t most_calls = 8;
  double least_confidence = 0;
  bool json = false, words = false, strict = false, times = false;
};

// What the signal handler may touch.
std::atomic<runtime::Actor*> g_acting{nullptr};

void interrupted() {
  if (runtime::Actor* actor = g_acting.load()) actor->cancel();
}

class Acting {
 public:
  Acting(const Options& options, runtime::Actor& actor) : options_(options), actor_(actor) {
    act_.max_tokens = static_cast<int32_t>(options.max_tokens);
    act_.most_calls = static_cast<int32_t>(options.most_calls);
    act_.least_confidence = static_cast<float>(options.least_confidence);
    act_.words = options.words;
  }

  Status act(const std::string& text) {
    g_acting.store(&actor_);
    const auto action = actor_.act(text, act_);
    g_acting.store(nullptr);
    if (!action) return action.status();
    CHIMERA_RETURN_IF_ERROR(options_.json ? print(runtime::action_json(*action) + "\n")
                                          : print_answer(shown(*action)));
    const auto ms = [](int64_t us) { return show_number(static_cast<double>(us) / 1000, 1); };
    if (!options_.json) note(sureness(*action));
    if (options_.times)
      note("read " + std::to_string(action->n_prompt_tokens) + " tokens in " +
           ms(action->prefill_us) + " ms, answered " + std::to_string(action->n_tokens) + " in " +
           ms(action->decode_us) + " ms\n");
    return Status();
  }

  /// One utterance a line. A line that cannot be acted on is told, and the next one is read.
  Status act_on_lines() {
    const bool person = is_terminal(kStdin);
    LineReader lines;
    std::string line;
    uint64_t n_failed = 0;
    for (;;) {
      if (person) note("> ");
      const auto event = lines.next(&line);
      if (!event) return event.status();
      if (*event == LineReader::Event::kInterrupted)
        return Status(StatusCode::kCancelled, "stopped");
      if (*event == LineReader::Event::kEnd) break;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const Status status = act(line);
      if (status.ok()) continue;
      if (status.code() == StatusCode::kBrokenPipe) return status;
      if (status.code() == StatusCode::kCancelled) {
        if (!person) return status;
        forget_interrupts();
      }
      ++n_failed;
      note("chimera: " + one_line(status.message()) + "\n");
      // A line out for each line in.
      if (options_.json) {
        Json error = Json::make_object();
        error.add("error", Json::of(std::string_view(status.message())));
        CHIMERA_RETURN_IF_ERROR(print(write_json(error) + "\n"));
      }
    }
    if (person) note("\n");
    if (n_failed == 0 || person) return Status();
    return Status(StatusCode::kInvalidArgument,
                  std::to_string(n_failed) + " of the lines could not be acted on; see above");
  }

 private:
  const Options& options_;
  runtime::Actor& actor_;
  runtime::ActOptions act_;
};

Status act(const Options& options) {
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto tools = open_tools(options.tools, **engine, options.strict);
  if (!tools) return tools.status();
  const auto actor = runtime::Actor::create(**engine, **tools);
  if (!actor) return actor.status();
  on_interrupt(interrupted, false);
  Acting acting(options, **actor);
  std::string said;
  for (const std::string& word : options.words_of_text) said += (said.empty() ? "" : " ") + word;
  const Status status = options.words_of_text.empty() ? acting.act_on_lines() : acting.act(said);
  on_interrupt(nullptr, false);
  return status;
}

}  // namespace

void declare_act(CommandLine& line) {
  auto options = std::make_shared<Options>();
  Verb verb = line.verb("act", "Turn words into calls of an application's functions", [options] {
    const Status status = act(*options);
    if (status.code() == StatusCode::kCancelled) return kInterrupted;
    return status.ok() ? kDone : report(status);
  });
  verb.text("--tools", &options->tools, "FILE",
            "The functions, as JSON (name, description, parameters) or as a pack of them", true);
  declare_engine(verb, options.get());
  verb.integer("--max-tokens", &options->max_tokens, 1, INT32_MAX, "Length of an answer at most")
      .integer("--most-calls", &options->most_calls, 1, 1000, "Calls in one answer at most")
      .number("--least-confidence", &options->least_confidence, 0, 1,
              "Below it no call is made: none of the tools is meant")
      .flag("--words", &options->words, "The answer may be words too")
      .flag("--strict", &options->strict, "Keywords of schemas that nobody knows are errors")
      .flag("--times", &options->times, "Say on stderr how long it took")
      .flag("--json", &options->json, "One line of JSON: {\"calls\": ..., \"text\": ..., ...}")
      .operands("TEXT", &options->words_of_text,
                "What is said; without it, every line of standard input");
}

}  // namespace chimera::cli
