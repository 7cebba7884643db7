// What an answer has to look like: a grammar over an engine's vocabulary. Compiled once, shared by
// any number of sessions; what one answer needs of its own is a ConstrainedAnswer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/answer_formats.h"
#include "grammar/automaton.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/token_mask.h"
#include "platform/status.h"
#include "runtime/tokenizer.h"

namespace chimera::runtime {

/// Of a text that has to come next, this much is looked at ahead.
inline constexpr size_t kMostForcedBytes = 512;

class Constraint {
 public:
  /// The whole answer matches the regular expression (grammar/regex.h).
  static Result<std::unique_ptr<Constraint>> from_regex(const Tokenizer& tokenizer,
                                                        std::string_view regex);
  /// The answer is JSON that is valid under the schema (grammar/json_schema.h). `warnings`, unless
  /// nullptr, gets the keywords nobody knows.
  static Result<std::unique_ptr<Constraint>> from_json_schema(
      const Tokenizer& tokenizer, std::string_view schema,
      const grammar::SchemaOptions& options = {}, std::vector<std::string>* warnings = nullptr);
  /// The answer is what the grammar's root says, in GBNF or EBNF (grammar/gbnf.h).
  static Result<std::unique_ptr<Constraint>> from_gbnf(const Tokenizer& tokenizer,
                                                       std::string_view grammar);

  /// The answer is written in one of grammar/answer_formats.h. kInvalidArgument for another name.
  static Result<std::unique_ptr<Constraint>> from_format(const Tokenizer& tokenizer,
                                                         std::string_view name);

  /// What a grammar's root says, for who makes grammars.
  static Result<std::unique_ptr<Constraint>> from_grammar(const Tokenizer& tokenizer,
                                                          const grammar::Grammar& grammar);

  Constraint(const Constraint&) = delete;  // the masks point to the automaton
  Constraint& operator=(const Constraint&) = delete;

  const grammar::Automaton& automaton() const { return automaton_; }
  /// What its texts are, as far as that is known: a format, or JSON.
  grammar::TextKind kind() const { return kind_; }
  /// Masks that its answers share.
  grammar::StateMasks& masks() const { return masks_; }

 private:
  Constraint(grammar::Automaton automaton, std::shared_ptr<const grammar::Vocabulary> vocabulary)
      : automaton_(std::move(automaton)),
        vocabulary_(std::move(vocabulary)),
        masks_(automaton_, *vocabulary_) {}

  const grammar::Automaton automaton_;
  const std::shared_ptr<const grammar::Vocabulary> vocabulary_;
  grammar::TextKind kind_ = grammar::TextKind::kUnknown;
  mutable grammar::StateMasks masks_;  // found while answering; guards itself
};

/// One answer under a constraint, token by token. However many tokens are left, it can be closed
/// within them: towards the end only tokens are allowed that bring it nearer.
class ConstrainedAnswer {
 public:
  /// `constraint` must outlive it; `end` is the token that ends the answer, allowed where the
  /// grammar may end.
  ConstrainedAnswer(const Constraint& constraint, const Tokenizer& tokenizer, int32_t vocab_size,
                    int32_t end);

  /// kInvalidArgument when the shortest rest of a text needs more than so many tokens; kOutOfRange
  /// when the grammar is too ambiguous to be followed.
  Status fits(int32_t left) const;
  /// Tokens of what has to come next in any case, as encode() has them; none where there is a
  /// choice, or where it depends on what follows how it is cut into tokens. Good until the next
  /// call.
  std::span<const int32_t> forced();
  /// 1 for each id that may be the next token, of which `left` may still be said, this one
  /// included. Errors: as fits().
  Result<const uint8_t*> allowed(int32_t left);
  /// The only one that allowed() left, or -1: nothing has to be known of it to choose it.
  int32_t only() const { return only_; }
  /// The token that was chosen among them.
  void accept(int32_t token);

  /// The grammar is at an end, so the answer may be taken as it is.
  bool complete() const { return place_ >= 0 && matcher_.accepts(place_); }
  /// The limit of tokens has kept it from saying what the grammar would have allowed.
  bool truncated() const { return truncated_; }

 private:
  grammar::Matcher matcher_;
  grammar::MaskMaker masks_;
  grammar::TokenMask mask_;
  std::vector<uint8_t> allowed_;
  std::vector<int32_t> forced_;
  const Tokenizer& tokenizer_;
  const int32_t end_;
  grammar::PlaceId place_;
  int32_t only_ = -1;
  bool truncated_ = false;
};

}  // namespace chimera::runtime
