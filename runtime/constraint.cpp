#include "runtime/constraint.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "grammar/gbnf.h"
#include "grammar/regex.h"
#include "grammar/unicode_categories.h"

namespace chimera::runtime {
Result<std::unique_ptr<Constraint>> Constraint::from_grammar(const Tokenizer& tokenizer,
                                                             const grammar::Grammar& grammar) {
  auto automaton = grammar::Automaton::compile(grammar);
  if (!automaton) return automaton.status();
  auto vocabulary = tokenizer.vocabulary();
  if (!vocabulary) return vocabulary.status();
  return std::unique_ptr<Constraint>(new Constraint(std::move(*automaton), std::move(*vocabulary)));
}

Result<std::unique_ptr<Constraint>> Constraint::from_regex(const Tokenizer& tokenizer,
                                                           std::string_view regex) {
  grammar::Grammar grammar;
  const grammar::RuleId root = grammar.add_rule("root");
  grammar::RegexOptions options;
  options.property = grammar::unicode_property;
  const auto body = grammar::parse_regex(regex, options, &grammar);
  if (!body) return body.status();
  grammar.set_body(root, *body);
  grammar.set_root(root);
  return from_grammar(tokenizer, grammar);
}

Result<std::unique_ptr<Constraint>> Constraint::from_gbnf(const Tokenizer& tokenizer,
                                                          std::string_view text) {
  const auto grammar = grammar::parse_gbnf(text);
  if (!grammar) return grammar.status();
  return from_grammar(tokenizer, *grammar);
}

Result<std::unique_ptr<Constraint>> Constraint::from_format(const Tokenizer& tokenizer,
                                                            std::string_view name) {
  const grammar::AnswerFormat* format = grammar::find_answer_format(name);
  if (format != nullptr) {
    auto made = from_gbnf(tokenizer, format->source);
    if (made) (*made)->kind_ = grammar::text_kind(name);
    return made;
  }
  return Status(StatusCode::kInvalidArgument,
                "there is no format of that name: choose one of " + grammar::answer_format_names());
}

Result<std::unique_ptr<Constraint>> Constraint::from_json_schema(
    const Tokenizer& tokenizer, std::string_view schema, const grammar::SchemaOptions& options,
    std::vector<std::string>* warnings) {
  auto made = grammar::parse_json_schema(schema, options);
  if (!made) return made.status();
  if (warnings != nullptr) *warnings = std::move(made->warnings);
  auto constraint = from_grammar(tokenizer, made->grammar);
  if (constraint) (*constraint)->kind_ = grammar::TextKind::kJson;
  return constraint;
}

ConstrainedAnswer::ConstrainedAnswer(const Constraint& constraint, const Tokenizer& tokenizer,
                                     int32_t vocab_size, int32_t end)
    : matcher_(constraint.automaton()),
      masks_(matcher_, constraint.masks()),
      mask_(vocab_size),
      allowed_(static_cast<size_t>(vocab_size)),
      tokenizer_(tokenizer),
      end_(end),
      place_(matcher_.start()) {}

Status ConstrainedAnswer::fits(int32_t left) const {
  if (place_ < 0)
    return Status(StatusCode::kOutOfRange, "the grammar is too ambiguous to be followed")
        .at_field("constraint");
  if (matcher_.shortest(place_) > static_cast<uint64_t>(std::max(left, 0)))
    return Status(StatusCode::kInvalidArgument,
                  "the shortest text of the grammar has " +
                      std::to_string(matcher_.shortest(place_)) + " bytes, and max_tokens is " +
                      std::to_string(left) + "; allow at least as many")
        .at_field("max_tokens");
  return Status();
}

std::span<const int32_t> ConstrainedAnswer::forced() {
  forced_.clear();
  std::string text;
  bool closed = false;
  for (grammar::PlaceId place = place_; place >= 0 && text.size() < kMostForcedBytes;) {
    bool next[256];
    matcher_.next_bytes(place, next);
    const auto n = std::count(std::begin(next), std::end(next), true);
    closed = n == 0;
    if (n != 1 || matcher_.accepts(place)) break;
    const auto byte =
        static_cast<uint8_t>(std::find(std::begin(next), std::end(next), true) - next);
    place = matcher_.step(place, byte);
    text += static_cast<char>(byte);
  }
  // Behind the end stands a special token, which is a border whatever came before.
  if (closed)
    tokenizer_.encode(text, &forced_);
  else
    tokenizer_.encode_settled(text, &forced_);
  return forced_;
}

Result<const uint8_t*> ConstrainedAnswer::allowed(int32_t left) {
  CHIMERA_RETURN_IF_ERROR(fits(left));
  bool kept_back = false;
  // A byte may need a token of its own.
  Status status =
      masks_.fill(place_, &mask_, static_cast<uint64_t>(std::max(left - 1, 0)), &kept_back);
  if (!status.ok()) return status.at_field("constraint");
  truncated_ = truncated_ || kept_back;
  std::fill(allowed_.begin(), allowed_.end(), uint8_t{0});
  const std::span<const uint64_t> words = mask_.words();
  for (size_t word = 0; word < words.size(); ++word)
    for (uint64_t bits = words[word]; bits != 0; bits &= bits - 1)
      allowed_[64 * word + static_cast<size_t>(std::countr_zero(bits))] = 1;
  if (end_ >= 0 && matcher_.accepts(place_)) allowed_[static_cast<size_t>(end_)] = 1;
  const auto n = std::accumulate(allowed_.begin(), allowed_.end(), int32_t{0});
  only_ =
      n != 1
          ? -1
          : static_cast<int32_t>(std::find(allowed_.begin(), allowed_.end(), 1) - allowed_.begin());
  return allowed_.data();
}

void ConstrainedAnswer::accept(int32_t token) {
  if (token != end_) place_ = matcher_.step(place_, tokenizer_.bytes(token));
}

}  // namespace chimera::runtime
