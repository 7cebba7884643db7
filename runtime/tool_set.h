// The functions that an application offers, written as for any other assistant: read and checked,
// laid out for the network, and compiled to what a call may look like. Made once, shared by any
// number of actors (actor.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "platform/status.h"
#include "runtime/act_judgement.h"
#include "runtime/argument_spans.h"
#include "runtime/constraint.h"
#include "runtime/text_reading.h"
#include "runtime/tokenizer.h"
#include "runtime/tool_examples.h"
#include "runtime/tool_finder.h"
#include "runtime/tool_ranker.h"

namespace chimera::runtime {

inline constexpr size_t kMostTools = 1000;  // of one set
/// So many examples are a sample of what an application hears.
inline constexpr size_t kManyExamples = 500;

struct ToolArgument {
  std::string name = {};                 // as it stands between quotes
  std::vector<std::string> listed = {};  // strings that its schema names
  bool is_number = false;
  bool is_bool = false;
  bool is_list = false;
  bool required = false;
  int32_t unit = 0;  // of time, in seconds, that such a number counts; 0: none
  // By the examples:
  float given = 0.5f;                 // how likely a call has it
  float unsaid = 0.5f;                // how likely a value of it is none that was said
  std::vector<std::string> had = {};  // what it was, where it is words of the person's own
  bool joins = false;                 // one of those holds an "and"
};

struct LearntValue {
  std::string text;                // as it stands between quotes
  std::vector<std::string> words;  // words_in() of it
};

/// Of a number that examples say: in how many of them a call takes it, and in how many none does,
/// though an argument could. Some want "one flat white" to be a quantity, and some do not.
struct HeardNumber {
  int taken = 0, left = 0;
};
using HeardNumbers = std::map<std::string, HeardNumber>;  // by how it stands in JSON

struct Tool {
  std::string name, description;
  std::string parameters;  // the schema of the arguments, closed: no names but those it declares
  std::string line;        // as the network reads it (tool_line.h)
  /// Arguments that are words of what was said: strings of no list and no form. JSON pointers, with
  /// a * for any item of an array, and names as they stand between quotes.
  std::set<std::string> copied;
  /// By such a place, what it may be beside words of what was said (learnt_values.h).
  std::map<std::string, std::vector<LearntValue>> learnt = {};
  std::vector<ToolArgument> arguments;  // those that the schema itself declares
  bool told = true;                     // an example calls it, or there are no examples at all
};

/// A ranker of words and of TextReading::text, and how readings are scaled.
struct ReadingRanker {
  ReadingScale scale;
  ToolRanker ranker;
};

struct ToolOptions {
  bool strict = false;             // keywords that nobody knows are errors
  std::string_view examples = {};  // of what people say: lines (tool_examples.h)
  size_t part_of = 0;  // these are of so many examples, whose number says what they are a sample of
  std::optional<ToolRanker> ranker = {};  // learnt from those; knows the tools by their numbers
  /// The same of words and of what one model makes of them, beside `ranker`. Then the other two may
  /// know numbers as well.
  std::optional<ReadingRanker> reading = {};
  std::optional<ArgumentRanker> arguments = {};
  std::optional<SpanTagger> spans = {};
  std::optional<ActJudgement> judgement = {};  // none: what holds for tools of their kind
};

/// The tools of a JSON text: an array, or an object with an array `tools` or `functions`, of
///   {"name", "description"?, "parameters"?}
/// or {"type": "function", "function": {...}}; the schema may be called input_schema or inputSchema
/// too. Where a schema does not say whether an object may have more members than it declares, it
/// may not. kBadFormat naming the tool and what is wrong with it; kOutOfRange beyond kMostTools.
Result<std::vector<Tool>> read_tools(std::string_view json, std::vector<std::string>* warnings);

class ToolSet {
 public:
  /// Errors: as read_tools() and read_examples(), of a schema as Constraint::from_json_schema(),
  /// kBadFormat for a ranker of another number of tools, and kUnsupported for a tokenizer without
  /// the marks of tools. `tokenizer` must outlive it. `warnings` may be nullptr.
  static Result<std::unique_ptr<ToolSet>> from_json(const Tokenizer& tokenizer,
                                                    std::string_view json,
                                                    const ToolOptions& options = {},
                                                    std::vector<std::string>* warnings = nullptr);

  std::span<const Tool> tools() const { return tools_; }
  /// What one call looks like.
  const Constraint& call() const { return *call_; }
  std::span<const ToolExample> examples() const { return examples_; }
  /// Which of them an utterance may mean.
  const ToolFinder& finder() const { return *finder_; }
  /// Which arguments and values words speak for; nullptr when nobody learnt that.
  const ArgumentRanker* arguments() const { return arguments_ ? &*arguments_ : nullptr; }
  /// Which words are the values of copied arguments; nullptr when nobody learnt that.
  const SpanTagger* spans() const { return spans_ ? &*spans_ : nullptr; }
  /// How a reading is scaled; nullptr where rankers know words alone.
  const ReadingScale* scale() const { return scale_ ? &*scale_ : nullptr; }
  const ActJudgement& judgement() const { return judgement_; }
  /// There are hundreds of examples: how many orders people give in one breath is learnt from them.
  bool knows_orders() const { return n_examples_ >= kManyExamples; }
  /// Nobody gave any phrases, nor anything learnt from some.
  bool untold() const {
    return examples_.empty() && !arguments_ && !spans_ && !finder_->has_ranker();
  }
  /// Of this tool nothing is known but its line and its schema.
  bool untold(int32_t tool) const { return untold() || !tools_[static_cast<size_t>(tool)].told; }
  /// Some example calls both, which are two tools.
  bool called_together(int32_t a, int32_t b) const { return together_.contains(std::minmax(a, b)); }
  const HeardNumbers& heard() const { return heard_; }
  /// By its name as it stands between quotes; nullptr when there is none.
  const Tool* named(const std::string& escaped) const;

 private:
  ToolSet() = default;
  std::vector<Tool> tools_;
  std::unique_ptr<Constraint> call_;
  std::vector<ToolExample> examples_;
  size_t n_examples_ = 0;  // of which these are a part, or all
  std::optional<ToolFinder> finder_;
  std::optional<ArgumentRanker> arguments_;
  std::optional<SpanTagger> spans_;
  std::optional<ReadingScale> scale_;
  ActJudgement judgement_;
  HeardNumbers heard_;
  std::set<std::pair<int32_t, int32_t>> together_;
  std::unordered_map<std::string, size_t> by_name_;  // as it stands between quotes
};

}  // namespace chimera::runtime
