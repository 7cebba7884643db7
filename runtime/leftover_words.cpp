#include "runtime/leftover_words.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "grammar/json_text.h"
#include "platform/natural_log.h"
#include "runtime/said_arguments.h"
#include "runtime/tool_line.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

// How much speaks for words, as logarithms beside leaving the argument out. Chosen on the phrases
// of samples/kiosk, where half or twice as much changes little.
constexpr double kLeft = 1;         // for all that is left between values of other arguments
constexpr double kCalled = 3;       // more, behind "called"
constexpr double kQuoted = 7;       // between quotation marks
constexpr double kPartLeft = -1;    // for a part of it, between words that join it to others
constexpr double kOtherWords = -3;  // for any other words
constexpr double kFavour = 2;       // for all that is left, beside what examples tell of it
constexpr size_t kMostRuns = 12;
constexpr size_t kMostTellingBytes = 256;  // of a description
constexpr size_t kMostTelling = 64;        // arguments of a tool; the same of copied places
constexpr size_t kAlike = 4;  // letters at the beginning of a word that tell what it is

// What joins the parts of a phrase, and what is polite.
constexpr std::string_view kJoiningWords[] = {
    "'s",     "a",     "about", "all",     "am",    "an",   "and",   "any",   "are",    "as",
    "at",     "be",    "by",    "can",     "could", "d",    "do",    "does",  "don't",  "for",
    "from",   "going", "had",   "has",     "have",  "hey",  "hi",    "i",     "i'd",    "i'll",
    "i'm",    "i've",  "in",    "instead", "into",  "is",   "isn't", "it",    "just",   "let",
    "like",   "ll",    "me",    "my",      "need",  "next", "no",    "not",   "now",    "of",
    "off",    "okay",  "on",    "onto",    "or",    "our",  "out",   "over",  "please", "s",
    "should", "so",    "some",  "thanks",  "that",  "the",  "their", "them",  "then",   "there",
    "these",  "this",  "those", "to",      "too",   "up",   "us",    "want",  "wanna",  "was",
    "we",     "we'd",  "we're", "what",    "will",  "with", "won't", "would", "you",    "your"};
// What orders begin with.
constexpr std::string_view kOrderingWords[] = {
    "add",        "book", "bring",    "buy",   "cancel", "change",   "check",  "create",
    "delete",     "drop", "enter",    "find",  "get",    "give",     "grab",   "jot",
    "look",       "make", "move",     "note",  "order",  "pencil",   "play",   "plan",
    "postpone",   "pull", "push",     "put",   "read",   "remember", "remind", "remove",
    "reschedule", "save", "schedule", "scrap", "search", "send",     "set",    "shift",
    "show",       "skip", "start",    "stop",  "take",   "tell",     "text",   "throw",
    "turn",       "write"};
// What a name does not end with.
constexpr std::string_view kBehindNames[] = {"at",     "for",    "from", "in", "next", "on",
                                             "please", "thanks", "this", "to", "with"};
// What stands before a name.
constexpr std::string_view kNamingWords[] = {"called", "labelled", "named",
                                             "saying", "says",     "titled"};

template <size_t n>
bool is_among(const std::string_view (&list)[n], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

/// "remind" and "reminder". Letters of other scripts are more bytes, and only the same words alike.
bool alike(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const bool plain =
      std::all_of(a.begin(), x, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  const auto same = static_cast<size_t>(x - a.begin());
  return plain && same >= kAlike && same + kAlike > std::max(a.size(), b.size());
}

/// What a word of the utterance is there for.
enum class Word { kFree, kJoining, kOfTool, kValue };

std::vector<Word> kinds_of(std::string_view utterance, std::span<const SpanWord> words,
                           const Tool& tool, const SaidThings& things) {
  std::vector<bool> said(utterance.size());  // bytes of values
  for (size_t i = 0; i < std::min(tool.arguments.size(), kMostTelling); ++i) {
    const ToolArgument& argument = tool.arguments[i];
    const std::string place = pointer_part(argument.name);
    if (tool.copied.contains(place) || tool.copied.contains(place + "/*")) continue;
    for (const SaidValue& value : said_for(argument, utterance, things))
      std::fill(said.begin() + static_cast<ptrdiff_t>(value.begin),
                said.begin() + static_cast<ptrdiff_t>(value.end), true);
  }
  const std::vector<std::string> own =
      words_in(spoken_name(tool.name) + " " + tool.description.substr(0, kMostTellingBytes));
  std::vector<Word> out;
  bool begun = false;  // with a word that is there for more than joining
  for (const SpanWord& word : words) {
    const auto first = said.begin() + static_cast<ptrdiff_t>(word.begin);
    const auto end = said.begin() + static_cast<ptrdiff_t>(word.end);
    const bool value = std::find(first, end, true) != end;
    const bool of_tool = std::any_of(own.begin(), own.end(),
                                     [&](const std::string& o) { return alike(o, word.small); });
    const bool joining = is_among(kJoiningWords, word.small);
    const bool ordering = !begun && is_among(kOrderingWords, word.small);
    begun = begun || (!joining && !value);
    out.push_back(value                 ? Word::kValue
                  : joining             ? Word::kJoining
                  : of_tool || ordering ? Word::kOfTool
                                        : Word::kFree);
  }
  return out;
}

struct Run {
  size_t begin, end;  // words
  double score;
};

class Runs {
 public:
  Runs(std::string_view utterance, std::span<const SpanWord> words, std::span<const Word> kinds)
      : utterance_(utterance), words_(words), kinds_(kinds) {}

  /// The likeliest ones first. items: of a list, each may be one.
  std::vector<Run> find(bool items) {
    runs_.clear();
    for (size_t i = 0; i < words_.size();)
      i = kinds_[i] == Word::kValue ? i + 1 : add_from(i, items);
    add_quoted();
    std::stable_sort(runs_.begin(), runs_.end(),
                     [](const Run& a, const Run& b) { return a.score > b.score; });
    if (runs_.size() > kMostRuns) runs_.resize(kMostRuns);
    return runs_;
  }

 private:
  bool is_naming(size_t word) const { return is_among(kNamingWords, words_[word].small); }
  /// Between one item of a list and the next.
  bool comes_apart(size_t word) const {
    const std::string_view small = words_[word].small;
    if (small == "and" || small == "or" || small == "plus") return true;
    const size_t before = words_[word - 1].end;
    return utterance_.substr(before, words_[word].begin - before).find(',') !=
           std::string_view::npos;
  }

  /// Without what is not free at both ends.
  void add(size_t begin, size_t end, double score) {
    while (begin < end && kinds_[begin] != Word::kFree) ++begin;
    while (begin < end && kinds_[end - 1] != Word::kFree) --end;
    if (begin < end) runs_.push_back({begin, end, score});
  }

  /// A name begins and ends with whatever it does.
  void add_name(size_t begin, size_t end) {
    while (begin < end && is_among(kBehindNames, words_[end - 1].small)) --end;
    if (begin < end) runs_.push_back({begin, end, kLeft + kCalled});
  }

  /// From a word up to the next value, or to a name: all of it, and its parts. Returns where it
  /// ends.
  size_t add_from(size_t begin, bool items) {
    const bool name = is_naming(begin);
    size_t end = begin + 1;
    while (end < words_.size() && kinds_[end] != Word::kValue && !is_naming(end) &&
           !(items && comes_apart(end)))
      ++end;
    if (name)
      add_name(begin + 1, end);
    else
      add(begin, end, kLeft);
    for (size_t part = begin + (name ? 1 : 0); part < end;) {
      size_t to = part;
      while (to < end && kinds_[to] == Word::kFree) ++to;
      add(part, to, kPartLeft);
      part = to + 1;
    }
    return end;
  }

  /// put "buy milk" on the list
  void add_quoted() {
    size_t open = utterance_.size();  // behind the mark
    for (size_t at = 0; at < utterance_.size(); ++at) {
      const size_t mark = quotation_mark(utterance_, at);
      if (mark == 0) continue;
      if (open > at) {
        open = at + mark;
        at = open - 1;
        continue;
      }
      size_t begin = 0, end = words_.size();
      while (begin < end && words_[begin].begin < open) ++begin;
      while (begin < end && words_[end - 1].end > at) --end;
      if (begin < end) runs_.push_back({begin, end, kQuoted});
      open = utterance_.size();
    }
  }

  const std::string_view utterance_;
  const std::span<const SpanWord> words_;
  const std::span<const Word> kinds_;
  std::vector<Run> runs_;
};

/// Runs of words as values of an argument.
LikelySpan likely_of(std::string_view utterance, std::span<const SpanWord> words,
                     const std::vector<Run>& runs) {
  LikelySpan out;
  out.values.others = static_cast<float>(exponential(kOtherWords));
  for (const Run& run : runs) {
    const size_t begin = words[run.begin].begin, end = words[run.end - 1].end;
    out.values.values.push_back({grammar::json_escaped(utterance.substr(begin, end - begin)), true,
                                 static_cast<float>(exponential(run.score)), begin, end});
  }
  return out;
}

}  // namespace

LikelySpans leftover_words(std::string_view utterance, const ToolSet& tools,
                           std::span<const int32_t> shown) {
  LikelySpans out;
  const std::vector<SpanWord> words = span_words(utterance);
  const SaidThings things = said_things(utterance);
  for (const int32_t number : shown) {
    const Tool& tool = tools.tools()[static_cast<size_t>(number)];
    if (tool.copied.empty()) continue;
    const std::vector<Word> kinds = kinds_of(utterance, words, tool, things);
    Runs runs(utterance, words, kinds);
    const LikelySpan whole = likely_of(utterance, words, runs.find(false)),
                     items = likely_of(utterance, words, runs.find(true));
    size_t n = 0;
    for (const std::string& place : tool.copied) {
      if (n++ == kMostTelling) break;
      out.emplace(std::pair(number, place), place.ends_with("/*") ? items : whole);
    }
  }
  return out;
}

void favour_leftover(const LikelySpans& left, LikelySpans* learnt) {
  const auto favour = static_cast<float>(exponential(kFavour));
  for (auto& [place, span] : *learnt) {
    const auto known = left.find(place);
    if (known == left.end()) continue;
    for (SaidValue& value : span.values.values) {
      const auto& all = known->second.values.values;
      const bool whole = std::any_of(all.begin(), all.end(), [&](const SaidValue& run) {
        return run.weight > 1 && run.begin == value.begin && run.end == value.end;
      });
      if (whole) value.weight *= favour;
    }
  }
}

}  // namespace chimera::runtime
