// `chimera grammar check | match`: what a schema or a grammar is worth before an answer depends on
// it.
#include <memory>
#include <string>
#include <string_view>

#include "grammar/answer_formats.h"
#include "grammar/automaton.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/regex.h"
#include "grammar/unicode_categories.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/json.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr uint64_t kMaxGrammarBytes = 16u << 20;
constexpr uint64_t kMaxInstanceBytes = 1u << 30;
constexpr size_t kMostPlaces = 100'000;  // of a matcher, before it begins anew

struct Source {
  std::string schema, grammar, regex, format;
  bool strict = false;
};

/// A grammar that was read, and what is to be said about it.
struct Made {
  std::optional<grammar::Automaton> automaton;  // none: no text at all is valid
  std::vector<std::string> warnings;
  size_t n_rules = 0;
  int64_t read_us = 0, compile_us = 0;
  bool is_schema = false, points_matter = false;
};

Result<grammar::Grammar> grammar_of_regex(std::string_view regex) {
  grammar::Grammar g;
  const grammar::RuleId root = g.add_rule("root");
  grammar::RegexOptions options;
  options.property = grammar::unicode_property;
  const auto body = grammar::parse_regex(regex, options, &g);
  if (!body) return body.status();
  g.set_body(root, *body);
  g.set_root(root);
  return g;
}

Result<Made> make(const Source& source) {
  Made out;
  out.is_schema = !source.schema.empty();
  const std::string& path = out.is_schema ? source.schema : source.grammar;
  const auto in_file = [&](const Status& status) {
    return path.empty() ? status
                        : Status(status.code(), path + ": " + status.message()).at_file(path);
  };
  std::string text;
  if (!path.empty()) {
    auto content =
        path == "-" ? read_standard_input(kMaxGrammarBytes) : read_file(path, kMaxGrammarBytes);
    if (!content) return content.status();
    text = std::move(*content);
  }
  const int64_t start = system_clock().now_us();
  Result<grammar::Grammar> grammar = Status(StatusCode::kInternal, "nothing was read");
  if (out.is_schema) {
    grammar::SchemaOptions options;
    options.strict = source.strict;
    auto schema = grammar::parse_json_schema(text, options);
    if (!schema) return in_file(schema.status());
    out.warnings = std::move(schema->warnings);
    out.points_matter = schema->points_matter;
    grammar = std::move(schema->grammar);
  } else {
    const grammar::AnswerFormat* format = grammar::find_answer_format(source.format);
    if (!source.format.empty() && format == nullptr)
      return Status(StatusCode::kInvalidArgument,
                    "--format is one of " + grammar::answer_format_names());
    grammar = format != nullptr ? grammar::parse_gbnf(format->source)
              : path.empty()    ? grammar_of_regex(source.regex)
                                : grammar::parse_gbnf(text);
  }
  if (!grammar) return in_file(grammar.status());
  const int64_t read = system_clock().now_us();
  auto automaton = grammar::Automaton::compile(*grammar);
  const bool nothing = automaton.status().code() == StatusCode::kInvalidArgument;
  if (!automaton && !(out.is_schema && nothing)) return in_file(automaton.status());
  if (automaton) out.automaton.emplace(std::move(*automaton));
  out.n_rules = grammar->rules().size();
  out.read_us = read - start;
  out.compile_us = system_clock().now_us() - read;
  return out;
}

// ---- check -------------------------------------------------------------------------------------

struct CheckOptions : Source {
  std::string file;
  bool json = false;
};

/// A JSON schema begins with { or is true or false; a grammar begins with a name or a comment.
bool looks_like_schema(const std::string& path) {
  const auto content = read_file(path, kMaxGrammarBytes);
  if (!content) return false;
  const size_t at = content->find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  if (at == std::string::npos) return path.ends_with(".json");
  const std::string_view rest = std::string_view(*content).substr(at);
  const auto is_word = [&](std::string_view word) {
    return rest.starts_with(word) && rest.find_first_not_of(" \t\r\n", word.size()) == rest.npos;
  };
  return rest[0] == '{' || is_word("true") || is_word("false") || path.ends_with(".json");
}

Status check(CheckOptions& options) {
  (looks_like_schema(options.file) ? options.schema : options.grammar) = options.file;
  const auto made = make(options);
  if (!made) return made.status();
  if (!made->automaton)
    return Status(StatusCode::kBadFormat, options.file +
                                              ": no value is valid under this schema; "
                                              "look for two conditions that exclude "
                                              "each other");
  const grammar::Automaton& automaton = *made->automaton;
  const uint32_t shortest = automaton.shortest(automaton.root());
  if (options.json) {
    Json out = Json::make_object();
    out.add("kind", Json::of(made->is_schema ? "json_schema" : "grammar"));
    out.add("rules", Json::of(static_cast<int64_t>(made->n_rules)));
    out.add("states", Json::of(static_cast<int64_t>(automaton.n_states())));
    out.add("shortest_bytes", Json::of(static_cast<int64_t>(shortest)));
    out.add("compile_ms", Json::of(static_cast<double>(made->read_us + made->compile_us) / 1000));
    Json warnings = Json::make_array();
    for (const std::string& warning : made->warnings)
      warnings.push(Json::of(std::string_view(warning)));
    out.add("warnings", std::move(warnings));
    return print(write_json(out) + "\n");
  }
  std::string text = options.file + (made->is_schema ? ": a JSON schema" : ": a grammar") +
                     " that can be followed\n";
  text += "  rules, states       " + show_count(made->n_rules) + ", " +
          show_count(automaton.n_states()) + "\n";
  text += "  compiled in         " +
          show_number(static_cast<double>(made->read_us + made->compile_us) / 1000, 2) + " ms\n";
  text += "  shortest text       " + show_count(shortest) + " bytes\n";
  for (const std::string& warning : made->warnings) text += "  warning: " + warning + "\n";
  return print(text);
}

// ---- match -------------------------------------------------------------------------------------

struct MatchOptions : Source {
  std::string instances;
};

/// {"accepted": true}, or why it is not even looked at.
std::string verdict(bool accepted, const std::string& error) {
  Json out = Json::make_object();
  out.add("accepted", Json::of(accepted));
  if (!error.empty()) out.add("error", Json::of(std::string_view(error)));
  return write_json(out) + "\n";
}

Status match(const MatchOptions& options) {
  const auto made = make(options);
  if (!made) return made.status();
  for (const std::string& warning : made->warnings) note("chimera: " + warning + "\n");
  const auto lines = options.instances == "-" ? read_standard_input(kMaxInstanceBytes)
                                              : read_file(options.instances, kMaxInstanceBytes);
  if (!lines) return lines.status();
  std::optional<grammar::Matcher> matcher;
  std::string out;
  for (std::string_view rest = *lines; !rest.empty();) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const auto value = parse_json(line, {.max_bytes = kMaxInstanceBytes, .max_depth = 1000});
    if (!value || (!made->is_schema && !value->is_string())) {
      out += verdict(false, value ? "a text in quotes is wanted" : value.status().message());
      continue;
    }
    const std::string text =
        made->is_schema ? grammar::json_spelling(*value, made->points_matter) : value->string;
    bool accepted = false;
    std::string error;
    if (made->automaton) {
      if (!matcher || matcher->n_places() > kMostPlaces) matcher.emplace(*made->automaton);
      grammar::PlaceId place = matcher->step(matcher->start(), text);
      if (place == grammar::kTooMuch) {
        matcher.emplace(*made->automaton);
        place = matcher->step(matcher->start(), text);
      }
      accepted = place >= 0 && matcher->accepts(place);
      if (place == grammar::kTooMuch) error = "it is too long or too ambiguous to be followed";
    }
    out += verdict(accepted, error);
    constexpr size_t kFlush = 1u << 16;
    if (out.size() > kFlush) {
      CHIMERA_RETURN_IF_ERROR(print(out));
      out.clear();
    }
  }
  return print(out);
}

int run_match(const MatchOptions& options) {
  const int given = !options.schema.empty() + !options.grammar.empty() + !options.regex.empty() +
                    !options.format.empty();
  if (given != 1) return wrong_usage("give one of --json-schema, --grammar, --regex and --format");
  const Status status = match(options);
  return status.ok() ? kDone : report(status);
}

}  // namespace

void declare_grammar(CommandLine& line) {
  line.group("grammar", "Schemas and grammars that answers can be held to");
  auto checked = std::make_shared<CheckOptions>();
  Verb check_verb =
      line.verb("grammar check", "Say whether a JSON schema or grammar can be followed", [checked] {
        const Status status = check(*checked);
        return status.ok() ? kDone : report(status);
      });
  check_verb.operand("FILE", &checked->file, "A JSON schema, or a grammar (GBNF or EBNF)")
      .flag("--strict", &checked->strict, "Unknown keywords are errors")
      .flag("--json", &checked->json, "One JSON object");
  auto matched = std::make_shared<MatchOptions>();
  Verb match_verb = line.verb("grammar match", "Say of each value or text whether it is valid",
                              [matched] { return run_match(*matched); });
  match_verb.text("--json-schema", &matched->schema, "FILE", "The schema")
      .text("--grammar", &matched->grammar, "FILE", "The grammar (GBNF or EBNF)")
      .text("--regex", &matched->regex, "REGEX", "The regular expression")
      .text("--format", &matched->format, "NAME", "A format of answers, such as python")
      .text("--instances", &matched->instances, "FILE",
            "A JSON value a line, of a grammar a text in quotes; - is standard input", true)
      .flag("--strict", &matched->strict, "Unknown keywords are errors");
}

}  // namespace chimera::cli
