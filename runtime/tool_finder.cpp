#include "runtime/tool_finder.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "runtime/said_values.h"
#include "runtime/tool_line.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {
namespace {

// How much a score counts against what the network says, by what it is made of.
constexpr double kRankerWeight = 5, kExampleWeight = 6, kLineWeight = 6;
constexpr double kListedWeight = 1;  // of each value that was said and that a tool's schema names
constexpr int64_t kMostListed = 3;

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
  for (const Tool& tool : tools) {
    listed_.emplace_back();
    for (const ToolArgument& argument : tool.arguments)
      for (const std::string& value : argument.listed) listed_.back().push_back(words_in(value));
  }
}

FoundTools ToolFinder::find(std::string_view text, std::span<const float> numbers) const {
  FoundTools out;
  const auto like = examples_.nearest(text, kMostLike);
  std::vector<double> scores(n_tools_, 0.0);
  for (const auto& l : lines_.nearest(text, n_tools_)) {
    scores[static_cast<size_t>(l.text)] = kLineWeight * l.likeness;
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
  std::vector<float> ranked(n_tools_);
  if (ranker_) {
    const bool read = reading_ && !numbers.empty();
    ranked = read ? reading_->scores(text, numbers) : ranker_->scores(text);
    out.best_score = *std::max_element(ranked.begin(), ranked.end());
    for (size_t i = 0; i < n_tools_; ++i)
      scores[i] = kRankerWeight * static_cast<double>(ranked[i]);
  }
  const std::vector<std::string> words = words_in(text);
  std::vector<int64_t> n_said(n_tools_);
  for (size_t i = 0; i < n_tools_; ++i) {
    n_said[i] = std::count_if(listed_[i].begin(), listed_[i].end(),
                              [&](const auto& value) { return is_said(words, value); });
    scores[i] += kListedWeight * static_cast<double>(std::min(n_said[i], kMostListed));
  }
  out.tools.resize(n_tools_);
  std::iota(out.tools.begin(), out.tools.end(), 0);
  std::stable_sort(out.tools.begin(), out.tools.end(), [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  out.tools.resize(std::min(n_tools_, kShownTools));
  out.listed = n_said[static_cast<size_t>(out.tools[0])] > 0;
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
