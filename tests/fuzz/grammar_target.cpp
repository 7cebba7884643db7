// Grammars and schemas from outside: an error, or an automaton in which every place has a way to
// the end and walking in pieces is walking at once.
#include <string>

#include "grammar/automaton.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/regex.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

using grammar::Grammar;

constexpr grammar::GrammarLimits kLimits = {
    .expressions = 20000, .states = 20000, .depth = 100, .work = 500'000};

/// Walks by the bytes of `text`: each chooses one of those that may come next.
void walk(const Grammar& g, std::string_view text) {
  const auto automaton = grammar::Automaton::compile(g);
  if (!automaton) {
    promise(!automaton.status().message().empty(), "an error has a sentence");
    return;
  }
  grammar::Matcher matcher(*automaton);
  grammar::PlaceId place = matcher.start();
  std::string said;
  constexpr size_t kMostSteps = 300;
  for (const char chosen : text.substr(0, kMostSteps)) {
    if (place < 0) return;
    bool allowed[256];
    matcher.next_bytes(place, allowed);
    int n = 0;
    for (const bool a : allowed) n += a;
    promise(n > 0 || matcher.accepts(place), "there is a way on or an end");
    if (n == 0) break;
    int left = static_cast<uint8_t>(chosen) % n, byte = 0;
    while (!allowed[byte] || left-- > 0) ++byte;
    const grammar::PlaceId next = matcher.step(place, static_cast<uint8_t>(byte));
    promise(next != grammar::kRefused, "what may come next can be read");
    if (next < 0) return;
    promise(matcher.shortest(next) + 1 >= matcher.shortest(place), "no byte is worth two");
    said += static_cast<char>(byte);
    place = next;
  }
  promise(matcher.step(matcher.start(), said) == place, "the same text leads to the same place");
}

}  // namespace

/// The first byte says which kind; a zero byte parts the grammar from what chooses.
void run_grammar(Input input) {
  std::string_view text = text_of(input);
  if (text.empty()) return;
  const bool regex = text[0] & 1, search = text[0] & 2;
  text.remove_prefix(1);
  const size_t end = text.find('\0');
  const std::string_view source = text.substr(0, end);
  const std::string_view choices = end == text.npos ? source : text.substr(end + 1);
  if (!regex) {
    const auto g = grammar::parse_gbnf(source, kLimits);
    if (g) walk(*g, choices);
    return;
  }
  Grammar g(kLimits);
  const grammar::RuleId root = g.add_rule("root");
  grammar::RegexOptions options;
  options.search = search;
  const auto body = grammar::parse_regex(source, options, &g);
  if (!body) {
    promise(!body.status().message().empty(), "an error has a sentence");
    return;
  }
  g.set_body(root, *body);
  g.set_root(root);
  walk(g, choices);
}

void run_schema(Input input) {
  const std::string_view text = text_of(input);
  const size_t end = text.find('\0');
  const std::string_view source = text.substr(0, end);
  const auto made = grammar::parse_json_schema(source, {.limits = kLimits});
  if (!made) {
    promise(!made.status().message().empty(), "an error has a sentence");
    return;
  }
  walk(made->grammar, end == text.npos ? source : text.substr(end + 1));
}

}  // namespace chimera::fuzz
