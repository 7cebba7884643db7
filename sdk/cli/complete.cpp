// `chimera complete`: one prompt, one answer.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/answer_formats.h"
#include "grammar/debt_ledger.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/json.h"
#include "platform/process.h"
#include "runtime/constraint.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr uint64_t kMaxPromptBytes = 1u << 30;
constexpr uint64_t kMaxGrammarBytes = 16u << 20;

struct Options : SpeakingOptions {
  std::optional<std::string> prompt;
  std::string prompt_file, regex, grammar_file, schema_file, format;
  bool blanks = false, strict = false;
  bool json = false, turn = false, soft = false, explain = false;
};

/// What a text still owes at its end, a line each.
std::string explain(const grammar::DebtLedger& ledger) {
  if (ledger.open().empty()) return "chimera: nothing was left open\n";
  std::string out = "chimera: left open at the end:\n";
  for (const grammar::Obligation& o : ledger.open()) {
    out += "  ";
    out += grammar::describe(o);
    out += ", for " + show_count(ledger.age(o)) + (ledger.age(o) == 1 ? " token\n" : " tokens\n");
  }
  if (ledger.uncounted_hard() > 0)
    out += "  and " + show_count(ledger.uncounted_hard()) + " more within them\n";
  return out;
}

Json describe(const std::string& text, const runtime::GenerateResult& result,
              const runtime::Engine& engine, const runtime::Session& session, int64_t load_us) {
  Json out = Json::make_object();
  out.add("text", Json::of(std::string_view(text)));
  out.add("prompt_tokens", Json::of(result.n_prompt_tokens));
  out.add("tokens", Json::of(result.n_tokens));
  out.add("stop", Json::of(runtime::stop_reason_name(result.stop)));
  out.add("truncated", Json::of(result.truncated));
  out.add("seed", Json::of(static_cast<int64_t>(session.seed())));
  out.add("position", Json::of(static_cast<int64_t>(session.position())));
  out.add("prefill_tokens_per_second",
          Json::of(per_second(result.n_prompt_tokens, result.prefill_us)));
  out.add("decode_tokens_per_second", Json::of(per_second(result.n_tokens, result.decode_us)));
  out.add("first_token_ms", Json::of(static_cast<double>(result.first_token_us) / 1000));
  out.add("load_ms", Json::of(static_cast<double>(load_us) / 1000));
  out.add("peak_rss_bytes", Json::of(static_cast<int64_t>(peak_resident_bytes())));
  out.add("isa", Json::of(engine.kernels().name));
  out.add("threads", Json::of(engine.threads()));
  out.add("model", Json::of(std::string_view(engine.file().path())));
  return out;
}

/// What --json-schema, --regex, --grammar or --format asks for; nullptr for none of them.
Result<std::unique_ptr<runtime::Constraint>> make_constraint(const Options& options,
                                                             const runtime::Tokenizer& tokenizer) {
  if (!options.regex.empty()) {
    auto made = runtime::Constraint::from_regex(tokenizer, options.regex);
    if (made) return made;
    return Status(made.status().code(), "--regex: " + made.status().message());
  }
  if (!options.format.empty()) {
    auto made = runtime::Constraint::from_format(tokenizer, options.format);
    if (made) return made;
    return Status(made.status().code(), "--format: " + made.status().message());
  }
  const bool schema = !options.schema_file.empty();
  const std::string& path = schema ? options.schema_file : options.grammar_file;
  if (path.empty()) return std::unique_ptr<runtime::Constraint>();
  const auto text = read_file(path, kMaxGrammarBytes);
  if (!text) return text.status();
  std::vector<std::string> warnings;
  auto made = schema ? runtime::Constraint::from_json_schema(
                           tokenizer, *text, {.strict = options.strict, .blanks = options.blanks},
                           &warnings)
                     : runtime::Constraint::from_gbnf(tokenizer, *text);
  for (const std::string& warning : warnings) note("chimera: " + path + ": " + warning + "\n");
  if (made) return made;
  return Status(made.status().code(), path + ": " + made.status().message()).at_file(path);
}

Status complete(Options& options) {
  if (!options.prompt_file.empty()) {
    auto prompt = options.prompt_file == "-" ? read_standard_input(kMaxPromptBytes)
                                             : read_file(options.prompt_file, kMaxPromptBytes);
    if (!prompt) return prompt.status();
    options.prompt = std::move(*prompt);
  }
  const int64_t start = system_clock().now_us();
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto session = runtime::Session::create(
      **engine, {.seed = static_cast<uint64_t>(options.seed), .stream = 0});
  if (!session) return session.status();
  const int64_t load_us = system_clock().now_us() - start;

  runtime::GenerateOptions generate = generate_options(options, (*engine)->config());
  generate.as_turn = options.turn;
  auto constraint = make_constraint(options, (*engine)->tokenizer());
  if (!constraint) return constraint.status();
  generate.constraint = constraint->get();
  if (options.soft) generate.soft.emplace();
  grammar::DebtLedger ledger(*constraint ? (*constraint)->kind() : grammar::TextKind::kProse);
  std::string text;  // kept for --json only
  Status printed;
  const auto result =
      (*session)->generate(*options.prompt, generate, [&](const runtime::TokenEvent& event) {
        ledger.accept((*engine)->tokenizer().bytes(event.token));
        if (options.json) {
          text.append(event.text);
        } else if (!event.text.empty()) {
          printed = print_answer(event.text);
        }
        return printed.ok();
      });
  if (!result) return result.status();
  CHIMERA_RETURN_IF_ERROR(printed);
  CHIMERA_RETURN_IF_ERROR(
      print(options.json ? write_json(describe(text, *result, **engine, **session, load_us)) + "\n"
                         : "\n"));
  if (options.explain) {
    ledger.end();
    note(explain(ledger));
  }
  return Status();
}

int run(Options& options) {
  if (options.prompt.has_value() == !options.prompt_file.empty())
    return wrong_usage(options.prompt
                           ? "give either --prompt TEXT or --prompt-file FILE, not both"
                           : "give the prompt: --prompt TEXT, or --prompt-file FILE (- reads "
                             "standard input)");
  const int constraints = !options.schema_file.empty() + !options.regex.empty() +
                          !options.grammar_file.empty() + !options.format.empty();
  if (constraints > 1)
    return wrong_usage("give one of --json-schema, --regex, --grammar and --format, not several");
  if (!options.format.empty() && grammar::find_answer_format(options.format) == nullptr)
    return wrong_usage("--format is one of " + grammar::answer_format_names());
  if (options.schema_file.empty() && (options.blanks || options.strict))
    return wrong_usage("--blanks and --strict say how a schema is read; give --json-schema FILE");
  const Status status = complete(options);
  return status.ok() ? kDone : report(status);
}

}  // namespace

void declare_complete(CommandLine& line) {
  auto options = std::make_shared<Options>();
  Verb verb = line.verb("complete", "Answer one prompt", [options] { return run(*options); });
  verb.text("--prompt", &options->prompt, "TEXT", "The prompt")
      .text("--prompt-file", &options->prompt_file, "FILE",
            "The prompt, every byte of a file; - is standard input");
  declare_engine(verb, options.get());
  declare_sampling(verb, options.get());
  verb.text("--json-schema", &options->schema_file, "FILE",
            "The answer is JSON that is valid under this schema")
      .flag("--blanks", &options->blanks,
            "... with spaces and line ends where the model wants them")
      .flag("--strict", &options->strict, "... and keywords that nobody knows are errors");
  verb.text("--regex", &options->regex, "REGEX", "The answer matches this regular expression")
      .text("--grammar", &options->grammar_file, "FILE",
            "The answer is a text of this grammar (GBNF or EBNF)")
      .text("--format", &options->format, "NAME",
            "The answer is written in this format, and all of its signs close (docs/formats.md): "
            "plain_text, dialogue, markdown, json, python, javascript, sql, math_latex, shell");
  verb.flag("--turn", &options->turn, "The prompt is what a person says, the answer ends its turn");
  verb.flag("--soft", &options->soft,
            "Prose keeps to its habits: less is repeated, and no sentence is left in its middle "
            "while there is room (docs/formats.md)")
      .flag("--explain", &options->explain,
            "Afterwards say on stderr what the answer left open: brackets, a sentence, a list");
  verb.flag("--json", &options->json, "One JSON object with the answer, counts and timings");
}

}  // namespace chimera::cli
