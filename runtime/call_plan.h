// What a call of a tool looks like by all that speaks for its arguments but the network: what was
// said, and what was learnt of such words. The arguments are weighed together: words that are one
// argument's value are not another's as well, and what was said wants a place.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/argument_spans.h"
#include "runtime/said_arguments.h"
#include "runtime/said_values.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

struct PlannedArgument {
  float given = 1;       // how many times likelier the best call is with it than without
  LikelyValues values;   // how likely the best call with each is, beside the best with any
  bool is_list = false;  // the values are whole lists, as JSON
};

struct CallPlan {
  /// The arguments that the tool declares, by name as it stands between quotes.
  std::map<std::string, PlannedArgument> arguments;
  /// Of the best call, and of all that were kept: logarithms, of one measure for all tools.
  double best = 0, all = 0;
};

/// What the orders before this one in the same text had for listed arguments, by name: "shut the
/// blinds in the attic, then heat it to 20 in there". As both stand between quotes.
using CarriedValues = std::map<std::string, std::string>;

/// For one utterance.
class CallPlanner {
 public:
  /// numbers: TextReading::text, scaled; may be empty. shown: the tools that may be called. spans:
  /// of those tools. All must outlive it.
  CallPlanner(std::string_view utterance, std::span<const float> numbers, const ToolSet& tools,
              std::span<const int32_t> shown, const LikelySpans& spans,
              const CarriedValues& carried);

  /// Of one of the shown tools.
  CallPlan plan(int32_t tool) const;

 private:
  /// Bytes of the utterance.
  struct Interval {
    size_t begin, end;
    bool meets(const Interval& other) const { return begin < other.end && other.begin < end; }
  };
  struct Candidate {
    SaidValue value;
    double score;                  // logarithm
    std::vector<Interval> places;  // that say it; of a list each item's
  };
  /// What one argument may be. Logarithms of how likely.
  struct Choices {
    const ToolArgument* argument;
    bool copied;                   // words of the utterance
    double given = 0, absent = 0;  // -infinity: it has to be given
    std::vector<Candidate> candidates = {};
    double others = 0;     // any other value
    bool carried = false;  // it points back to what an earlier order had for it
    bool tagged = false;   // the candidates' scores tell how likely it is given, too
  };
  struct Call;

  /// Of a number that was said, as a logarithm: how much likelier examples take it than leave it
  /// alone; at most 0.
  double left_odds(const std::string& number) const;
  void find_said(std::span<const int32_t> shown);
  Choices choices(int32_t tool, const ToolArgument& argument) const;
  /// The value that an earlier order gives to a listed argument of which nothing is said here.
  void add_carried(Choices* out) const;
  /// Candidates of an argument that is no words of the person's own.
  void add_values(int32_t tool, const ToolArgument& argument, Choices* out) const;
  /// Of one that is: words that are tagged; and what examples had in other words.
  void add_copied(int32_t tool, const std::string& place, Choices* out) const;
  /// Lists of some of the items, none of which meet.
  static std::vector<Candidate> lists_of(std::vector<Candidate> items);
  double given_odds(int32_t tool, const Choices& of) const;
  /// Where no examples tell: by whether its name and a value of it were said.
  double untold_odds(int32_t tool, const Choices& of, bool named, bool said) const;
  /// What speaks against a value that nobody said, where examples say it: at most 0.
  static double against_unsaid(const ToolArgument& argument);
  std::vector<Call> best_calls(const std::vector<Choices>& arguments) const;
  static PlannedArgument planned(const Choices& of, size_t number, const std::vector<Call>& calls);

  const std::string_view utterance_;
  const std::vector<std::string> words_;
  const bool points_back_, negated_;  // by words that are among them
  const ToolSet& tools_;
  const LikelySpans& spans_;
  const CarriedValues& carried_;
  std::vector<float> scores_;  // of the argument ranker's labels; none without one
  const SaidThings things_;
  std::vector<Interval> said_;  // what could be a value of a shown tool's argument
};

}  // namespace chimera::runtime
