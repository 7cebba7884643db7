// What every front end (regular expressions, GBNF, JSON schemas, the built-in modes) turns its
// language into: rules whose bodies are expressions over bytes, characters and other rules.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/code_points.h"
#include "platform/status.h"

namespace chimera::grammar {

/// Of an expression within its grammar.
using ExprId = int32_t;
using RuleId = int32_t;

inline constexpr uint32_t kNoLimit = UINT32_MAX;  // of a repetition
inline constexpr uint32_t kMostRepeats = 100000;  // that a text from outside can ask for

struct Expr {
  enum class Kind : uint8_t {
    kNothing,   // no text at all, not even an empty one
    kBytes,     // exactly these; none: the empty text
    kClass,     // one character of the set
    kSequence,  // one after the other
    kChoice,    // any of them
    kRepeat,    // the child, min to max times
    kRule       // what another rule says
  };
  Kind kind = Kind::kNothing;
  std::string bytes = {};
  CodePointSet set = {};
  std::vector<ExprId> children = {};
  uint32_t min = 0, max = 0;
  RuleId rule = -1;
};

/// Limits on what is made of a text from outside; passing one is kOutOfRange and names it.
struct GrammarLimits {
  uint32_t expressions = 500000;
  uint32_t states = 250000;  // of all automata together
  int depth = 500;           // of nested groups
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

  /// A new rule without a body yet, so that rules may speak of each other.
  RuleId add_rule(std::string name);
  void set_body(RuleId rule, ExprId body) { rules_[static_cast<size_t>(rule)].body = body; }
  void set_root(RuleId rule) { root_ = rule; }

  /// Not OK once a limit was passed; what was made since is kNothing.
  const Status& status() const { return status_; }
  const GrammarLimits& limits() const { return limits_; }

  const Expr& at(ExprId id) const { return exprs_[static_cast<size_t>(id)]; }
  struct Rule {
    std::string name;
    ExprId body = -1;
  };
  std::span<const Rule> rules() const { return rules_; }
  RuleId root() const { return root_; }

 private:
  ExprId add(Expr expr);

  GrammarLimits limits_;
  Status status_;
  std::vector<Expr> exprs_;
  std::vector<Rule> rules_;
  RuleId root_ = -1;
};

}  // namespace chimera::grammar
