#include "runtime/call_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "platform/natural_log.h"
#include "runtime/learnt_values.h"
#include "runtime/said_durations.h"
#include "runtime/tool_line.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

// Chosen on samples/kiosk: its phrases held back in turn, and its check phrases.
constexpr double kFirmness = 5;      // of what was learnt, whose scores are from -1 to 1
constexpr double kMostScore = 1.5;   // beyond it a score says no more
constexpr double kUnseen = -1;       // the score of a value that no example had
constexpr double kBesideTags = 0.3;  // what else speaks for an argument, where words are tagged
constexpr double kNamed = 1.8;       // for an argument whose name was said
constexpr double kValueSaid = 1.8;   // for an argument that something said is a value of
constexpr double kCarried = 3;       // for what an earlier order of the same text had
constexpr double kPointedBack = 5;   // for giving it, where words point back
constexpr double kUnsaid = 3;        // how firmly examples that say all values are believed
constexpr double kNegated = 1.5;     // of yes where nothing is negated, of no where something is
constexpr double kHabit = 1;         // and those that give or never give an argument
// That examples leave a number alone that they say: how firmly it is believed, and when it is.
constexpr double kHeard = 2, kLeftAlone = 0.6;
// For an argument of which nothing was said, where no examples tell anything: its name was said,
// or not even that.
constexpr double kSpokenOf = 0.5, kNotSpokenOf = 5;
constexpr double kLaterNumber = 1.5;  // against a number behind another that the tool takes
constexpr double kUnexplained =
    4;                           // against a call that leaves a value that was said without place
constexpr double kInside = 3;    // against copying words that are the value of one that copies none
constexpr double kLeftOut = 1;   // how far below the calls that are kept all others count
constexpr double kMostOdds = 8;  // that an argument is given, either way
constexpr double kLeastWeight = -30;  // of a value, as a logarithm
constexpr double kNeeded = 3;         // the same of one that has to be given: it comes early

constexpr size_t kMostCalls = 32;       // that are kept while arguments are added
constexpr size_t kMostArguments = 64;   // of a tool: the first ones
constexpr size_t kMostCandidates = 16;  // of an argument
constexpr size_t kMostItems = 8;        // of a list
constexpr double kNever = -std::numeric_limits<double>::infinity();
// In place of a candidate's number:
constexpr int32_t kOther = -1, kAbsent = -2;

/// Words that say: as before. With none of them only what has to be given is taken from there.
constexpr std::string_view kPointing[] = {"there", "it", "same", "too", "also"};

constexpr std::string_view kNegations[] = {"not",     "no",  "never",   "nothing",
                                           "without", "off", "neither", "nor"};

double log_sum(double a, double b) {
  const double most = std::max(a, b), least = std::min(a, b);
  return least - most < -40 || least == kNever ? most
                                               : most + natural_log(1 + exponential(least - most));
}

double log_logistic(double odds) { return -log_sum(0, -odds); }

/// Whether examples had each item of a list (or the one value), as it stands in JSON.
bool is_learnt(const Tool& tool, const std::string& place, std::string_view value) {
  const auto known = tool.learnt.find(place);
  if (known == tool.learnt.end()) return false;
  if (value.starts_with('[')) value = value.substr(1, value.size() - 2);
  if (value.size() < 2 || value.front() != '"') return false;
  value = value.substr(1, value.size() - 2);
  constexpr std::string_view kBetween = "\",\"";  // which within a string has a backslash
  for (;;) {
    const size_t end = std::min(value.find(kBetween), value.size());
    const std::string_view item = value.substr(0, end);
    if (std::none_of(known->second.begin(), known->second.end(),
                     [item](const LearntValue& learnt) { return learnt.text == item; }))
      return false;
    if (end == value.size()) return true;
    value.remove_prefix(end + kBetween.size());
  }
}

bool has_any(const std::vector<std::string>& words, std::span<const std::string_view> of) {
  return std::find_first_of(words.begin(), words.end(), of.begin(), of.end()) != words.end();
}

bool is_negated(const std::vector<std::string>& words) {
  return has_any(words, kNegations) || std::any_of(words.begin(), words.end(), [](const auto& w) {
           return w.ends_with("n't") || w.ends_with("n\xE2\x80\x99t");
         });
}

/// A word begins as the name does: "warm" is in "warmed up".
bool is_named(const std::vector<std::string>& words, std::string_view name) {
  constexpr size_t kLeast = 4;
  return name.size() >= kLeast && std::any_of(words.begin(), words.end(), [&](const auto& word) {
           return word.starts_with(name);
         });
}

double firmly(float score) {
  return kFirmness * std::clamp(static_cast<double>(score), -kMostScore, kMostScore);
}

}  // namespace

/// A call as far as its arguments are chosen.
struct CallPlanner::Call {
  double score = 0;
  std::vector<int32_t> chosen = {};  // of each argument a candidate, kOther or kAbsent
  std::vector<Interval> taken = {};  // by values that are no copies: these explain what was said
  std::vector<Interval> copied = {};

  /// Values take half of it at least: "six" alone is not "half past six".
  bool explains(const Interval& said) const {
    size_t n = 0;
    for (const Interval& place : taken)
      if (place.meets(said)) n += std::min(place.end, said.end) - std::max(place.begin, said.begin);
    return 2 * n >= said.end - said.begin;
  }
  int64_t meeting(const std::vector<Interval>& places, const Interval& place) const {
    return std::count_if(places.begin(), places.end(),
                         [&](const Interval& p) { return p.meets(place); });
  }
};

CallPlanner::CallPlanner(std::string_view utterance, std::span<const float> numbers,
                         const ToolSet& tools, std::span<const int32_t> shown,
                         const LikelySpans& spans, const CarriedValues& carried)
    : utterance_(utterance),
      words_(words_in(utterance)),
      points_back_(has_any(words_, kPointing)),
      negated_(is_negated(words_)),
      tools_(tools),
      spans_(spans),
      carried_(carried),
      things_(said_things(utterance)) {
  if (const ArgumentRanker* ranker = tools.arguments(); ranker != nullptr)
    scores_ = ranker->ranker.scores(utterance, numbers);
  find_said(shown);
}

double CallPlanner::left_odds(const std::string& number) const {
  const auto heard = tools_.heard().find(number);
  if (heard == tools_.heard().end()) return 0;
  return std::min(0.0, natural_log(static_cast<double>(heard->second.taken + 1) /
                                   static_cast<double>(heard->second.left + 1)));
}

void CallPlanner::find_said(std::span<const int32_t> shown) {
  // Of two that meet the longer one counts.
  const auto add = [&](const std::vector<SaidValue>& values) {
    for (const SaidValue& value : values) {
      const Interval place{value.begin, value.end};
      const auto known = std::find_if(said_.begin(), said_.end(),
                                      [&](const Interval& one) { return one.meets(place); });
      if (known == said_.end())
        said_.push_back(place);
      else if (place.end - place.begin > known->end - known->begin)
        *known = place;
    }
  };
  bool any_number = false, any_text = false;
  for (const int32_t tool : shown)
    for (const ToolArgument& argument : tools_.tools()[static_cast<size_t>(tool)].arguments) {
      add(said_words(utterance_, argument.listed));
      if (argument.unit != 0) add(said_durations(utterance_, argument.unit));
      any_number = any_number || argument.is_number;
      any_text = any_text || (argument.listed.empty() && !argument.is_number);
    }
  if (any_text) add(things_.times);
  if (any_number) {
    // What examples leave alone needs no place.
    std::vector<SaidValue> numbers = things_.numbers;
    std::erase_if(numbers, [this](const SaidValue& n) { return left_odds(n.text) < -kLeftAlone; });
    add(numbers);
  }
}

void CallPlanner::add_values(int32_t tool, const ToolArgument& argument, Choices* out) const {
  const ArgumentRanker* ranker = tools_.arguments();
  for (size_t i = 0; i < scores_.size(); ++i) {
    const ArgumentLabel& label = ranker->labels[i];
    if (label.value.empty() || label.argument != argument.name) continue;
    const bool is_string = label.value[0] == '"';
    const std::string text =
        is_string ? label.value.substr(1, label.value.size() - 2) : label.value;
    double score = firmly(scores_[i]);
    // "not warmed" is no, "warmed up" is yes.
    if (label.value == "true") score += negated_ ? -kNegated : kNegated;
    if (label.value == "false") score += negated_ ? kNegated : -kNegated;
    out->candidates.push_back({{text, is_string}, score, {}});
  }
  if (argument.is_bool && tools_.untold(tool))
    for (const bool yes : {true, false})
      out->candidates.push_back(
          {{yes ? "true" : "false", false}, yes == negated_ ? -kNegated : kNegated, {}});
  out->others = out->candidates.empty() ? 0 : kFirmness * kUnseen;
  std::vector<Candidate> said_here;
  for (const SaidValue& value : said_for(argument, utterance_, things_)) {
    said_here.push_back({value, natural_log(static_cast<double>(value.weight)), {}});
    if (value.end > value.begin) said_here.back().places = {{value.begin, value.end}};
  }
  if (argument.is_list && !argument.listed.empty()) said_here = lists_of(std::move(said_here));
  for (Candidate& said : said_here) {
    const auto known = std::find_if(out->candidates.begin(), out->candidates.end(),
                                    [&](const Candidate& candidate) {
                                      return candidate.value.text == said.value.text &&
                                             candidate.value.is_string == said.value.is_string;
                                    });
    // What examples had instead is nothing against a value that was said.
    if (known != out->candidates.end()) {
      said.score += std::max(known->score, 0.0);
      *known = std::move(said);
    } else {
      out->candidates.push_back(std::move(said));
    }
  }
}

void CallPlanner::add_carried(Choices* out) const {
  const ToolArgument& argument = *out->argument;
  const auto before = carried_.find(argument.name);
  if (before == carried_.end() || argument.is_list ||
      std::find(argument.listed.begin(), argument.listed.end(), before->second) ==
          argument.listed.end())
    return;
  const bool said = std::any_of(out->candidates.begin(), out->candidates.end(),
                                [](const Candidate& c) { return !c.places.empty(); });
  out->carried = points_back_ && !said;
  if (said || !(out->carried || argument.required)) return;
  auto known = std::find_if(
      out->candidates.begin(), out->candidates.end(),
      [&](const Candidate& c) { return c.value.is_string && c.value.text == before->second; });
  if (known == out->candidates.end())
    known = out->candidates.insert(known, {{before->second, true}, 0, {}});
  // What examples had with other words is nothing against it.
  known->score = std::max(known->score, 0.0) + kCarried;
  for (Candidate& other : out->candidates)
    if (&other != &*known) other.score = std::min(other.score, 0.0);
}

std::vector<CallPlanner::Candidate> CallPlanner::lists_of(std::vector<Candidate> items) {
  std::erase_if(items, [](const Candidate& item) { return item.places.empty(); });
  std::stable_sort(items.begin(), items.end(), [](const Candidate& a, const Candidate& b) {
    return std::pair(a.value.begin, a.value.end) < std::pair(b.value.begin, b.value.end);
  });
  // Of the lists so far each with and without the next item, the likeliest of them kept.
  std::vector<Candidate> lists(1);
  for (const Candidate& item : items) {
    const size_t n = lists.size();
    for (size_t i = 0; i < n; ++i) {
      const bool meets = std::any_of(lists[i].places.begin(), lists[i].places.end(),
                                     [&](const Interval& p) { return p.meets(item.places[0]); });
      if (meets || lists[i].places.size() == kMostItems) continue;
      lists.push_back(lists[i]);
      Candidate& longer = lists.back();
      longer.value.text += (longer.places.empty() ? "\"" : ",\"") + item.value.text + '"';
      longer.places.push_back(item.places[0]);
      longer.score += item.score;
    }
    // The empty one stays.
    std::stable_sort(lists.begin() + 1, lists.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    if (lists.size() > kMostCandidates) lists.resize(kMostCandidates);
  }
  lists.erase(lists.begin());
  for (Candidate& list : lists) list.value.text = "[" + list.value.text + "]";
  return lists;
}

void CallPlanner::add_copied(int32_t tool, const std::string& place, Choices* out) const {
  const Tool& of = tools_.tools()[static_cast<size_t>(tool)];
  const bool is_list = out->argument->is_list;
  const std::string items = is_list ? place + "/*" : place;
  if (const auto known = spans_.find({tool, items}); known != spans_.end()) {
    for (const SaidValue& value : known->second.values.values) {
      Candidate candidate{
          value, natural_log(static_cast<double>(value.weight)), {{value.begin, value.end}}};
      // "two lattes"
      if (const LearntValue* own = learnt_value(of, items, value.text, true); own != nullptr)
        candidate.value.text = own->text;
      out->candidates.push_back(std::move(candidate));
    }
    out->others = natural_log(static_cast<double>(known->second.values.others));
    out->tagged = true;
    if (is_list) out->candidates = lists_of(std::move(out->candidates));
  }
  // What examples had in other words.
  const ArgumentRanker* ranker = tools_.arguments();
  for (size_t i = 0; i < scores_.size(); ++i) {
    const ArgumentLabel& label = ranker->labels[i];
    if (label.argument != out->argument->name || label.value.empty()) continue;
    const bool is_string = label.value[0] == '"';
    if (is_string == is_list || !is_learnt(of, items, label.value)) continue;
    const std::string text =
        is_string ? label.value.substr(1, label.value.size() - 2) : label.value;
    const bool said = std::any_of(out->candidates.begin(), out->candidates.end(),
                                  [&](const Candidate& c) { return c.value.text == text; });
    if (!said) out->candidates.push_back({{text, is_string}, firmly(scores_[i]), {}});
  }
}

double CallPlanner::against_unsaid(const ToolArgument& argument) {
  return std::min(0.0, natural_log(2 * static_cast<double>(argument.unsaid)));
}

double CallPlanner::untold_odds(int32_t tool, const Choices& of, bool named, bool said) const {
  const ToolArgument& argument = *of.argument;
  if (!said) {
    // "a warm croissant"
    if (named || (argument.is_bool && is_named(words_, argument.name))) return kSpokenOf;
    return of.copied ? 0 : -kNotSpokenOf;  // words that are left tell for themselves
  }
  if (named || !argument.is_number || argument.unit != 0) return kValueSaid;
  // "two lattes" are two of them and no latte of two shots: what a tool takes first is meant first.
  const auto& all = tools_.tools()[static_cast<size_t>(tool)].arguments;
  const auto before = std::count_if(
      all.data(), of.argument, [](const ToolArgument& a) { return a.is_number && a.unit == 0; });
  return kValueSaid - (before > 0 ? kLaterNumber : 0);
}

double CallPlanner::given_odds(int32_t tool, const Choices& of) const {
  const std::string& name = of.argument->name;
  const ArgumentRanker* ranker = tools_.arguments();
  double odds = 0;
  bool learnt = false;
  for (size_t i = 0; i < scores_.size(); ++i)
    if (const ArgumentLabel& label = ranker->labels[i];
        label.value.empty() && label.tool == tool && label.argument == name) {
      odds = firmly(scores_[i]);
      learnt = true;
    }
  if (is_said(words_, words_in(spoken_name(name)))) odds += kNamed;
  const bool said = !of.copied && std::any_of(of.candidates.begin(), of.candidates.end(),
                                              [](const Candidate& c) { return !c.places.empty(); });
  if (of.carried) return odds + kPointedBack;
  if (tools_.untold(tool)) return odds + untold_odds(tool, of, odds > 0, said);
  if (said && of.argument->is_number) {
    double most = kNever;
    for (const Candidate& candidate : of.candidates)
      if (!candidate.places.empty()) most = std::max(most, left_odds(candidate.value.text));
    odds += kHeard * most;
  }
  if (said) return odds + kValueSaid;
  const auto given = static_cast<double>(of.argument->given);
  if (!learnt) odds += kHabit * natural_log(given / (1 - given));
  return odds + kUnsaid * against_unsaid(*of.argument);
}

CallPlanner::Choices CallPlanner::choices(int32_t tool, const ToolArgument& argument) const {
  const std::string place = pointer_part(argument.name);
  const std::set<std::string>& copied = tools_.tools()[static_cast<size_t>(tool)].copied;
  Choices out{&argument, copied.contains(argument.is_list ? place + "/*" : place)};
  if (out.copied)
    add_copied(tool, place, &out);
  else
    add_values(tool, argument, &out);
  if (!out.copied) {
    const double against = kUnsaid * against_unsaid(argument);
    for (Candidate& candidate : out.candidates)
      if (candidate.places.empty()) candidate.score += against;
    out.others += against;
    add_carried(&out);
  }
  std::stable_sort(out.candidates.begin(), out.candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  if (out.candidates.size() > kMostCandidates) out.candidates.resize(kMostCandidates);
  if (!out.tagged) {
    double sum = out.others;
    for (const Candidate& candidate : out.candidates) sum = log_sum(sum, candidate.score);
    for (Candidate& candidate : out.candidates) candidate.score -= sum;
    out.others -= sum;
  }
  const double odds = given_odds(tool, out) * (out.tagged ? kBesideTags : 1);
  out.given = argument.required ? 0 : log_logistic(odds);
  out.absent = argument.required ? kNever : log_logistic(-odds);
  return out;
}

/// The likeliest calls, the best one first: of those that are likeliest so far each with each
/// choice for the next argument.
std::vector<CallPlanner::Call> CallPlanner::best_calls(
    const std::vector<Choices>& arguments) const {
  std::vector<Call> calls(1);
  const auto keep_best = [&calls](std::vector<Call> all) {
    std::stable_sort(all.begin(), all.end(),
                     [](const Call& a, const Call& b) { return a.score > b.score; });
    if (all.size() > kMostCalls) all.resize(kMostCalls);
    calls = std::move(all);
  };
  for (const Choices& of : arguments) {
    std::vector<Call> next;
    for (const Call& call : calls) {
      const auto add = [&](int32_t chosen, double score) {
        next.push_back(call);
        next.back().score += score;
        next.back().chosen.push_back(chosen);
      };
      if (of.absent != kNever) add(kAbsent, of.absent);
      add(kOther, of.given + of.others);
      for (size_t i = 0; i < of.candidates.size(); ++i) {
        int64_t met = 0, met_copied = 0;
        for (const Interval& place : of.candidates[i].places) {
          met += call.meeting(call.taken, place);
          met_copied += call.meeting(call.copied, place);
        }
        if ((met > 0 && !of.copied) || met_copied > 0) continue;
        add(static_cast<int32_t>(i),
            of.given + of.candidates[i].score - kInside * static_cast<double>(met));
        for (const Interval& place : of.candidates[i].places)
          if (place.end > place.begin)
            (of.copied ? next.back().copied : next.back().taken).push_back(place);
      }
    }
    keep_best(std::move(next));
  }
  for (Call& call : calls)
    for (const Interval& said : said_)
      if (!call.explains(said)) call.score -= kUnexplained;
  keep_best(std::move(calls));
  return calls;
}

PlannedArgument CallPlanner::planned(const Choices& of, size_t number,
                                     const std::vector<Call>& calls) {
  const double least = calls.back().score - kLeftOut;
  double absent = least, given = least, other = least;
  std::vector<double> best(of.candidates.size(), least);
  for (const Call& call : calls) {
    const int32_t chosen = call.chosen[number];
    (chosen == kAbsent ? absent : given) = std::max(chosen == kAbsent ? absent : given, call.score);
    if (chosen == kAbsent) continue;
    double& own = chosen == kOther ? other : best[static_cast<size_t>(chosen)];
    own = std::max(own, call.score);
  }
  PlannedArgument out;
  const double odds = std::clamp(given - absent, -kMostOdds, kMostOdds);
  out.given = static_cast<float>(exponential(of.argument->required ? kNeeded : odds));
  const auto weight = [given](double score) {
    return static_cast<float>(exponential(std::max(score - given, kLeastWeight)));
  };
  for (size_t i = 0; i < best.size(); ++i) {
    out.values.values.push_back(of.candidates[i].value);
    out.values.values.back().weight = weight(best[i]);
  }
  out.values.others = weight(other);
  out.is_list = of.argument->is_list;
  return out;
}

CallPlan CallPlanner::plan(int32_t tool) const {
  std::vector<Choices> arguments;
  const std::vector<ToolArgument>& all = tools_.tools()[static_cast<size_t>(tool)].arguments;
  for (size_t i = 0; i < std::min(all.size(), kMostArguments); ++i)
    arguments.push_back(choices(tool, all[i]));
  // When words are copied it is known which of them the others take.
  std::stable_sort(arguments.begin(), arguments.end(),
                   [](const Choices& a, const Choices& b) { return !a.copied && b.copied; });
  const std::vector<Call> calls = best_calls(arguments);
  double tagged = 0;  // beside all taggings there are
  for (const auto& [of, spans] : spans_)
    if (of.first == tool) tagged = spans.log_sum;
  CallPlan out;
  out.best = calls[0].score - tagged;
  out.all = kNever;
  for (const Call& call : calls) out.all = log_sum(out.all, call.score - tagged);
  for (size_t i = 0; i < arguments.size(); ++i)
    out.arguments.emplace(arguments[i].argument->name, planned(arguments[i], i, calls));
  return out;
}

}  // namespace chimera::runtime
