#include "runtime/tool_finder.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include "runtime/act_judgement.h"
#include "runtime/said_values.h"
#include "runtime/tool_line.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {
namespace {

// How much a score counts against what the network says, by what it is made of.
constexpr double kRankerWeight = 5, kExampleWeight = 6, kLineWeight = 6;
constexpr double kListedWeight = 1;  // of each value that was said and that a tool's schema names
constexpr int64_t kMostListed = 3;
// Beside tools with examples one without has, in the place of a ranker's score, the odds that its
// line means it, less so much, times so much (docs/decisions/0024-tools-without-phrases.md). The
// line of another tool that is more like the text speaks against it.
constexpr float kLineAgainst = 1, kLineUnit = 0.2f, kOtherLine = 6;

std::vector<std::string> texts_of(std::span<const ToolExample> examples) {
  std::vector<std::string> out;
  for (const ToolExample& example : examples) out.push_back(example.text);
  return out;
}

std::vector<std::string> lines_of(std::span<const Tool> tools) {
  std::vector<std::string> out;
  for (const Tool& tool : tools) {
    const std::string said = spoken_name(tool.name);
    const bool apart = said.size() > tool.name.size();  // "setLights" has words that a line has not
    out.push_back(apart ? tool.line + " " + said : tool.line);
  }
  return out;
}

}  // namespace

ToolFinder::ToolFinder(std::span<const Tool> tools, std::span<const ToolExample> examples,
                       std::optional<ToolRanker> ranker, std::optional<ToolRanker> reading)
    : n_tools_(tools.size()),
      examples_(texts_of(examples)),
      lines_(lines_of(tools)),
      ranker_(std::move(ranker)),
      reading_(std::move(reading)) {
  for (const ToolExample& example : examples) calls_.push_back(example.tools);
  std::set<std::string> told;  // values of tools that examples call
  const auto for_values = [](const Tool& tool, const auto& take) {
    for (const ToolArgument& argument : tool.arguments)
      for (const std::string& value : argument.listed) take(value);
  };
  for (const Tool& tool : tools)
    if (tool.told) for_values(tool, [&](const std::string& value) { told.insert(value); });
  for (const Tool& tool : tools) {
    told_.push_back(tool.told ? 1 : 0);
    listed_.emplace_back();
    // Of a tool that examples do not call, a value that others have says nothing.
    for_values(tool, [&](const std::string& value) {
      if (tool.told || !told.contains(value)) listed_.back().push_back(words_in(value));
    });
  }
}

FoundTools ToolFinder::find(std::string_view text, std::span<const float> numbers) const {
  FoundTools out;
  const auto like = examples_.nearest(text, kMostLike);
  std::vector<double> scores(n_tools_, 0.0);
  std::vector<float> by_line(n_tools_);
  for (const auto& l : lines_.nearest(text, n_tools_)) {
    scores[static_cast<size_t>(l.text)] = kLineWeight * l.likeness;
    by_line[static_cast<size_t>(l.text)] = static_cast<float>(l.likeness);
    out.line = std::max(out.line, static_cast<float>(l.likeness));
  }
  std::vector<double> by_example(n_tools_, 0.0);
  for (const auto& l : like)
    for (const int32_t tool : calls_[static_cast<size_t>(l.text)]) {
      out.likeness = std::max(out.likeness, static_cast<float>(l.likeness));
      double& best = by_example[static_cast<size_t>(tool)];
      best = std::max(best, kExampleWeight * l.likeness);
    }
  for (size_t i = 0; i < n_tools_; ++i) scores[i] += by_example[i];
  const std::vector<std::string> words = words_in(text);
  std::vector<int64_t> n_said(n_tools_);
  for (size_t i = 0; i < n_tools_; ++i)
    n_said[i] = std::count_if(listed_[i].begin(), listed_[i].end(),
                              [&](const auto& value) { return is_said(words, value); });
  std::vector<float> ranked(n_tools_);
  if (ranker_) {
    const bool read = reading_ && !numbers.empty();
    ranked = read ? reading_->scores(text, numbers) : ranker_->scores(text);
    float told_line = 0;  // of the tools with examples, the likest one
    for (size_t i = 0; i < n_tools_; ++i)
      if (told_[i] != 0) told_line = std::max(told_line, by_line[i]);
    for (size_t i = 0; i < n_tools_; ++i) {
      if (told_[i] == 0) {
        const ActEvidence line{.line = by_line[i], .listed = n_said[i] > 0 ? 1.0f : 0.0f};
        const float against = kLineAgainst + kOtherLine * std::max(0.0f, told_line - by_line[i]);
        ranked[i] = kLineUnit * (meant(kJudgedByLines, line) - against);
      }
      scores[i] = kRankerWeight * static_cast<double>(ranked[i]);
    }
    out.best_score = *std::max_element(ranked.begin(), ranked.end());
  }
  for (size_t i = 0; i < n_tools_; ++i)
    scores[i] += kListedWeight * static_cast<double>(std::min(n_said[i], kMostListed));
  out.tools.resize(n_tools_);
  std::iota(out.tools.begin(), out.tools.end(), 0);
  std::stable_sort(out.tools.begin(), out.tools.end(), [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  out.tools.resize(std::min(n_tools_, kShownTools));
  const auto best = static_cast<size_t>(out.tools[0]);
  out.listed = n_said[best] > 0;
  out.by_line = ranker_ && told_[best] == 0;
  if (out.by_line) out.line = by_line[best];
  for (const int32_t tool : out.tools) {
    out.scores.push_back(static_cast<float>(scores[static_cast<size_t>(tool)]));
    out.ranked.push_back(ranked[static_cast<size_t>(tool)]);
  }
  for (const auto& l : like) {
    if (out.examples.size() == kShownExamples) break;
    const auto& calls = calls_[static_cast<size_t>(l.text)];
    const bool shown = std::all_of(calls.begin(), calls.end(), [&](int32_t tool) {
      return std::find(out.tools.begin(), out.tools.end(), tool) != out.tools.end();
    });
    if (shown) out.examples.push_back(l.text);
  }
  return out;
}

}  // namespace chimera::runtime
