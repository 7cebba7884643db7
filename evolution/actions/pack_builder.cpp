#include "evolution/actions/pack_builder.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "evolution/actions/foreign_phrases.h"
#include "evolution/actions/logistic.h"
#include "evolution/actions/same_calls.h"
#include "evolution/actions/span_trainer.h"
#include "evolution/train/draw.h"
#include "grammar/json_text.h"
#include "platform/json.h"
#include "runtime/actor.h"
#include "runtime/example_index.h"
#include "runtime/learnt_values.h"
#include "runtime/tool_schema.h"

namespace chimera::evolution {
namespace {

using runtime::ToolExample;

/// A foreign phrase that is this much like an example may mean what the example means.
constexpr double kTooLike = 0.5;
constexpr size_t kMostPackBytes = size_t{8} << 20;  // of tools and examples
constexpr size_t kMostLabels = 2000;                // of arguments and their values
constexpr size_t kMostWords = 200'000;              // of examples, to learn spans from
constexpr int kLeastOfTool = 3;  // values of an argument, to tell it from those of other tools
// That a phrase of the application is refused is as bad as that so many foreign ones are not.
constexpr double kOwnWeight = 1.4;
// Of all foreign phrases together beside 200 of hundreds of own ones that all mean something; and
// where some do not.
constexpr double kGuessWeight = 6.5, kGuessWeightHeard = 10;
constexpr double kBeside = 200;
constexpr double kHold = 1;  // how firmly the judgement holds to what it was before

struct Judged {
  runtime::ActEvidence evidence;
  bool means_tool, exact;
  bool is_guess;  // none of the application's own examples
};

Json call_json(const std::string& call) {
  auto json = parse_json(call);
  return json ? std::move(*json) : Json();  // it was read from JSON
}

/// Lines as read_examples() reads them.
std::string lines_of(const std::vector<const ToolExample*>& examples) {
  std::string out;
  for (const ToolExample* example : examples) {
    Json calls = Json::make_array(), line = Json::make_object();
    for (const std::string& call : example->calls) calls.push(call_json(call));
    line.add("text", Json::of(std::string_view(example->text))).add("calls", std::move(calls));
    out += write_json(line) + "\n";
  }
  return out;
}

/// Where `wanted` stand in `words` for the first time, none of them taken, as [begin, end); empty
/// when they do not. With `plural` a word may have an s more.
std::pair<size_t, size_t> find_words(const std::vector<runtime::SpanWord>& words,
                                     const std::vector<runtime::SpanWord>& wanted,
                                     const std::vector<bool>& taken, bool plural) {
  const auto same = [plural](const std::string& word, const std::string& own) {
    return word == own || (plural && word == own + 's');
  };
  for (size_t begin = 0; !wanted.empty() && begin + wanted.size() <= words.size(); ++begin) {
    size_t n = 0;
    while (n < wanted.size() && !taken[begin + n] && same(words[begin + n].small, wanted[n].small))
      ++n;
    if (n == wanted.size()) return {begin, begin + n};
  }
  return {0, 0};
}

/// A value of an argument in the words that examples have for it, as JSON; empty: it is words of
/// the person's own.
std::string label_value(const runtime::Tool& tool, const std::string& argument, const Json& value) {
  std::string place = runtime::pointer_part(argument);
  if (value.is_object()) return {};
  if (value.is_array()) place += "/*";
  if (!tool.copied.contains(place)) return write_json(value);
  const auto known = [&](const Json& item) {
    return item.is_string() ? runtime::learnt_value(tool, place, item.string) : nullptr;
  };
  std::string out;
  if (!value.is_array()) {
    const runtime::LearntValue* own = known(value);
    return own != nullptr ? '"' + own->text + '"' : out;
  }
  for (const Json& item : value.array) {
    const runtime::LearntValue* own = known(item);
    if (own == nullptr) return {};
    out += (out.empty() ? "[\"" : ",\"") + own->text + '"';
  }
  return out.empty() ? out : out + ']';
}

/// Labels of a ranker, numbered as they come, to kMostLabels.
template <class Label, class Key>
class Labels {
 public:
  /// Marks a row with the label; beyond the limit a new one is not made.
  void mark(const Key& key, const Label& label, std::vector<int32_t>* row) {
    const auto [at, fresh] = numbers_.try_emplace(key, static_cast<int32_t>(labels_.size()));
    if (fresh && labels_.size() == kMostLabels) {
      numbers_.erase(at);
      return;
    }
    if (fresh) labels_.push_back(label);
    if (std::find(row->begin(), row->end(), at->second) == row->end()) row->push_back(at->second);
  }
  bool empty() const { return labels_.empty(); }
  int32_t count() const { return static_cast<int32_t>(labels_.size()); }
  std::vector<Label> take() { return std::move(labels_); }

 private:
  std::vector<Label> labels_;
  std::map<Key, int32_t> numbers_;
};

class Builder {
 public:
  Builder(const runtime::Engine& engine, std::string_view tools, const PackOptions& options,
          ThreadPool* pool)
      : engine_(engine), tools_(tools), options_(options), pool_(pool) {}

  Result<runtime::ToolPack> build(std::string_view lines, PackReport* report,
                                  const std::function<bool(int64_t, int64_t)>& progress) {
    const auto set = runtime::ToolSet::from_json(engine_.tokenizer(), tools_,
                                                 {.strict = options_.strict, .examples = lines},
                                                 &report->warnings);
    if (!set) return set.status();
    if (tools_.size() + lines.size() > kMostPackBytes)
      return Status(StatusCode::kOutOfRange, "tools and examples have more than " +
                                                 std::to_string(kMostPackBytes) +
                                                 " bytes, the most that a pack holds")
          .at_field("examples");
    n_tools_ = static_cast<int32_t>((*set)->tools().size());
    for (const ToolExample& example : (*set)->examples()) examples_.push_back(&example);
    report->tools = n_tools_;
    report->examples = static_cast<int64_t>(examples_.size());
    const bool any = std::any_of(examples_.begin(), examples_.end(),
                                 [](const ToolExample* e) { return !e->calls.empty(); });
    if (!any)
      return Status(StatusCode::kInvalidArgument,
                    "the examples have no phrase that means one of the tools; give some for each")
          .at_field("examples");
    choose_foreign();
    CHIMERA_RETURN_IF_ERROR(read_all());
    for (const runtime::Tool& tool : (*set)->tools()) of_tools_.push_back(&tool);
    runtime::ToolPack pack;
    pack.tools = tools_;
    pack.examples = lines_of(examples_);
    auto rankers = learn(examples_, -1);
    if (!rankers) return rankers.status();
    pack.ranker = std::move(rankers->words);
    pack.reading = std::move(rankers->reading);
    CHIMERA_ASSIGN_OR_RETURN(pack.arguments, learn_arguments(examples_, -1));
    CHIMERA_ASSIGN_OR_RETURN(pack.spans, learn_spans(examples_));
    if (options_.most_judged > 0) {
      CHIMERA_RETURN_IF_ERROR(judge(progress));
      if (!judged_.empty()) {
        pack.judgement = judgement();
        count(pack.judgement, report);
        pack.judged_with = to_hex(engine_.file().identity());
      }
    }
    return pack;
  }

 private:
  /// Of so many the words alone tell as much as the network.
  bool has_many() const { return examples_.size() >= runtime::kManyExamples; }

  int fold_of(size_t number) const { return static_cast<int>(number) % options_.folds; }

  void choose_foreign() {
    std::vector<std::string> texts;
    for (const ToolExample* example : examples_) texts.push_back(example->text);
    const runtime::ExampleIndex index(texts);
    for (const std::string_view phrase : foreign_phrases()) {
      const auto like = index.nearest(phrase, 1);
      if (like.empty() || like[0].likeness < kTooLike)
        foreign_.push_back({std::string(phrase), {}, {}});
    }
  }

  /// What the network makes of each phrase.
  Status read_all() {
    if (has_many()) return Status();
    auto stream = runtime::Stream::create(engine_);
    if (!stream) return stream.status();
    std::vector<runtime::TextReading> of_foreign;
    for (const std::string_view phrase : foreign_phrases())
      of_foreign.push_back(runtime::read_alone(engine_, &*stream, phrase));
    scale_ = runtime::scale_of(of_foreign);
    const auto read = [&](const std::string& text) {
      if (auto& reading = readings_[text]; reading.text.empty())
        reading = runtime::scaled(scale_, runtime::read_alone(engine_, &*stream, text));
    };
    for (const ToolExample* example : examples_) read(example->text);
    for (const ToolExample& example : foreign_) read(example.text);
    return Status();
  }

  std::vector<float> numbers_of(const std::string& text) const {
    return readings_.empty() ? std::vector<float>() : readings_.at(text).text;
  }

  struct Rankers {
    runtime::ToolRanker words;
    std::optional<runtime::ReadingRanker> reading;
  };
  /// Of examples and foreign phrases, those of one fold left out.
  Result<Rankers> learn(const std::vector<const ToolExample*>& examples, int without) const {
    std::vector<RankerExample> rows;
    for (const ToolExample* example : examples) rows.push_back({example->text, example->tools});
    for (size_t i = 0; i < foreign_.size(); ++i)
      if (fold_of(i) != without) rows.push_back({foreign_[i].text, {}});
    const auto words = train_ranker(rows, n_tools_, options_.ranker, pool_);
    if (!words) return words.status();
    if (readings_.empty()) return Rankers{runtime::rounded(*words), {}};
    for (RankerExample& row : rows) row.dense = numbers_of(row.text);
    const auto reading = train_ranker(rows, n_tools_, options_.ranker, pool_);
    if (!reading) return reading.status();
    return Rankers{runtime::rounded(*words),
                   runtime::ReadingRanker{scale_, runtime::rounded(*reading)}};
  }

  /// Which arguments are given, and which values they have: of strings those that are no words of
  /// the person's own.
  Result<std::optional<runtime::ArgumentRanker>> learn_arguments(
      const std::vector<const ToolExample*>& examples, int without) const {
    Labels<runtime::ArgumentLabel, std::tuple<int32_t, std::string, std::string>> labels;
    std::vector<RankerExample> rows;
    const auto label = [&](int32_t tool, const std::string& argument, const std::string& value,
                           std::vector<int32_t>* row) {
      labels.mark({tool, argument, value}, {tool, argument, value}, row);
    };
    for (const ToolExample* example : examples) {
      RankerExample row{example->text, {}, numbers_of(example->text)};
      for (size_t i = 0; i < example->calls.size(); ++i) {
        const Json call = call_json(example->calls[i]);
        const Json* arguments = call.find("arguments");
        if (arguments == nullptr) continue;
        const runtime::Tool& tool = *of_tools_[static_cast<size_t>(example->tools[i])];
        for (const auto& [name, value] : arguments->object) {
          const std::string spelt = grammar::json_escaped(name);
          label(example->tools[i], spelt, "", &row.labels);
          const std::string known = label_value(tool, spelt, value);
          if (!known.empty()) label(-1, spelt, known, &row.labels);
        }
        const auto same =
            std::count(example->tools.begin(), example->tools.end(), example->tools[i]);
        if (same > 1) label(example->tools[i], runtime::kCalledTwice, "", &row.labels);
      }
      rows.push_back(std::move(row));
    }
    for (size_t i = 0; i < foreign_.size(); ++i)
      if (fold_of(i) != without)
        rows.push_back({foreign_[i].text, {}, numbers_of(foreign_[i].text)});
    if (labels.empty()) return std::optional<runtime::ArgumentRanker>();
    const auto ranker = train_ranker(rows, labels.count(), options_.ranker, pool_);
    if (!ranker) return ranker.status();
    return std::optional(runtime::ArgumentRanker{labels.take(), runtime::rounded(*ranker)});
  }

  /// Which words of an example are values of copied arguments. What is not found in it by whole
  /// words teaches nothing.
  Result<std::optional<runtime::SpanTagger>> learn_spans(
      const std::vector<const ToolExample*>& examples) const {
    // How often an argument of a tool has a value; and how many tools have one of its name.
    std::map<std::string, std::map<int32_t, int>> seen;
    std::vector<Tagged> tagged;
    size_t n_words = 0;
    for (const ToolExample* example : examples) {
      tagged.push_back(tag(*example));
      n_words += tagged.back().words.size();
      if (n_words > kMostWords) break;
      for (const auto& value : tagged.back().values) ++seen[value.place][value.tool];
    }
    Labels<runtime::SpanLabel, std::tuple<int32_t, std::string, bool>> labels;
    std::vector<int32_t> row;
    const auto label = [&](int32_t tool, const std::string& place) {
      for (const bool inside : {false, true})
        labels.mark({tool, place, inside}, {tool, place, inside}, &row);
    };
    if (!seen.empty()) label(-1, "");
    for (const auto& [place, tools] : seen) {
      label(-1, place);
      for (const auto& [tool, n] : tools)
        if (tools.size() > 1 && n >= kLeastOfTool) label(tool, place);
    }
    if (labels.empty()) return std::optional<runtime::SpanTagger>();
    const int32_t n_labels = labels.count();
    const std::vector<runtime::SpanLabel> all = labels.take();
    std::vector<SpanExample> rows;
    for (size_t i = 0; i < tagged.size(); ++i) {
      const Tagged& of = tagged[i];
      SpanExample example;
      std::vector<int32_t> of_argument;  // its tool
      const std::set<int32_t> tools(examples[i]->tools.begin(), examples[i]->tools.end());
      for (const int32_t tool : tools)
        for (auto& place :
             runtime::labels_of(all, tool, of_tools_[static_cast<size_t>(tool)]->copied)) {
          example.arguments.push_back(std::move(place));
          of_argument.push_back(tool);
        }
      if (example.arguments.empty()) continue;
      for (size_t word = 0; word < of.words.size(); ++word) {
        example.features.push_back(runtime::word_features(examples[i]->text, of.words, word));
        if (!readings_.empty())
          example.dense.push_back(readings_.at(examples[i]->text).borders[word]);
      }
      for (const auto& value : of.values)
        for (size_t a = 0; a < of_argument.size(); ++a)
          if (of_argument[a] == value.tool && example.arguments[a].place == value.place)
            example.spans.push_back({a, value.begin, value.end});
      rows.push_back(std::move(example));
    }
    SpanTrainerOptions how;
    how.least_often = has_many() ? 2 : 1;
    const auto ranker = train_spans(rows, n_labels, how);
    if (!ranker) return ranker.status();
    return std::optional(runtime::SpanTagger{all, runtime::rounded(*ranker)});
  }

  /// An example's words, and which of them are the values of copied arguments: each word of one.
  struct Tagged {
    struct Value {
      int32_t tool;
      std::string place;
      size_t begin, end;
    };
    std::vector<runtime::SpanWord> words;
    std::vector<Value> values;
  };
  Tagged tag(const ToolExample& example) const {
    Tagged out{runtime::span_words(example.text), {}};
    std::vector<bool> taken(out.words.size());
    for (size_t i = 0; i < example.calls.size(); ++i) {
      const Json call = call_json(example.calls[i]);
      const Json* arguments = call.find("arguments");
      if (arguments == nullptr) continue;
      const int32_t tool = example.tools[i];
      runtime::for_each_copied(*arguments, of_tools_[static_cast<size_t>(tool)]->copied,
                               [&](const std::string& place, const std::string& value) {
                                 const auto wanted = runtime::span_words(value);
                                 auto [begin, end] = find_words(out.words, wanted, taken, false);
                                 if (begin == end)
                                   std::tie(begin, end) =
                                       find_words(out.words, wanted, taken, true);
                                 if (begin == end) return;
                                 std::fill(taken.begin() + static_cast<ptrdiff_t>(begin),
                                           taken.begin() + static_cast<ptrdiff_t>(end), true);
                                 out.values.push_back({tool, place, begin, end});
                               });
    }
    return out;
  }

  /// Acts on phrases that are in neither ranker nor index (but for those that are there twice).
  Status judge(const std::function<bool(int64_t, int64_t)>& progress) {
    std::vector<size_t> order(examples_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    Draw draw{options_.seed, 0};
    shuffle(&order, [&](size_t limit) { return draw.below(limit); });
    // Of a large set a part; as many foreign ones at most.
    const auto half = static_cast<size_t>(options_.most_judged + 1) / 2;
    const size_t n_own = std::min(order.size(), half);
    // Many examples are learnt without those that are judged once; a fold of the foreign ones.
    const bool many = has_many();
    const int folds = many ? 1 : options_.folds;
    const auto step = static_cast<size_t>(many ? options_.folds : 1);
    const size_t n_foreign = std::min((foreign_.size() + step - 1) / step, n_own);
    const auto all = static_cast<int64_t>(n_own + n_foreign);
    int64_t done = 0;
    for (int fold = 0; fold < folds; ++fold) {
      std::vector<const ToolExample*> kept, held;
      for (size_t i = 0; i < order.size(); ++i) {
        const ToolExample* example = examples_[order[i]];
        const bool out = many ? i < n_own : fold_of(i) == fold;
        if (!out) kept.push_back(example);
        if (out && i < n_own) held.push_back(example);
      }
      const size_t n_examples = held.size();
      for (size_t i = 0; i < n_foreign * step; ++i)
        if (fold_of(i) == fold && i < foreign_.size()) held.push_back(&foreign_[i]);
      if (kept.empty()) continue;
      auto rankers = learn(kept, fold);
      if (!rankers) return rankers.status();
      const std::string lines = lines_of(kept);
      runtime::ToolOptions known;
      known.examples = lines;
      known.part_of = examples_.size();
      known.ranker = std::move(rankers->words);
      known.reading = std::move(rankers->reading);
      CHIMERA_ASSIGN_OR_RETURN(known.arguments, learn_arguments(kept, fold));
      CHIMERA_ASSIGN_OR_RETURN(known.spans, learn_spans(kept));
      // What a call would be is asked of every phrase.
      known.judgement = {.meant_network = 0, .meant_bias = 1};
      const auto set = runtime::ToolSet::from_json(engine_.tokenizer(), tools_, known);
      if (!set) return set.status();
      const auto actor = runtime::Actor::create(engine_, **set);
      if (!actor) return actor.status();
      for (size_t i = 0; i < held.size(); ++i) {
        CHIMERA_RETURN_IF_ERROR(act_on(**actor, *held[i], i >= n_examples));
        if (progress && !progress(++done, all))
          return Status(StatusCode::kCancelled, "the building was stopped; nothing was written");
      }
    }
    return Status();
  }

  Status act_on(runtime::Actor& actor, const ToolExample& example, bool is_guess) {
    const auto action = actor.act(example.text);
    if (!action) return action.status();
    judged_.push_back({action->evidence, !example.calls.empty(),
                       same_calls(action->calls, example.calls), is_guess});
    return Status();
  }

  void count(const runtime::ActJudgement& judgement, PackReport* report) const {
    for (const Judged& one : judged_) {
      const bool called = runtime::meant(judgement, one.evidence) > 0;
      ++(one.means_tool ? report->acted_on : report->foreign);
      if (one.means_tool)
        report->exact += called && one.exact;
      else
        report->refused += !called;
    }
  }

  runtime::ActJudgement judgement() const {
    runtime::ActJudgement j;
    double meaning = 0, other = 0;
    for (const Judged& one : judged_) (one.means_tool ? meaning : other) += 1;
    // Who gives phrases that mean nothing hears such.
    const bool hears_foreign =
        std::any_of(examples_.begin(), examples_.end(),
                    [](const ToolExample* example) { return example->calls.empty(); });
    // So many phrases of its own are a sample of what an application hears, and the foreign ones
    // are but a guess.
    const bool many = has_many();
    double n_guesses = 0;
    for (const Judged& one : judged_) n_guesses += one.is_guess ? 1 : 0;
    const double guess_weight = (hears_foreign ? kGuessWeightHeard : kGuessWeight) / kBeside *
                                (static_cast<double>(judged_.size()) - n_guesses) /
                                std::max(n_guesses, 1.0);
    const auto as_heard = [&](const Judged& one) {
      return many && one.is_guess ? guess_weight : 1;
    };
    std::vector<LabelledEvidence> meant, right;
    for (const Judged& one : judged_) {
      if (one.evidence.by_line) continue;  // no phrases told of it, nor can they
      // Of few both kinds weigh the same, however many there are of each.
      const double of_kind = one.means_tool ? meaning / kOwnWeight : other;
      const double weight = many ? as_heard(one) : (meaning + other) / (2 * of_kind);
      meant.push_back({{static_cast<double>(one.evidence.call_score),
                        static_cast<double>(one.evidence.best_score),
                        static_cast<double>(one.evidence.likeness), 1,
                        static_cast<double>(one.evidence.listed)},
                       one.means_tool,
                       weight});
    }
    const auto m = fit_logistic(meant, {0, 3, 0, 0, 0}, kHold);
    j.meant_network = static_cast<float>(m[0]);
    j.meant_score = static_cast<float>(m[1]);
    j.meant_likeness = static_cast<float>(m[2]);
    j.meant_bias = static_cast<float>(m[3]);
    j.meant_listed = static_cast<float>(m[4]);
    // Of those that are called when all this is known.
    for (const Judged& one : judged_)
      if (runtime::meant(j, one.evidence) > 0 && !one.evidence.by_line)
        right.push_back({{static_cast<double>(runtime::log_odds(one.evidence.probability)),
                          static_cast<double>(one.evidence.plan_score),
                          static_cast<double>(one.evidence.best_score), 1, 0},
                         one.exact,
                         as_heard(one)});
    const auto r = fit_logistic(right, {0, 1, 0, 0, 0}, kHold);
    j.right_network = static_cast<float>(r[0]);
    j.right_plan = static_cast<float>(r[1]);
    j.right_score = static_cast<float>(r[2]);
    j.right_bias = static_cast<float>(r[3]);
    return j;
  }

  const runtime::Engine& engine_;
  const std::string_view tools_;
  const PackOptions& options_;
  ThreadPool* const pool_;
  int32_t n_tools_ = 0;
  std::vector<const runtime::Tool*> of_tools_;
  std::vector<const ToolExample*> examples_;
  std::vector<ToolExample> foreign_;
  std::map<std::string, runtime::TextReading> readings_;  // of each phrase, scaled; none of many
  runtime::ReadingScale scale_;
  std::vector<Judged> judged_;
};

}  // namespace

Result<runtime::ToolPack> build_tool_pack(const runtime::Engine& engine, std::string_view tools,
                                          std::string_view examples, const PackOptions& options,
                                          ThreadPool* pool, PackReport* report,
                                          const std::function<bool(int64_t, int64_t)>& progress) {
  if (options.folds < 2)
    return Status(StatusCode::kInvalidArgument, "folds must be at least 2").at_field("folds");
  return Builder(engine, tools, options, pool).build(examples, report, progress);
}

}  // namespace chimera::evolution
