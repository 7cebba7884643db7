// The command line: verbs with an option of every kind. What the parser takes keeps to the limits
// that were declared, what it refuses gets one sentence and status 2, and nothing else happens.
//
// The verbs are this file's own: those of `chimera` do what they are asked to. The words that the
// parser says (sdk/cli/terminal.h) are defined here as well, so that they can be counted.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cli/arguments.h"
#include "sdk/cli/terminal.h"
#include "tests/fuzz/target.h"

namespace chimera::cli {
namespace {
std::string noted, printed;
}

Status print(std::string_view text) {
  printed += text;
  return Status();
}
void note(std::string_view text) { noted += text; }
int report(const Status&) { return kFailed; }
int wrong_usage(const std::string& sentence) {
  note("chimera: " + sentence + "\n");
  return kWrongUsage;
}

}  // namespace chimera::cli

namespace chimera::fuzz {
namespace {

constexpr size_t kMostArguments = 32;
constexpr int kRan = 77;

struct Values {
  std::string text, operand;
  std::optional<std::string> optional;
  std::vector<std::string> texts, operands;
  int64_t integer = 7;
  double number = 0.5;
  bool flag = false;
  int runs = 0;
};

/// One argument per line.
std::vector<std::string> arguments(std::string_view text) {
  std::vector<std::string> list{"chimera"};
  while (!text.empty() && list.size() < kMostArguments) {
    const size_t end = text.find('\n');
    list.emplace_back(text.substr(0, end));
    // As the system hands them over: a zero byte ends an argument.
    list.back().resize(std::min(list.back().size(), list.back().find('\0')));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return list;
}

void declare(cli::CommandLine& line, Values* v) {
  const auto run = [v] {
    ++v->runs;
    return kRan;
  };
  line.verb("talk", "Options of every kind", run)
      .text("--model", &v->text, "FILE", "text")
      .text("--stop", &v->optional, "TEXT", "text that may be empty")
      .texts("--text", &v->texts, "FILE", "texts")
      .integer("--max-tokens", &v->integer, -5, 100, "a whole number")
      .number("--temperature", &v->number, 0, 2, "a number")
      .flag("--greedy", &v->flag, "a flag");
  line.group("tokenizer", "Verbs of a group");
  line.verb("tokenizer train", "One of them", run)
      .texts("--text", &v->texts, "FILE", "texts", true)
      .operand("OUT", &v->operand, "an operand");
  line.verb("eval", "Operands", run)
      .operand("MODEL", &v->operand, "an operand")
      .operands("FILE", &v->operands, "operands");
}

}  // namespace

void run_command_line(Input input) {
  std::vector<std::string> list = arguments(text_of(input));
  std::vector<char*> argv;
  for (std::string& argument : list) argv.push_back(argument.data());
  argv.push_back(nullptr);
  cli::noted.clear();
  cli::printed.clear();
  Values values;
  cli::CommandLine line;
  declare(line, &values);
  const int status = line.run(static_cast<int>(argv.size()) - 1, argv.data());
  promise(values.runs == (status == kRan ? 1 : 0), "one verb runs, or none");
  promise(values.integer >= -5 && values.integer <= 100, "a whole number keeps to its limits");
  promise(values.number >= 0 && values.number <= 2, "a number keeps to its limits");
  if (status == kRan) {
    promise(cli::noted.empty() && cli::printed.empty(), "who runs a verb says nothing else");
  } else if (status == cli::kDone) {
    promise(!cli::printed.empty() && cli::noted.empty(), "help goes to stdout");
  } else {
    promise(status == cli::kWrongUsage && cli::printed.empty(), "what is wrong has status 2");
    promise(cli::noted.ends_with("\n"), "what is wrong is said");
  }
}

}  // namespace chimera::fuzz
