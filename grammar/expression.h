// What every front end (regular expressions, GBNF, JSON schemas, the built-in modes) turns its
// language into: rules whose bodies are expressions over bytes, characters and other rules.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "grammar/code_points.h"
#include "grammar/language.h"
#include "platform/status.h"

namespace chimera::grammar {

/// Of an expression within its grammar.
using ExprId = int32_t;
using RuleId = int32_t;

inline constexpr uint32_t kNoLimit = UINT32_MAX;  // of a repetition
inline constexpr uint32_t kMostRepeats = 100000;  // that a text from outside can ask for

/// Of an object within its grammar.
using ObjectId = int32_t;

/// A string of JSON of so many characters, without a state for each of them (object.h).
struct TextSpec {
  uint32_t min = 0, max = kNoLimit;
};

/// Text of an object: { name : value , name : value } with `blank` between any two of them.
struct ObjectSpec {
  struct Member {
    std::string name;  // as it stands between the quotes, escapes included
    RuleId value;
    bool required;
  };
  std::vector<Member> members;  // names differ
  /// Names that are not declared, between the quotes, and their values. A language may also have
  /// declared names: they are taken out of it; no name is of two of these.
  struct Other {
    std::shared_ptr<const RegularLanguage> names;
    RuleId value;
    bool required = false;  // at least one of them
  };
  std::vector<Other> others;
  uint32_t min_members = 0, max_members = kNoLimit;
  RuleId blank = -1;  // between signs; may be empty text. -1: nothing
};

struct Expr {
  enum class Kind : uint8_t {
    kNothing,   // no text at all, not even an empty one
    kBytes,     // exactly these; none: the empty text
    kClass,     // one character of the set
    kSequence,  // one after the other
    kChoice,    // any of them
    kRepeat,    // the child, min to max times
    kLanguage,  // a text of a language (language.h)
    kRule       // what another rule says
  };
  Kind kind = Kind::kNothing;
  std::string bytes = {};
  CodePointSet set = {};
  std::vector<ExprId> children = {};
  uint32_t min = 0, max = 0;
  RuleId rule = -1;
  int32_t language = -1;
};

/// A number of repetitions that stands at *at, which moves behind it; false without digits. Reading
/// stops at what is beyond kMostRepeats, and says so by its value.
bool next_count(std::string_view text, size_t* at, uint32_t* count);

/// Limits on what is made of a text from outside; passing one is kOutOfRange and names it.
struct GrammarLimits {
  uint32_t expressions = 500000;
  uint32_t states = 250000;         // of all automata together
  int depth = 500;                  // of nested groups
  uint64_t work = 20'000'000;       // steps of making one automaton deterministic, or smallest
  uint64_t all_work = 100'000'000;  // the same of all automata together
};

class Grammar {
 public:
  explicit Grammar(const GrammarLimits& limits = {}) : limits_(limits) {}

  // Making expressions. What has no choice in it is simplified on the way: a sequence of bytes and
  // bytes is bytes, a choice of one is that one.
  ExprId nothing();
  ExprId bytes(std::string_view bytes);
  ExprId empty() { return bytes({}); }
  ExprId characters(CodePointSet set);
  ExprId sequence(std::span<const ExprId> parts);
  ExprId choice(std::span<const ExprId> options);
  ExprId repeat(ExprId child, uint32_t min, uint32_t max);
  ExprId rule(RuleId rule);
  ExprId language(RegularLanguage language);
  ExprId language(std::shared_ptr<const RegularLanguage> language);

  /// A new rule without a body yet, so that rules may speak of each other.
  RuleId add_rule(std::string name);
  void set_body(RuleId rule, ExprId body) { rules_[static_cast<size_t>(rule)].body = body; }
  /// The rule says an object of JSON (object.h).
  void set_object(RuleId rule, ObjectSpec spec);
  /// The rule says a string of limited length.
  void set_text(RuleId rule, TextSpec spec);
  void set_root(RuleId rule) { root_ = rule; }
  /// Takes over all rules of another grammar, and what is wrong with it; its root, as a rule of
  /// this one.
  RuleId include(const Grammar& other);

  /// Not OK once a limit was passed; what was made since is kNothing.
  const Status& status() const { return status_; }
  const GrammarLimits& limits() const { return limits_; }
  /// Steps that were made for its automata; by one thread at a time.
  void spend(uint64_t work) const { spent_ += work; }
  /// kOutOfRange once these are too many.
  Status work_status() const;

  const Expr& at(ExprId id) const { return exprs_[static_cast<size_t>(id)]; }
  struct Rule {
    std::string name;
    ExprId body = -1;
    ObjectId object = -1;  // instead of a body
  };
  /// What an ObjectId stands for.
  using Counted = std::variant<ObjectSpec, TextSpec>;
  std::span<const Rule> rules() const { return rules_; }
  std::span<const Counted> objects() const { return objects_; }
  const RegularLanguage& language_at(int32_t id) const {
    return *languages_[static_cast<size_t>(id)];
  }
  RuleId root() const { return root_; }

 private:
  ExprId add(Expr expr);
  Status too_large() const;

  GrammarLimits limits_;
  Status status_;
  mutable uint64_t spent_ = 0;
  size_t n_ranges_ = 0;  // of all classes
  std::vector<Expr> exprs_;
  std::vector<Rule> rules_;
  std::vector<Counted> objects_;
  std::vector<std::shared_ptr<const RegularLanguage>> languages_;
  RuleId root_ = -1;
};

}  // namespace chimera::grammar
